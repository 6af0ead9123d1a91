"""The HTTP side: uvicorn inside this process, and how long it waits for those who connect to it.

By itself uvicorn ends no connection on which nothing is said, nor half a header or half a body, and
once there are too many it answers 503 to everybody. Here every wait for a peer has an end, and of
too many connections the one that has been waited for longest is cut. What the application does with
a whole request takes as long as it takes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from csms.core.errors import CsmsError
from csms.forwarded import Proxies
from csms.observability import Metrics, Read

STOP_S = 5
# What a connection is cut for.
NO_REQUEST, NO_BODY, NOT_READING, CROWDED = "no_request", "no_body", "not_reading", "crowded"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """`header_timeout_s`: from connecting, or from the answer before, until the header of a request
    is whole; `body_timeout_s`: from then until its body is. `send_timeout_s`: for how long a peer
    may take nothing of its answer. Beyond `max_connections` one is cut, or gets 503 where all of
    them are being answered. `trusted_proxies`: networks whose X-Forwarded-For is believed."""

    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    send_timeout_s: float = 20.0
    max_connections: int = 1_000
    trusted_proxies: tuple[str, ...] = ()

    def patience_s(self, reason: str) -> float:
        """How long is waited before a connection is cut for that."""
        if reason == NO_REQUEST:
            return self.header_timeout_s
        return self.body_timeout_s if reason == NO_BODY else self.send_timeout_s


@dataclass(slots=True)
class Crowd:
    """The connections of one server. `awaited`: those whose peer has to do something, the one that
    has been waited for longest first. `refused(reason)` is told of each that is cut."""

    limits: HttpLimits
    refused: Callable[[str], None] = lambda reason: None
    awaited: dict[Connection, None] = field(default_factory=dict)

    def came(self, connection: Connection) -> None:
        """Make room for it; where all others are being answered it is the one that is refused."""
        if len(connection.connections) <= self.limits.max_connections:
            return
        longest = next(iter(self.awaited))
        if longest is not connection:
            longest.cut(CROWDED)
        else:
            # For uvicorn to answer its request with 503.
            connection.limit_concurrency = 0


class Connection(H11Protocol):
    """A connection with a deadline for whatever its peer has to do."""

    def __init__(self, crowd: Crowd, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._crowd = crowd
        self._awaited: str | None = None
        self._deadline: asyncio.TimerHandle | None = None

    # The library names a narrower type than the protocol of asyncio that it implements.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()
        self._crowd.came(self)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def cut(self, reason: str) -> None:
        """End it now, whatever there is to be sent. It counts no more, though the loop may tell of
        its end later."""
        self._wait_no_more()
        self.connections.discard(self)
        self._crowd.refused(reason)
        self.transport.abort()

    def _waits_for(self) -> str | None:
        """What it would be cut for; None: it is for us to do something."""
        if self.flow.write_paused:
            return NOT_READING
        if self.cycle is None or self.cycle.response_complete:
            return NO_REQUEST
        return NO_BODY if self.cycle.more_body else None

    def _wait(self) -> None:
        """From now on, if it is for another thing than before: half a header makes no time."""
        reason = self._waits_for()
        if reason == self._awaited:
            return
        self._wait_no_more()
        if reason is None:
            return
        self._awaited = reason
        self._crowd.awaited[self] = None
        self._wait_until_late(reason)

    def _wait_until_late(self, reason: str) -> None:
        self._deadline = self.loop.call_later(
            self._crowd.limits.patience_s(reason),
            self._late,
            reason,
            self.transport.get_write_buffer_size(),
        )

    def _late(self, reason: str, unsent: int) -> None:
        if reason == NOT_READING and self.transport.get_write_buffer_size() < unsent:
            # A long answer over a slow line.
            self._wait_until_late(reason)
        else:
            self.cut(reason)

    def _wait_no_more(self) -> None:
        self._awaited = None
        self._crowd.awaited.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def seen_from(app: ASGIApp, proxies: Proxies) -> ASGIApp:
    """The application, told the address of who asks, where a trusted proxy asks for somebody."""

    async def seen(scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope["client"]
        if peer is not None and peer[0] in proxies:
            said = [v.decode("latin-1") for k, v in scope["headers"] if k == b"x-forwarded-for"]
            # At which port of its own is not known.
            scope["client"] = (proxies.client(peer[0], said), 0)
        await app(scope, receive, send)

    return seen


@asynccontextmanager
async def serving(
    app: ASGIApp, listeners: list[socket.socket], limits: HttpLimits, metrics: Metrics
) -> AsyncIterator[None]:
    """The application is served on these sockets, which are bound, while the block runs."""
    crowd = Crowd(limits, lambda reason: metrics.http_cut.labels(reason).inc())
    config = uvicorn.Config(
        seen_from(app, Proxies(limits.trusted_proxies)),
        http=cast(type[asyncio.Protocol], partial(Connection, crowd)),
        ws="none",
        # It would believe whoever connects from this machine.
        proxy_headers=False,
        log_config=None,
        # It warns of whatever a single peer says.
        log_level="error",
        access_log=False,
        lifespan="off",
        # All that have queued are accepted together, before any of their requests is read: were
        # they more than there is room for, they would cut each other off, again and again.
        backlog=max(1, limits.max_connections // 2),
        timeout_graceful_shutdown=STOP_S,
        # Here a bound for what goes on although those who have asked for it are gone.
        limit_concurrency=2 * limits.max_connections,
    )
    server = uvicorn.Server(config)
    metrics.reads(
        http_connections=Read(
            "gauge", "HTTP connections", lambda: len(server.server_state.connections)
        ),
        http_connections_limit=Read("gauge", "More are cut", lambda: limits.max_connections),
    )
    # Signals are the business of the command line.
    running = asyncio.create_task(_serve(server, listeners), name="http")
    try:
        while not server.started:
            if running.done():
                await running
                raise CsmsError("the HTTP server did not start")
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await running


async def _serve(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
    # `Server.serve` would take over the process's signal handlers; `_serve` is what it wraps.
    await server._serve(sockets)
