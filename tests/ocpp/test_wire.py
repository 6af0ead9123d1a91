"""Values as stations write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.ocpp import wire

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("abc", "abc"),
        ("  a b \t", "a b"),
        ("\x10\x0eF6\x00\x7f", "F6"),
        ("\ud800x", "x"),
        (" \x00 ", None),
        ("", None),
        (17, "17"),
        (1.5, "1.5"),
        (True, None),
        (None, None),
        ([], None),
        ("x" * 300, "x" * 255),
    ],
)
def test_text(value: object, read: str | None) -> None:
    assert wire.text({"f": value}, "f") == read
    assert wire.text({}, "f") is None


def test_a_name_is_never_cut() -> None:
    assert wire.name({"f": "x" * 255 + " \x00"}, "f") == "x" * 255
    assert wire.name({"f": "x" * 256}, "f") is None


@pytest.mark.parametrize(
    ("signed", "kept"),
    [
        ("A" * wire.MAX_SIGNED, True),
        ("A" * (wire.MAX_SIGNED + 1), False),
        # The longest of every field in 2.1, as the meter wrote it.
        (
            {
                "signedMeterData": "\n" * 32_768,
                "signingMethod": "s" * 50,
                "encodingMethod": "e" * 50,
                "publicKey": "k" * 2_500,
            },
            True,
        ),
        ({"signedMeterData": "A" * wire.MAX_SIGNED}, False),
        ({"customData": {"vendorId": "A" * wire.MAX_SIGNED}}, False),
        ({"A" * wire.MAX_SIGNED: 1}, False),
        (["A" * wire.MAX_SIGNED], False),
        ({}, True),
    ],
)
def test_signed_data_fits_up_to_what_any_version_allows(signed: object, kept: bool) -> None:
    assert wire.fits(signed) is kept


@given(ANYTHING)
def test_any_signed_data_fits_or_does_not(signed: Any) -> None:
    assert wire.fits(signed) in (True, False)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (5, 5),
        ("5", 5),
        (" 5 ", 5),
        (5.0, 5),
        ("5.0", 5),
        ("5e2", 500),
        (-1, -1),
        (2**31 - 1, 2**31 - 1),
        (2**31, None),
        (2**63 - 1, None),
        (1e300, None),
        ("1e999999999", None),
        ("9" * 100_000, None),
        (5.5, None),
        (float("nan"), None),
        ("sNaN", None),
        ("Infinity", None),
        ("", None),
        (True, None),
        (None, None),
        ({}, None),
    ],
)
def test_integer(value: object, read: int | None) -> None:
    assert wire.integer({"f": value}, "f") == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (1_000, 1_000),
        ("1000", 1_000),
        (1000.4, 1_000),
        (0, 0),
        (10**12, 10**12),
        (10**12 + 1, None),
        (-1, None),
        ("NaN", None),
        ("sNaN", None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ("", None),
    ],
)
def test_watt_hours(value: object, read: int | None) -> None:
    assert wire.watt_hours({"f": value}, "f") == read


NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("2024-05-01T12:00:00Z", NOON),
        ("2024-05-01T12:00:00.000Z", NOON),
        ("2024-05-01T12:00:00", NOON),  # quirk 37
        ("2024-05-01 12:00:00", NOON),
        ("2024-05-01T22:00:00+1000", NOON),
        ("2024-05-01T14:00:00+02", NOON),
        ("2024-05-01T12:00:00-00:00", NOON),
        (" 2024-05-01T12:00:00Z ", NOON),
        ("2024-05-01t12:00:00z", NOON),  # RFC 3339 5.6 allows the small letters
        ("2024-05-01T12:00:00.123456789Z", NOON + timedelta(microseconds=123_456)),
        ("0001-01-01T00:00:00+14:00", None),  # quirk 38
        ("9999-12-31T23:59:59-14:00", None),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("2024-05-01T25:00:00Z", None),
        ("soon and later", None),
        ("", None),
        ("2024-05-01T12:00:00Z" + " " * 99, None),
        (1714564800, None),
        (None, None),
    ],
)
def test_moment(value: object, read: datetime | None) -> None:
    assert wire.moment(value) == read
    found = wire.moment(value)
    assert found is None or found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "multiplier", "read"),
    [
        ("1250", 0, "1250"),
        ("0.15002000000000001", 0, "0.15002000000000001"),
        (" 9.6", 0, "9.6"),
        (1250, 0, "1250"),
        (1e3, 0, "1000.0"),
        ("1.5", 3, "1500"),
        (1500, -3, "1.500"),
        ("-5", 0, "-5"),
        ("9" * 32, 0, "9" * 32),
        ("9" * 40, 0, None),
        ("0" * 40 + "5", 0, "5"),
        ("1e-40", 0, None),
        ("1e999999", 0, None),
        ("NaN", 0, None),
        ("٣", 0, "3"),
        ("x", 0, None),
        (True, 0, None),
        (None, 0, None),
    ],
)
def test_number_text(value: object, multiplier: int, read: str | None) -> None:
    assert wire.number_text(value, multiplier) == read


def test_a_reading_has_the_defaults_of_the_specification() -> None:
    """OCPP 1.6 7.43, OCPP 2.0.1 2.46."""
    reading = wire.reading({}, "5", None)
    assert reading == {"value": "5", "measurand": "Energy.Active.Import.Register"}


@pytest.mark.parametrize("bad", [5, {}, [], "x" * 65])
def test_what_is_there_and_cannot_be_used_is_not_its_default(bad: Any) -> None:
    sampled = dict.fromkeys(("measurand", "context", "location", "phase"), bad)
    reading = wire.reading(sampled, "5", bad)
    fields = ("measurand", "unit", "context", "location", "phase")
    assert {reading.get(field) for field in fields} == {wire.UNUSABLE}


def test_objects_and_lists() -> None:
    payload = {"o": {"a": 1}, "l": [{"a": 1}, 5, None, {"b": 2}], "x": 5}
    assert wire.mapping(payload, "o") == {"a": 1}
    assert (wire.mapping(payload, "x"), wire.mapping(payload, "none")) == ({}, {})
    assert wire.items(payload, "l") == [{"a": 1}, {"b": 2}]
    assert len(wire.items({"l": [{}] * 100_000}, "l")) == 100_000
    assert (wire.items(payload, "o"), wire.items(payload, "none")) == ([], [])


def test_times_go_out_in_plain_utc() -> None:
    """Quirk 39."""
    at = datetime(2024, 5, 1, 14, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert wire.rfc3339(at) == "2024-05-01T12:00:00Z"


def test_an_early_year_goes_out_with_four_digits() -> None:
    assert wire.rfc3339(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"


@given(ANYTHING, st.integers(-200, 200))
def test_readers_take_anything_and_never_raise(value: Any, multiplier: int) -> None:
    payload = {"f": value}
    for read in (wire.text, wire.name, wire.integer, wire.watt_hours, wire.mapping, wire.items):
        read(payload, "f")
    wire.moment(value)
    number = wire.number_text(value, multiplier)
    assert number is None or Decimal(number).is_finite()
    wire.reading({"measurand": value}, "1", None)
