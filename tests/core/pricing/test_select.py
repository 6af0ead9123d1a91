"""Which component is active, and where a price can change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.core.pricing.periods import Period
from csms.core.pricing.select import (
    Instant,
    Stage,
    choose,
    clock_cuts,
    conditions,
    duration_cuts,
    energy_cuts,
)
from csms.core.pricing.tariff import Dimension
from tests.support.pricing import BERLIN, terms


def at(text: str, zone: ZoneInfo = BERLIN, *, fold: int = 0) -> datetime:
    """A local time as an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def element(restrictions: dict[str, Any], when: str, *, closing: bool = False) -> int | None:
    tariff = terms(({"ENERGY": 1}, restrictions))
    now = at(when)
    period = Period(now, now)
    instant = Instant(now, BERLIN, Decimal(5000), Decimal(60), period, closing)
    found = choose(tariff, Dimension.ENERGY, Stage.CHARGING, instant)
    return found.element.number if found else None


@pytest.mark.parametrize(
    ("restrictions", "at_it", "until_it"),
    [
        ({"start_time": "12:00"}, 1, None),
        ({"end_time": "12:00"}, None, 1),
        ({"start_time": "12:00", "end_time": "11:00"}, 1, None),
        ({"start_date": "2026-03-02"}, 1, 1),
        ({"end_date": "2026-03-02"}, None, None),
        ({"day_of_week": ["MONDAY"]}, 1, 1),
        ({"day_of_week": ["TUESDAY"]}, None, None),
        ({"min_kwh": 5}, 1, None),
        ({"max_kwh": 5}, None, 1),
        ({"min_duration": 60}, 1, None),
        ({"max_duration": 60}, None, 1),
        ({"min_duration": 59, "max_duration": 61}, 1, 1),
    ],
    ids=str,
)
def test_minima_include_their_value_and_maxima_do_not(
    restrictions: dict[str, Any], at_it: int | None, until_it: int | None
) -> None:
    """P4, at the value itself: for the period that begins there, and for the one that ends."""
    assert element(restrictions, "2026-03-02T12:00") == at_it
    assert element(restrictions, "2026-03-02T12:00", closing=True) == until_it


def test_only_elements_of_the_stage_are_looked_at() -> None:
    tariff = terms(({"TIME": 1}, {"reservation": "RESERVATION"}), {"TIME": 2})
    now = at("2026-03-02T12:00")
    instant = Instant(now, BERLIN, Decimal(0), Decimal(0), Period(now, now))
    chosen = {s: choose(tariff, Dimension.TIME, s, instant) for s in Stage}
    numbers = {s: c.element.number for s, c in chosen.items() if c}
    assert numbers == {Stage.CHARGING: 2, Stage.RESERVED: 1, Stage.EXPIRED: 1}


def test_restrictions_are_said_in_words() -> None:
    restrictions = {
        "start_time": "22:00",
        "day_of_week": ["SUNDAY", "MONDAY"],
        "min_kwh": 5,
        "max_power": 22.5,
        "end_date": "2026-03-02",
    }
    tariff = terms(({"ENERGY": 1}, restrictions))
    said = list(conditions(tariff.elements[0].restrictions))
    assert said == [
        "22:00 to 24:00",
        "Mon Sun",
        "below 2026-03-02",
        "from 5000 Wh",
        "below 22.5 kW",
    ]


# -- where a price can change ----------------------------------------------------------------------

NIGHT = terms(({"TIME": 1}, {"start_time": "02:30", "end_time": "22:00"}))


def cuts(tariff: Any, start: str, end: str, zone: ZoneInfo = BERLIN) -> list[str]:
    found = clock_cuts(tariff, zone, at(start, zone), at(end, zone))
    return [f"{cut:%d %H:%M}" for cut in found]


def test_a_tariff_without_a_clock_has_no_cuts() -> None:
    assert cuts(terms({"TIME": 1}), "2026-03-02T12:00", "2026-03-09T12:00") == []


def test_times_of_day_and_midnights_cut() -> None:
    assert cuts(NIGHT, "2026-03-02T12:00", "2026-03-03T12:00") == [
        "02 21:00",
        "02 23:00",
        "03 01:30",
    ]


def test_an_instant_at_the_end_is_no_cut() -> None:
    assert cuts(NIGHT, "2026-03-02T22:00", "2026-03-03T00:00") == []


