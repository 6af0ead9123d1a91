"""The load generator: lanes over raw asyncio protocols, and the two ways to drive them.

*Closed loop*: every lane sends its next message as soon as the last one is answered; this finds the
highest rate. *Paced*: messages arrive at a given rate whether or not the server keeps up, and the
time that one had to wait for its lane counts as latency; this gives honest latencies.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

from chargers.frames import CLOSE, PING, PONG, TEXT, FrameReader, masked
from tests.benchmarks.scripts import Script

S = TypeVar("S")
TICK_S = 0.001
DRAIN_S = 30.0
OPEN_S = 30.0
# Linux has ports for some 28,000 links from one address to one listener, and looks at every second
# one first: when those are taken, finding a free one takes milliseconds.
LINKS_PER_ADDRESS = 10_000


class Broken(Exception):
    """The server did what it must not do, or died: the run has no figures."""


class Lane(asyncio.Protocol):
    """One connection with one call outstanding."""

    __slots__ = (
        "_answer",
        "_opened",
        "_opening",
        "_reader",
        "_request",
        "_transport",
        "due",
        "idle",
        "load",
        "script",
        "since",
    )

    def __init__(self, load: Load, request: bytes) -> None:
        self.load = load
        self.script: Script | None = None
        self.idle = True
        self.since = 0.0
        self.due: deque[float] = deque()
        self._request = request
        self._reader = FrameReader()
        self._opening = b""
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer: asyncio.Future[Any] | None = None

    # -- what asyncio calls ------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        # Nearly always exactly one short text frame.
        if (
            data[0] == 0x81
            and len(data) == data[1] + 2
            and self._reader.empty
            and self._answer is None
        ):
            self._answered(data[2:])
            return
        if not self._opened.done():
            self._open(data)
        else:
            self._frames(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.load.closing:
            self.load.fail(f"the server closed a link ({exc or 'end of stream'})")

    # -- reading -----------------------------------------------------------------------------

    def _open(self, data: bytes) -> None:
        self._opening += data
        head, end, rest = self._opening.partition(b"\r\n\r\n")
        if not end:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            self.load.fail(f"a link was refused: {head.splitlines()[0].decode('latin-1')}")
            return
        self._opened.set_result(None)
        if rest:
            self._frames(rest)

    def _frames(self, data: bytes) -> None:
        for opcode, payload in self._reader.feed(data):
            if opcode == PING:
                self._transport.write(masked(payload, PONG))
            elif opcode == CLOSE:
                self.load.fail(f"the server closed a link: {payload[2:].decode(errors='replace')}")
            elif opcode == TEXT and self._answer is not None:
                self._answer.set_result(json.loads(payload))
                self._answer = None
            elif opcode == TEXT:
                self._answered(payload)

    def _answered(self, payload: bytes) -> None:
        now = perf_counter()
        script, load = self.script, self.load
        if script is None or payload[:4] != b'[3,"' or payload[4:14] != script.message_id:
            load.fail(f"not the answer that was expected: {payload[:200]!r}")
            return
        script.acknowledged += 1
        load.latencies.append(now - self.since)
        if load.closed_loop:
            self.since = now
            self._transport.write(script.next())
        elif self.due:
            self.since = self.due.popleft()
            self._transport.write(script.next())
        else:
            self.idle = True

    # -- sending -----------------------------------------------------------------------------

    async def opened(self) -> None:
        """Returns when the link is up."""
        await self.load.bounded(self._opened, OPEN_S, "opening a link")

    async def ask(self, text: bytes, *, compressed: bool = False) -> Any:
        """Make one call outside the script; the payload of its result."""
        self._answer = answer = asyncio.get_running_loop().create_future()
        self._transport.write(bytes(masked(text, compressed=compressed)))
        message = await self.load.bounded(answer, OPEN_S, "an answer")
        if message[0] != 3:
            raise Broken(f"a call was refused: {message}")
        return message[2]

    def send(self, since: float) -> None:
        """Send the next message of the script, or queue it behind the one that is open; `since` is
        when its latency begins."""
        if self.idle:
            assert self.script is not None
            self.idle, self.since = False, since
            self._transport.write(self.script.next())
        else:
            self.due.append(since)

    def close(self) -> None:
        """Drop the connection."""
        self._transport.abort()


@dataclass(frozen=True, slots=True)
class Measured:
    """What the lanes saw in one window. `latencies_s` is sorted; `sampled` is what the caller asked
    to have read at both ends of the window."""

    seconds: float
    messages: int
    latencies_s: array[float]
    generator_share: float
    sampled: tuple[Any, Any]

    def latency_ms(self, part: float) -> float | None:
        """A quantile of the latencies."""
        found = self.latencies_s
        return found[min(len(found) - 1, int(len(found) * part))] * 1000 if found else None


class Load:
    """All lanes of a run, and the switch they look at."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self.latencies: array[float] = array("d")
        self.closed_loop = False
        self.closing = False
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, why: str) -> None:
        """Something went wrong on a lane: whoever waits for the load is told."""
        if not self._failed.done():
            self._failed.set_exception(Broken(why))

    async def bounded(self, future: asyncio.Future[S], within_s: float, what: str) -> S:
        """The future's result; raises `Broken` when the load fails or time is up."""
        await asyncio.wait(
            {future, self._failed}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED
        )
        if self._failed.done():
            self._failed.result()
        if not future.done():
            raise Broken(f"{what} took more than {within_s:g} s")
        return future.result()

    async def connect(self, port: int, request: bytes, source: str | None = None) -> Lane:
        """Open one more lane, from a given local address if there is one."""
        loop = asyncio.get_running_loop()
        lane = Lane(self, request)
        local = (source, 0) if source else None
        await loop.create_connection(lambda: lane, "127.0.0.1", port, local_addr=local)
        await lane.opened()
        self.lanes.append(lane)
        return lane

    def close(self) -> None:
        """Drop every connection."""
        self.closing = True
        for lane in self.lanes:
            lane.close()
        if self._failed.done():
            self._failed.exception()

    # -- driving -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the closed loop on every lane; `drain` ends it."""
        self.closed_loop = True
        now = perf_counter()
        for lane in self.lanes:
            lane.send(now)

    async def flat_out(
        self, warm_up_s: float, seconds: float, sample: Callable[[], Any]
    ) -> Measured:
        """Closed loop on every lane."""
        self.start()
        await self._rest(warm_up_s)
        return await self._window(self._rest(seconds), sample)

    async def paced(
        self, rate: float, warm_up_s: float, seconds: float, sample: Callable[[], Any]
    ) -> Measured:
        """`rate` messages per second over all lanes in turn, released once a millisecond."""
        turn = [0]
        await self._release(rate, warm_up_s, turn)
        return await self._window(self._release(rate, seconds, turn), sample)

    async def drain(self) -> None:
        """Send nothing more and wait for what is open; raises `Broken` if an answer is missing."""
        self.closed_loop = False
        for lane in self.lanes:
            lane.due.clear()
        deadline = perf_counter() + DRAIN_S
        while waiting := sum(not lane.idle for lane in self.lanes):
            if perf_counter() > deadline:
                raise Broken(f"{waiting} calls were never answered")
            await self._rest(0.01)

    async def _rest(self, seconds: float) -> None:
        await asyncio.wait({self._failed}, timeout=seconds)
        if self._failed.done():
            self._failed.result()

    async def _release(self, rate: float, seconds: float, turn: list[int]) -> None:
        begin = perf_counter()
        released, lanes = 0, self.lanes
        while (now := perf_counter()) < begin + seconds:
            due = int((now - begin) * rate)
            for _ in range(due - released):
                lanes[turn[0] % len(lanes)].send(now)
                turn[0] += 1
            released = due
            await asyncio.sleep(TICK_S)
            if self._failed.done():
                self._failed.result()

    async def _window(self, driving: Any, sample: Callable[[], Any]) -> Measured:
        """Measure while `driving` runs. The generator's own garbage collector is off meanwhile:
        its pauses would be read as the server's."""
        gc.collect()
        gc.disable()
        try:
            before = sample()
            busy, begin = time.process_time(), perf_counter()
            self.latencies = array("d")
            await driving
            latencies, self.latencies = self.latencies, array("d")
            seconds, used = perf_counter() - begin, time.process_time() - busy
            after = sample()
        finally:
            gc.enable()
        return Measured(
            seconds,
            len(latencies),
            array("d", sorted(latencies)),
            used / seconds,
            (before, after),
        )
