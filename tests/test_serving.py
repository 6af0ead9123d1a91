"""Whoever connects over HTTP is waited for, for so long and no longer (DESIGN: every wait on a peer
has a deadline), keeps nobody else out, and is who it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import generate_latest

from csms.observability import Metrics
from csms.serving import HttpLimits, serving
from tests.support.waiting import until

LONG_S = 600.0
PATIENT = {"header_timeout_s": LONG_S, "body_timeout_s": LONG_S, "send_timeout_s": LONG_S}
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"Connection: close\r\n\r\n"
HALF_A_HEADER = b"GET / HTTP/1.1\r\nHost: "
HALF_A_BODY = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
CHUNKS = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
# More than the sockets of both sides hold.
LARGE = b"x" * 32_000_000


@dataclass
class Application:
    """Reads a request to its end, and answers; slowly (`/slow`: when `go` is set), with the
    beginning of a stream that ends then (`/stream`), with more than a socket holds (`/large`), or
    before it has read anything (`/refused`). `/lingers`: it goes on when nobody is there."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    told: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.seen.append(scope["client"][0])
        while path != "/refused":
            message = await receive()
            if message["type"] == "http.disconnect":
                self.told.append("gone")
                if path == "/lingers":
                    await self.go.wait()
                return
            if not message["more_body"]:
                break
        if path == "/slow":
            await self.go.wait()
        await send({"type": "http.response.start", "status": 401 if path == "/refused" else 200})
        if path == "/stream":
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await self.go.wait()
        body = LARGE if path == "/large" else b"last"
        await send({"type": "http.response.body", "body": body})
        self.told.append(path)


@dataclass
class Place:
    port: int
    app: Application
    metrics: Metrics
    stack: AsyncExitStack
    peers: list[Peer] = field(default_factory=list)

    async def connect(self, sent: bytes = b"", *, narrow: bool = False) -> Peer:
        """A connection on which that is said, and nothing else; `narrow`: little of an answer fits
        into it."""
        made = socket.socket()
        if narrow:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=made)
        self.stack.callback(writer.transport.abort)
        writer.write(sent)
        # asyncio ends a connection whose reader nobody has.
        self.peers.append(Peer(reader, writer))
        return self.peers[-1]

    async def ask(self, request: bytes = GET) -> bytes:
        """The first line of the answer to a request, on a connection of its own."""
        peer = await self.connect(request)
        async with asyncio.timeout(10):
            return await peer.reader.readline()

    def metric(self, name: str) -> float:
        lines = generate_latest(self.metrics.registry).decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0)

    def cut(self, reason: str) -> float:
        return self.metric(f'csms_http_cut_total{{reason="{reason}"}}')


@dataclass
class Peer:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def rest(self) -> bytes:
        """What is said to it until it is closed."""
        found = b""
        async with asyncio.timeout(10):
            try:
                while data := await self.reader.read(65_536):
                    found += data
            except ConnectionError:
                pass
        return found

    async def says(self, words: bytes) -> None:
        """Wait until that was said to it."""
        async with asyncio.timeout(10):
            await self.reader.readuntil(words)


