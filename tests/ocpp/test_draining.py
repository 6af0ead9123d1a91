"""Stations are moved away a few at a time, those first with which nothing is going on."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from csms.ocpp.draining import DRAINED, Draining
from csms.storage.open import open_inline
from tests.support.ocpp_links import listening
from tests.support.waiting import until


async def test_links_are_closed_a_few_at_a_time_until_none_is_left() -> None:
    async with listening(open_inline()) as central, AsyncExitStack() as stack:
        sockets = []
        for n in range(5):
            await central.onboard(f"CS {n}")
            sockets.append(await stack.enter_async_context(central.connect(f"CS {n}")))
        await until(lambda: len(central.registry) == 5)
        draining = Draining(central.registry, lambda: True, per_s=1_000.0)
        assert draining.close_some(2) == 2
        assert len(central.registry) == 3
        task = asyncio.create_task(draining.run())
        try:
            await until(lambda: len(central.registry) == 0)
            closed = [await socket.closed() for socket in sockets]
        finally:
            task.cancel()
        assert set(closed) == {(1012, DRAINED)}


async def test_nothing_is_closed_while_nobody_wants_it() -> None:
    async with listening(open_inline()) as central:
        await central.onboard("CS 1")
        async with central.connect("CS 1") as socket:
            looked = asyncio.Event()

            def draining() -> bool:
                looked.set()
                return False

            task = asyncio.create_task(Draining(central.registry, draining).run())
            await asyncio.wait_for(looked.wait(), 5)
            await socket.is_alive()
            task.cancel()
