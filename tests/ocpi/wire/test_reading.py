"""Reading leniently and writing strictly."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from csms.core.errors import Invalid
from csms.ocpi.wire import reading
from csms.ocpi.wire.v221.registration import Credentials, DisplayText, Price

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_numbers_keep_every_digit_on_their_way_through() -> None:
    text = b'{"excl_vat":0.1000000000000000055511,"incl_vat":12345678901234567890.1}'
    price = reading.parse(Price, reading.load(text), NOW).value
    assert price.excl_vat == Decimal("0.1000000000000000055511")
    assert reading.dump(price) == text


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("1E+2", "100"),
        ("0.2500", "0.25"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("10", "10"),
        ("-1.5", "-1.5"),
    ],
)
def test_numbers_are_written_plainly(number: str, written: str) -> None:
    assert reading.dump({"n": Decimal(number)}) == f'{{"n":{written}}}'.encode()


@pytest.mark.parametrize("at", [NOW, NOW + timedelta(microseconds=123456)])
def test_times_fit_into_25_characters(at: datetime) -> None:
    text = reading.moment(at)
    assert len(text) <= 25
    assert text.endswith("Z")
    assert at - datetime.fromisoformat(text) < timedelta(milliseconds=1)


def test_no_null_and_no_empty_list_is_sent_and_unknown_fields_are() -> None:
    given = {"excl_vat": 1, "incl_vat": None, "taxes": [{"name": "GST", "amount": 2}]}
    price = reading.parse(Price, given, NOW).value
    assert json.loads(reading.dump(price)) == {"excl_vat": 1, "taxes": given["taxes"]}


def test_faults_name_their_field() -> None:
    with pytest.raises(Invalid, match=r"roles\.0\.role: field required"):
        reading.parse(
            Credentials,
            {
                "token": "t",
                "url": "https://example.com",
                "roles": [
                    {"party_id": "EXA", "country_code": "NL", "business_details": {"name": "x"}}
                ],
            },
            NOW,
        )


def test_the_correct_objects_of_a_list_are_used() -> None:
    listed = [{"language": "en", "text": "one"}, {"language": "en"}, 7]
    good, faults = reading.parse_list(DisplayText, listed, NOW)
    assert [read.value.text for read in good] == ["one"]
    assert len(faults) == 2
    with pytest.raises(Invalid):
        reading.parse_list(DisplayText, {"no": "list"}, NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"a": NaN}',
        b"1" * 5_000,
        b"1." + b"1" * 100,
        b"[" * 100_000,
        b"[" * 60 + b"]" * 60,
    ],
)
def test_what_is_no_json_or_too_deep_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        reading.load(body)


def test_what_has_no_form_in_json_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        reading.dump({"a": object()})


def test_what_is_stored_is_what_comes_back() -> None:
    given = DisplayText(language="en", text="one")
    assert reading.storable(given) == {"language": "en", "text": "one"}


@pytest.mark.parametrize(
    ("given", "excluding", "including"),
    [
        ({"before_taxes": 10}, "10", None),
        ({"before_taxes": 10, "taxes": []}, "10", None),
        (
            {"before_taxes": 10, "taxes": [{"name": "GST", "amount": 0.5}, {"amount": 1}]},
            "10",
            "11.5",
        ),
        ({"before_taxes": 10, "taxes": [{"name": "GST"}]}, "10", None),
        ({"excl_vat": 1, "before_taxes": 10}, "1", None),
    ],
)
def test_a_price_in_the_shape_of_the_next_version_is_understood(
    given: Any, excluding: str, including: str | None
) -> None:
    read = reading.parse(Price, reading.load(json.dumps(given).encode()), NOW)
    assert read.value.excl_vat == Decimal(excluding)
    assert read.value.incl_vat == (Decimal(including) if including else None)
    assert len(read.deviations) == ("excl_vat" not in given)


def test_a_price_of_ours_has_its_own_shape() -> None:
    with pytest.raises(ValidationError):
        Price.model_validate({"before_taxes": 10})
