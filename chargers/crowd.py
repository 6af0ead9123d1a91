"""A crowd of stations: tens of thousands of links from one process, for load.

Each is a raw asyncio protocol that speaks OCPP 1.6 by a *script*: a generator that yields what to
do next and is sent what was answered. No timers of its own, no objects per message; a link that is
lost connects again, as real stations do, after a pause that grows.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chargers.frames import CLOSE, PING, PONG, TEXT, FrameError, FrameReader, masked, upgrade

SUBPROTOCOL = "ocpp1.6"
ANSWER_WITHIN_S = 60.0
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0
# Connections that are being made, in one process. A station sends its request as soon as it is
# connected; whoever makes thousands of connections first cannot, and is cut off for being silent.
DIALLING = 200
IP_BIND_ADDRESS_NO_PORT = 24  # <linux/in.h>
# Upper bounds of the classes that latencies are counted in: each is a tenth longer than the last.
_BOUNDS_MS = [0.1 * 1.1**n for n in range(150)]


@dataclass(frozen=True, slots=True)
class Say:
    """Make a call and wait for its answer."""

    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """Say nothing for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Settled:
    """It has said all that it has to say after it connected."""


@dataclass(frozen=True, slots=True)
class Meet:
    """Wait until all who come here may go on together."""


Step = Say | Wait | Settled | Meet
Script = Generator[Step, Any, None]


@dataclass(slots=True)
class Tally:
    """What happened, in numbers that can be added up."""

    counts: Counter[str] = field(default_factory=Counter)
    latencies: Counter[int] = field(default_factory=Counter)

    def took(self, seconds: float) -> None:
        low, high, ms = 0, len(_BOUNDS_MS) - 1, seconds * 1_000
        while low < high:
            middle = (low + high) // 2
            if _BOUNDS_MS[middle] < ms:
                low = middle + 1
            else:
                high = middle
        self.latencies[low] += 1

    def add(self, other: Tally) -> None:
        self.counts += other.counts
        self.latencies += other.latencies

    def latency_ms(self, part: float) -> float | None:
        """A quantile, to a tenth of itself."""
        left = part * sum(self.latencies.values())
        for number in sorted(self.latencies):
            left -= self.latencies[number]
            if left <= 0:
                return round(_BOUNDS_MS[number], 1)
        return None

    def as_json(self) -> dict[str, Any]:
        return {"counts": dict(self.counts), "latencies": sorted(self.latencies.items())}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Tally:
        return cls(Counter(told["counts"]), Counter({int(k): n for k, n in told["latencies"]}))


class Crowd:
    """All links of this process. `at_once`: how many may be connecting."""

    def __init__(
        self,
        host: str,
        port: int,
        path: str,
        *,
        at_once: int = 500,
        sources: Sequence[str] = (),
        seed: int = 1,
    ) -> None:
        self.host, self.port, self.path = host, port, path.rstrip("/")
        self.tally = Tally()
        self.members: list[Member] = []
        self.connected = 0
        self.settled = 0
        self.stopping = False
        self.meeting = asyncio.Event()
        self.met = 0
        self.random = random.Random(seed)
        self._sources = list(sources)
        self._room = asyncio.Semaphore(at_once)
        self._dialling = asyncio.Semaphore(DIALLING)

    def join(self, identity: str, token: str, script: Callable[[Member], Script]) -> Member:
        member = Member(self, identity, token, script)
        self.members.append(member)
        return member

    async def connect(self, member: Member) -> None:
        """One attempt; it goes on by callbacks."""
        async with self._room:
            if self.stopping:
                return
            over = member.opening()
            try:
                async with self._dialling, asyncio.timeout(ANSWER_WITHIN_S):
                    await self._dial(member)
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await over
            except Exception as error:
                # Whatever it is, one station must not stay away for good.
                usual = isinstance(error, (OSError, TimeoutError))
                name = "not_connected" if usual else f"not_connected_{type(error).__name__}"
                self.tally.counts[name] += 1
                member.gave_up()

    async def _dial(self, member: Member) -> None:
        """Connect, and send the request."""
        loop = asyncio.get_running_loop()
        if not self._sources:
            await loop.create_connection(lambda: Wire(member), self.host, self.port)
            return
        sock = socket.socket()
        try:
            sock.setblocking(False)
            if sys.platform == "linux":
                # The port is chosen when it connects: among thousands that are taken, finding one
                # for any peer costs more than all the rest.
                sock.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self._sources[member.number % len(self._sources)], 0))
            await loop.sock_connect(sock, (self.host, self.port))
            await loop.create_connection(lambda: Wire(member), sock=sock)
        except BaseException:
            # Also when it is given up: nobody else has the socket yet.
            sock.close()
            raise

    def stop(self) -> None:
        """Drop every link."""
        self.stopping = True
        for member in self.members:
            member.drop()


