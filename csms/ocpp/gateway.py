"""The listeners: each port serves all versions; from the TCP connection to a running link.

There is one port without TLS and one with it where certificates are configured, and one set of
limits for both. Order of an attempt: limits, identity and secret (`admission`) before the upgrade,
sub-protocol, the link's generation from the store, then the link runs. Its end is written down,
also when the store was away meanwhile.
"""

from __future__ import annotations

import asyncio
import http
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, cast

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from csms.core import security, stations
from csms.core.errors import CsmsError, StoreUnavailable
from csms.core.ids import Origin
from csms.core.ports import Outside, Store
from csms.core.stations import Station
from csms.flows.messages import MessageLog
from csms.forwarded import Proxies
from csms.observability import Metrics
from csms.ocpp import handshake
from csms.ocpp.admission import Admission, Denial, Failures
from csms.ocpp.connection import Arrivals, StationConnection
from csms.ocpp.draining import DRAINED, GIVEN_UP, SERVICE_RESTART
from csms.ocpp.line import Line, LineLimits
from csms.ocpp.link import (
    GOING_AWAY,
    NOT_READING,
    PROTOCOL_ERROR,
    TRY_AGAIN_LATER,
    Link,
    LinkLimits,
)
from csms.ocpp.listening import Listener
from csms.ocpp.registry import Registry
from csms.ocpp.tls import Certificates
from csms.ocpp.treatment import Treatments
from csms.ocpp.v16.registration import DEFAULT_INTERVALS, Intervals
from csms.ocpp.versions import PROTOCOLS, Protocol, assumed, choose, protocols

log = structlog.get_logger("ocpp.gateway")

RECORD_END_EVERY_S = 1.0
SWEEP_EVERY_S = 30.0
NO_SUBPROTOCOL = "no_subprotocol"
STOPPING = "the central system is stopping"
_WORDS = {
    401: "The user name must be the station's identity and the password its token.",
    403: "This station has to connect with a higher security profile: over TLS, to a wss address.",
    404: "No station of this name is known here. Add it first: csms station add IDENTITY",
    503: "The service cannot take connections now; try again later.",
}


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """`port`: without TLS, None for none; `tls_port`: with it, where there are certificates.
    `max_handshakes`, `handshake_wait_s`, `links_per_s`: see `line`; `handshakes_at_once` of those
    in line are worked on, and the others do not hold up who is in already. `slowed`: refused
    attempts whose answer is being delayed at once, more are answered without delay.
    `proxy_protocol`: trusted proxies say first for whom they connect. `share_ports`: with other
    processes here."""

    host: str = "127.0.0.1"
    port: int | None = 9000
    tls_port: int = 9443
    max_links: int = 18_000
    max_handshakes: int = 5_000
    handshakes_at_once: int = 100
    handshake_wait_s: float = 10.0
    links_per_s: float = 1_000.0
    max_message_bytes: int = 512 * 1024
    max_buffered_frames: int = 8
    open_timeout_s: float = 20.0
    close_timeout_s: float = 5.0
    ping_interval_s: float = 50.0
    ping_timeout_s: float = 50.0
    silent_link_s: float = 900.0
    slowed: int = 200
    backlog: int = 1_024
    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol: bool = False
    share_ports: bool = False
    intervals: Intervals = DEFAULT_INTERVALS
    link: LinkLimits = field(default_factory=LinkLimits)


