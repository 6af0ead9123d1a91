"""A station that misbehaves hurts only itself."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from csms.storage.store import QueuedStore
from tests.support.ocpp_links import Central, Socket, listening, until
from tests.support.stores import SqliteSite, running

OTHERS = 200
LONG = "i" * 255


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[QueuedStore]:
    async with running(SqliteSite(tmp_path)) as store:
        yield store


@pytest.fixture
async def central(store: QueuedStore) -> AsyncIterator[Central]:
    limits = {"send_timeout_s": 0.5}
    async with listening(store, link=limits, close_timeout_s=0.5) as central:
        await central.onboard("bad")
        yield central


@pytest.fixture
async def others(central: Central) -> AsyncIterator[list[Socket]]:
    async with AsyncExitStack() as stack:
        sockets = []
        for n in range(OTHERS):
            await central.onboard(f"CS {n}")
            sockets.append(await stack.enter_async_context(central.connect(f"CS {n}")))
        yield sockets


async def all_alive(others: list[Socket]) -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for station in others:
            tasks.create_task(station.is_alive())


def narrowed(central: Central) -> Any:
    """The link of the bad station, with as little room for what it does not read as there is."""
    link = central.link("bad")
    end = link._websocket.transport.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    return link


async def flood(station: Socket, calls: int) -> None:
    """Call without reading; ends when the link does."""
    with contextlib.suppress(Exception):
        for n in range(calls):
            message_id = f"{n}{LONG}"[:255]
            await station.connection.send(f'[2,"{message_id}","Heartbeat",{{}}]')


async def test_ten_thousand_calls_without_reading_an_answer(
    central: Central, others: list[Socket]
) -> None:
    """The flood is read no faster than it is answered, and cut off when it takes no answers."""
    async with central.connect("bad", narrow=True) as bad:
        link = narrowed(central)
        flooding = asyncio.create_task(flood(bad, 10_000))
        for _ in range(3):
            await all_alive(others)
        assert not link._websocket.transport.is_reading()
        await until(lambda: central.link("bad") is None, 20)
        await flooding
    await all_alive(others)
    assert len(central.registry) == OTHERS
    await until_recorded(central, "bad")
    assert central.metric("csms_links_ended_total", reason="not_reading") == 1


async def test_a_socket_that_never_reads_cannot_hold_up_its_end(central: Central) -> None:
    """Closing such a link is bounded, though the library waits for room to write."""
    async with central.connect("bad", narrow=True) as bad:
        link = narrowed(central)
        flooding = asyncio.create_task(flood(bad, 10_000))
        await until(lambda: link._websocket.transport.get_write_buffer_size() > 32_768)
        async with asyncio.timeout(3):
            await link.close(1001, "enough")
        await until(lambda: central.link("bad") is None)
        await flooding


async def test_a_node_stops_though_somebody_never_reads(store: QueuedStore) -> None:
    limits = {"send_timeout_s": 60.0}
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(20):
            async with listening(store, link=limits, close_timeout_s=0.5) as central:
                await central.onboard("bad")
                bad = await stack.enter_async_context(central.connect("bad", narrow=True))
                link = narrowed(central)
                flooding = asyncio.create_task(flood(bad, 20_000))
                await until(lambda: link._websocket.transport.get_write_buffer_size() > 32_768)
        await flooding
    await until_recorded(central, "bad")


async def test_frames_that_are_no_message_come_no_faster_than_they_are_answered(
    central: Central, others: list[Socket]
) -> None:
    async with central.connect("bad", narrow=True) as bad:
        narrowed(central)

        async def rubbish() -> None:
            with contextlib.suppress(Exception):
                for _ in range(5_000):
                    await bad.connection.send(f'[2,"{LONG}"]')

        flooding = asyncio.create_task(rubbish())
        for _ in range(3):
            await all_alive(others)
        await until(lambda: flooding.done() or central.link("bad") is None, 20)
    await all_alive(others)
    await flooding


@pytest.mark.parametrize("kind", ["one frame", "fragments"])
async def test_a_message_over_the_limit_ends_its_link_alone(
    central: Central, others: list[Socket], kind: str
) -> None:
    """Refused by its length, before it is held in memory."""
    piece = "x" * 1_000_000
    async with central.connect("bad", compression=None) as bad:
        with contextlib.suppress(ConnectionClosed):
            if kind == "one frame":
                await bad.connection.send(piece)
            else:
                await bad.connection.send([piece] * 10)
        async with asyncio.timeout(10):
            await bad.connection.wait_closed()
        assert bad.connection.close_code == 1009
        await all_alive(others)
        await until(lambda: central.link("bad") is None)
    assert len(central.registry) == OTHERS
    assert central.metric("csms_links_ended_total", reason="message_too_large") == 1
    await until_recorded(central, "bad")


async def until_recorded(central: Central, identity: str) -> None:
    async with asyncio.timeout(10):
        while (await central.station(identity)).node is not None:
            await asyncio.sleep(0)
