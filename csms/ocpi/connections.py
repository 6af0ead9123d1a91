"""Connections to partners, kept for a short while: a status is told with one request, and to
connect for each would cost several times as much, above all with TLS.

Each is for the name that it was opened for and no other. A connection is known by its address,
which several names may share, and what one name's certificate has opened would carry another one's
token.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import httpx

# Names to which connections are kept; of more, those not used for the longest time are closed.
MOST_NAMES = 100
KEPT_EACH = 8
# Servers close what is idle, many after 5 s: what is used again has to be younger.
KEPT_S = 4.0


@dataclass(slots=True)
class _Host:
    """The connections to one name. `users`: requests under way."""

    http: httpx.AsyncClient
    users: int = 0


@cache
def trusted() -> ssl.SSLContext:
    """The authorities that are believed. Neither proxies nor netrc nor authorities from the
    environment: whom we call is judged here. Read once: that takes as long as many requests."""
    return httpx.create_ssl_context(trust_env=False)


class Connections:
    """HTTP clients by scheme, name and port, each used within `async with connections.to(url)`.
    `await close()` at the end. `at_once`: connections to one name; `transport`: instead of all of
    them, for tests."""

    def __init__(
        self, at_once: int, timeout_s: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._at_once = at_once
        self._timeout_s = timeout_s
        self._transport = transport
        self._of: dict[tuple[str, str, int | None], _Host] = {}

    @property
    def names(self) -> int:
        """Names that connections may be open to."""
        return len(self._of)

    @asynccontextmanager
    async def to(self, url: httpx.URL) -> AsyncIterator[httpx.AsyncClient]:
        """The client for that name; the URL of a request has its checked address in the name's
        place."""
        name = (url.scheme, url.host, url.port)
        host = self._of.pop(name, None) or _Host(self._made())
        # What was used last is at the end.
        self._of[name] = host
        host.users += 1
        try:
            yield host.http
        finally:
            host.users -= 1
            await self._forget()

    def _made(self) -> httpx.AsyncClient:
        limits = httpx.Limits(
            max_connections=self._at_once,
            max_keepalive_connections=min(KEPT_EACH, self._at_once),
            keepalive_expiry=KEPT_S,
        )
        return httpx.AsyncClient(
            verify=trusted(),
            trust_env=False,
            follow_redirects=False,
            limits=limits,
            timeout=self._timeout_s,
            transport=self._transport,
        )

    async def _forget(self) -> None:
        spare = len(self._of) - MOST_NAMES
        if spare <= 0:
            return
        idle = [name for name, host in self._of.items() if not host.users][:spare]
        for host in [self._of.pop(name) for name in idle]:
            if self._transport is None:
                await host.http.aclose()

    async def close(self) -> None:
        hosts = list(self._of.values())
        self._of.clear()
        for host in hosts:
            await host.http.aclose()