class Gateway:
    """Accepts stations. `async with Gateway(...)`: listens inside, closes every link at the end."""

    def __init__(
        self,
        store: Store,
        admission: Admission,
        registry: Registry,
        outside: Outside,
        metrics: Metrics,
        limits: GatewayLimits,
        node: str,
        clock: Callable[[], datetime],
        certificates: Certificates | None = None,
        messages: MessageLog | None = None,
        treatments: Treatments | None = None,
        refusing: Callable[[], str | None] = lambda: None,
        moved: Callable[[str, int, str], object] = lambda station_id, generation, node: None,
    ) -> None:
        """`refusing()`: why no station may connect to this node now, None when they may.
        `moved(station id, generation, node)`: its link before was with another node."""
        self._messages = messages
        self._refusing = refusing
        self._moved = moved
        self._treatments = treatments or Treatments(store)
        self._store = store
        self._certificates = certificates
        self._admission = admission
        self._registry = registry
        self._outside = outside
        self._metrics = metrics
        self._limits = limits
        self._node = node
        self._clock = clock
        self._failures = Failures()
        self._proxies = Proxies(limits.trusted_proxies)
        self._arrivals = Arrivals(
            limits.max_handshakes,
            lambda address: limits.proxy_protocol and address in self._proxies,
            lambda reason: metrics.handshakes_refused.labels(reason).inc(),
        )
        self._turns = asyncio.Semaphore(limits.handshakes_at_once)
        self._line = Line(
            LineLimits(limits.max_handshakes, limits.handshake_wait_s, limits.links_per_s)
        )
        self._slowed = 0
        self._protocols = protocols(limits.intervals)
        self._plain: Listener | None = None
        self._secure: Listener | None = None
        self._stopping = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Gateway:
        try:
            if self._limits.port is not None:
                self._plain = await self._listen(self._limits.port)
            if self._certificates is not None:
                self._secure = await self._listen(
                    self._limits.tls_port,
                    ssl=self._certificates.context,
                    ssl_handshake_timeout=self._certificates.handshake_timeout_s,
                    ssl_shutdown_timeout=self._limits.close_timeout_s,
                )
        except OSError:
            # A port that is taken must not leave the other one open.
            await self._close()
            raise
        self._sweeper = asyncio.create_task(self._sweep(), name="sweep silent links")
        return self

    async def _listen(self, port: int, **tls: Any) -> Listener:
        limits = self._limits
        return await Listener.open(
            self._serve,
            limits.host,
            port,
            process_request=self._process_request,
            process_response=self._process_response,
            select_subprotocol=self._select_subprotocol,
            compression=None,
            extensions=[_deflate()],
            max_size=limits.max_message_bytes,
            max_queue=limits.max_buffered_frames,
            open_timeout=limits.open_timeout_s,
            close_timeout=limits.close_timeout_s,
            ping_interval=limits.ping_interval_s,
            ping_timeout=limits.ping_timeout_s,
            # All that have queued are accepted together, before any of their requests is read: were
            # they more than may be silent, they would cut each other off, again and again.
            backlog=min(limits.backlog, max(1, limits.max_handshakes // 2)),
            server_header=None,
            create_connection=cast(
                type[ServerConnection], partial(StationConnection, self._arrivals)
            ),
            reuse_port=limits.share_ports or None,
            **tls,
        )

    async def __aexit__(self, *exc: object) -> None:
        assert self._sweeper is not None
        self._stopping.set()
        self._sweeper.cancel()
        await self._close()

    async def _close(self) -> None:
        reason = STOPPING
        servers = [server for server in (self._plain, self._secure) if server is not None]
        for server in servers:
            server.close(GOING_AWAY, reason)
        # The server would wait for ever for a station that does not read.
        await self._registry.close_all(GOING_AWAY, reason)
        for server in servers:
            await server.wait_closed()

    @property
    def port(self) -> int | None:
        """The port without TLS in use (of interest when 0 was asked for), None for none."""
        return self._plain.port if self._plain is not None else None

    @property
    def tls_port(self) -> int | None:
        """The port with TLS in use, None for none."""
        return self._secure.port if self._secure is not None else None

    @property
    def handshakes(self) -> int:
        """Attempts to connect under way."""
        return self._line.length

    @property
    def silent(self) -> int:
        """Connections that have sent no request yet."""
        return len(self._arrivals.silent)

    @property
    def slowed(self) -> int:
        """Refused attempts whose answer is being delayed."""
        return self._slowed

    # -- before the upgrade ----------------------------------------------------------------------

    async def _process_request(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        self._arrivals.spoke(connection)
        refusing = self._refusing()
        if refusing is not None:
            return self._deny(Denial(503, refusing))
        assert isinstance(connection, StationConnection)
        again_s = connection.lines_up(self._line)
        if again_s is not None:
            return self._deny(Denial(503, "too_many_handshakes"), again_s)
        try:
            await connection.takes_turn(self._turns)
            return await self._admit(connection, request)
        except BaseException:
            connection.leaves_line(opened=False)
            raise

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        address = self._client_address(connection, request)
        headers = request.headers.get_all("Authorization")
        authorization = headers[0] if len(headers) == 1 else None
        secure = self._is_secure(connection, request)
        found = await self._admission.admit(
            request.path, authorization, address, self._clock(), secure=secure
        )
        assert isinstance(connection, StationConnection)
        if isinstance(found, Denial):
            # While its answer is delayed it takes nobody's place.
            connection.leaves_line(opened=False)
            await self._slow_down(address, found)
            return self._deny(found)
        # A station that has a link here may replace it: the old one can be a ghost.
        full = len(self._registry) >= self._limits.max_links
        station = found.station
        if full and not self._registry.holds(station.id):
            connection.leaves_line(opened=False)
            return self._deny(Denial(503, "too_many_links", station.identity))
        switches = self._treatments.of(station, found.policy)
        if not switches.ping:
            connection.ping_interval = None
        connection.station, connection.client_address = station, address
        connection.login = found.login
        connection.switches, connection.noted = switches, handshake.mend(request)
        handshake.compress(connection, switches.compression)
        return None

    def _process_response(
        self, connection: ServerConnection, request: Request, response: Response
    ) -> None:
        assert isinstance(connection, StationConnection)
        handshake.inflate(connection, connection.switches.compression)

    async def _slow_down(self, address: str, denial: Denial) -> None:
        log.warning("link_refused", reason=denial.reason, station=denial.identity, address=address)
        # A right secret on the wrong port is nobody who tries secrets.
        if denial.status in (403, 503) or self._slowed >= self._limits.slowed:
            return
        delay_s = self._failures.note(address, asyncio.get_running_loop().time())
        if delay_s <= 0:
            return
        self._slowed += 1
        try:
            # A node that stops waits for nobody who failed.
            async with asyncio.timeout(delay_s * random.uniform(0.8, 1.2)):  # noqa: S311
                await self._stopping.wait()
        except TimeoutError:
            pass
        finally:
            self._slowed -= 1

    def _deny(self, denial: Denial, again_s: float | None = None) -> Response:
        """`again_s`: when it should come again, where that is known."""
        self._metrics.handshakes_refused.labels(denial.reason).inc()
        body = f"{_WORDS[denial.status]}\n".encode()
        headers = Headers(
            {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}
        )
        if denial.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="OCPP", charset="UTF-8"'
        if denial.status == 503:
            # Spread the next attempts of stations that heed it.
            later_s = random.randint(5, 30) if again_s is None else again_s  # noqa: S311
            headers["Retry-After"] = str(math.ceil(later_s))
        headers["Connection"] = "close"
        status = http.HTTPStatus(denial.status)
        return Response(status.value, status.phrase, headers, body)

    def _client_address(self, connection: ServerConnection, request: Request) -> str:
        """The address of the station; behind a trusted proxy the last one it did not add itself."""
        assert isinstance(connection, StationConnection)
        said = () if connection.unnamed else request.headers.get_all("X-Forwarded-For")
        return self._proxies.client(connection.peer, said)

    def _is_secure(self, connection: ServerConnection, request: Request) -> bool:
        """Whether the station speaks TLS: with us, or with a trusted proxy in front, which says. A
        balancer with the PROXY protocol says nothing of it: the headers are those of its client."""
        assert isinstance(connection, StationConnection)
        if connection.transport.get_extra_info("ssl_object") is not None:
            return True
        if connection.unnamed or connection.peer not in self._proxies:
            return False
        said = request.headers.get_all("X-Forwarded-Proto")
        return bool(said) and said[-1].rpartition(",")[2].strip().lower() in ("https", "wss")

    def _select_subprotocol(
        self, connection: ServerConnection, offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        # None finishes the handshake without the header, as OCPP-J 2.0.1 3.2 demands.
        assert isinstance(connection, StationConnection)
        chosen = choose(offered, connection.switches.version)
        return Subprotocol(chosen.subprotocol) if chosen else None

    # -- after the upgrade -----------------------------------------------------------------------

    async def _serve(self, connection: ServerConnection) -> None:
        assert isinstance(connection, StationConnection)
        station, address = connection.station, connection.client_address
        version = assumed(connection.switches.version)
        if connection.subprotocol is not None:
            version = PROTOCOLS[connection.subprotocol]
        elif version is not None:
            connection.noted = (*connection.noted, NO_SUBPROTOCOL)
        if version is None:
            await self._without_version(connection)
            return
        origin = Origin(station.id, station.identity, version.version, self._clock())
        try:
            station = await self._store.transact(
                stations.link_opened,
                origin,
                self._node,
                address,
                connection.login,
                needs=(stations.needs(station.id), security.needs_credentials(station.id)),
                lane=station.id,
            )
        except StoreUnavailable:
            await connection.close(TRY_AGAIN_LATER, "store unavailable, try again later")
            return
        except CsmsError as error:
            await connection.close(PROTOCOL_ERROR, error.code)
            return
        connection.leaves_line(opened=True)
        before = connection.station.node
        if before is not None and before != self._node:
            self._moved(station.id, station.generation, before)
        await self._run(connection, station, self._protocols[version.subprotocol])

    async def _without_version(self, connection: StationConnection) -> None:
        """OCPP-J 1.6, 2.0.1 3.2; TC_088, TC_B_58: the handshake has ended, and so does the link."""
        station, address = connection.station, connection.client_address
        self._metrics.handshakes_refused.labels(NO_SUBPROTOCOL).inc()
        log.warning("link_refused", reason=NO_SUBPROTOCOL, station=station.identity)
        await connection.close(
            PROTOCOL_ERROR, f"no common sub-protocol; offer one of {', '.join(PROTOCOLS)}"
        )
        await self._admission.tell(station, NO_SUBPROTOCOL, address, self._clock())

    async def _run(
        self, connection: StationConnection, station: Station, version: Protocol
    ) -> None:
        link = Link(
            connection,
            station,
            version,
            self._store,
            self._outside,
            self._metrics,
            self._limits.link,
            self._clock,
            self._registry.late,
            self._messages.tap(station.id) if self._messages else None,
            connection.switches,
            self._treatments.now,
        )
        reason = "replaced"
        try:
            if self._registry.attach(link):
                log.info("link_opened", station=station.identity, version=version.version)
                for kind in connection.noted:
                    await link.count(kind)
                reason = await link.run()
            else:
                await connection.close(GOING_AWAY, "a newer connection exists")
        except ConnectionClosed:
            reason = "connection lost"
        except Exception:
            # The library's own logger is silenced, because it speaks of every lost socket.
            log.exception("link_failed", station=station.identity)
            reason = "internal error"
            raise
        finally:
            self._registry.detach(link)
            log.info("link_closed", station=station.identity, reason=reason)
            self._metrics.links_ended.labels(end_of(reason)).inc()
            await self._record_end(link, reason)

    async def _record_end(self, link: Link, reason: str) -> None:
        """Write down that the link ended, as soon as the store can; a stopping node leaves it to
        its next start."""
        ended_at = self._clock()
        while True:
            try:
                await self._store.transact(
                    stations.link_closed,
                    link.station_id,
                    link.generation,
                    link.last_seen_at,
                    ended_at,
                    reason,
                    needs=(stations.needs(link.station_id),),
                    lane=link.station_id,
                )
                return
            except StoreUnavailable:
                if self._stopping.is_set():
                    return
                await asyncio.sleep(RECORD_END_EVERY_S)
            except CsmsError:
                log.exception("link_end_not_recorded", station=link.identity)
                return

    # -- upkeep ----------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Pings find dead links, and a station that answers them may be silent for a day (OCPP asks
        no more of heartbeats); of stations that do not answer pings only silence tells."""
        while True:
            await asyncio.sleep(min(self._limits.silent_link_s / 10, SWEEP_EVERY_S))
            for link in self._registry:
                if link.pinged:
                    continue
                allowed_s = link.switches.silent_link_s or self._limits.silent_link_s
                if link.silent_s > allowed_s:
                    log.warning("link_cut_silent", station=link.identity)
                    await link.close(GOING_AWAY, "silent for too long")


# How links end, by what is said when they are closed; what a station says itself has no end.
_ENDS = {
    "connection lost": "lost",
    "internal error": "internal_error",
    NOT_READING: "not_reading",
    "replaced": "replaced",
    "1008 replaced by a newer connection": "replaced",
    "1008 no answer to several calls": "not_answering",
    "1008 too many calls before acceptance": "guest_says_too_much",
    "1001 silent for too long": "silent",
    "1001 the token was changed": "token_changed",
    f"{SERVICE_RESTART} {DRAINED}": "drained",
    f"{GOING_AWAY} {GIVEN_UP}": "given_up",
    f"{GOING_AWAY} {STOPPING}": "stopping",
    "1013 store unavailable, try again later": "store_unavailable",
}


def end_of(reason: str) -> str:
    """The reason of the end of a link as one of a few words, for metrics."""
    known = _ENDS.get(reason)
    if known is not None:
        return known
    code, _, words = reason.partition(" ")
    if code == "1009" and words.startswith("a message over the limit"):
        return "message_too_large"
    return "keepalive" if words.startswith("keepalive ping timeout") else "closed_by_station"


def _deflate() -> ServerPerMessageDeflateFactory:
    """RFC 7692 with small windows and no context takeover: nothing is kept between messages."""
    return ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=11,
        client_max_window_bits=11,
        compress_settings={"memLevel": 4, "level": 1},
    )
