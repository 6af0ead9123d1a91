"""What is done about a live link from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from csms.ocpp.treatment import Treatments
from csms.ocpp.upkeep import Upkeep
from csms.storage.open import open_inline
from tests.support.ocpp_links import Central, Socket, listening
from tests.support.waiting import until


@asynccontextmanager
async def kept() -> AsyncIterator[tuple[Central, Socket, Upkeep]]:
    """A station that is connected, and what keeps its link."""
    store = open_inline()
    async with listening(store) as central, asyncio.TaskGroup() as tasks:
        await central.onboard("CS 1")
        async with central.connect("CS 1") as socket:
            await until(lambda: len(central.registry) == 1)
            yield central, socket, Upkeep(central.registry, Treatments(store), tasks)


async def test_a_link_is_ended_for_a_new_secret() -> None:
    async with kept() as (central, socket, upkeep):
        upkeep.drop("nobody")
        upkeep.drop((await central.station()).id)
        assert await socket.closed() == (1001, "the token was changed")


async def test_a_link_is_ended_when_a_newer_one_is_elsewhere() -> None:
    async with kept() as (central, socket, upkeep):
        station = await central.station()
        upkeep.replaced(station.id, station.generation)
        await socket.is_alive()
        upkeep.replaced(station.id, station.generation + 1)
        assert await socket.closed() == (1008, "replaced by a newer connection")


async def test_it_tells_when_a_link_was_heard() -> None:
    async with kept() as (central, socket, upkeep):
        central.clock.later(seconds=5)
        await socket.is_alive()
        assert upkeep.seen((await central.station()).id) == central.clock.now
        assert upkeep.seen("nobody") is None


async def test_switches_are_applied_to_the_live_link() -> None:
    async with kept() as (central, _, upkeep):
        station_id = (await central.station()).id
        before = central.registry.get(station_id)
        assert before is not None
        treated: list[object] = []
        before.treat = treated.append  # type: ignore[method-assign]
        upkeep.treat(station_id)
        upkeep.treat("nobody")
        await until(lambda: treated)