@asynccontextmanager
async def place(**limits: Any) -> AsyncIterator[Place]:
    """A server with those limits; others are never reached."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app, metrics = Application(), Metrics()
    given = HttpLimits(**{**PATIENT, **limits})
    async with serving(app, [listener], given, metrics), AsyncExitStack() as stack:
        yield Place(listener.getsockname()[1], app, metrics, stack)
        app.go.set()


# -- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", HALF_A_HEADER])
async def test_who_sends_no_whole_header_is_closed(said: bytes) -> None:
    async with place(header_timeout_s=0.2) as here:
        assert await (await here.connect(said)).rest() == b""
        assert here.cut("no_request") == 1
        await until(lambda: here.metric("csms_http_connections ") == 0)


async def test_a_byte_now_and_then_makes_no_time() -> None:
    async with place(header_timeout_s=0.2) as here:
        peer = await here.connect()
        began = asyncio.get_running_loop().time()
        ended = asyncio.create_task(peer.rest())
        while not ended.done():
            peer.writer.write(b"G")
            await asyncio.wait((ended,), timeout=0.02)
        assert asyncio.get_running_loop().time() - began < 5
        assert here.cut("no_request") == 1


async def test_nor_may_the_second_request_of_a_connection_stop_half_way() -> None:
    async with place(header_timeout_s=0.2) as here:
        peer = await here.connect(GET)
        await peer.says(b"last")
        peer.writer.write(HALF_A_HEADER)
        await peer.rest()
        assert here.app.told == ["/"]
        assert here.cut("no_request") == 1


@pytest.mark.parametrize("said", [HALF_A_BODY, CHUNKS])
async def test_a_body_that_does_not_come_is_given_up(said: bytes) -> None:
    async with place(body_timeout_s=0.2) as here:
        assert await (await here.connect(said)).rest() == b""
        assert here.cut("no_body") == 1
        assert here.app.told == ["gone"]


async def test_nor_is_one_waited_for_that_nobody_wants() -> None:
    async with place(header_timeout_s=0.2) as here:
        peer = await here.connect(HALF_A_BODY.replace(b" / ", b" /refused "))
        assert (await peer.rest()).startswith(b"HTTP/1.1 401")
        assert here.cut("no_request") == 1


async def test_who_reads_nothing_of_its_answer_is_cut() -> None:
    async with place(send_timeout_s=0.2) as here:
        await here.connect(GET.replace(b" / ", b" /large "), narrow=True)
        await until(lambda: here.cut("not_reading") == 1)
        await until(lambda: here.metric("csms_http_connections ") == 0)


async def test_who_reads_slowly_gets_all_of_it() -> None:
    """It takes several times as long as nothing may be read."""
    async with place(send_timeout_s=0.5) as here:
        peer = await here.connect(GET.replace(b" / ", b" /large ")[:-2] + CLOSE)
        loop = asyncio.get_running_loop()
        began, pace, found = loop.time(), len(LARGE) / 1.5, 0
        while data := await peer.reader.read(1_000_000):
            found += len(data)
            await until(lambda: loop.time() - began > found / pace)  # noqa: B023
        assert found > len(LARGE)
        assert here.cut("not_reading") == 0


async def test_what_takes_its_time_with_us_is_left_alone() -> None:
    """Event streams, and answers that wait for an outcome."""
    short = {"header_timeout_s": 0.1, "body_timeout_s": 0.1, "send_timeout_s": 0.1}
    async with place(**short) as here:
        slow = await here.connect(GET.replace(b" / ", b" /slow "))
        stream = await here.connect(GET.replace(b" / ", b" /stream "))
        await stream.says(b"first")
        for _ in range(3):
            # Each of them is closed after more than the time that those have been open for.
            await (await here.connect()).rest()
        here.app.go.set()
        await slow.says(b"last")
        await stream.says(b"last")


# -- number ----------------------------------------------------------------------------------------

MOST = 20


@pytest.mark.parametrize("said", [b"", HALF_A_HEADER, HALF_A_BODY])
async def test_too_many_that_are_waited_for_keep_nobody_out(said: bytes) -> None:
    async with place(max_connections=MOST) as here:
        peers = [await here.connect(said) for _ in range(5 * MOST)]
        for _ in range(3):
            assert await here.ask() == b"HTTP/1.1 200 OK\r\n"
        assert here.metric("csms_http_connections ") <= MOST
        assert here.cut("crowded") >= 4 * MOST
        assert await peers[0].rest() == b""


async def test_the_longest_silent_is_cut_and_not_who_is_being_answered() -> None:
    async with place(max_connections=3) as here:
        busy = await here.connect(GET.replace(b" / ", b" /stream "))
        await busy.says(b"first")
        first, second = await here.connect(), await here.connect()
        await until(lambda: here.metric("csms_http_connections ") == 3)
        assert await here.ask() == b"HTTP/1.1 200 OK\r\n"
        assert await first.rest() == b""
        assert here.cut("crowded") == 1
        second.writer.write(GET)
        await second.says(b"last")
        here.app.go.set()
        await busy.says(b"last")


async def test_what_those_leave_behind_keeps_nobody_out_either() -> None:
    async with place(max_connections=3) as here:
        for _ in range(4):
            await here.connect(HALF_A_BODY.replace(b" / ", b" /lingers "))
        await until(lambda: here.app.told == ["gone"])
        assert await here.ask() == b"HTTP/1.1 200 OK\r\n"


async def test_where_all_are_being_answered_one_more_is_refused() -> None:
    async with place(max_connections=2) as here:
        for _ in range(2):
            await (await here.connect(GET.replace(b" / ", b" /stream "))).says(b"first")
        assert await here.ask() == b"HTTP/1.1 503 Service Unavailable\r\n"
        assert here.cut("crowded") == 0


async def test_there_are_no_web_sockets_here() -> None:
    """They would be waited for by rules of their own."""
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    async with place() as here:
        assert await here.ask(GET[:-2] + upgrade + key) == b"HTTP/1.1 200 OK\r\n"


# -- for whom --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        ((), ["203.0.113.9"], "127.0.0.1"),
        (("10.0.0.0/8",), ["203.0.113.9"], "127.0.0.1"),
        (("127.0.0.1",), [], "127.0.0.1"),
        (("127.0.0.1",), ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        (("127.0.0.1", "203.0.113.0/24"), ["6.6.6.6, 2001:db8::1, 203.0.113.9"], "2001:db8::1"),
    ],
)
async def test_whose_word_about_an_address_counts(
    trusted: tuple[str, ...], forwarded: list[str], address: str
) -> None:
    said = "".join(f"X-Forwarded-For: {value}\r\n" for value in forwarded)
    async with place(trusted_proxies=trusted) as here:
        await here.ask(GET[:-2] + said.encode() + b"\r\n")
        assert here.app.seen == [address]
