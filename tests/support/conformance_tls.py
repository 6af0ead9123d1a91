"""A central system with and without TLS, and its one station that comes by either."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.support.certificates import EC, RSA, station_context, write_pair
from tests.support.conformance import IDENTITY, WITHIN_S, Network, Payload, Wire, network, until


class Secured:
    """The network, its addresses, and what the station sends when it connects."""

    def __init__(self, inner: Network) -> None:
        self.inner = inner
        self.operator = inner.operator
        self.secret = inner.secret

    @property
    def url(self) -> str:
        return f"wss://127.0.0.1:{self.inner.system.tls_port}/ocpp"

    async def connect(
        self,
        protocol: str,
        *,
        secure: bool,
        secret: str | bytes | None = None,
        user: str = IDENTITY,
        context: ssl.SSLContext | None = None,
    ) -> ClientConnection:
        """Open a link with security profile 2 (`secure`) or 1."""
        shown = self.secret if secret is None else secret
        raw = shown if isinstance(shown, bytes) else shown.encode()
        told = base64.b64encode(user.encode() + b":" + raw).decode()
        plain = f"ws://127.0.0.1:{self.inner.system.ocpp_port}/ocpp"
        return await connect(
            f"{self.url if secure else plain}/{IDENTITY}",
            subprotocols=[protocol],  # type: ignore[list-item]
            additional_headers={"Authorization": f"Basic {told}"},
            ssl=(context or station_context()) if secure else None,
            open_timeout=WITHIN_S,
            close_timeout=1,
            proxy=None,
        )

    async def knows(self, secret: str) -> bool:
        """Whether a secret stands anywhere that an operator can look: it must not."""
        messages = f"/stations/{IDENTITY}/messages?limit=500"
        async with asyncio.timeout(WITHIN_S):
            # The message log is written lazily.
            while not (said := await self.operator.sends("GET", messages))["items"]:
                pass
        paths = (f"/stations/{IDENTITY}", "/commands", "/audit", "/quarantine")
        shown = [said, *[await self.operator.sends("GET", path) for path in paths]]
        rows = await self.inner.system.store.reader.journal(0, 1_000)
        return secret in str(shown) or any(secret in row.data for row in rows)

    async def status(
        self,
        protocol: str,
        *,
        secure: bool,
        secret: str | bytes | None = None,
        user: str = IDENTITY,
    ) -> int:
        """The HTTP status of an attempt: 101 when it comes in. The link is dropped at once."""
        try:
            connection = await self.connect(protocol, secure=secure, secret=secret, user=user)
        except InvalidStatus as error:
            return error.response.status_code
        connection.transport.abort()
        await connection.wait_closed()
        return 101

    @asynccontextmanager
    async def link(
        self, protocol: str, *, secure: bool, secret: str | bytes | None = None
    ) -> AsyncIterator[Wire]:
        """A link of the station while the block runs; commands reach it."""
        before = list(self.inner.system.registry)
        wire = Wire(
            await self.connect(protocol, secure=secure, secret=secret),
            protocol.removeprefix("ocpp"),
        )
        try:
            await until(lambda: [k for k in self.inner.system.registry if k not in before])
            yield wire
        finally:
            await wire.leave()

    def begins(self, method: str, path: str, body: Payload) -> asyncio.Task[Payload]:
        """Something that an operator does while the station is scripted."""
        return asyncio.create_task(self.operator.sends(method, f"/stations/{IDENTITY}{path}", body))


async def asked(wire: Wire, action: str) -> tuple[str, Payload]:
    """The next call of that action: its message id and payload, not answered so far."""
    async with asyncio.timeout(WITHIN_S):
        return await wire._queue(action).get()


@asynccontextmanager
async def secured(folder: Path) -> AsyncIterator[Secured]:
    """A central system with both listeners."""
    pairs = [write_pair(folder, kind) for kind in (RSA, EC)]
    tls = {"port": 0, "certificates": [pair._asdict() for pair in pairs]}
    ocpp = {"port": 0, "host": "127.0.0.1", "tls": tls}
    async with network(folder, ocpp=ocpp) as found:
        yield Secured(found)
