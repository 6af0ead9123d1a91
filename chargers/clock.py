"""Virtual time: the charger's only source of "now" and of waiting.

A run at speed 60 lets an hour of charging pass in a minute. Waiting for the network is not
virtual: answers take as long as they take.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What a charger needs of time."""

    def now(self) -> datetime:
        """The virtual time, aware and in UTC. Never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many virtual seconds."""


class ScaledClock:
    """A clock that starts at `start` (default: now) and runs `speed` times as fast as the wall.

    At a speed other than 1 its time moves away from the real one: after ten wall seconds at
    speed 60 it is nearly ten minutes ahead.
    """

    def __init__(self, speed: float = 1.0, start: datetime | None = None) -> None:
        if not speed > 0:
            raise ValueError(f"speed = {speed!r}: allowed is a number above 0")
        if start is not None and start.utcoffset() is None:
            raise ValueError("start must be an aware time")
        self.speed = speed
        self._start = start or datetime.now(UTC)
        self._origin = time.monotonic()

    def now(self) -> datetime:
        elapsed = (time.monotonic() - self._origin) * self.speed
        return self._start + timedelta(seconds=elapsed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.speed)


def wire_time(moment: datetime) -> str:
    """RFC 3339 with milliseconds and a plain Z, the form every central system understands."""
    assert moment.utcoffset() is not None
    utc = moment.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"


async def sleep_unless(clock: Clock, seconds: float, event: asyncio.Event) -> bool:
    """Wait for `event`, for at most `seconds` of virtual time. True when the event came."""
    sleeping = asyncio.create_task(clock.sleep(seconds), name="sleep")
    waiting = asyncio.create_task(event.wait(), name="wait for event")
    try:
        await asyncio.wait({sleeping, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sleeping.cancel()
        waiting.cancel()
    return event.is_set()