def test_when_the_clock_goes_forward_the_skipped_time_still_cuts() -> None:
    """Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC; 02:30 does not exist. What matters is
    the change itself: it takes the local time across 02:30."""
    assert "29 01:00" in cuts(NIGHT, "2026-03-29T00:30", "2026-03-29T05:00")


def test_when_the_clock_goes_back_a_time_of_day_cuts_twice() -> None:
    """Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC, and 02:30 is at 00:30 and 01:30."""
    found = cuts(NIGHT, "2026-10-25T00:30", "2026-10-25T05:00")
    assert found == ["25 00:30", "25 01:00", "25 01:30"]


def test_half_hour_zones_are_cut_where_they_change() -> None:
    """Lord Howe moves its clocks by half an hour."""
    zone = ZoneInfo("Australia/Lord_Howe")
    found = clock_cuts(NIGHT, zone, at("2026-04-04T12:00", zone), at("2026-04-05T12:00", zone))
    offsets = {cut.astimezone(zone).utcoffset() for cut in found}
    assert offsets == {timedelta(hours=11), timedelta(hours=10, minutes=30)}


def test_a_session_of_fifty_years_does_not_stop_the_system() -> None:
    found = clock_cuts(NIGHT, BERLIN, at("1976-01-01T00:00"), at("2026-01-01T00:00"))
    assert len(list(found)) < 1_500


class Asked(tzinfo):
    """Berlin, and how often it was asked for its offset."""

    times = 0

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        self.times += 1
        return when.replace(tzinfo=BERLIN).utcoffset() if when else None

    def dst(self, when: datetime | None) -> timedelta | None:
        return when.replace(tzinfo=BERLIN).dst() if when else None

    def fromutc(self, when: datetime) -> datetime:
        return when.replace(tzinfo=BERLIN).astimezone(BERLIN).replace(tzinfo=self)


def test_no_more_is_looked_for_than_is_asked_for() -> None:
    """A tariff may have two hundred elements, and a partner may say that a charge took a year."""
    every = [(m // 60, m % 60) for m in range(0, 1_400, 7)]
    windows = [
        {"start_time": f"{h:02}:{m:02}", "end_time": f"{h:02}:{m + 3:02}"}
        for h, m in every
        if m < 57
    ]
    tariff, zone = terms(*(({"TIME": 1}, window) for window in windows)), Asked()
    found = clock_cuts(tariff, zone, at("2026-04-01T00:00"), at("2027-04-01T00:00"))
    assert [f"{cut:%d %H:%M}" for cut in islice(found, 3)] == ["31 22:03", "31 22:07", "31 22:10"]
    assert zone.times < 5_000


@settings(deadline=None)
@given(
    st.sampled_from(["Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "America/Havana"]),
    st.datetimes(datetime(2010, 1, 1), datetime(2018, 1, 1)),
    st.integers(1, 4_000),
    st.sets(st.integers(0, 1_439), min_size=2, max_size=2),
)
def test_every_time_of_day_that_comes_is_among_the_cuts_in_order(
    name: str, begin: datetime, minutes: int, days: set[int]
) -> None:
    """Also where a day is skipped, or an hour is repeated around midnight."""
    zone, times = ZoneInfo(name), [f"{m // 60:02}:{m % 60:02}" for m in sorted(days)]
    tariff = terms(({"TIME": 1}, {"start_time": times[0], "end_time": times[1]}))
    start = begin.replace(second=0, microsecond=0, tzinfo=UTC)
    end = start + timedelta(minutes=minutes)
    found = list(clock_cuts(tariff, zone, start, end))
    assert found == sorted(set(found))
    assert all(start < cut < end for cut in found)
    between = (start + timedelta(minutes=n) for n in range(1, minutes))
    wanted = {at for at in between if f"{at.astimezone(zone):%H:%M}" in {"00:00", *times}}
    assert wanted <= set(found)


def test_energies_and_durations_cut() -> None:
    tariff = terms(
        ({"ENERGY": 1}, {"max_kwh": 10, "max_duration": 60}),
        ({"ENERGY": 2}, {"min_kwh": 5, "max_kwh": 10}),
        ({"ENERGY": 2}, {"min_duration": 3600}),
    )
    assert energy_cuts(tariff) == [5000, 10000]
    assert duration_cuts(tariff) == [60, 3600]
