"""A gateway on loopback and stations that connect to it over real WebSockets.

Everything that waits has a deadline.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from csms.core import quirks, security, stations
from csms.core.ports import Outside
from csms.core.quirks import Catalogue
from csms.core.security import BASIC, Credential, Keyring
from csms.core.stations import NewStation, Registration, Station
from csms.flows.exchange import Nobody
from csms.flows.messages import MessageLog
from csms.observability import Metrics
from csms.ocpp.admission import Admission, AdmissionLimits
from csms.ocpp.gateway import Gateway, GatewayLimits
from csms.ocpp.link import LinkLimits
from csms.ocpp.registry import Registry
from csms.ocpp.tls import Certificates
from csms.ocpp.treatment import Treatments
from csms.storage.batch import RefusedByDatabase
from tests.support.ocpp import NOW, PARTY
from tests.support.waiting import until as until

WITHIN_S = 10.0
KEYRING = Keyring({"k1": b"0123456789abcdef"}, "k1")


class Clock:
    """The gateway's clock; stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)


def basic(user: str | bytes, password: str | bytes) -> str:
    """The value of an Authorization header."""
    user = user.encode() if isinstance(user, str) else user
    password = password.encode() if isinstance(password, str) else password
    return f"Basic {base64.b64encode(user + b':' + password).decode()}"


