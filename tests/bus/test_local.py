"""Wake-ups within one process."""

from __future__ import annotations

import asyncio

from csms.bus.local import LocalBus


async def test_everybody_who_waits_is_woken() -> None:
    bus = LocalBus()
    waiting = [asyncio.ensure_future(bus.grown(10)) for _ in range(3)]
    await asyncio.sleep(0)
    bus.wake()
    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_a_wake_up_is_for_those_who_wait_now() -> None:
    bus = LocalBus()
    bus.wake()
    assert await bus.grown(0.01) is False
