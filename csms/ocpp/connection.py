"""A station's connection up to the upgrade: for whom it is, and what was found out about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from csms.core.logins import Login
from csms.core.quirks import DEFAULTS, Switches
from csms.core.stations import Station
from csms.ocpp.line import Line
from csms.ocpp.proxy import NoHeader, announced
from csms.ocpp.tls import shaken


@dataclass(slots=True)
class Arrivals:
    """The connections of a gateway that have sent no request yet, oldest first. Over `most` of them
    the oldest is cut off: who wants to connect sends its request at once. `announces(address)`:
    whether a balancer there says first for whom it connects; `refused(reason)` is told of those
    that do not say it as they should, and of those that ended without a request (`no_request`)."""

    most: int
    announces: Callable[[str], bool] = lambda address: False
    refused: Callable[[str], None] = lambda reason: None
    silent: dict[ServerConnection, None] = field(default_factory=dict)

    def came(self, connection: ServerConnection) -> None:
        self.silent[connection] = None
        if len(self.silent) > self.most:
            oldest = next(iter(self.silent))
            self.gone(oldest)
            oldest.transport.abort()

    def spoke(self, connection: ServerConnection) -> None:
        """It has sent its request."""
        self.silent.pop(connection, None)

    def gone(self, connection: ServerConnection) -> None:
        """It is over, whether or not it has sent one."""
        if connection in self.silent:
            del self.silent[connection]
            self.refused("no_request")


class StationConnection(ServerConnection):
    """A connection, with what was found out about it before the upgrade. `peer`: the address that
    it comes from, as a balancer that is believed has announced it; `unnamed`: one has announced
    nobody, so that `peer` is the balancer, and what is sent still another's."""

    station: Station
    login: Login
    client_address: str
    peer: str
    unnamed: bool = False
    switches: Switches = DEFAULTS
    noted: tuple[str, ...] = ()

    def __init__(self, arrivals: Arrivals, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._arrivals = arrivals
        self._line: Line | None = None
        self._turns: asyncio.Semaphore | None = None
        self._gone = False
        # What came before the header of a balancer was whole; None: nothing is waited for.
        self._header: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        secure = transport.get_extra_info("ssl_object")
        shaken(secure)
        self.peer = str(transport.get_extra_info("peername")[0])
        # Inside TLS it is the station that speaks.
        announced_first = secure is None and self._arrivals.announces(self.peer)
        self._header = b"" if announced_first else None
        self._arrivals.came(self)

    def data_received(self, data: bytes) -> None:
        if self._header is not None:
            data = self._after_header(self._header + data)
            if not data:
                return
        super().data_received(data)

    def _after_header(self, data: bytes) -> bytes:
        """What the client itself has sent; nothing so far while the header is not whole."""
        try:
            found = announced(data)
        except NoHeader:
            self._arrivals.refused("no_proxy_header")
            self.transport.abort()
            return b""
        if found is None:
            self._header = data
            return b""
        self._header = None
        self.peer = found.address or self.peer
        self.unnamed = found.address is None
        return data[found.length :]

    async def send(self, message: Any, *, text: bool | None = None) -> None:
        """As the library has it. What a system says is nearly always one whole text on a connection
        that is open: that goes straight through the library's protocol, for half of the cost."""
        ready = self.protocol.state is State.OPEN and not self.transport.is_closing()
        if not ready or type(message) is not str or text is not None:
            await super().send(message, text=text)
            return
        self.protocol.send_text(message.encode())
        self.send_data()
        if self.paused:
            await self.drain()

    def lines_up(self, line: Line) -> float | None:
        """Its request has come: None when it may go on, else when it should come again (s)."""
        if self._gone:
            # It was lost while its request was being read: nobody would take it out of the line.
            return None
        again_s = line.enter(asyncio.get_running_loop().time())
        if again_s is None:
            self._line = line
        return again_s

    async def takes_turn(self, turns: asyncio.Semaphore) -> None:
        """Wait until there is time for it, and for another link in this second. The turn is given
        back when it leaves the line."""
        await turns.acquire()
        if self._gone or self._line is None:
            turns.release()
            return
        self._turns = turns
        pause_s = self._line.pause_s(asyncio.get_running_loop().time())
        if pause_s > 0:
            await asyncio.sleep(pause_s)

    def leaves_line(self, *, opened: bool) -> None:
        """Its link is open, or it gets none. May be repeated."""
        turns, self._turns = self._turns, None
        if turns is not None:
            turns.release()
        line, self._line = self._line, None
        if line is not None:
            line.leave(asyncio.get_running_loop().time(), opened=opened)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._arrivals.gone(self)
        self.leaves_line(opened=False)
        super().connection_lost(exc)
