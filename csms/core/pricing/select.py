"""Which component of a tariff is active: for each dimension, at one instant of a session.

The first element in the order of the tariff that has a price for the dimension and whose
restrictions all hold (OCPI 2.2.1 mod_tariffs, Tariff). None: the dimension is free then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from heapq import merge

from csms.core.pricing.periods import Period
from csms.core.pricing.tariff import (
    DAYS,
    Component,
    Dimension,
    Element,
    Reservation,
    Restrictions,
    Terms,
)

_INSTANT = timedelta(microseconds=1)
DAY_MINUTES = 24 * 60
_TO_LAST_MINUTE = timedelta(minutes=DAY_MINUTES - 1)
# No car is plugged in for longer; a session that claims it has a broken clock.
MAX_CUT = timedelta(days=400)


class Stage(StrEnum):
    """Which part of a session is priced; each has elements of its own."""

    CHARGING = "charging"
    RESERVED = "reserved"
    EXPIRED = "expired"


# The kinds of elements of a stage, the first one that has a price for the dimension goes before the
# next (OCPI 2.2.1 mod_tariffs, ReservationRestrictionType).
_KINDS: dict[Stage, tuple[Reservation | None, ...]] = {
    Stage.CHARGING: (None,),
    Stage.RESERVED: (Reservation.USED,),
    Stage.EXPIRED: (Reservation.EXPIRED, Reservation.USED),
}


@dataclass(frozen=True, slots=True)
class Instant:
    """A session at one instant: when, what was used so far, and the power and current then.

    `closing`: the instant belongs to the period that ends there, so that what holds until it still
    holds.
    """

    at: datetime
    zone: tzinfo
    energy_wh: Decimal
    seconds: Decimal
    period: Period
    closing: bool = False

    @property
    def local(self) -> datetime:
        """The local time there."""
        return (self.at - _INSTANT if self.closing else self.at).astimezone(self.zone)


@dataclass(frozen=True, slots=True)
class Choice:
    """The active component, its element, and in words why it was taken; `doubts`: what had to be
    assumed."""

    element: Element
    component: Component
    why: str
    doubts: tuple[str, ...] = ()


def stage_of(period: Period) -> Stage:
    """The stage that a period belongs to."""
    if period.expired:
        return Stage.EXPIRED
    return Stage.RESERVED if period.is_reservation else Stage.CHARGING


def choose(terms: Terms, dimension: Dimension, stage: Stage, now: Instant) -> Choice | None:
    """The component that is active for a dimension, None when there is none."""
    for kind in _KINDS[stage]:
        passed: list[str] = []
        for element in terms.elements:
            component = element.component(dimension)
            if component is None or element.restrictions.reservation is not kind:
                continue
            doubts: list[str] = []
            obstacle = next(_obstacles(element.restrictions, now, doubts), None)
            if obstacle is not None:
                passed.append(f"element {element.number} does not apply: {obstacle}")
                continue
            return Choice(element, component, _why(element, passed), tuple(doubts))
    return None


def _why(element: Element, passed: list[str]) -> str:
    held = ", ".join(conditions(element.restrictions))
    reason = f"element {element.number} applies: {held or 'it has no restrictions'}"
    return "; ".join([*passed, reason])


# -- restrictions --------------------------------------------------------------------------------


def _obstacles(r: Restrictions, now: Instant, doubts: list[str]) -> Iterator[str]:
    """Why the restrictions do not hold, in words; nothing when they do."""
    if r.by_clock:
        yield from _clock(r, now.local)
    for value, low, high, name in (
        (now.energy_wh, r.min_wh, r.max_wh, "Wh so far"),
        (now.seconds, r.min_duration, r.max_duration, "s since the start"),
    ):
        if low is not None and not (value > low or (value == low and not now.closing)):
            yield f"{_plain(value)} {name}, not yet {_plain(low)}"
        if high is not None and not (value < high or (value == high and now.closing)):
            yield f"{_plain(value)} {name}, no longer below {_plain(high)}"
    p = now.period
    for least, most, low, high, name in (
        (p.min_power, p.max_power, r.min_power, r.max_power, "kW"),
        (p.min_current, p.max_current, r.min_current, r.max_current, "A"),
    ):
        if low is None and high is None:
            continue
        if least is None or most is None:
            doubts.append(f"{'power' if name == 'kW' else 'current'} is not known")
            continue
        if low is not None and least < low:
            yield f"{_plain(least)} {name}, below {_plain(low)}"
        if high is not None and most >= high:
            yield f"{_plain(most)} {name}, not below {_plain(high)}"


def _clock(r: Restrictions, local: datetime) -> Iterator[str]:
    if r.start_time is not None or r.end_time is not None:
        begin, end = window(r)
        minute = local.hour * 60 + local.minute
        inside = begin <= minute < end if begin < end else minute >= begin or minute < end
        if not inside:
            yield f"it is {local:%H:%M}, not within {_span(r)}"
    if r.days and local.weekday() not in r.days:
        yield f"it is {DAYS[local.weekday()].capitalize()}"
    if r.start_date is not None and local.date() < r.start_date:
        yield f"it is {local.date()}, before {r.start_date}"
    if r.end_date is not None and local.date() >= r.end_date:
        yield f"it is {local.date()}, not before {r.end_date}"


def window(r: Restrictions) -> tuple[int, int]:
    """The minutes of the day from which and until which it holds. A missing side is midnight, an
    end at 00:00 the end of the day; equal sides are the whole day (the choice that cannot make a
    price disappear)."""
    begin = r.start_time or 0
    end = r.end_time or DAY_MINUTES
    return (0, DAY_MINUTES) if begin == end else (begin, end)


def _span(r: Restrictions) -> str:
    begin, end = window(r)
    return f"{begin // 60:02}:{begin % 60:02} to {end // 60:02}:{end % 60:02}"


def conditions(r: Restrictions) -> Iterator[str]:
    """The restrictions in words."""
    if r.reservation is not None:
        yield "reserved" if r.reservation is Reservation.USED else "reservation expired"
    if r.start_time is not None or r.end_time is not None:
        yield _span(r)
    if r.days:
        yield " ".join(DAYS[day][:3].capitalize() for day in sorted(r.days))
    for low, high, name in (
        (r.start_date, r.end_date, ""),
        (r.min_wh, r.max_wh, " Wh"),
        (r.min_duration, r.max_duration, " s"),
        (r.min_power, r.max_power, " kW"),
        (r.min_current, r.max_current, " A"),
    ):
        if low is not None:
            yield f"from {_plain(low)}{name}"
        if high is not None:
            yield f"below {_plain(high)}{name}"


def _plain(value: object) -> str:
    """A number without superfluous zeros."""
    if not isinstance(value, Decimal):
        return str(value)
    return f"{value.normalize():f}" if value else "0"


# -- where a price can change --------------------------------------------------------------------


def energy_cuts(terms: Terms) -> list[Decimal]:
    """The energies in Wh at which an element begins or ends."""
    found = [e.restrictions for e in terms.elements]
    return sorted({v for r in found for v in (r.min_wh, r.max_wh) if v is not None})


def duration_cuts(terms: Terms) -> list[int]:
    """The seconds since the start at which an element begins or ends."""
    found = [e.restrictions for e in terms.elements]
    return sorted({v for r in found for v in (r.min_duration, r.max_duration) if v is not None})


def clock_cuts(terms: Terms, zone: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The instants strictly between two others at which an element may begin or end by the clock,
    in order: its times of day, midnights, and the changes of the local time itself (which repeat or
    skip times of day). Looked for within `MAX_CUT`, and no further than they are asked for: there
    may be hundreds in a day."""
    found = [e.restrictions for e in terms.elements if e.restrictions.by_clock]
    if not found or start >= end:
        return
    end = min(end, start + MAX_CUT)
    minutes = {m % DAY_MINUTES for r in found for m in window(r)} | {0}
    last = start
    for cut in merge(_shifts(zone, start, end), _times_of_day(minutes, zone, start, end)):
        if last < cut < end:
            yield cut
            last = cut


