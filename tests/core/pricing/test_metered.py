"""Our own sessions as charging periods, cut where a price can change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.core.metering import REGISTER, Reading, Sample
from csms.core.pricing.cost import price
from csms.core.pricing.metered import Metered, StateChange, current, metered, periods
from csms.core.pricing.tariff import Terms
from csms.core.transactions import Transaction
from tests.support.pricing import BERLIN, terms

# 12:00 in Berlin, a Monday.
START = datetime(2026, 3, 2, 11, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def session(*points: tuple[float, float], idle: Any = (), amps: Any = ()) -> Metered:
    """A session by its readings: minutes and kWh so far."""
    return Metered(
        at(points[0][0]),
        at(points[-1][0]),
        tuple((at(m), Decimal(str(kwh)) * 1000) for m, kwh in points),
        tuple((at(a), at(b)) for a, b in idle),
        tuple((at(m), Decimal(a)) for m, a in amps),
    )


def cut(metered_: Metered, tariff: Terms, zone: Any = BERLIN) -> list[tuple[float, float, bool]]:
    """The periods: minutes after the start, kWh, whether parked."""
    found = periods(metered_, tariff, zone)
    return [
        ((p.start - START).total_seconds() / 60, float(p.energy_wh / 1000), p.parking_s > 0)
        for p in found
    ]


FLAT_RATE = terms({"ENERGY": 0.3, "PARKING_TIME": 6})
HOUR = session((0, 0), (60, 30))


def test_a_price_that_does_not_change_has_one_period() -> None:
    assert cut(session((0, 0), (10, 7), (20, 9), (60, 30)), FLAT_RATE) == [(0, 30, False)]


@pytest.mark.parametrize(
    ("restrictions", "expected"),
    [
        ({"start_time": "12:20"}, [(0, 10, False), (20, 20, False)]),
        (
            {"start_time": "12:20", "end_time": "12:40"},
            [(0, 10, False), (20, 10, False), (40, 10, False)],
        ),
        ({"min_duration": 900}, [(0, 7.5, False), (15, 22.5, False)]),
        ({"max_kwh": 10}, [(0, 10, False), (20, 20, False)]),
        ({"end_date": "2026-03-02"}, [(0, 30, False)]),
    ],
    ids=str,
)
def test_a_session_is_cut_where_the_price_changes(
    restrictions: dict[str, Any], expected: list[tuple[float, float, bool]]
) -> None:
    """P1: the energy at a cut is interpolated between two readings."""
    assert cut(HOUR, terms(({"ENERGY": 1}, restrictions), {"ENERGY": 2})) == expected


def test_midnight_and_the_day_of_the_week_cut() -> None:
    night = Metered(at(660), at(780), ((at(660), Decimal(0)), (at(780), Decimal(2000))))
    tariff = terms(({"ENERGY": 1}, {"day_of_week": ["MONDAY"]}), {"ENERGY": 2})
    assert cut(night, tariff) == [(660, 1, False), (720, 1, False)]


@pytest.mark.parametrize(
    ("start", "cost", "expected"),
    [
        # Forward: 01:30 to 05:30 by the clock are three hours; the change itself passes 02:30.
        (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "5.50", [30, 30, 120]),
        # Back: 01:30 to 03:30 by the clock are three hours; the window of 02:00 to 03:00 is two.
        (datetime(2026, 10, 24, 23, 30, tzinfo=UTC), "4.00", [30, 60, 60, 30]),
    ],
)
def test_changes_of_the_clock(start: datetime, cost: str, expected: list[int]) -> None:
    """P5, both ways: in spring the hour from 02:00 does not exist, in autumn it comes twice."""
    end = start + timedelta(hours=3)
    tariff = terms(({"TIME": 1}, {"start_time": "02:00", "end_time": "03:00"}), {"TIME": 2})
    if start.month == 3:
        tariff = terms(({"TIME": 1}, {"start_time": "00:00", "end_time": "02:30"}), {"TIME": 2})
    found = periods(Metered(start, end, ((start, Decimal(0)), (end, Decimal(9)))), tariff, BERLIN)
    assert [int(p.time_s) // 60 for p in found] == expected
    assert price(tariff, found, BERLIN).warnings == ()
    assert str(price(tariff, found, BERLIN).total.before_taxes) == cost


def test_power_is_the_average_between_two_readings() -> None:
    fast = terms(({"ENERGY": 2}, {"min_power": 50}), {"ENERGY": 1})
    found = cut(session((0, 0), (6, 5), (12, 9), (18, 14)), fast)
    assert found == [(0, 5, False), (6, 4, False), (12, 5, False)]


def test_current_is_what_was_measured_last() -> None:
    tariff = terms(({"TIME": 2}, {"min_current": 32}), {"TIME": 1})
    strong = session((0, 0), (60, 30), amps=[(0, 40), (30, 16)])
    assert cut(strong, tariff) == [(0, 15, False), (30, 15, False)]


def test_idle_time_is_parking_time_and_costs_no_charging_time() -> None:
    """P7."""
    found = cut(session((0, 0), (60, 30), (90, 30), idle=[(60, 90)]), FLAT_RATE)
    assert found == [(0, 30, False), (60, 0, True)]


def test_a_session_without_any_time_is_one_period() -> None:
    only = Metered(START, START, ((START, Decimal(500)),))
    assert cut(only, FLAT_RATE) == [(0, 0.5, False)]


# -- from what a station said ----------------------------------------------------------------------


def transaction(**fields: Any) -> Transaction:
    given = {
        "started_at": START,
        "ended_at": at(60),
        "open": False,
        "energy_wh": 10_000,
        "first_wh": 500_000,
        "last_wh": 510_000,
        "last_at": at(60),
    } | fields
    return Transaction(
        id=1,
        station_id="s1",
        party_id="CA*NTH",
        wire_id="#1",
        evse=1,
        connector=1,
        received_at=START,
        outcome="accepted",
        **given,
    )


def wh(value: int, minutes: float) -> Sample:
    return Sample(at(minutes), ({"value": str(value), "measurand": REGISTER},))


def read(samples: list[Sample], states: Any = (), **fields: Any) -> Metered:
    changes = [StateChange(at(m), state) for m, state in states]
    return metered(transaction(**fields), samples, changes, at(45))


def test_readings_become_a_curve_that_ends_at_what_the_transaction_counts() -> None:
    found = read([wh(504_000, 20), wh(502_000, 10)])
    assert found.points == (
        (at(0), Decimal(0)),
        (at(10), Decimal(2_000)),
        (at(20), Decimal(4_000)),
        (at(60), Decimal(10_000)),
    )
    assert found.energy_at(at(15)) == 3_000
    assert found.energy_at(at(-5)) == 0
    assert found.energy_at(at(99)) == 10_000
    assert found.reaches(Decimal(3_000)) == at(15)
    assert found.reaches(Decimal(10_001)) is None


def test_readings_that_do_not_fit_are_left_out() -> None:
    """A register of 0, one beyond the end, one that runs back, one outside the session."""
    odd = [wh(0, 5), wh(999_999, 6), wh(505_000, 10), wh(503_000, 20), wh(507_000, -1)]
    assert [w for _, w in read([*odd, Sample(None, ())]).points] == [0, 5_000, 10_000]


def test_a_running_session_goes_until_now() -> None:
    found = read([wh(502_000, 10)], open=True, ended_at=None, energy_wh=2_000, last_wh=502_000)
    assert (found.end, found.points[-1]) == (at(45), (at(45), Decimal(2_000)))


def test_an_end_before_the_start_is_no_time() -> None:
    assert read([], ended_at=at(-5)).points == ((START, Decimal(10_000)),)


@pytest.mark.parametrize(
    ("states", "idle"),
    [
        ([], []),
        ([(0, "Charging")], []),
        ([(0, "Charging"), (30, "SuspendedEVSE")], []),
        ([(0, "Charging"), (30, "SuspendedEV")], [(30, 60)]),
        ([(0, "Charging"), (30, "SuspendedEV"), (40, "Charging")], [(30, 40)]),
        ([(0, "Charging"), (30, "SuspendedEV"), (40, "EVConnected")], [(30, 60)]),
        ([(0, "Charging"), (30, "SuspendedEV"), (40, "SuspendedEVSE")], [(30, 40)]),
        ([(0, "EVConnected"), (10, "Charging")], []),
        ([(0, "SuspendedEV")], [(0, 60)]),
        ([(0, "Charging"), (50, "Idle"), (70, "Charging")], [(50, 60)]),
        ([(30, "SuspendedEV"), (-5, "Charging")], [(30, 60)]),
    ],
    ids=str,
)
def test_idle_is_when_the_vehicle_asks_for_nothing(
    states: list[tuple[float, str]], idle: list[tuple[float, float]]
) -> None:
    """OCPI 2.2.1 mod_cdrs, PARKING_TIME: what the station holds back is not held against the
    driver, nor the time before the first charge."""
    assert read([], states).idle == tuple((at(a), at(b)) for a, b in idle)


def amps(value: str, phase: str | None = None, **more: Any) -> Reading:
    reading: Reading = {"value": value, "measurand": "Current.Import", **more}  # type: ignore[typeddict-item]
    if phase:
        reading["phase"] = phase
    return reading


@pytest.mark.parametrize(
    ("readings", "total"),
    [
        ([amps("16", "L1"), amps("16", "L2"), amps("15.5", "L3")], "47.5"),
        ([amps("16")], "16"),
        ([amps("16"), amps("8", "L1")], "8"),
        ([amps("x")], None),
        ([amps("1E+9")], None),
        ([amps("16", location="Inlet")], None),
        ([], None),
    ],
)
def test_current_is_the_sum_of_the_phases(readings: list[Reading], total: str | None) -> None:
    assert current(readings) == (None if total is None else Decimal(total))


# -- what always holds -----------------------------------------------------------------------------

TARIFF = terms(
    ({"ENERGY": 0.5, "TIME": 3}, {"start_time": "08:00", "end_time": "12:30", "max_kwh": 20}),
    ({"ENERGY": 0.4}, {"min_power": 11}),
    ({"PARKING_TIME": 0}, {"max_duration": 1800}),
    {"ENERGY": 0.3, "PARKING_TIME": 6, "FLAT": 1},
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 40_000)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 300)), max_size=2),
)
def test_periods_are_the_whole_session_and_hide_no_change(
    steps: list[tuple[int, int]], pauses: list[tuple[int, int]]
) -> None:
    minutes, total = 0, 0
    points = [(START, Decimal(0))]
    for more, energy in steps:
        minutes, total = minutes + more, total + energy
        points.append((at(minutes), Decimal(total)))
    idle = tuple((at(a), min(at(a + b), at(minutes))) for a, b in pauses if a < minutes)
    found = periods(Metered(START, at(minutes), tuple(points), idle[:1]), TARIFF, BERLIN)
    assert sum(p.energy_wh for p in found) == total
    assert sum(p.time_s + p.parking_s for p in found) == minutes * 60
    assert all(a.end == b.start for a, b in pairwise(found))
    assert price(TARIFF, found, BERLIN).warnings == ()
