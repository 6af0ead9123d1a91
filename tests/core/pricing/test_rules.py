"""The rules of pricing P1 to P13, a table: what each says, and a session that only it decides.

Amounts are in EUR before taxes unless a row has taxes of its own; every expected amount is worked
out by hand in the remark beside it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from csms.core.contracts import Contract
from csms.core.pricing.cost import Policy
from csms.core.pricing.money import Rounding, Tax, Treatment
from csms.core.pricing.tariff import Terms
from tests.support.pricing import MONDAY, Session, terms

NOON = f"{MONDAY}T12:00"
NIGHT = {"start_time": "22:00", "end_time": "06:00"}
QUEBEC = (Tax("GST", Decimal(5)), Tax("QST", Decimal("9.975")))
VAT = Policy((Tax("VAT", Decimal(20)),))
UTC = ZoneInfo("UTC")

RULES: list[tuple[str, str, Terms, Session, Policy | None, str, str]] = [
    (
        "P1",
        "quantities are those of the periods, priced by what held when each began",
        terms(({"ENERGY": 1}, {"end_time": "12:30"}), {"ENERGY": 2}),
        Session(NOON).charge(30, 10).charge(30, 10),
        None,
        "30.00",  # 10 x 1 + 10 x 2: the second period began at 12:30
        "30.00",
    ),
    (
        "P2",
        "per dimension the first element that fits; none: that dimension is free",
        terms({"ENERGY": 0.5}, {"ENERGY": 9, "TIME": 6}),
        Session(NOON).charge(60, 10).park(60),
        None,
        "11.00",  # 10 x 0.5 by the first, 1 h x 6 by the second, parking by none
        "11.00",
    ),
    (
        "P3",
        "kWh, hours, and a flat fee once",
        terms({"FLAT": 1, "ENERGY": 0.25, "TIME": 2, "PARKING_TIME": 4}),
        Session(NOON).charge(30, 4).charge(30, 4).park(15),
        None,
        "6.00",  # 1 + 8 x 0.25 + 1 x 2 + 0.25 x 4
        "6.00",
    ),
    (
        "P4",
        "a maximum is not in it, a minimum is: the 10th kWh begins the dearer price",
        terms(({"ENERGY": 1}, {"max_kwh": 10}), ({"ENERGY": 3}, {"min_kwh": 10})),
        Session(NOON).charge(30, 10).charge(30, 1),
        None,
        "13.00",  # 10 x 1 + 1 x 3
        "13.00",
    ),
    (
        "P4",
        "a window that ends before it begins goes over midnight",
        terms(({"ENERGY": 1}, NIGHT), {"ENERGY": 3}),
        Session(f"{MONDAY}T05:30").charge(30, 1).charge(30, 1),
        None,
        "4.00",  # until 06:00 the night's price, then the other
        "4.00",
    ),
    (
        "P5",
        "the time of day is that of the place: 21:30 in UTC is 22:30 in Berlin",
        terms(({"ENERGY": 1}, NIGHT), {"ENERGY": 3}),
        Session(f"{MONDAY}T22:30").charge(30, 1),
        None,
        "1.00",
        "1.00",
    ),
    (
        "P6",
        "steps are rounded up once for the session, not for each period",
        terms({"ENERGY": (1, 1_000)}),
        Session(NOON).charge(30, "1.2").charge(30, "1.2"),
        None,
        "3.00",  # 2.4 kWh in steps of 1 kWh
        "3.00",
    ),
    (
        "P6",
        "where parking is billed, only parking is rounded",
        terms({"TIME": (6, 3_600), "PARKING_TIME": (12, 3_600)}),
        Session(NOON).charge(30).park(10),
        None,
        "15.00",  # 0.5 h x 6 as measured, 1 h x 12
        "15.00",
    ),
    (
        "P7",
        "idle is when the vehicle asks for no power, with a time for free from the session's start",
        terms(({"PARKING_TIME": 0}, {"max_duration": 3_600}), {"PARKING_TIME": 6}),
        Session(NOON).charge(40).park(20).park(30),
        None,
        "3.00",  # 20 min within the first hour are free, 30 min x 6 are not
        "3.00",
    ),
    (
        "P8",
        "a reservation has elements of its own",
        terms(({"TIME": 5}, {"reservation": "RESERVATION"}), {"TIME": 2}),
        Session(NOON).reserve(60).charge(60),
        None,
        "7.00",  # 1 h reserved x 5, 1 h charging x 2
        "7.00",
    ),
    (
        "P9",
        "a minimum holds before taxes and after them, each by itself",
        terms({"ENERGY": (1, 1, 10)}, min_price={"before_taxes": 5, "after_taxes": 7}),
        Session(NOON).charge(60, 1),
        None,
        "5.00",
        "7.00",  # 5.50 by the tax alone
    ),
    (
        "P10",
        "taxes of the place are stacked on the price",
        terms({"ENERGY": 1}),
        Session(NOON).charge(60, 100),
        Policy(QUEBEC),
        "100.00",
        "114.98",  # 5.00 and 9.975 -> 9.98
    ),
    (
        "P10",
        "a price that includes its taxes is taken apart by the sum of their rates",
        terms({"ENERGY": 1}, tax_included="YES"),
        Session(NOON).charge(60, "114.975"),
        Policy(QUEBEC),
        "100.00",
        "114.98",
    ),
    (
        "P10",
        "who accounts for the tax itself is charged none",
        terms({"ENERGY": 1}),
        Session(NOON).charge(60, 10),
        Policy(VAT.taxes, Treatment.REVERSE_CHARGE),
        "10.00",
        "10.00",
    ),
    (
        "P11",
        "only totals and tax lines are rounded, half up, and add up",
        terms({"ENERGY": 0.333}),
        Session(NOON).charge(30, "0.5").charge(30, "0.5"),
        VAT,
        "0.33",  # 2 x 0.1665; rounded one by one they would be 0.34
        "0.40",  # 0.0666 of tax is 0.07
    ),
    (
        "P11",
        "a contract may round otherwise",
        terms({"ENERGY": 0.333}),
        Session(NOON).charge(60, 1),
        Policy(rounding=Rounding(4)),
        "0.3330",
        "0.3330",
    ),
    (
        "P12",
        "one set of terms from the start to the end, whatever day it becomes",
        terms(({"ENERGY": 1}, {"end_date": "2026-03-03"}), {"ENERGY": 3}),
        Session(f"{MONDAY}T23:30").charge(30, 1).charge(30, 1),
        None,
        "4.00",  # its own dates count, and they are in the same terms
        "4.00",
    ),
]


def shown(row: tuple[Any, ...]) -> str:
    return f"{row[0]}: {row[1]}"


@pytest.mark.parametrize("row", RULES, ids=shown)
def test_the_rule(row: tuple[str, str, Terms, Session, Policy | None, str, str]) -> None:
    _, _, tariff, session, policy, before, after = row
    assert session.paid(tariff, policy) == (before, after)


def test_every_rule_has_a_row() -> None:
    """P13 is about contracts, see below."""
    assert {row[0] for row in RULES} | {"P13"} == {f"P{n}" for n in range(1, 14)}


def test_p13_nothing_is_added_for_roaming_unless_a_contract_says_so() -> None:
    assert Contract().fee(Decimal("10.00")) == 0
    assert Contract.of({"markup_percent": "2.5"}).fee(Decimal("10.00")) == Decimal("0.25")
