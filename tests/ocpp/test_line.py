"""The line at the door: who can be served soon waits, the others are given times."""

from __future__ import annotations

import heapq
from itertools import count, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from csms.ocpp.line import FIRST_RATE, UNEVEN_S, Line, LineLimits


def test_who_can_be_served_soon_waits_in_line() -> None:
    line = Line(LineLimits(most=50_000, wait_s=10.0))
    entered = 0
    while line.enter(0.0) is None:
        entered += 1
    assert entered == line.length == FIRST_RATE * 10 + 1


def test_the_hard_limit_holds_whatever_the_rate() -> None:
    line = Line(LineLimits(most=3, wait_s=100.0))
    assert [line.enter(0.0) is None for _ in range(5)] == [True] * 3 + [False] * 2


def test_those_refused_are_told_to_come_one_after_the_other() -> None:
    line = Line(LineLimits(most=1, wait_s=10.0))
    line.enter(0.0)
    again = [line.enter(0.0) or 0.0 for _ in range(400)]
    assert again[0] == 10.0
    gaps = [later - sooner for sooner, later in pairwise(again)]
    assert max(gaps) - min(gaps) < 1e-6
    assert again[-1] < 10 + 400 / FIRST_RATE + 0.1


def test_the_rate_is_that_of_links_being_opened() -> None:
    line = Line()
    for _ in range(1_000):
        line.enter(0.0)
    for n in range(900):
        line.leave(n / 500, opened=True)
    assert 450 < line.rate < 550


def test_a_door_that_nobody_comes_to_is_not_slow() -> None:
    line = Line()
    for minute in range(30):
        line.enter(minute * 60.0)
        line.leave(minute * 60.0 + 0.01, opened=True)
    assert line.rate == FIRST_RATE


def test_there_is_an_upper_limit() -> None:
    line = Line(LineLimits(per_s=50.0))
    for _ in range(400):
        line.enter(0.0)
    for n in range(400):
        line.leave(n / 10_000, opened=True)
    assert line.rate == 50.0


@settings(max_examples=30)
@given(
    stations=st.integers(1, 800), per_s=st.integers(20, 500), wait_s=st.sampled_from([2.0, 10.0])
)
def test_a_storm_is_over_in_about_the_time_that_the_work_takes(
    stations: int, per_s: int, wait_s: float
) -> None:
    """All come at once, heed what they are told, and are served one after the other."""
    line, order = Line(LineLimits(wait_s=wait_s)), count()
    arrivals: list[tuple[float, int, str]] = [(0.0, next(order), "comes") for _ in range(stations)]
    free_at = opened_at = 0.0
    opened = 0
    while arrivals:
        now, _, what = heapq.heappop(arrivals)
        if what == "opens":
            line.leave(now, opened=True)
            opened, opened_at = opened + 1, now
            continue
        again = line.enter(now)
        if again is not None:
            heapq.heappush(arrivals, (now + again, next(order), "comes"))
            continue
        free_at = max(free_at, now) + 1 / per_s
        heapq.heappush(arrivals, (free_at, next(order), "opens"))
    assert opened == stations
    assert line.length == 0
    assert opened_at <= 1.6 * stations / per_s + wait_s + 1


def test_nobody_is_sent_away_for_longer_than_a_minute() -> None:
    """A rate that was low for a moment must not empty the hour after it."""
    line = Line(LineLimits(most=1, wait_s=10.0, per_s=1.0))
    line.enter(0.0)
    again = [line.enter(0.0) or 0.0 for _ in range(500)]
    assert min(again) == 10.0
    assert max(again) <= 60.0
    # They are spread over the time there is.
    assert all(sum(int(s) == second for s in again) <= 11 for second in range(10, 61))


@settings(max_examples=50)
@given(
    per_s=st.integers(1, 2_000),
    steps=st.lists(st.floats(0, 0.5), min_size=2, max_size=200),
)
def test_no_more_than_so_many_get_in_a_second(per_s: int, steps: list[float]) -> None:
    line = Line(LineLimits(per_s=float(per_s)))
    now, inside = 0.0, []
    for step in steps:
        now += step
        inside.append(now + line.pause_s(now))
    for n, since in enumerate(inside):
        assert sum(since <= at < since + 1 for at in inside[n:]) <= per_s * (1 + UNEVEN_S) + 1


def test_at_a_door_that_few_come_to_nobody_waits() -> None:
    line = Line(LineLimits(per_s=50.0))
    assert max(line.pause_s(n / 50) for n in range(100)) < 1e-9
