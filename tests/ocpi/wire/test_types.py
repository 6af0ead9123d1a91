"""The types of OCPI (types.asciidoc): what is one, what is forgiven, what is not usable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import ValidationError

from csms.ocpi.wire.types import (
    MAX_DEVIATIONS,
    Address,
    Boolean,
    Ci,
    DateTime,
    Decimal4,
    Integer,
    Leniency,
    Text,
    Wire,
    one_of,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Thing(Wire):
    ci: Annotated[str, Ci(4)] | None = None
    text: Annotated[str, Text(4)] | None = None
    url: Address | None = None
    at: DateTime | None = None
    number: Decimal4 | None = None
    whole: Integer | None = None
    flag: Boolean | None = None
    closed: Annotated[str, one_of("Closed", "ON OFF")] | None = None
    open: Annotated[str, one_of("Open", "ON OFF", open=True)] | None = None
    many: tuple[Annotated[str, Ci(4)], ...] = ()


class Dated(Wire):
    last_updated: DateTime


def strict(**given: Any) -> Thing:
    return Thing.model_validate(given)


def lenient(**given: Any) -> tuple[Thing, list[str]]:
    leniency = Leniency(NOW)
    return Thing.model_validate(given, context=leniency), leniency.deviations


@pytest.mark.parametrize(
    "text",
    [
        "2015-06-29T20:39:09Z",
        "2015-06-29T20:39:09",
        "2016-12-29T17:45:09.2Z",
        "2018-01-01T01:08:01.123",
    ],
)
def test_every_form_of_date_time_in_the_specification_is_utc(text: str) -> None:
    at = strict(at=text).at
    assert at is not None
    assert at.utcoffset() == timedelta(0)
    assert at.isoformat().startswith(text.rstrip("Z")[:19])


def test_an_offset_is_no_date_time_and_is_understood_all_the_same() -> None:
    with pytest.raises(ValidationError):
        strict(at="2018-01-01T01:08:01+00:00")
    thing, deviations = lenient(at="2018-01-01T03:08:01+02:00")
    assert thing.at == datetime(2018, 1, 1, 1, 8, 1, tzinfo=UTC)
    assert deviations == ["at: date_time_form"]


@pytest.mark.parametrize("at", ["2018-13-01T00:00:00Z", "yesterday", 5, ""])
def test_what_is_no_time_is_refused_in_both_readings(at: Any) -> None:
    with pytest.raises(ValidationError):
        lenient(at=at)


def test_our_own_times_have_a_zone() -> None:
    with pytest.raises(ValidationError):
        strict(at=datetime(2026, 1, 1))
    there = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert strict(at=there).at == NOW


def test_a_ci_string_is_printable_ascii() -> None:
    assert strict(ci="aB 1").ci == "aB 1"
    for wrong in ("é", "a\tb", "12345"):
        with pytest.raises(ValidationError):
            strict(ci=wrong)


def test_names_that_are_too_long_are_kept_whole() -> None:
    thing, deviations = lenient(ci="123456", text="Grüße an alle", many=["1", "23456"])
    assert thing.ci == "123456"
    assert thing.text == "Grüße an alle"
    assert thing.many == ("1", "23456")
    assert deviations == ["ci: too_long", "text: too_long", "many: too_long"]


def test_control_characters_do_not_get_in() -> None:
    thing, deviations = lenient(text="a\nb")
    assert (thing.text, deviations) == ("a b", ["text: not_printable"])
    with pytest.raises(ValidationError):
        lenient(text="\ud800")


def test_numbers_are_decimals_and_never_floats() -> None:
    assert strict(number=Decimal("0.1")).number == Decimal("0.1")
    assert strict(number=2).number == Decimal(2)
    with pytest.raises(ValidationError):
        strict(number=0.1)
    thing, deviations = lenient(number=" 2.00")
    assert (thing.number, deviations) == (Decimal("2.00"), ["number: text_for_number"])
    for wrong in (True, "NaN", Decimal("1E+400"), "two"):
        with pytest.raises(ValidationError):
            lenient(number=wrong)


def test_integers() -> None:
    assert strict(whole=16).whole == 16
    thing, deviations = lenient(whole=Decimal("16.0"))
    assert (thing.whole, deviations) == (16, ["whole: form_of_integer"])
    for wrong in (True, Decimal("1.5"), "x", 2**70, "1e999"):
        with pytest.raises(ValidationError):
            lenient(whole=wrong)


def test_booleans_and_addresses() -> None:
    thing, deviations = lenient(flag="True", url="example.com/x")
    assert thing.flag is True
    assert deviations == ["url: not_a_url", "flag: text_for_boolean"]
    assert strict(url="https://example.com/").url == "https://example.com/"
    with pytest.raises(ValidationError):
        strict(url="ftp://example.com")


def test_values_of_an_open_enumeration_are_kept_and_of_a_closed_one_refused() -> None:
    assert strict(open="LATER").open == "LATER"
    with pytest.raises(ValidationError):
        lenient(closed="LATER")
    thing, deviations = lenient(closed="on")
    assert (thing.closed, deviations) == ("ON", ["closed: case_of_value"])


def test_null_is_absent_and_unknown_fields_survive() -> None:
    thing = Thing.model_validate({"many": None, "ci": None, "later": {"a": None}})
    assert thing.many == ()
    assert thing.model_extra == {"later": {"a": None}}


def test_a_missing_last_updated_is_the_time_of_receipt() -> None:
    with pytest.raises(ValidationError):
        Dated.model_validate({})
    leniency = Leniency(NOW)
    assert Dated.model_validate({}, context=leniency).last_updated == NOW
    assert leniency.deviations == ["last_updated: missing"]


def test_the_list_of_deviations_has_a_bound() -> None:
    _, deviations = lenient(many=["12345"] * (MAX_DEVIATIONS + 5))
    assert len(deviations) == MAX_DEVIATIONS
