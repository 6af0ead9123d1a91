"""What a session costs: periods, terms, time zone and policy in, a cost out.

`price` is the one function that prices anything. It never raises for what a session may hold: what
is odd is said in `warnings`, what was decided in `notes` and in the lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from itertools import islice

from csms.core.pricing import money
from csms.core.pricing.money import Money, Rounding, Tax, Treatment
from csms.core.pricing.periods import Period, seconds_between
from csms.core.pricing.select import (
    Choice,
    Instant,
    Stage,
    choose,
    clock_cuts,
    duration_cuts,
    energy_cuts,
    stage_of,
)
from csms.core.pricing.steps import Charge, round_up
from csms.core.pricing.tariff import Component, Dimension, Limit, TaxIncluded, Terms

ZERO = Decimal(0)
_CHARGING = (Dimension.FLAT, Dimension.ENERGY, Dimension.TIME, Dimension.PARKING_TIME)
_RESERVATION = (Dimension.FLAT, Dimension.TIME)
# So many instants within a period are looked at for a price that changes there.
MAX_LOOKED_AT = 500
# So often elements are looked at, in a second or two: for all such changes of a session together,
# and for the price of what nobody here is charged for (`too_much`).
MAX_WORK = 50_000
TO_THE_CENT = Rounding()


class Part(StrEnum):
    """The parts of a cost (OCPI 2.2.1 mod_cdrs, total_fixed_cost to total_reservation_cost)."""

    FIXED = "fixed"
    ENERGY = "energy"
    TIME = "time"
    PARKING = "parking"
    RESERVATION = "reservation"


_PARTS = {
    Dimension.FLAT: Part.FIXED,
    Dimension.ENERGY: Part.ENERGY,
    Dimension.TIME: Part.TIME,
    Dimension.PARKING_TIME: Part.PARKING,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What a contract and a place add to the terms. `taxes`: those of the place of supply, for
    components that name no VAT of their own."""

    taxes: tuple[Tax, ...] = ()
    treatment: Treatment = Treatment.TAXED
    rounding: Rounding = TO_THE_CENT


