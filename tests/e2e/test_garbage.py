"""What is not OCPP, on the port with TLS of a system in a process of its own: it is ended in
bounded time, costs nothing that stays, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from chargers.frames import masked, upgrade
from tests.support.operator import Operator, station
from tests.support.system import System, free_port
from tests.support.waiting import until

OPEN_S = 1.5
# The time to say something, the time to close, and what a busy machine adds.
ENDED_WITHIN_S = OPEN_S + 1.0 + 15.0
AT_ONCE = 10
PACE_S = 0.05
ANSWERS = 100
# What a process may keep after garbage from two hundred connections: far less than they sent.
MEMORY_KB = 16_000

Say = Callable[[asyncio.StreamWriter], Any]


def once(data: bytes) -> Say:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return say


async def drained(writer: asyncio.StreamWriter) -> None:
    """Returns after the loop has had a turn: draining alone gives it none while there is room."""
    await writer.drain()
    await asyncio.sleep(0)


async def endless_header(writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /ocpp/BAD HTTP/1.1\r\n")
    while True:
        writer.write(b"X-More: " + b"a" * 1_000 + b"\r\n")
        await drained(writer)


async def endless_line(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"a" * 10_000)
        await drained(writer)


async def a_byte_at_a_time(writer: asyncio.StreamWriter) -> None:
    """So slow that the request never becomes whole in its time."""
    for byte in b"GET /ocpp/BAD HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 10_000:
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(PACE_S)


NOISE = random.Random(3).randbytes(64_000)
KINDS: dict[str, Say] = {
    "silence": once(b""),
    "noise": once(NOISE),
    "HTTP/2": once(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)),
    "half a request": once(b"GET /ocpp/BAD HTTP/1.1\r\nHost: loc"),
    "a body": once(b"POST /ocpp/BAD HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + NOISE),
    "an endless header": endless_header,
    "an endless line": endless_line,
    "a byte at a time": a_byte_at_a_time,
}


async def ended(port: int, context: ssl.SSLContext, say: Say) -> None:
    """Connect, say it, and then nothing; returns when the other side has ended it."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    saying = loop.create_task(say(writer))
    try:
        with contextlib.suppress(OSError, ssl.SSLError):
            while await reader.read(65_536):
                pass
    finally:
        saying.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, ssl.SSLError):
            await saying
        writer.transport.abort()


@pytest.fixture
async def secured(system: System, tmp_path: Path) -> tuple[System, int, ssl.SSLContext]:
    """A running system, its port with TLS, and how to connect there."""
    port = free_port()
    await system.init(
        "--tls",
        CSMS_OCPP__TLS__PORT=str(port),
        CSMS_OCPP__OPEN_TIMEOUT_S=str(OPEN_S),
        CSMS_OCPP__CLOSE_TIMEOUT_S="0.5",
        CSMS_OCPP__SETTLE_S="3600",
    )
    await system.start()
    return system, port, ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.pem"))


async def test_garbage_behind_tls_is_ended_and_nobody_notices(
    secured: tuple[System, int, ssl.SSLContext],
) -> None:
    system, port, context = secured
    operator = Operator(system)
    secrets = await operator.add("GOOD", "BAD")
    url = f"wss://localhost:{port}/ocpp"

    async def all_kinds() -> None:
        async with asyncio.timeout(ENDED_WITHIN_S), asyncio.TaskGroup() as tasks:
            for say in KINDS.values():
                for _ in range(AT_ONCE):
                    tasks.create_task(ended(port, context, say))

    async with station(url, "GOOD", secrets["GOOD"], ssl=context) as good:
        await all_kinds()
        memory, files = operator.memory_kb, operator.files
        bad = asyncio.create_task(all_kinds())
        beats = 0
        while not bad.done():
            await good.is_alive()
            beats += 1
        await bad
        assert beats > 20
        await until(lambda: operator.files <= files)
        assert operator.memory_kb - memory < MEMORY_KB
        for gauge in ("csms_handshakes", "csms_handshakes_silent", "csms_tls_handshakes"):
            assert await operator.metric(gauge) == 0, gauge
        refused = await operator.metric("csms_handshakes_refused_total", reason="no_request")
        assert refused >= 2 * AT_ONCE * (len(KINDS) - 1)
        # Whoever is let in and then talks nonsense loses its own link.
        async with asyncio.timeout(ENDED_WITHIN_S):
            request = upgrade("/ocpp/BAD", "ocpp1.6", "BAD", secrets["BAD"], deflate=False)
            await ended(port, context, once(request + NOISE))
        await good.is_alive()
        assert (await operator.readyz())[0] == 200
    assert await system.stop() == 0
    assert "Traceback" not in operator.log, operator.log


async def test_stations_that_misbehave_hurt_only_themselves(system: System) -> None:
    """One floods and never reads, one sends 10 MB; the third is answered all the while."""
    await system.init(CSMS_OCPP__SETTLE_S="3600")
    await system.start()
    operator = Operator(system)
    secrets = await operator.add("GOOD", "FLOODS", "LARGE")
    async with (
        station(system.station_url, "GOOD", secrets["GOOD"]) as good,
        station(system.station_url, "LARGE", secrets["LARGE"], compression=None) as large,
    ):
        # As little room for answers as there is, so that they soon find none.
        reading = socket.socket()
        reading.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        reading.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(reading, ("127.0.0.1", system.ocpp_port))
        request = upgrade("/ocpp/FLOODS", "ocpp1.6", "FLOODS", secrets["FLOODS"], deflate=False)
        long = "i" * 240
        calls = [masked(f'[2,"{n}{long}","Heartbeat",{{}}]'.encode()) for n in range(100)]

        async def floods() -> None:
            with contextlib.suppress(OSError):
                await loop.sock_sendall(reading, request)
                while True:
                    await loop.sock_sendall(reading, b"".join(calls))

        async def gone() -> bool:
            return await operator.metric("csms_links") == 1

        memory = operator.memory_kb
        flooding = asyncio.create_task(floods())
        with contextlib.suppress(ConnectionClosed):
            await large.sends("x" * 10_000_000)
        assert (await large.closed())[0] == 1009

        for _ in range(ANSWERS):
            await good.is_alive()
        # One call of each link at a time, however much it has sent.
        assert await operator.metric("csms_store_queue") <= 3
        assert not flooding.done()
        flooding.cancel()
        await asyncio.wait((flooding,))
        reading.close()
        await until(gone)
        assert operator.memory_kb - memory < MEMORY_KB
        ended = await operator.metric("csms_links_ended_total", reason="message_too_large")
        assert ended == 1
        assert (await operator.get("/stations/LARGE"))["violations"] == {"message_too_large": 1}
    assert await system.stop() == 0
    assert "message_too_large" in operator.log
    assert "Traceback" not in operator.log, operator.log
