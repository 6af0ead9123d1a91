"""The newest connection wins, also while the store is busy with the older one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from csms.core.transactions import Transaction
from tests.support.ocpp import start
from tests.support.ocpp_links import Central, SeamDatabase, Socket, listening, until
from tests.support.stores import SqliteSite, running


@pytest.fixture
def database(tmp_path: Path) -> SeamDatabase:
    return SeamDatabase(SqliteSite(tmp_path).database())


@pytest.fixture
async def central(database: SeamDatabase, tmp_path: Path) -> AsyncIterator[Central]:
    async with running(SqliteSite(tmp_path), database) as store, listening(store) as central:
        await central.onboard()
        yield central


def connecting(stack: AsyncExitStack, central: Central) -> asyncio.Task[Socket]:
    """A station that connects while the store is held: what decides about it waits as well."""
    return asyncio.create_task(stack.enter_async_context(central.connect(wait=False)))


async def settled(central: Central) -> None:
    """The end of every link but the newest is written down or found to be stale."""
    listener = central.gateway._plain
    assert listener is not None
    async with asyncio.timeout(10):
        while listener.handling > 1:
            await asyncio.sleep(0)


async def test_two_links_that_wait_for_one_commit(central: Central, database: SeamDatabase) -> None:
    async with AsyncExitStack() as stack:
        database.hold()
        first = connecting(stack, central)
        await asyncio.to_thread(database.holding.wait, 10)
        second = connecting(stack, central)
        await until(lambda: central.store.queued == 1)
        assert len(central.registry) == 0
        database.release()
        both = [await first, await second]
        await until(lambda: central.link() is not None and central.link().generation == 2)
        await settled(central)
        ended = [one for one in both if one.connection.close_code is not None]
        assert [one.connection.close_code for one in ended] == [1008]
        (alive,) = (one for one in both if one not in ended)
        await alive.is_alive()
        row = await central.station()
        assert (row.generation, row.node, central.link().generation) == (2, "node-1", 2)


async def test_a_link_is_taken_over_while_its_call_waits_for_the_store(
    central: Central, database: SeamDatabase
) -> None:
    """What it said is stored all the same; its retry on the new link gets the same answer."""
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(central.connect())
        database.hold()
        await old.sends([2, "m1", "StartTransaction", start()])
        await asyncio.to_thread(database.holding.wait, 10)
        coming = connecting(stack, central)
        await until(lambda: central.store.queued == 1)
        database.release()
        new = await coming
        await old.closed()
        again = await new.calls("StartTransaction", start())
        (row,) = await central.store.reader.page(Transaction)
        assert again["transactionId"] == row.id
        await settled(central)
        assert (await central.station()).node == "node-1"


@pytest.mark.parametrize("old_first", [True, False])
async def test_the_end_of_an_old_link_touches_nothing(
    central: Central, database: SeamDatabase, old_first: bool
) -> None:
    """Quirk 19: its socket dies before, or after, the new one is up."""
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(central.connect())
        database.hold()
        await old.sends([2, "m1", "Heartbeat", {}])
        await asyncio.to_thread(database.holding.wait, 10)
        if old_first:
            old.connection.transport.abort()
            coming = connecting(stack, central)
        else:
            coming = connecting(stack, central)
            await until(lambda: central.store.queued == 1)
            old.connection.transport.abort()
        database.release()
        new = await coming
        await new.is_alive()
        await settled(central)
        row = await central.station()
        assert (row.generation, row.node, row.disconnected_at) == (2, "node-1", None)
        assert (len(central.registry), central.link().generation) == (1, 2)


async def test_a_flapping_station(central: Central) -> None:
    """Quirk 23."""
    async with AsyncExitStack() as stack:
        for _ in range(20):
            station = await stack.enter_async_context(central.connect(wait=False))
        await until(lambda: central.link() is not None and central.link().generation == 20)
        await station.is_alive()
        await settled(central)
        row = await central.station()
        assert (row.generation, row.node, len(central.registry)) == (20, "node-1", 1)
    await until(lambda: len(central.registry) == 0)
