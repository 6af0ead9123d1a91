"""Two real networks in one process that talk over real HTTP, and what can go wrong between them."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import uvicorn

from csms.core import partners
from csms.core.errors import StoreUnavailable
from csms.core.partners import Partner, PartnerToken, TokenKind
from csms.core.security import Keyring
from csms.core.taxes import table
from csms.flows.prices import Pricer
from csms.ocpi import exchange
from csms.ocpi.addresses import Policy
from csms.ocpi.client import Client, ClientLimits
from csms.ocpi.exchange import Progress
from csms.ocpi.network import CPO, EMSP, Limits, Network, OwnRole
from csms.ocpi.routing import Module
from csms.ocpi.server import Server
from csms.storage.open import open_inline
from csms.storage.store import InlineStore
from csms.vault import Vault

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEYS = {"k1": b"\1" * 32, "k2": b"\2" * 32}
LOOPBACK = Policy.of(True, ["127.0.0.0/8"])


class Lost(httpx.ConnectError):
    """A connection that breaks, on purpose."""


def arriving(answer: httpx.Response) -> httpx.Response:
    """An answer as a network brings it: nothing of it has been read."""
    if not answer.is_stream_consumed:
        return answer
    body = httpx.ByteStream(answer.content)
    return httpx.Response(answer.status_code, headers=answer.headers, stream=body)


class Answers(httpx.MockTransport):
    """A partner in place of the network to it."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return arriving(await super().handle_async_request(request))