class Member:
    """One station: its script, and what it waits for."""

    __slots__ = (
        "_attempts",
        "_call",
        "_called_at",
        "_crowd",
        "_dialled",
        "_opening",
        "_pause",
        "_script",
        "_script_of",
        "_task",
        "_timer",
        "_wire",
        "calls",
        "identity",
        "number",
        "settled",
        "state",
        "token",
    )

    def __init__(
        self, crowd: Crowd, identity: str, token: str, script: Callable[[Member], Script]
    ) -> None:
        self.identity, self.token = identity, token
        self.number = len(crowd.members)
        self.calls = 0
        self.settled = False
        # What a script wants to know after a reconnect.
        self.state: dict[str, Any] = {}
        self._crowd = crowd
        self._script_of = script
        self._script: Script | None = None
        self._wire: Wire | None = None
        self._dialled: Wire | None = None
        self._call: tuple[str, Say] | None = None
        self._called_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Future[None] | None = None
        self._attempts = 0
        self._pause: float | None = None
        self._task: asyncio.Task[None] | None = None

    # -- connecting ----------------------------------------------------------------------------

    def start(self, in_s: float = 0.0) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(in_s, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._crowd.connect(self))

    def opening(self) -> asyncio.Future[None]:
        """Done when the attempt that begins now is over, well or not."""
        self._opening = asyncio.get_running_loop().create_future()
        return self._opening

    def gave_up(self) -> None:
        """It was not connected in time: what is under way is dropped, and it tries again."""
        wire, self._dialled = self._dialled, None
        if wire is not None and not wire.over:
            # That it is lost makes it connect again.
            wire.abort()
        elif self._opening is not None:
            self.again()

    def dialled(self, wire: Wire) -> None:
        """Connected; the upgrade is not answered yet."""
        self._dialled = wire

    def again(self) -> None:
        """Connect again after a while."""
        self._end_opening()
        if self._crowd.stopping:
            return
        self._attempts += 1
        pause = min(FIRST_PAUSE_S * 2.0 ** min(self._attempts - 1, 8), LONGEST_PAUSE_S)
        if self._pause is not None:
            pause, self._pause = self._pause, None
        self.start(pause * self._crowd.random.uniform(0.8, 1.2))

    def _end_opening(self) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.set_result(None)
        self._opening = None

    def request(self) -> bytes:
        path = f"{self._crowd.path}/{self.identity}"
        return upgrade(path, SUBPROTOCOL, self.identity, self.token, deflate=True)

    def came_up(self, wire: Wire) -> None:
        self._wire, self._dialled, self._attempts = wire, None, 0
        self._crowd.connected += 1
        self._crowd.tally.counts["connected"] += 1
        self._end_opening()
        self._script = self._script_of(self)
        self._go(None)

    def refused(self, head: bytes) -> None:
        """The upgrade was answered otherwise."""
        status = head.split(b" ", 2)[1].decode("latin-1") if head.count(b" ") else "?"
        self._crowd.tally.counts[f"refused_{status}"] += 1
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"retry-after" and value.strip().isdigit():
                self._pause = float(value)

    def went_down(self, wire: Wire, was_up: bool) -> None:
        if was_up:
            self._crowd.connected -= 1
            self._crowd.tally.counts["links_lost"] += 1
        if self._wire not in (None, wire):
            return
        self._wire = None
        self._stop_waiting()
        if self._call is not None:
            self._crowd.tally.counts["unanswered"] += 1
            self._call = None
        self._script = None
        self.again()

    def drop(self) -> None:
        self._stop_waiting()
        self._end_opening()
        if self._wire is not None:
            self._wire.abort()

    # -- the script ----------------------------------------------------------------------------

    def _go(self, answer: Any) -> None:
        """The next steps of the script, up to one that takes time."""
        loop, script = asyncio.get_running_loop(), self._script
        while script is not None and self._wire is not None and not self._crowd.stopping:
            try:
                step = next(script) if answer is None else script.send(answer)
            except StopIteration:
                return
            answer = None
            if isinstance(step, Say):
                self._say(step)
                self._timer = loop.call_later(ANSWER_WITHIN_S, self._late)
                return
            if isinstance(step, Wait):
                self._timer = loop.call_later(step.seconds, self._go, None)
                return
            if isinstance(step, Meet):
                self._crowd.met += 1
                self._task = loop.create_task(self._meet())
                return
            if not self.settled:
                self.settled = True
                self._crowd.settled += 1

    async def _meet(self) -> None:
        await self._crowd.meeting.wait()
        self._go(None)

    def _say(self, step: Say) -> None:
        assert self._wire is not None
        self.calls += 1
        message_id = str(self.calls)
        text = json.dumps([2, message_id, step.action, step.payload], separators=(",", ":"))
        self._call = (message_id, step)
        self._called_at = asyncio.get_running_loop().time()
        self._wire.write(text.encode())

    def _late(self) -> None:
        """It takes the link for dead, as stations do."""
        self._crowd.tally.counts["answered_too_late"] += 1
        self.drop()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def heard(self, text: bytes) -> None:
        """A message of the central system."""
        message = json.loads(text)
        if message[0] == 2:
            # What it asks of stations is not what is tried here.
            assert self._wire is not None
            self._crowd.tally.counts["asked"] += 1
            answer = json.dumps([4, message[1], "NotSupported", "", {}], separators=(",", ":"))
            self._wire.write(answer.encode())
            return
        if self._call is None or message[1] != self._call[0]:
            self._crowd.tally.counts["unexpected"] += 1
            return
        self._call = None
        self._stop_waiting()
        took = asyncio.get_running_loop().time() - self._called_at
        self._crowd.tally.took(took)
        if message[0] == 3:
            self._crowd.tally.counts["answered"] += 1
            self._go(message[2])
        else:
            self._crowd.tally.counts["errors"] += 1
            self._go({})


class Wire(asyncio.Protocol):
    """One TCP connection of a member."""

    __slots__ = ("_head", "_member", "_reader", "_transport", "_up", "over")

    def __init__(self, member: Member) -> None:
        self._member = member
        self._reader = FrameReader()
        self._head: bytes = b""
        self._up = False
        self.over = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._member.dialled(self)
        transport.write(self._member.request())

    def data_received(self, data: bytes) -> None:
        if not self._up:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            if not head.startswith(b"HTTP/1.1 101"):
                self._member.refused(head)
                self._transport.close()
                return
            self._up = self.over = True
            self._member.came_up(self)
        if data:
            self._frames(data)

    def _frames(self, data: bytes) -> None:
        try:
            frames = self._reader.feed(data)
        except FrameError:
            self._transport.abort()
            return
        for opcode, payload in frames:
            if opcode == TEXT:
                self._member.heard(payload)
            elif opcode == PING:
                self._transport.write(masked(payload, PONG))
            elif opcode == CLOSE:
                self._transport.write(masked(payload[:2], CLOSE))
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True
        self._member.went_down(self, self._up)

    def write(self, text: bytes) -> None:
        self._transport.write(masked(text))

    def abort(self) -> None:
        self._transport.abort()
