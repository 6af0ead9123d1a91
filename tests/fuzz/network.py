"""A central system in memory: links of several stations on one store, each with its own end of a
WebSocket that a test holds.

The double stands at the lowest seam, in place of the socket: machine, validation, repair, routes,
handlers, store and answers are the real ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from websockets.exceptions import ConnectionClosedOK
from websockets.frames import Close

from csms.core import stations, tokens
from csms.core.ids import Origin
from csms.core.stations import NewStation, Registration, Station
from csms.core.tokens import Token
from csms.flows.exchange import Nobody
from csms.observability import Metrics
from csms.ocpp.link import Link, LinkLimits
from csms.ocpp.rpc import Failure, Result
from csms.ocpp.versions import PROTOCOLS, Protocol
from csms.storage.open import open_inline
from tests.support.ocpp import NOW, PARTY, at_once

VERSIONS = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}
TOKENS = ("CARD", "OTHER", "good-1.6", "good-2.0.1", "good-2.1")
TURNS = 200
"""Turns of the event loop in which an answer must have come: nothing here waits for the world."""


class MemorySocket:
    """The server's view of a WebSocket; the test is the station."""

    close_timeout = 1.0

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.sent: list[str] = []
        self.close_sent: Close | None = None
        self.close_rcvd: Close | None = None
        self.close_rcvd_then_sent: bool | None = None
        self.transport = self
        self.protocol = self
        self.waiting = False

    @property
    def close_exc(self) -> ConnectionClosedOK:
        return ConnectionClosedOK(None, None)

    async def recv(self, decode: bool | None = None) -> bytes:
        self.waiting = self.inbox.empty()
        frame = await self.inbox.get()
        self.waiting = False
        if frame is None:
            if self.close_sent is None:
                self.close_rcvd, self.close_rcvd_then_sent = Close(1000, ""), True
            raise self.close_exc
        return frame

    async def send(self, frame: str) -> None:
        if self.close_sent or self.close_rcvd:
            raise self.close_exc
        # What goes out must be text that can be written.
        frame.encode()
        self.sent.append(frame)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if self.close_sent is None:
            self.close_sent = Close(code, reason)
            self.inbox.put_nowait(None)

    async def wait_closed(self) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.inbox.put_nowait(None)


class Peer:
    """A station with its link."""

    def __init__(self, network: Network, name: str, version: str) -> None:
        self.network = network
        self.name = name
        self.version = version
        self.socket = MemorySocket()
        network.store.run(stations.onboard, name, NewStation(name, PARTY, 2), NOW)
        self.link: Link
        self.ended: str | None = None
        self._calls = 0

    def registers(self, registration: str) -> None:
        if registration != "new":
            wanted = Registration(registration)
            self.network.store.run(
                lambda tx: stations.change(tx, self.name, NOW, registration=wanted)
            )

    async def run(self) -> None:
        station = self.network.get(Station, self.name)
        self.link = Link(
            self.socket,  # type: ignore[arg-type]
            station,
            self.network.protocols[VERSIONS[self.version]],
            self.network.store,
            Nobody(),
            self.network.metrics,
            LinkLimits(),
            self.network.clock,
            self.network.late,
        )
        self.ended = await self.link.run()

    async def gives(self, frame: bytes) -> list[str]:
        """Send a frame; everything that came back because of it."""
        before = len(self.socket.sent)
        self.socket.waiting = False
        self.socket.inbox.put_nowait(frame)
        await self.settled()
        return self.socket.sent[before:]

    async def settled(self) -> None:
        """The link has read all there is, and what it started has had its turns."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
            if self.socket.waiting or self.ended is not None:
                break
        else:
            raise AssertionError(f"{self.name} did not come back to reading")
        for _ in range(6):
            await asyncio.sleep(0)

    async def calls(self, action: str, payload: dict[str, Any]) -> Any:
        """A call as a good station makes it; the payload of its result."""
        self._calls += 1
        message_id = f"{self.name} {self._calls}"
        answers = await self.gives(json.dumps([2, message_id, action, payload]).encode())
        assert len(answers) == 1, answers
        kind, answered, *rest = json.loads(answers[0])
        assert (kind, answered) == (3, message_id), answers
        return rest[0]


class Network:
    """The store, the clock and the versions of one example."""

    def __init__(self, protocols: Mapping[str, Protocol] = PROTOCOLS) -> None:
        self.protocols = protocols
        self.store = open_inline()
        self.metrics = Metrics()
        self.now = NOW
        self.lates: list[Result | Failure] = []
        for uid in TOKENS:
            self.store.run(tokens.add, Token(PARTY, "", "rfid", uid, NOW), NOW)
        blocked = Token(PARTY, "", "rfid", "BLOCKED", NOW, blocked=True)
        self.store.run(tokens.add, blocked, NOW)

    def clock(self) -> datetime:
        self.now += timedelta(milliseconds=250)
        return self.now

    def late(self, link: Link, message_id: str, outcome: Result | Failure) -> None:
        self.lates.append(outcome)

    def origin(self, peer: Peer) -> Origin:
        return Origin(peer.name, peer.name, peer.version, self.now)

    def get(self, kind: type[Any], *key: Any) -> Any:
        return self.store.run(lambda tx: tx.get(kind, *key))

    def rows(self, kind: type[Any]) -> list[Any]:
        """All rows of a table."""
        return at_once(self.store.reader.page(kind, {}, limit=100_000))

    @asynccontextmanager
    async def live(self, *peers: Peer) -> AsyncIterator[None]:
        """The links run inside the block; they are ended at its end, and an exception out of one
        is raised here."""
        async with asyncio.TaskGroup() as tasks:
            for peer in peers:
                tasks.create_task(peer.run(), name=f"link {peer.name}")
            for peer in peers:
                await peer.settled()
            try:
                yield
            finally:
                for peer in peers:
                    peer.socket.inbox.put_nowait(None)
