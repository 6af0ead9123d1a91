"""Our own sessions as charging periods: cut wherever the tariff may change its price.

What a station metered is a curve of energy over time; between two readings it is taken to be
straight. It is cut at times of day, midnights and changes of the clock, at durations and energies
that the tariff names, and where the vehicle stops or resumes asking for power; between two readings
the power is their average. Neighbours with the same components between which only a reading lies
are then one period again (OCPI 2.2.1 mod_cdrs, ChargingPeriod).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal

from csms.core.metering import Reading, Sample, register_wh
from csms.core.pricing.periods import ZERO, Period, seconds_between
from csms.core.pricing.select import (
    Instant,
    Stage,
    choose,
    clock_cuts,
    duration_cuts,
    energy_cuts,
)
from csms.core.pricing.tariff import Dimension, Terms
from csms.core.transactions import Transaction

# Energies are sent with four decimals of a kWh.
_TENTH = Decimal("0.1")
_PHASES = ("L1", "L2", "L3")

# States of charging in which the vehicle asks for power: it charges, or the station holds it back.
# Before it has charged for the first time it is not held against the driver.
CHARGING = frozenset({"Charging", "SuspendedEVSE"})


@dataclass(frozen=True, slots=True)
class StateChange:
    """From `at` on the charging state is that (OCPP 2.0.1 ChargingStateEnumType; 1.6 statuses are
    said in the same words)."""

    at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Metered:
    """A session as it was metered. `points`: times with the energy so far in Wh, both growing, the
    first at the start and the last at the end; `idle`: the stretches in which the vehicle asked for
    no power; `currents`: from when on which current (A, sum of the phases) was measured."""

    start: datetime
    end: datetime
    points: tuple[tuple[datetime, Decimal], ...]
    idle: tuple[tuple[datetime, datetime], ...] = ()
    currents: tuple[tuple[datetime, Decimal], ...] = ()

    def energy_at(self, at: datetime) -> Decimal:
        """The energy until then in Wh, to a tenth."""
        index = bisect_right(self.points, at, key=lambda point: point[0])
        if index == 0:
            return ZERO
        before_at, before = self.points[index - 1]
        if index == len(self.points) or before_at == at:
            return before
        after_at, after = self.points[index]
        share = seconds_between(before_at, at) / seconds_between(before_at, after_at)
        return (before + (after - before) * share).quantize(_TENTH)

    def reaches(self, energy: Decimal) -> datetime | None:
        """When that energy was reached, None when it never was."""
        for (before_at, before), (after_at, after) in zip(
            self.points, self.points[1:], strict=False
        ):
            if before < energy <= after:
                share = float((energy - before) / (after - before))
                return before_at + (after_at - before_at) * share
        return None

    def is_idle(self, at: datetime) -> bool:
        """Whether the vehicle asks for no power from then on."""
        return any(begin <= at < end for begin, end in self.idle)

    def current_from(self, at: datetime) -> Decimal | None:
        """The current measured last, None before the first measurement."""
        index = bisect_right(self.currents, at, key=lambda point: point[0])
        return self.currents[index - 1][1] if index else None


# -- from what a station said --------------------------------------------------------------------


def metered(
    t: Transaction, samples: Iterable[Sample], states: Sequence[StateChange], now: datetime
) -> Metered:
    """The session of a transaction, until its end or until `now`. Its energy is what the
    transaction counts; a reading that does not fit into it (below the base, above the end, against
    the order) is left out."""
    end = max(t.started_at, t.ended_at or now)
    total = Decimal(max(0, t.energy_wh))
    timed = sorted((s for s in samples if s.at is not None), key=lambda s: s.at or t.started_at)
    points: list[tuple[datetime, Decimal]] = [(t.started_at, ZERO)]
    currents: list[tuple[datetime, Decimal]] = []
    base = t.last_wh - t.energy_wh if t.last_wh is not None else None
    last_at = t.started_at
    for sample in timed:
        at = sample.at
        assert at is not None
        if not t.started_at <= at <= end:
            continue
        amps = current(sample.readings)
        if amps is not None:
            currents.append((at, amps))
        found = register_wh(sample.readings)
        if found is None or base is None:
            continue
        energy = Decimal(found[0] - base)
        if at > last_at and at < end and points[-1][1] <= energy <= total:
            points.append((at, energy))
            last_at = at
    if end > t.started_at:
        points.append((end, total))
    else:
        points = [(end, total)]
    idle = _idle(states, t.started_at, end)
    return Metered(t.started_at, end, tuple(points), idle, tuple(currents))


def current(readings: Sequence[Reading]) -> Decimal | None:
    """The imported current, summed over the phases (OCPI 2.2.1 mod_tariffs, min_current)."""
    whole: Decimal | None = None
    phases: dict[str, Decimal] = {}
    for reading in readings:
        if (
            reading["measurand"] != "Current.Import"
            or reading.get("location", "Outlet") != "Outlet"
        ):
            continue
        try:
            amps = Decimal(reading["value"])
        except ArithmeticError:
            continue
        if not amps.is_finite() or abs(amps) > 10_000:
            continue
        phase = reading.get("phase")
        if phase is None:
            whole = amps
        elif phase in _PHASES:
            phases[phase] = amps
    return sum(phases.values(), ZERO) if phases else whole


def _idle(
    states: Sequence[StateChange], start: datetime, end: datetime
) -> tuple[tuple[datetime, datetime], ...]:
    """The stretches in which the vehicle asked for no power, once it had charged."""
    found: list[tuple[datetime, datetime]] = []
    since: datetime | None = None
    charged = False
    for change in sorted(states, key=lambda s: s.at):
        at = min(max(change.at, start), end)
        if change.state in CHARGING:
            charged = True
            if since is not None and since < at:
                found.append((since, at))
            since = None
        elif charged and since is None:
            since = at
        elif change.state == "SuspendedEV" and since is None:
            # A full battery that was plugged in asks for nothing from the beginning.
            since = at
    if since is not None and since < end:
        found.append((since, end))
    return tuple(found)


# -- cutting -------------------------------------------------------------------------------------


def periods(session: Metered, terms: Terms, zone: tzinfo) -> list[Period]:
    """The charging periods of a session under a tariff: at least one."""
    merged: list[Period] = []
    chosen: list[object] = []
    energy = ZERO
    exact = {at: wh for wh in energy_cuts(terms) if (at := session.reaches(wh)) is not None}
    firm = {
        *clock_cuts(terms, zone, session.start, session.end),
        *(session.start + timedelta(seconds=s) for s in duration_cuts(terms)),
        *exact,
    }
    for piece in _pieces(session, firm, exact):
        now = Instant(piece.start, zone, energy, seconds_between(session.start, piece.start), piece)
        active = _active(terms, now)
        energy += piece.energy_wh
        if chosen and chosen[-1] == active and piece.start not in firm:
            merged[-1] = _joined(merged[-1], piece)
        else:
            merged.append(piece)
            chosen.append(active)
    return merged


def _pieces(
    session: Metered, firm: Collection[datetime], exact: Mapping[datetime, Decimal]
) -> Iterable[Period]:
    """The session between every two instants at which something may change. `exact`: the energies
    that are known without interpolation."""
    start, end = session.start, session.end
    cuts = {
        *firm,
        *(at for at, _ in session.points),
        *(at for at, _ in session.currents),
        *(at for stretch in session.idle for at in stretch),
    }
    instants = [start, *sorted(at for at in cuts if start < at < end), end]
    energies = [exact.get(at, session.energy_at(at)) for at in instants]
    for index in range(len(instants) - 1):
        begin, until = instants[index], instants[index + 1]
        seconds = seconds_between(begin, until)
        used = energies[index + 1] - energies[index]
        idle = session.is_idle(begin)
        power = _power(session, begin)
        amps = ZERO if idle else session.current_from(begin)
        yield Period(
            begin,
            until,
            energy_wh=used,
            time_s=ZERO if idle else seconds,
            parking_s=seconds if idle else ZERO,
            min_power=power,
            max_power=power,
            min_current=amps,
            max_current=amps,
        )
    if len(instants) == 2 and start == end:
        yield Period(start, end, energy_wh=session.points[-1][1])


def _power(session: Metered, at: datetime) -> Decimal | None:
    """The average power in kW between the two readings around an instant."""
    index = bisect_right(session.points, at, key=lambda point: point[0])
    if index == 0 or index == len(session.points):
        return None
    (before_at, before), (after_at, after) = session.points[index - 1], session.points[index]
    hours = seconds_between(before_at, after_at) / 3600
    return ((after - before) / 1000 / hours).quantize(Decimal("0.001")) if hours else None


def _active(terms: Terms, now: Instant) -> object:
    """What decides the price of a period: two alike in this are one."""
    idle = now.period.parking_s > 0
    parts: list[object] = [idle]
    dimensions = (Dimension.FLAT, Dimension.ENERGY)
    for dimension in (*dimensions, Dimension.PARKING_TIME if idle else Dimension.TIME):
        choice = choose(terms, dimension, Stage.CHARGING, now)
        parts.append((choice.element.number, bool(choice.doubts)) if choice else None)
    return parts


def _joined(first: Period, second: Period) -> Period:
    return replace(
        first,
        end=second.end,
        energy_wh=first.energy_wh + second.energy_wh,
        time_s=first.time_s + second.time_s,
        parking_s=first.parking_s + second.parking_s,
        min_power=_both(min, first.min_power, second.min_power),
        max_power=_both(max, first.max_power, second.max_power),
        min_current=_both(min, first.min_current, second.min_current),
        max_current=_both(max, first.max_current, second.max_current),
    )


def _both(
    of: Callable[[Decimal, Decimal], Decimal], a: Decimal | None, b: Decimal | None
) -> Decimal | None:
    if a is None or b is None:
        return a if b is None else b
    return of(a, b)
