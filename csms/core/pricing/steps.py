"""Rounding up to blocks: `step_size` (OCPI 2.2.1 mod_cdrs, step_size).

Once per session for energy, and once for time: for parking time if any is billed, else for charging
time; a reservation has a step of its own. The total is rounded up by the step of the last paid
component, and what that adds is charged at its price. Periods that are free, whether by a price of
0 or by no price at all, count for nothing here: both ways to say "free" cost the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from csms.core.pricing.select import Stage
from csms.core.pricing.tariff import Component, Dimension


@dataclass(frozen=True, slots=True)
class Charge:
    """What one component asks for one period. `quantity` as measured: Wh, seconds, or 1."""

    period: int
    stage: Stage
    dimension: Dimension
    element: int
    component: Component
    quantity: Decimal
    why: str


@dataclass(frozen=True, slots=True)
class Surplus:
    """What rounding up adds to a charge, in its unit, and why in words."""

    charge: Charge
    quantity: Decimal
    why: str


def round_up(charges: Sequence[Charge]) -> list[Surplus]:
    """The surpluses of a session."""
    groups: list[list[Charge]] = [_paid(charges, Stage.CHARGING, Dimension.ENERGY)]
    parking = _paid(charges, Stage.CHARGING, Dimension.PARKING_TIME)
    groups.append(parking or _paid(charges, Stage.CHARGING, Dimension.TIME))
    groups += (_paid(charges, stage, Dimension.TIME) for stage in (Stage.RESERVED, Stage.EXPIRED))
    found = (_surplus(group) for group in groups if group)
    return [surplus for surplus in found if surplus is not None]


def _paid(charges: Iterable[Charge], stage: Stage, dimension: Dimension) -> list[Charge]:
    return [
        c
        for c in charges
        if c.stage is stage and c.dimension is dimension and c.component.price and c.quantity
    ]


def _surplus(group: Sequence[Charge]) -> Surplus | None:
    last = group[-1]
    total = sum((c.quantity for c in group), Decimal(0))
    step = last.component.step
    if not step or total <= 0:
        return None
    billed = blocks(total, step, whole=last.dimension is not Dimension.ENERGY) * step
    if billed == total:
        return None
    unit = "Wh" if last.dimension is Dimension.ENERGY else "s"
    why = f"{total.normalize():f} {unit} are billed as {billed:f} {unit}, in steps of {step} {unit}"
    return Surplus(last, billed - total, why)


def blocks(total: Decimal, step: int, *, whole: bool) -> Decimal:
    """How many blocks of `step` a total begins. `whole`: it is first rounded to whole units: 10
    minutes written as 0.1667 h are 600.12 s, which are not two blocks of 600."""
    if whole:
        total = total.to_integral_value(ROUND_HALF_UP)
    # Not `-(-a // b)`: on Decimal that truncates towards zero.
    return (total / step).to_integral_value(ROUND_CEILING)
