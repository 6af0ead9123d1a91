"""Money: tax lines, rounding, minimum and maximum prices.

Amounts are exact until the end; then the total before taxes, the total after taxes and each tax
line are rounded to the smallest unit of the currency, and the lines add up to the difference of the
totals exactly: the last line takes what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from csms.core.countries import minor_digits
from csms.core.pricing.tariff import Limit

ZERO = Decimal(0)
# Beyond this a difference is the noise of a division, not money.
_NOISE = Decimal("1e-8")
WIRE = Decimal("0.0001")


class Treatment(StrEnum):
    """How a contract has taxes treated: charged; not charged because the buyer is exempt, or
    because the buyer accounts for them."""

    TAXED = "taxed"
    EXEMPT = "exempt"
    REVERSE_CHARGE = "reverse_charge"


@dataclass(frozen=True, slots=True)
class Tax:
    """One tax that applies: its name, its percentage, and the account it is collected under.
    `factor`: its base as a multiple of the amount before taxes, more than 1 for a tax on taxes."""

    name: str
    percentage: Decimal
    account_number: str | None = None
    factor: Decimal = Decimal(1)

    @property
    def effective(self) -> Decimal:
        """Its percentage of the amount before taxes."""
        return self.percentage * self.factor

    def of(self, before: Decimal) -> Decimal:
        """The tax on an amount before taxes, exactly."""
        return before * self.effective / 100


@dataclass(frozen=True, slots=True)
class TaxLine:
    """An amount of one tax. `percentage` None: it was given as an amount."""

    name: str
    amount: Decimal
    percentage: Decimal | None = None
    account_number: str | None = None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount before taxes, the taxes on it, and the amount after."""

    before_taxes: Decimal
    taxes: tuple[TaxLine, ...]
    after_taxes: Decimal


@dataclass(frozen=True, slots=True)
class Rounding:
    """How amounts that somebody pays are rounded: half up, to `digits` decimals (None: those of the
    currency). A contract may say otherwise, so it is an argument."""

    digits: int | None = None
    mode: str = ROUND_HALF_UP

    def total(self, amount: Decimal, currency: str) -> Decimal:
        """A total or a tax line as it is paid."""
        digits = minor_digits(currency) if self.digits is None else self.digits
        exact = amount.quantize(_NOISE, ROUND_HALF_UP)
        return exact.quantize(Decimal(1).scaleb(-digits), self.mode)


def wire(amount: Decimal) -> Decimal:
    """An amount as it is sent: four decimals (OCPI 2.2.1 types, number)."""
    return amount.quantize(_NOISE, ROUND_HALF_UP).quantize(WIRE, ROUND_HALF_UP)


def taxed(amount: Decimal, taxes: Sequence[Tax], *, included: bool) -> Money:
    """An amount with its taxes, exactly. An amount that includes them is taken apart by the sum of
    their rates."""
    rates = sum((tax.effective for tax in taxes), ZERO)
    before = amount * 100 / (100 + rates) if included else amount
    lines = tuple(TaxLine(t.name, t.of(before), t.percentage, t.account_number) for t in taxes)
    return Money(before, lines, before + sum((line.amount for line in lines), ZERO))


def added(amounts: Sequence[Money]) -> Money:
    """The sum; lines of the same tax become one, in the order in which they first occur."""
    before = sum((m.before_taxes for m in amounts), ZERO)
    sums: dict[tuple[str, Decimal | None, str | None], Decimal] = {}
    for money in amounts:
        for line in money.taxes:
            key = (line.name, line.percentage, line.account_number)
            sums[key] = sums.get(key, ZERO) + line.amount
    lines = tuple(TaxLine(n, amount, p, a) for (n, p, a), amount in sums.items())
    return Money(before, lines, before + sum(sums.values(), ZERO))


def limited(
    money: Money, low: Limit | None, high: Limit | None, taxes: Sequence[Tax], notes: list[str]
) -> Money:
    """Minimum and maximum price, on the amounts before and after taxes each for itself (OCPI 2.2.1
    mod_tariffs, notes on min_price and max_price). `taxes`: those of the session, for a minimum
    where nothing else was charged. What was done is added to `notes`."""
    if low is None and high is None:
        return money
    before = _within(
        money.before_taxes,
        low.before_taxes if low else None,
        high.before_taxes if high else None,
        "before taxes",
        notes,
    )
    if before == money.before_taxes:
        lines = money.taxes
    elif money.before_taxes:
        lines = _scaled(money.taxes, before, money.before_taxes)
    else:
        lines = taxed(before, taxes, included=False).taxes
    tax = sum((line.amount for line in lines), ZERO)
    after = _within(
        before + tax,
        low.after_taxes if low else None,
        high.after_taxes if high else None,
        "after taxes",
        notes,
    )
    if after < before:
        notes.append("the maximum after taxes is below the price before taxes: it is not applied")
        after = before + tax
    if after == before + tax:
        return Money(before, lines, after)
    if tax:
        return Money(before, _scaled(lines, after - before, tax), after)
    if lines or taxes:
        first = lines[0] if lines else TaxLine(taxes[0].name, ZERO, taxes[0].percentage)
        only = TaxLine(first.name, after - before, first.percentage, first.account_number)
        return Money(before, (only, *lines[1:]), after)
    notes.append("a limit after taxes has no tax that it could be made of: it is not applied")
    return Money(before, lines, before)


def _within(
    amount: Decimal, low: Decimal | None, high: Decimal | None, what: str, notes: list[str]
) -> Decimal:
    if low is not None and amount < low:
        notes.append(f"the minimum price applies: {low} {what}")
        return low
    if high is not None and amount > high:
        notes.append(f"the maximum price applies: {high} {what}")
        return high
    return amount


def _scaled(lines: Sequence[TaxLine], to: Decimal, of: Decimal) -> tuple[TaxLine, ...]:
    return tuple(TaxLine(x.name, x.amount * to / of, x.percentage, x.account_number) for x in lines)


def rounded(money: Money, rounding: Rounding, currency: str) -> Money:
    """The money as it is paid: every part in the currency's smallest unit, and the tax lines
    adding up to the difference of the totals exactly."""
    before = rounding.total(money.before_taxes, currency)
    after = rounding.total(money.after_taxes, currency)
    if not money.taxes:
        return Money(before, (), before)
    amounts = [rounding.total(line.amount, currency) for line in money.taxes]
    left = after - before - sum(amounts, ZERO)
    charged = [index for index, line in enumerate(money.taxes) if line.amount]
    for index in reversed(charged):
        want = amounts[index] + left
        if want * money.taxes[index].amount >= 0 or index == charged[0]:
            amounts[index] = want
            break
        # It would change its sign: the one before takes the rest.
        left, amounts[index] = want, ZERO
    lines = tuple(
        TaxLine(x.name, amount, x.percentage, x.account_number)
        for x, amount in zip(money.taxes, amounts, strict=True)
    )
    return Money(before, lines, after)
