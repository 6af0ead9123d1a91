"""Behind a balancer that says first for whom it connects."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from websockets.exceptions import ConnectionClosed

from csms.ocpp.connection import Arrivals
from csms.ocpp.line import Line
from csms.storage.open import open_inline
from tests.support.balancer import balancer
from tests.support.ocpp_links import basic, listening
from tests.support.waiting import until

PROXIES = {"trusted_proxies": ("127.0.0.0/8",), "proxy_protocol": True}
# A balancer that reads no HTTP, and what comes next is of the client. One that reads it stands in
# front of it where it is trusted itself.
STATION = b"PROXY TCP4 203.0.113.5 198.51.100.1 50123 9000\r\n"
NOBODY = b"PROXY UNKNOWN\r\n"
PROXY = b"PROXY TCP4 127.0.0.9 198.51.100.1 50123 9000\r\n"
FORWARDED = b"X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n"
REQUEST = (
    "GET /ocpp/CS%201 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Protocol: ocpp1.6\r\nAuthorization: {basic('CS 1', 'secret of CS 1')}\r\n\r\n"
).encode()


async def answered(port: int, *pieces: bytes) -> bytes:
    """What comes back for bytes that are sent one piece at a time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            return await reader.read(2_000)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_the_address_is_that_of_the_station() -> None:
    async with listening(open_inline(), **PROXIES) as central:
        await central.onboard("CS 1")
        async with balancer([central.gateway.port], announce=True) as made:
            reply = await answered(made.port, REQUEST[:7], REQUEST[7:])
            assert b"101 Switching Protocols" in reply
            assert (await central.station()).remote_address == "192.0.2.77"


@pytest.mark.parametrize(
    ("header", "address", "profile"),
    [(STATION, "203.0.113.5", 1), (NOBODY, "127.0.0.1", 1), (PROXY, "192.0.2.9", 2)],
)
async def test_what_a_station_says_of_itself_is_not_believed(
    header: bytes, address: str, profile: int
) -> None:
    """X-Forwarded-Proto is the word of a proxy that reads HTTP. A balancer with the PROXY protocol
    passes on what the station has sent, which could call any link one with TLS."""
    async with listening(open_inline(), **PROXIES) as central:
        await central.onboard("CS 1")
        request = header + REQUEST.removesuffix(b"\r\n") + FORWARDED
        assert b"101 Switching Protocols" in await answered(central.gateway.port, request)
        station = await central.station()
        assert (station.remote_address, station.profile) == (address, profile)


async def test_who_ought_to_announce_and_does_not_is_cut_off() -> None:
    async with listening(open_inline(), **PROXIES) as central:
        await central.onboard("CS 1")
        assert await answered(central.gateway.port, REQUEST) == b""
        assert central.metric("csms_handshakes_refused_total", reason="no_proxy_header") == 1


async def test_who_is_not_trusted_announces_in_vain() -> None:
    async with listening(open_inline(), trusted_proxies=("10.0.0.0/8",), proxy_protocol=True) as c:
        await c.onboard("CS 1")
        line = b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n"
        reply = await answered(c.gateway.port, line + REQUEST)
        assert b"101" not in reply.partition(b"\r\n")[0]
        async with c.connect("CS 1"):
            assert (await c.station()).remote_address == "127.0.0.1"


async def test_those_who_say_nothing_are_cut_off_oldest_first() -> None:
    async with listening(open_inline(), max_handshakes=2, **PROXIES) as central:
        ends = [await asyncio.open_connection("127.0.0.1", central.gateway.port) for _ in range(3)]
        async with asyncio.timeout(10):
            try:
                assert await ends[0][0].read() == b""
            except ConnectionError:
                pass
        await until(lambda: central.gateway.silent == 2)
        for _, writer in ends:
            writer.close()
    assert Arrivals(1).silent == {}


# -- sending ---------------------------------------------------------------------------------------


async def test_what_is_sent_arrives_in_order_and_whole_with_and_without_compression() -> None:
    async with listening(open_inline()) as central:
        await central.onboard("CS 1")
        for compression in ("deflate", None):
            async with central.connect("CS 1", compression=compression) as socket:
                connection = central.link()._websocket
                sent = [str(n) * (1 + 997 * n) for n in range(40)]
                for text in sent:
                    await connection.send(text)
                # The other ways of the library are open as before.
                await connection.send(b"bytes", text=True)
                assert [await socket.connection.recv() for _ in sent] == sent
                assert await socket.connection.recv() == "bytes"


async def test_who_does_not_read_is_waited_for() -> None:
    async with listening(open_inline()) as central:
        await central.onboard("CS 1")
        async with central.connect("CS 1", narrow=True):
            connection = central.link()._websocket

            async def talk() -> None:
                while True:
                    await connection.send("x" * 65_536)

            talking = asyncio.create_task(talk())
            await until(lambda: connection.paused)
            assert not talking.done()
            assert connection.transport.get_write_buffer_size() < 1_000_000
            talking.cancel()


async def test_on_a_connection_that_is_gone_it_says_so() -> None:
    async with listening(open_inline()) as central:
        await central.onboard("CS 1")
        async with central.connect("CS 1"):
            connection = central.link()._websocket
            connection.transport.abort()
            await connection.send("nobody knows yet")
            await connection.wait_closed()
            with pytest.raises(ConnectionClosed):
                await connection.send("too late")


async def test_one_that_is_lost_while_its_request_is_read_is_in_no_line() -> None:
    async with listening(open_inline()) as central:
        await central.onboard("CS 1")
        async with central.connect("CS 1"):
            connection = central.link()._websocket
            connection.transport.abort()
            await connection.wait_closed()
            line = Line()
            assert connection.lines_up(line) is None
            assert line.length == 0


async def test_as_many_as_may_are_worked_on_and_the_others_follow_in_order() -> None:
    async with listening(open_inline()) as central:
        turns, line = asyncio.Semaphore(2), Line()
        async with AsyncExitStack() as stack:
            found = []
            for name in ("CS 1", "CS 2", "CS 3", "CS 4", "CS 5"):
                await central.onboard(name)
                await stack.enter_async_context(central.connect(name))
                found.append(central.link(name)._websocket)
            waiting = []
            for connection in found:
                assert connection.lines_up(line) is None
                waiting.append(asyncio.create_task(connection.takes_turn(turns)))
            await asyncio.wait(waiting[:2])
            assert not any(one.done() for one in waiting[2:])
            # One whose link opens, and one that is lost while it waits.
            found[2].transport.abort()
            await found[2].wait_closed()
            found[0].leaves_line(opened=True)
            found[0].leaves_line(opened=False)
            await asyncio.wait(waiting[:4])
            assert not waiting[4].done()
            found[1].transport.abort()
            await asyncio.wait(waiting)
            found[3].leaves_line(opened=False)
            found[4].leaves_line(opened=False)
            assert line.length == 0
            assert not turns.locked()
            await turns.acquire()
            await turns.acquire()
            assert turns.locked()