def _times_of_day(
    minutes: Collection[int], zone: tzinfo, start: datetime, end: datetime
) -> Iterator[datetime]:
    """When it is so many minutes after midnight there, in order; from before the start until after
    the end."""
    day = start.astimezone(zone).date() - timedelta(days=1)
    last = end.astimezone(zone).date()
    found: set[datetime] = set()
    while day <= last:
        found |= _in_day(day, minutes, zone)
        day += timedelta(days=1)
        # No offset is a whole day: what follows is later than this.
        sure = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
        yield from sorted(cut for cut in found if cut <= sure)
        found = {cut for cut in found if cut > sure}
    yield from sorted(found)


def _in_day(day: date, minutes: Collection[int], zone: tzinfo) -> set[datetime]:
    """The instants of one day."""
    begin = datetime(day.year, day.month, day.day, tzinfo=zone)
    end = begin.replace(hour=23, minute=59)
    # A time of day that occurs twice is two instants.
    begins, ends = ({_instant(wall.replace(fold=f), zone) for f in (0, 1)} for wall in (begin, end))
    first = begins.pop()
    if not begins and ends == {first + _TO_LAST_MINUTE}:
        # No clock is changed and changed back in one day.
        return {first + timedelta(minutes=minute) for minute in minutes}
    walls = (begin.replace(hour=m // 60, minute=m % 60, fold=f) for m in minutes for f in (0, 1))
    return {_instant(wall, zone) for wall in walls}


def _instant(wall: datetime, zone: tzinfo) -> datetime:
    offset = wall.utcoffset()
    assert offset is not None
    return (wall.replace(tzinfo=None) - offset).replace(tzinfo=UTC)


def _shifts(zone: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """When the offset of local time changes, to the second, in order."""
    low, stop = start.astimezone(UTC), end.astimezone(UTC)
    while low < stop:
        high = min(low + timedelta(hours=6), stop)
        if _offset(low, zone) != _offset(high, zone):
            a, b = low, high
            while b - a > timedelta(seconds=1):
                middle = a + (b - a) / 2
                a, b = (middle, b) if _offset(middle, zone) == _offset(low, zone) else (a, middle)
            yield b.replace(microsecond=0)
        low = high


def _offset(at: datetime, zone: tzinfo) -> timedelta | None:
    return at.astimezone(zone).utcoffset()
