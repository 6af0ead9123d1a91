"""A cost as plain values."""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest

from csms.core.pricing.breakdown import breakdown, plain
from tests.support.pricing import MONDAY, Session, terms


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0"), ("0.00", "0"), ("10", "10"), ("1E+3", "1000"), ("0.2500", "0.25"), ("-5", "-5")],
)
def test_numbers_are_text_without_ornaments(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


def test_everything_is_said_and_is_json() -> None:
    tariff = terms({"ENERGY": (0.25, 1, 10), "TIME": (1, 60)})
    session = Session(f"{MONDAY}T12:00").charge(10, "1.5", 9)
    shown = breakdown(session.cost(tariff), session.periods)
    assert orjson.loads(orjson.dumps(shown)) == shown
    assert (shown["before_taxes"], shown["after_taxes"]) == ("0.54", "0.58")
    assert shown["taxes"] == [
        {"name": "VAT", "percentage": "10", "account_number": None, "amount": "0.04"}
    ]
    assert shown["parts"]["time"]["before_taxes"] == "0.1667"
    energy, time = shown["lines"]
    assert (energy["dimension"], energy["element"], energy["unit_price"]) == ("ENERGY", 1, "0.25")
    assert (energy["measured"], energy["billed"], energy["unit"]) == ("1.5", "1.5", "kWh")
    assert (time["measured"], time["unit"], time["taxes"]) == ("600", "s", [])
    (period,) = shown["periods"]
    assert (period["start"], period["energy_kwh"]) == (f"{MONDAY}T11:00:00+00:00", "1.5")
    assert (period["charging_s"], period["max_power_kw"]) == ("600", "9")


def test_free_is_0_00_and_not_absent() -> None:
    shown = breakdown(Session(f"{MONDAY}T12:00").charge(10, 1).cost(terms({"FLAT": 0})), [])
    assert (shown["before_taxes"], shown["after_taxes"]) == ("0.00", "0.00")
