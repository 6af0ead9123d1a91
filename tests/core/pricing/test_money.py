"""Tax lines, limits and rounding: P9 to P11."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.core.pricing.money import (
    Money,
    Rounding,
    Tax,
    TaxLine,
    added,
    limited,
    rounded,
    taxed,
    wire,
)
from csms.core.pricing.tariff import Limit

GST, QST = Tax("GST", Decimal(5)), Tax("QST", Decimal("9.975"))
CENT = Rounding()


def amounts(money: Money) -> list[str]:
    return [f"{x.amount}" for x in money.taxes]


def test_taxes_are_on_the_amount_before_taxes_and_not_on_each_other() -> None:
    """P10: QST and GST both on the pre-tax base."""
    found = taxed(Decimal(100), [GST, QST], included=False)
    assert (amounts(found), str(found.after_taxes)) == (["5", "9.975"], "114.975")
    assert amounts(rounded(found, CENT, "CAD")) == ["5.00", "9.98"]


def test_an_inclusive_amount_is_taken_apart_by_the_sum_of_the_rates() -> None:
    found = rounded(taxed(Decimal("114.98"), [GST, QST], included=True), CENT, "CAD")
    assert (str(found.before_taxes), str(found.after_taxes)) == ("100.00", "114.98")
    assert amounts(found) == ["5.00", "9.98"]


def test_lines_of_the_same_tax_are_one() -> None:
    found = added(
        [taxed(Decimal(10), [GST], included=False), taxed(Decimal(20), [GST, QST], included=False)]
    )
    assert [(x.name, str(x.amount)) for x in found.taxes] == [("GST", "1.5"), ("QST", "1.995")]
    assert found.after_taxes == Decimal("33.495")


def test_a_line_of_0_percent_takes_no_residue() -> None:
    tax = [Tax("A", Decimal(5)), Tax("B", Decimal(5)), Tax("ZERO", Decimal(0))]
    found = rounded(taxed(Decimal("0.30"), tax, included=False), CENT, "EUR")
    assert amounts(found) == ["0.02", "0.01", "0.00"]
    assert str(found.after_taxes) == "0.33"


def test_a_line_never_changes_its_sign_to_make_the_sum_right() -> None:
    """0.006 with taxes of 0.005 and 0.0001: 0.01 before and 0.01 after, so no tax is left."""
    lines = (TaxLine("A", Decimal("0.005")), TaxLine("B", Decimal("0.0001")))
    found = rounded(Money(Decimal("0.006"), lines, Decimal("0.0111")), CENT, "EUR")
    assert (str(found.before_taxes), str(found.after_taxes)) == ("0.01", "0.01")
    assert amounts(found) == ["0.00", "0"]


money_amounts = st.decimals(0, 5_000, places=4)
rates = st.lists(st.decimals(0, 30, places=3), max_size=4)


@settings(deadline=None)
@given(money_amounts, rates, st.booleans(), st.sampled_from(["CAD", "JPY", "KWD"]))
def test_tax_lines_add_up_to_the_smallest_unit(
    amount: Decimal, percentages: list[Decimal], included: bool, currency: str
) -> None:
    taxes = [Tax(f"T{n}", p) for n, p in enumerate(percentages)]
    found = rounded(taxed(amount, taxes, included=included), CENT, currency)
    assert sum((x.amount for x in found.taxes), found.before_taxes) == found.after_taxes
    assert all(x.amount >= 0 for x in found.taxes)
    if included:
        assert found.after_taxes == CENT.total(amount, currency)
    else:
        assert found.before_taxes == CENT.total(amount, currency)


@settings(deadline=None)
@given(money_amounts, rates)
def test_inclusive_and_exclusive_prices_are_two_ways_to_say_the_same(
    amount: Decimal, percentages: list[Decimal]
) -> None:
    taxes = [Tax(f"T{n}", p) for n, p in enumerate(percentages)]
    there = taxed(amount, taxes, included=False)
    back = taxed(there.after_taxes, taxes, included=True)
    assert rounded(back, CENT, "EUR") == rounded(there, CENT, "EUR")


@pytest.mark.parametrize(
    ("digits", "amount", "expected"),
    [
        (None, "1.005", "1.01"),
        (0, "0.5", "1"),
        (3, "0.0005", "0.001"),
        (2, "1.00499999999", "1.01"),
    ],
)
def test_half_is_rounded_up(digits: int | None, amount: str, expected: str) -> None:
    """The last one is the noise of a division, not money."""
    assert str(Rounding(digits).total(Decimal(amount), "EUR")) == expected


def test_four_decimals_are_sent() -> None:
    assert str(wire(Decimal("0.00005"))) == "0.0001"


# -- limits ----------------------------------------------------------------------------------------


def limit(before: object, after: object = None) -> Limit:
    return Limit(Decimal(str(before)), None if after is None else Decimal(str(after)))


def bounded(before: object, low: Limit | None, high: Limit | None) -> tuple[str, str, list[str]]:
    notes: list[str] = []
    vat = [Tax("VAT", Decimal(10))]
    money = taxed(Decimal(str(before)), vat, included=False)
    found = rounded(limited(money, low, high, vat, notes), CENT, "EUR")
    return str(found.before_taxes), str(found.after_taxes), notes


@pytest.mark.parametrize(
    ("before", "low", "high", "expected"),
    [
        (5, None, None, ("5.00", "5.50")),
        (5, limit(6), None, ("6.00", "6.60")),
        (5, limit(6, 7), None, ("6.00", "7.00")),
        (5, limit(1, 6), None, ("5.00", "6.00")),
        (5, None, limit(4), ("4.00", "4.40")),
        (5, None, limit(4, "4.2"), ("4.00", "4.20")),
        (5, None, limit(9, "5.2"), ("5.00", "5.20")),
        (0, limit(1), None, ("1.00", "1.10")),
        (0, limit(1, "1.2"), None, ("1.00", "1.20")),
        (0, limit(0, 1), None, ("0.00", "1.00")),
        (5, limit(1), limit(9, "4"), ("5.00", "5.50")),
    ],
    ids=str,
)
def test_both_limits_hold_each_for_itself(
    before: object, low: Limit | None, high: Limit | None, expected: tuple[str, str]
) -> None:
    assert bounded(before, low, high)[:2] == expected


def test_what_a_limit_did_is_said() -> None:
    assert bounded(5, limit(6), None)[2] == ["the minimum price applies: 6 before taxes"]
    assert "is not applied" in bounded(5, None, limit(9, 4))[2][-1]


def test_a_limit_after_taxes_without_any_tax_is_not_applied() -> None:
    notes: list[str] = []
    money = Money(Decimal(1), (), Decimal(1))
    assert limited(money, limit(0, 2), None, [], notes) == money
    assert notes[-1].endswith("it is not applied")
