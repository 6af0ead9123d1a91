"""Sockets that connect and say nothing: bounded in number and in time, and nobody's harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from csms.storage.open import open_inline
from tests.support.ocpp_links import Central, listening, until

MOST = 20


class Silent:
    """A connection on which nothing is said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._ended = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            await reader.read()
        except ConnectionError:
            pass

    @property
    def closed(self) -> bool:
        return self._ended.done()

    async def close(self) -> None:
        self.writer.transport.abort()
        await asyncio.wait((self._ended,), timeout=10)


@asynccontextmanager
async def silent(central: Central, count: int) -> AsyncIterator[list[Silent]]:
    async with AsyncExitStack() as stack:
        sockets = []
        for _ in range(count):
            one = Silent(*await asyncio.open_connection("127.0.0.1", central.gateway.port))
            stack.push_async_callback(one.close)
            sockets.append(one)
        yield sockets


def left(sockets: list[Silent]) -> int:
    return sum(not one.closed for one in sockets)


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    limits = {"max_handshakes": MOST, "open_timeout_s": 60.0, "close_timeout_s": 1.0}
    async with listening(open_inline(), **limits) as central:
        await central.onboard()
        yield central


async def test_more_silent_sockets_than_the_limit_are_closed_at_once(central: Central) -> None:
    async with silent(central, 5 * MOST) as sockets:
        await until(lambda: left(sockets) <= MOST)
        assert left(sockets) > 0


async def test_silent_sockets_keep_no_station_out(central: Central) -> None:
    async with silent(central, 5 * MOST) as sockets:
        for _ in range(3):
            async with asyncio.timeout(5), central.connect() as station:
                await station.is_alive()
            await until(lambda: len(central.registry) == 0)
        assert left(sockets) <= MOST
    assert central.metric("csms_handshakes_refused_total", reason="too_many_handshakes") == 0


async def test_nor_do_those_that_come_all_the_time(central: Central) -> None:
    stop = asyncio.Event()

    async def keep_coming() -> None:
        while not stop.is_set():
            async with silent(central, MOST):
                pass

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(keep_coming())
        try:
            async with asyncio.timeout(10):
                for _ in range(5):
                    async with central.connect() as station:
                        await station.is_alive()
                    await until(lambda: len(central.registry) == 0)
        finally:
            stop.set()


async def test_links_that_are_up_are_not_counted(central: Central) -> None:
    async with AsyncExitStack() as stack:
        stations = []
        for n in range(MOST + 5):
            await central.onboard(f"CP {n}")
            stations.append(await stack.enter_async_context(central.connect(f"CP {n}")))
        async with silent(central, 5 * MOST):
            for station in stations:
                await station.is_alive()


async def test_a_silent_socket_is_closed_after_its_time() -> None:
    async with listening(open_inline(), max_handshakes=MOST, open_timeout_s=0.1) as central:
        await central.onboard()
        async with silent(central, MOST) as sockets:
            await until(lambda: left(sockets) == 0)
            assert central.metric("csms_handshakes_refused_total", reason="no_request") == MOST
            async with central.connect() as station:
                await station.is_alive()


async def test_what_is_closed_is_forgotten(central: Central) -> None:
    async with silent(central, 5 * MOST), central.connect() as station:
        await station.is_alive()
    async with silent(central, MOST) as sockets:
        async with central.connect() as station:
            await station.is_alive()
        await asyncio.sleep(0)
        assert left(sockets) >= MOST - 1
