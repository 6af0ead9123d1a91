"""A bound on how often something happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from csms.ocpp.allowance import Allowance

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_so_many_at_once_and_then_as_the_window_passes() -> None:
    allowance = Allowance(3, 60.0)
    assert [allowance.take(NOW) for _ in range(5)] == [True, True, True, False, False]
    assert not allowance.take(NOW + timedelta(seconds=19))
    assert allowance.take(NOW + timedelta(seconds=20))
    assert not allowance.take(NOW + timedelta(seconds=20))


def test_a_pause_gives_no_more_than_the_whole() -> None:
    allowance = Allowance(2, 1.0)
    later = NOW + timedelta(days=1)
    allowance.take(NOW)
    assert [allowance.take(later) for _ in range(3)] == [True, True, False]


def test_a_clock_that_goes_back_gives_nothing() -> None:
    allowance = Allowance(1, 1.0)
    assert allowance.take(NOW)
    assert not allowance.take(NOW - timedelta(days=1))