class Socket:
    """The station's end of a link."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._calls = 0

    async def sends(self, message: Any) -> None:
        """`message` as JSON; text and bytes go as they are."""
        frame = message if isinstance(message, str | bytes) else json.dumps(message)
        async with asyncio.timeout(WITHIN_S):
            await self.connection.send(frame)

    async def reads(self, within_s: float = WITHIN_S) -> Any:
        async with asyncio.timeout(within_s):
            return json.loads(await self.connection.recv())

    async def reads_nothing(self) -> None:
        """Nothing was sent to the station so far: a pong would come after it."""
        async with asyncio.timeout(WITHIN_S):
            await (await self.connection.ping())
        try:
            async with asyncio.timeout(0):
                frame = await self.connection.recv()
        except TimeoutError:
            return
        raise AssertionError(f"it was sent {frame!r}")

    async def calls(self, action: str, payload: dict[str, Any] | None = None) -> Any:
        """The payload of the result."""
        self._calls += 1
        message_id = f"call {self._calls}"
        await self.sends([2, message_id, action, payload or {}])
        kind, answered, *rest = await self.reads()
        assert (kind, answered) == (3, message_id), [kind, answered, *rest]
        return rest[0]

    async def is_alive(self) -> None:
        assert "currentTime" in await self.calls("Heartbeat")

    async def closed(self, within_s: float = WITHIN_S) -> tuple[int | None, str | None]:
        """Code and reason of the close, whatever is read until then."""
        async with asyncio.timeout(within_s):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed:
                return self.connection.close_code, self.connection.close_reason


class Central:
    """A gateway that listens, and what a test wants to know of it."""

    def __init__(self, store: Any, clock: Clock, node: str) -> None:
        self.store = store
        self.clock = clock
        self.node = node
        self.metrics = Metrics()
        self.registry = Registry(self.metrics)
        self.gateway: Gateway
        self.secrets: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.gateway.port}"

    async def onboard(
        self,
        identity: str = "CS 1",
        *,
        secret: bytes = b"",
        switches: Mapping[str, Any] | None = None,
        registration: Registration | None = Registration.ACCEPTED,
    ) -> str:
        """Add a station with a token; its id."""
        station_id = f"id {identity}"
        secret = secret or f"secret of {identity}".encode()
        new = NewStation(identity, PARTY, 2)
        await self.store.transact(stations.onboard, station_id, new, NOW)
        for name, value in (switches or {}).items():
            await self.store.transact(quirks.set_switch, station_id, name, value, NOW)
        if registration is not None:
            await self.store.transact(
                lambda tx: stations.change(tx, station_id, NOW, registration=registration)
            )
        key_id, hashed = KEYRING.hash(secret)
        credential = Credential(f"c {identity}", station_id, BASIC, key_id, hashed, NOW)
        await self.store.transact(security.issue, credential, NOW)
        self.secrets[identity] = secret
        return station_id

    @asynccontextmanager
    async def connect(
        self,
        identity: str = "CS 1",
        subprotocols: Sequence[str] = ("ocpp1.6",),
        *,
        path: str | None = None,
        authorization: str | None = "",
        headers: Sequence[tuple[str, str]] = (),
        wait: bool = True,
        narrow: bool = False,
        ssl: ssl.SSLContext | None = None,
        **options: Any,
    ) -> AsyncIterator[Socket]:
        """A link of a station; `authorization` None sends none. With `wait` it is in the registry
        when the block begins. `narrow`: as little room for what it does not read as there is.
        `ssl`: over TLS."""
        sent = list(headers)
        if authorization is not None:
            sent.append(("Authorization", authorization or basic(identity, self.secrets[identity])))
        if narrow:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.gateway.port))
            options |= {"sock": sock, "max_queue": 1}
        base = self.url
        if ssl is not None:
            base, options["ssl"] = f"wss://127.0.0.1:{self.gateway.tls_port}", ssl
        url = base + (path if path is not None else f"/ocpp/{identity.replace(' ', '%20')}")
        before = self.registry.get(f"id {identity}")
        connection = await connect(
            url,
            subprotocols=list(subprotocols) or None,
            additional_headers=sent,
            ping_interval=None,
            open_timeout=WITHIN_S,
            close_timeout=options.pop("close_timeout", 1),
            proxy=None,
            **options,
        )
        try:
            if wait:
                await until(lambda: self.registry.get(f"id {identity}") not in (None, before))
            yield Socket(connection)
        finally:
            connection.transport.abort()

    async def station(self, identity: str = "CS 1") -> Station:
        (found,) = await self.store.reader.page(Station, {"identity": identity})
        return found

    async def violations(self, identity: str = "CS 1") -> dict[str, int]:
        return dict((await self.station(identity)).violations)

    def link(self, identity: str = "CS 1") -> Any:
        return self.registry.get(f"id {identity}")

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def listening(
    store: Any,
    *,
    outside: Outside | None = None,
    clock: Clock | None = None,
    node: str = "node-1",
    admission: AdmissionLimits | None = None,
    catalogue: Catalogue | None = None,
    link: dict[str, Any] | None = None,
    certificates: Certificates | None = None,
    port: int | None = 0,
    messages: MessageLog | None = None,
    **limits: Any,
) -> AsyncIterator[Central]:
    """A gateway on free ports over that store; with `certificates` it has one with TLS as well."""
    central = Central(store, clock or Clock(), node)
    ids = count(1)
    central.gateway = Gateway(
        store,
        Admission(store, KEYRING, admission or AdmissionLimits(), lambda: f"id {next(ids)}", PARTY),
        central.registry,
        outside or Nobody(),
        central.metrics,
        GatewayLimits(port=port, tls_port=0, link=LinkLimits(**(link or {})), **limits),
        node,
        central.clock,
        certificates,
        messages,
        Treatments(store, catalogue) if catalogue else None,
    )
    async with central.gateway:
        yield central


class SeamDatabase:
    """A connection whose commits can be held and whose writes can be refused.

    `hold`: commits wait until `release`; `holding` tells that one does. `refused`: a table that
    the database takes no rows for.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.statements = inner.statements
        self.holding = threading.Event()
        self.refused: str | None = None
        self._go = threading.Event()
        self._go.set()

    def hold(self) -> None:
        self.holding.clear()
        self._go.clear()

    def release(self) -> None:
        self._go.set()

    def commit(self) -> None:
        if not self._go.is_set():
            self.holding.set()
            assert self._go.wait(WITHIN_S), "nobody released the commit"
        self.inner.commit()

    def write(self, sql: str, rows: Any) -> None:
        if self.refused is not None and f" {self.refused} " in sql:
            raise RefusedByDatabase(f"no {self.refused} today")
        self.inner.write(sql, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