class Faults(httpx.AsyncBaseTransport):
    """The network between us and a partner. `break_at`: the number of the request (from 1) that is
    lost; `delivered`: it arrived, and only its answer is lost. `sent`: what went out. `instead`:
    what is answered in place of the partner, None where it answers itself; `later`: the same, after
    waiting."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self.break_at: int | None = None
        self.delivered = False
        self.sent: list[httpx.Request] = []
        self.instead: Callable[[httpx.Request], httpx.Response | None] = lambda request: None
        self.later: Callable[[httpx.Request], Awaitable[httpx.Response | None]] = self._never

    def heal(self) -> None:
        self.break_at = None
        self.sent.clear()

    async def _never(self, request: httpx.Request) -> httpx.Response | None:
        return None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        broken = len(self.sent) == self.break_at
        if broken and not self.delivered:
            raise Lost("the connection broke")
        instead = self.instead(request) or await self.later(request)
        if instead is not None:
            return arriving(instead)
        response = await self._inner.handle_async_request(request)
        if broken:
            await response.aread()
            await response.aclose()
            raise Lost("the connection broke")
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def said(status: int, message: str = "on purpose", http: int = 200) -> httpx.Response:
    """The answer of a partner that says no."""
    return httpx.Response(http, json={"status_code": status, "status_message": message})


class FailingStore:
    """A store of which one write fails: `fail_at` counts writes from 1."""

    def __init__(self, inner: InlineStore) -> None:
        self.inner, self.reader = inner, inner.reader
        self.fail_at: int | None = None
        self.writes = 0

    @property
    def trouble(self) -> str | None:
        return None

    def heal(self) -> None:
        self.fail_at, self.writes = None, 0

    def transact(
        self, fn: Callable[..., Any], *args: Any, needs: Any = (), lane: str | None = None
    ) -> Any:
        self.writes += 1
        if self.writes == self.fail_at:
            raise StoreUnavailable("on purpose")
        return self.inner.transact(fn, *args, needs=needs)

    def run(self, fn: Callable[..., Any], *args: Any) -> Any:
        return self.inner.run(fn, *args)


def listener(port: int = 0) -> socket.socket:
    """As that of the system: see `csms.app`."""
    made = socket.create_server(("127.0.0.1", port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class Side:
    """One network: its store, its server, its way out. `now` moves only when told to. `more`: other
    parties that it speaks for."""

    def __init__(
        self,
        party: str,
        roles: Iterable[str] = (CPO, EMSP),
        limits: Limits | None = None,
        more: Iterable[str] = (),
    ) -> None:
        self.party = party
        self.now = NOW
        self.store = FailingStore(open_inline())
        self.faults = Faults()
        ids = count(1)
        self.listener = listener()
        self.port: int = self.listener.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}/ocpi"
        # Ids of one network never look like those of another.
        new_id = lambda: f"{party[3:].lower()}-{next(ids):06}"  # noqa: E731
        client = Client(LOOPBACK, new_id, ClientLimits(timeout_s=10), transport=self.faults)
        self.network = Network(
            store=self.store,
            keyring=Keyring(KEYS, "k1"),
            vault=Vault(KEYS, "k1"),
            client=client,
            roles=tuple(
                OwnRole(role, one, f"Network {one}") for one in (party, *more) for role in roles
            ),
            clock=lambda: self.now,
            new_id=new_id,
            new_secret=lambda: secrets.token_hex(20),
            price=Pricer(self.store, table([], {}), lambda: self.now).price,
            limits=limits or Limits(),
        )
        self.network.reachable_at(self.base)
        self.modules: list[Module] = []

    def offers(self, *modules: Module) -> Side:
        """The functional modules of this side; before it is up."""
        self.modules += modules
        return self

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Side]:
        self.server = Server(self.network, self.modules)
        config = uvicorn.Config(self.server, log_config=None, access_log=False, lifespan="off")
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        # Without its main loop, which only looks ten times a second whether to end.
        await server.startup(sockets=[self.listener])
        try:
            yield self
        finally:
            server.force_exit = True
            await self.network.client.close()
            await server.shutdown(sockets=[self.listener])

    def later(self, **delta: float) -> datetime:
        self.now += timedelta(**delta)
        return self.now

    def heal(self) -> None:
        self.faults.heal()
        self.store.heal()

    # -- what an operator does --

    def invite(self, name: str) -> str:
        """The token to hand over."""
        secret = self.network.new_secret()
        row = self.network.token_row(secret, "", TokenKind.INVITATION)
        self.store.run(partners.invite, self.network.new_id(), name, row, self.now)
        return secret

    async def register(self, other: Side, token: str) -> Partner:
        return await exchange.register(
            self.network, other.party, other.network.versions_url, token, Progress()
        )

    async def partner(self, other: Side) -> Partner:
        """The connection to the other side, as this one sees it."""
        return await exchange.by_name(self.network, other.party)

    async def tokens(self) -> list[PartnerToken]:
        return await self.store.reader.page(PartnerToken, limit=100)

    # -- requests by hand --

    async def asks(
        self, other: Side, method: str, path: str, body: Any = None, *, token: str | None = None
    ) -> httpx.Response:
        """A request to the other side as HTTP, with our token there or another one."""
        partner = await self.partner(other)
        access = self.network.access(partner)
        used = access.token if token is None else token
        async with httpx.AsyncClient() as client:
            return await client.request(
                method,
                path if path.startswith("http") else f"{other.base}{path}",
                headers={"Authorization": f"Token {used}"} if used else {},
                json=body,
            )

    async def talks_to(self, other: Side) -> bool:
        """Whether what this side has stored opens the other side."""
        partner = await self.partner(other)
        if partner.state != partners.State.REGISTERED:
            return False
        access = self.network.access(partner)
        heard = await self.network.client.call("GET", str(partner.versions_url), access)
        return heard.ok


async def anew(a: Side, b: Side, name: str | None = None) -> None:
    """Both sides end their connection, and make another one: `a` calls it `name`, else as before;
    `b` calls it as before."""
    for here, there in ((a, b), (b, a)):
        here.store.run(partners.remove, (await here.partner(there)).id, here.now)
    url, token = b.network.versions_url, b.invite(a.party)
    await exchange.register(a.network, name or b.party, url, token, Progress())


@asynccontextmanager
async def two(
    first: Side | None = None, second: Side | None = None
) -> AsyncIterator[tuple[Side, Side]]:
    """Two networks that are up and know nothing of each other."""
    a, b = first or Side("CA*NTH"), second or Side("US*STH")
    async with a.up(), b.up():
        yield a, b


@asynccontextmanager
async def connected(
    first: Side | None = None, second: Side | None = None
) -> AsyncIterator[tuple[Side, Side]]:
    """Two networks that have exchanged credentials."""
    async with two(first, second) as (a, b):
        await a.register(b, b.invite(a.party))
        a.faults.sent.clear()
        b.faults.sent.clear()
        yield a, b