@dataclass(frozen=True, slots=True)
class Line:
    """What one component asked for the whole session. Quantities in kWh, seconds, or times;
    `element` and `unit_price` None: no element with a price for it applied, so it is free."""

    part: Part
    dimension: Dimension
    element: int | None
    unit_price: Decimal | None
    measured: Decimal
    billed: Decimal
    cost: Money
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a session. `total` is what is paid; `parts` and `lines` are not rounded to it
    (four decimals are sent). `charges`: per period and dimension, as measured."""

    currency: str
    total: Money
    parts: Mapping[Part, Money]
    lines: tuple[Line, ...]
    charges: tuple[Charge, ...]
    energy_wh: Decimal
    time_s: Decimal
    parking_s: Decimal
    reservation_s: Decimal
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def price(
    terms: Terms, periods: Sequence[Period], zone: tzinfo, policy: Policy | None = None
) -> Cost:
    """The cost of a session that consists of these periods, in their order."""
    policy = policy or Policy()
    warnings: list[str] = []
    charges, free = _charges(terms, periods, zone, warnings)
    lines = [*_lines(terms, charges, policy, warnings), *free]
    notes: list[str] = []
    exact = money.added([line.cost for line in lines])
    basic = _basic_taxes(terms, charges, policy)
    low, high = terms.min_price, terms.max_price
    if not basic and not exact.taxes:
        # Where no tax is charged only the limits before taxes mean anything.
        low = Limit(low.before_taxes) if low else None
        high = Limit(high.before_taxes) if high else None
    limited = money.limited(exact, low, high, basic, notes)
    if policy.treatment is not Treatment.TAXED:
        notes.append(f"no tax is charged: {policy.treatment.replace('_', ' ')}")
    return Cost(
        currency=terms.currency,
        total=money.rounded(limited, policy.rounding, terms.currency),
        parts={
            part: money.added([line.cost for line in lines if line.part is part])
            for part in Part
            if any(line.part is part for line in lines)
        },
        lines=tuple(lines),
        charges=tuple(charges),
        energy_wh=sum((p.energy_wh for p in periods), ZERO),
        time_s=sum((p.time_s for p in periods), ZERO),
        parking_s=sum((p.parking_s for p in periods), ZERO),
        reservation_s=sum((p.reservation_s for p in periods), ZERO),
        notes=tuple(notes),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def too_much(terms: Terms, periods: int) -> bool:
    """Whether it takes more than a second or two to price so many periods. `price` does it all the
    same, for what is charged here has to have one; who prices what others ask or tell looks first.
    """
    return periods * len(terms.elements) > MAX_WORK


# -- periods to charges --------------------------------------------------------------------------


def _charges(
    terms: Terms, periods: Sequence[Period], zone: tzinfo, warnings: list[str]
) -> tuple[list[Charge], list[Line]]:
    """What each component asks for each period, and what is free because none does."""
    charges: list[Charge] = []
    free: dict[tuple[Part, Dimension], Decimal] = {}
    flat_stages: set[bool] = set()
    starts = _starts(periods)
    search = _Search(terms, warnings)
    energy = ZERO
    for index, period in enumerate(periods):
        stage = stage_of(period)
        reserving = stage is not Stage.CHARGING
        if period.end < period.start:
            warnings.append(f"period {index + 1} ends before it starts")
        begun = starts[reserving]
        now = Instant(period.start, zone, energy, seconds_between(begun, period.start), period)
        for dimension in _RESERVATION if reserving else _CHARGING:
            quantity = _quantity(period, dimension, stage)
            choice = choose(terms, dimension, stage, now)
            if dimension is Dimension.FLAT:
                # Once per session, when the first one becomes active.
                if choice is None or reserving in flat_stages:
                    continue
                flat_stages.add(reserving)
            elif not quantity:
                continue
            elif choice is None:
                if not _is_priced(terms, dimension, stage):
                    continue
                key = (_part(dimension, stage), dimension)
                free[key] = free.get(key, ZERO) + quantity
                search.warn(index, dimension, stage, now, None)
                continue
            else:
                search.warn(index, dimension, stage, now, choice)
            warnings += (
                f"period {index + 1}: {doubt}: element {choice.element.number} is taken to apply"
                for doubt in choice.doubts
            )
            charges.append(
                Charge(
                    index,
                    stage,
                    dimension,
                    choice.element.number,
                    choice.component,
                    quantity,
                    choice.why,
                )
            )
        energy += period.energy_wh
    nothing = Money(ZERO, (), ZERO)
    why = ("no element with a price for it applies: free",)
    lines = [
        Line(part, dimension, None, None, _shown(dimension, q), ZERO, nothing, why)
        for (part, dimension), q in free.items()
    ]
    return charges, lines


def _is_priced(terms: Terms, dimension: Dimension, stage: Stage) -> bool:
    """Whether the tariff has a price for that at all."""
    charging = stage is Stage.CHARGING
    elements = [e for e in terms.elements if (e.restrictions.reservation is None) is charging]
    return any(e.component(dimension) for e in elements)


def _starts(periods: Sequence[Period]) -> dict[bool, datetime]:
    """When the reservation and when the charging session began."""
    found: dict[bool, datetime] = {}
    for period in periods:
        found.setdefault(period.is_reservation, period.start)
    return found


def _quantity(period: Period, dimension: Dimension, stage: Stage) -> Decimal:
    if dimension is Dimension.FLAT:
        return Decimal(1)
    if stage is not Stage.CHARGING:
        return period.reservation_s
    return {
        Dimension.ENERGY: period.energy_wh,
        Dimension.TIME: period.time_s,
        Dimension.PARKING_TIME: period.parking_s,
    }[dimension]


def _part(dimension: Dimension, stage: Stage) -> Part:
    return _PARTS[dimension] if stage is Stage.CHARGING else Part.RESERVATION


@dataclass(slots=True)
class _Search:
    """Looks for prices that change within a period. A period should end where a price changes (OCPI
    2.2.1 mod_cdrs, ChargingPeriod). One that does not is charged by its start, and that is said.

    `left`: how often elements may still be looked at in the session.
    """

    terms: Terms
    warnings: list[str]
    left: int = MAX_WORK
    _now: Instant | None = None
    _within: Sequence[Instant] = ()

    def warn(
        self, index: int, dimension: Dimension, stage: Stage, now: Instant, choice: Choice | None
    ) -> None:
        begun = (choice.element.number, choice.component) if choice else None
        for then in self._instants(now):
            self.left -= len(self.terms.elements)
            if self.left < 0:
                self.warnings.append("not every period is looked through for a price that changes")
                return
            other = choose(self.terms, dimension, stage, then)
            if ((other.element.number, other.component) if other else None) != begun:
                self.warnings.append(
                    f"period {index + 1}: the price of {dimension} changes within it; "
                    "it is charged as at its start"
                )
                return

    def _instants(self, now: Instant) -> Sequence[Instant]:
        """Those of a period, which are the same for each dimension."""
        if self._now is not now:
            most = 0 if self.left < 0 else MAX_LOOKED_AT
            self._now, self._within = now, tuple(islice(_within(self.terms, now), most))
        return self._within


def _within(terms: Terms, now: Instant) -> Iterator[Instant]:
    """The instants within a period at which a price may change; its energy is taken to flow
    evenly."""
    period = now.period
    length = seconds_between(period.start, period.end)
    used = period.energy_wh
    for at in clock_cuts(terms, now.zone, period.start, period.end):
        passed = seconds_between(period.start, at)
        energy = now.energy_wh + used * passed / length
        yield replace(now, at=at, energy_wh=energy, seconds=now.seconds + passed)
    for limit in duration_cuts(terms):
        passed = Decimal(limit) - now.seconds
        if 0 < passed < length:
            at = period.start + timedelta(seconds=float(passed))
            energy = now.energy_wh + used * passed / length
            yield replace(now, at=at, energy_wh=energy, seconds=Decimal(limit))
    for limit_wh in energy_cuts(terms):
        if now.energy_wh < limit_wh < now.energy_wh + used:
            passed = length * (limit_wh - now.energy_wh) / used
            at = period.start + timedelta(seconds=float(passed))
            yield replace(now, at=at, energy_wh=limit_wh, seconds=now.seconds + passed)


# -- charges to lines ----------------------------------------------------------------------------


def _lines(
    terms: Terms, charges: Sequence[Charge], policy: Policy, warnings: list[str]
) -> list[Line]:
    """Charges of the same component added up, so that no division is made twice."""
    groups: dict[tuple[Stage, Dimension, int], list[Charge]] = {}
    for charge in charges:
        groups.setdefault((charge.stage, charge.dimension, charge.element), []).append(charge)
    surpluses = {
        (s.charge.stage, s.charge.dimension, s.charge.element): s for s in round_up(charges)
    }
    lines = []
    # In one order whatever came first, so that the last tax line is always the same one.
    order = (list(Stage), list(Dimension))
    for key in sorted(groups, key=lambda k: (order[0].index(k[0]), order[1].index(k[1]), k[2])):
        stage, dimension, element = key
        group = groups[key]
        component = group[0].component
        measured = sum((c.quantity for c in group), ZERO)
        surplus = surpluses.get(key)
        billed = measured + (surplus.quantity if surplus else ZERO)
        lines.append(
            Line(
                _part(dimension, stage),
                dimension,
                element,
                component.price,
                _shown(dimension, measured),
                _shown(dimension, billed),
                _cost(terms, component, billed, policy, warnings),
                (*dict.fromkeys(c.why for c in group), *((surplus.why,) if surplus else ())),
            )
        )
    return lines


def _shown(dimension: Dimension, quantity: Decimal) -> Decimal:
    return quantity / 1000 if dimension is Dimension.ENERGY else quantity


_UNITS = {Dimension.FLAT: 1, Dimension.ENERGY: 1000}


def _cost(
    terms: Terms, component: Component, billed: Decimal, policy: Policy, warnings: list[str]
) -> Money:
    amount = component.price * billed / _UNITS.get(component.dimension, 3600)
    taxes = _taxes(terms, component, policy)
    included = terms.included is TaxIncluded.YES
    if included and not taxes and amount:
        warnings.append("the prices include taxes, and no rate is known to take them apart")
    found = money.taxed(amount, taxes, included=included)
    if policy.treatment is not Treatment.TAXED:
        return Money(found.before_taxes, (), found.before_taxes)
    return found


def _taxes(terms: Terms, component: Component, policy: Policy) -> Sequence[Tax]:
    if terms.included is TaxIncluded.NOT_APPLICABLE:
        return ()
    if component.vat is not None:
        return (Tax("VAT", component.vat),)
    return policy.taxes


def _basic_taxes(terms: Terms, charges: Sequence[Charge], policy: Policy) -> Sequence[Tax]:
    """The taxes on a minimum price where nothing else was charged: those of the first component."""
    if policy.treatment is not Treatment.TAXED:
        return ()
    components = [c.component for c in charges]
    components += [c for e in terms.elements for c in e.components]
    return _taxes(terms, components[0], policy) if components else ()
