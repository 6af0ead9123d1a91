"""Connections in memory that lose, delay and double what goes through them.

A pipe has the faces that `chargers.wire` and `csms.ocpp.link` know of a WebSocket. Frames of one
direction never overtake each other, as on TCP; a pipe that is cut says so to both ends, one that is
*half-open* to neither, until somebody gives up.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close

from csms.core.quirks import DEFAULTS, Switches

LOST = Close(1006, "")


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is: chances per frame, and times in seconds."""

    slowest_s: float = 0.4
    cut: float = 0.006
    half_open: float = 0.002
    doubled: float = 0.01
    # A station's or a server's TCP gives up on a dead connection at last.
    dead_s: float = 50.0


class _Transport:
    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def abort(self) -> None:
        self._pipe.cut()

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


@dataclass
class _Protocol:
    """What a link looks at to tell why it ended."""

    close_sent: Close | None = None
    close_rcvd: Close | None = None
    close_rcvd_then_sent: bool = False

    @property
    def close_exc(self) -> Exception:
        both = self.close_rcvd is not None and self.close_sent is not None
        return ConnectionClosedError(self.close_rcvd, self.close_sent, False if both else None)


class End:
    """One end of a pipe."""

    close_timeout = 5.0
    ping_interval: float | None = 50.0
    keepalive_task: asyncio.Task[None] | None = None

    def __init__(self, pipe: Pipe, side: int) -> None:
        self._pipe, self._side = pipe, side
        self._frames: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._over = asyncio.Event()
        self.transport = _Transport(pipe)
        self.protocol = _Protocol()
        self.subprotocol: str | None = pipe.subprotocol
        # What the gateway has found out before the upgrade.
        self.switches: Switches = DEFAULTS
        self.noted: tuple[str, ...] = ()

    # -- what both sides use -------------------------------------------------------------------

    async def send(self, text: str | bytes) -> None:
        if self._over.is_set():
            raise self._closed()
        self._pipe.carry(self._side, text)
        await asyncio.sleep(0)

    async def recv(self, decode: bool | None = None) -> str | bytes:
        frame = await self._frames.get()
        if frame is None:
            self._frames.put_nowait(None)
            raise self._closed()
        if decode is False and isinstance(frame, str):
            return frame.encode()
        return frame

    def __aiter__(self) -> End:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.recv()
        except ConnectionClosedOK:
            raise StopAsyncIteration from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if not self._over.is_set():
            self.protocol.close_sent = Close(code, reason)
            self._pipe.close(self._side, Close(code, reason))
        await self.wait_closed()

    async def wait_closed(self) -> None:
        await self._over.wait()

    # -- what the pipe does --------------------------------------------------------------------

    def arrive(self, text: str | bytes) -> None:
        if not self._over.is_set():
            self._frames.put_nowait(text)

    def end(self, close: Close) -> None:
        if not self._over.is_set():
            self.protocol.close_rcvd = None if close is LOST else close
            self._over.set()
            self._frames.put_nowait(None)

    def _closed(self) -> Exception:
        rcvd, sent = self.protocol.close_rcvd, self.protocol.close_sent
        if rcvd is not None and rcvd.code in (1000, 1001):
            return ConnectionClosedOK(rcvd, sent, None if sent is None else False)
        return self.protocol.close_exc


@dataclass(eq=False)
class Pipe:
    """`ends`: that of the station, that of the server. `counted` is told what the weather did."""

    rng: random.Random
    weather: Weather
    subprotocol: str
    counted: Callable[[str], None]
    ends: tuple[End, End] = field(init=False)
    half_open: bool = False
    over: bool = False

    def __post_init__(self) -> None:
        self.ends = (End(self, 0), End(self, 1))
        self._due = [0.0, 0.0]

    def carry(self, side: int, text: str | bytes) -> None:
        """A frame from that side to the other."""
        loop, weather, lot = asyncio.get_running_loop(), self.weather, self.rng.random()
        if self.half_open or self.over:
            return
        if lot < weather.cut:
            self.counted("cut")
            loop.call_later(self.rng.uniform(0, weather.slowest_s), self.cut)
            # Whether the frame was still on its way, nobody knows.
            if self.rng.random() < 0.5:
                return
        elif lot < weather.cut + weather.half_open:
            self.counted("half_open")
            self.half_open = True
            loop.call_later(weather.dead_s, self.cut)
            return
        times = 1
        if lot > 1 - weather.doubled:
            self.counted("doubled")
            times = 2
        other = self.ends[1 - side]
        for _ in range(times):
            arrives = loop.time() + self.rng.uniform(0.001, weather.slowest_s)
            # Never at the same moment: what is due together comes in any order.
            due = max(self._due[side] + 1e-6, arrives)
            self._due[side] = due
            loop.call_at(due, other.arrive, text)

    def close(self, side: int, close: Close) -> None:
        """One side closes in order: the other hears of it, unless nothing gets through."""
        loop = asyncio.get_running_loop()
        self.ends[side].end(close)
        if self.half_open:
            return
        due = max(self._due[side] + 1e-6, loop.time() + 0.01)
        loop.call_at(due, self.ends[1 - side].end, close)
        loop.call_at(due + 0.01, self.cut)

    def cut(self) -> None:
        """The connection breaks, for both."""
        if not self.over:
            self.over = True
            for end in self.ends:
                end.end(LOST)
