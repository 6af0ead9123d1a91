"""Behind a balancer that says first for whom it connects."""

from __future__ import annotations

import asyncio

from csms.ocpp.connection import Arrivals
from csms.storage.open import open_inline
from tests.support.balancer import balancer
from tests.support.ocpp_links import basic, listening
from tests.support.waiting import until

PROXIES = {"trusted_proxies": ("127.0.0.0/8",), "proxy_protocol": True}
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
