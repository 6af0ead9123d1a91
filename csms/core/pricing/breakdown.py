"""A cost as it is shown and kept: plain JSON values, amounts as decimal text, times in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any

from csms.core.pricing.cost import Cost, Line
from csms.core.pricing.money import Money, TaxLine, wire
from csms.core.pricing.periods import Period
from csms.core.pricing.tariff import Dimension

_UNITS = {
    Dimension.FLAT: "",
    Dimension.ENERGY: "kWh",
    Dimension.TIME: "s",
    Dimension.PARKING_TIME: "s",
}
MAX_PERIODS = 1_000


def plain(value: Decimal) -> str:
    """A number as text, without an exponent or superfluous zeros."""
    return f"{value.normalize():f}" if value else "0"


def breakdown(cost: Cost, periods: Sequence[Period]) -> dict[str, Any]:
    """Everything about a cost: totals as paid, parts and lines with four decimals, the periods (the
    first `MAX_PERIODS`), and in words what was decided and what is doubtful."""
    total = cost.total
    return {
        "currency": cost.currency,
        "before_taxes": f"{total.before_taxes}",
        "taxes": [_tax(line, f"{line.amount}") for line in total.taxes],
        "after_taxes": f"{total.after_taxes}",
        "energy_kwh": plain(cost.energy_wh / 1000),
        "charging_s": plain(cost.time_s),
        "idle_s": plain(cost.parking_s),
        "reservation_s": plain(cost.reservation_s),
        "parts": {part.value: _money(money) for part, money in cost.parts.items()},
        "lines": [_line(line) for line in cost.lines],
        "periods": [_period(period) for period in periods[:MAX_PERIODS]],
        "notes": list(cost.notes),
        "warnings": list(cost.warnings),
    }


def _tax(line: TaxLine, amount: str) -> dict[str, Any]:
    return {
        "name": line.name,
        "percentage": None if line.percentage is None else plain(line.percentage),
        "account_number": line.account_number,
        "amount": amount,
    }


def _money(money: Money) -> dict[str, Any]:
    return {
        "before_taxes": f"{wire(money.before_taxes)}",
        "taxes": [_tax(line, f"{wire(line.amount)}") for line in money.taxes],
        "after_taxes": f"{wire(money.after_taxes)}",
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "part": line.part.value,
        "dimension": line.dimension.value,
        "element": line.element,
        "unit_price": None if line.unit_price is None else plain(line.unit_price),
        "unit": _UNITS[line.dimension],
        "measured": plain(line.measured),
        "billed": plain(line.billed),
        **_money(line.cost),
        "why": list(line.why),
    }


def _period(period: Period) -> dict[str, Any]:
    return {
        "start": period.start.astimezone(UTC).isoformat(),
        "end": period.end.astimezone(UTC).isoformat(),
        "energy_kwh": plain(period.energy_wh / 1000),
        "charging_s": plain(period.time_s),
        "idle_s": plain(period.parking_s),
        "max_power_kw": None if period.max_power is None else plain(period.max_power),
    }
