"""Virtual time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from chargers.clock import ScaledClock, sleep_unless, wire_time


async def test_virtual_seconds_pass_faster() -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    clock = ScaledClock(1000, start)
    began = time.monotonic()
    await clock.sleep(20)
    assert time.monotonic() - began < 2
    assert clock.now() - start >= timedelta(seconds=19)


def test_a_clock_cannot_stand_still_or_be_naive() -> None:
    with pytest.raises(ValueError, match="speed"):
        ScaledClock(0)
    with pytest.raises(ValueError, match="aware"):
        ScaledClock(1, datetime(2024, 1, 1))


async def test_an_event_ends_a_sleep() -> None:
    event = asyncio.Event()
    clock = ScaledClock(1000)
    assert not await sleep_unless(clock, 1, event)
    event.set()
    async with asyncio.timeout(1):
        assert await sleep_unless(clock, 1_000_000, event)


def test_times_go_over_the_wire_in_utc_with_z() -> None:
    moment = datetime(2024, 1, 1, 3, 4, 5, 678_901, tzinfo=timezone(timedelta(hours=2)))
    assert wire_time(moment) == "2024-01-01T01:04:05.678Z"
