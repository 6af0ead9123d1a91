"""Periods: quantities between two instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from csms.core.pricing.periods import Period, seconds_between

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        (timedelta(seconds=1), "1"),
        (timedelta(days=2, seconds=3, microseconds=4), "172803.000004"),
        (timedelta(seconds=-1), "0"),
    ],
)
def test_seconds_are_exact_and_never_negative(span: timedelta, seconds: str) -> None:
    assert seconds_between(START, START + span) == Decimal(seconds)


def test_a_reservation_is_told_from_a_charging_session() -> None:
    assert not Period(START, START, time_s=Decimal(1)).is_reservation
    assert Period(START, START, reservation_s=Decimal(1)).is_reservation
    assert Period(START, START, expired=True).is_reservation
