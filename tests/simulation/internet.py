"""HTTP between networks in memory, and what goes wrong with it.

Each network has a name, an address and something that answers. A request may be lost, or its
answer after it was applied; a server may be slow, answer with an error of its own, or be away for
minutes. What has arrived is worked on to the end, also when nobody waits for the answer any more.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx
from starlette.types import ASGIApp

from csms.ocpi.addresses import Policy
from tests.support.ocpi import arriving
from tests.support.virtual import passing

# Documentation addresses (RFC 5737): none of them is ever connected to.
POLICY = Policy.of(False, ["192.0.2.0/24"])
ERRORS = (500, 502, 503)
AWAY = ("refuses", "hangs", "503", "3000")

Answers = Callable[[httpx.Request], Awaitable[httpx.Response]]


@dataclass(frozen=True, slots=True)
class Odds:
    """How bad it is between networks: chances per request, and times in seconds."""

    slowest_s: float = 0.5
    lost: float = 0.03
    answer_lost: float = 0.03
    error: float = 0.03
    slow: float = 0.02
    # Longer than a caller waits.
    very_slow_s: float = 45.0


CALM = Odds(0.1, 0, 0, 0, 0)


class Host:
    """One network as others reach it. `away`: how it is away at the moment, None where it is
    not."""

    def __init__(self, address: str, answers: Answers) -> None:
        self.address, self.answers = address, answers
        self.away: str | None = None


class Internet:
    """All networks, and how bad it is between them. `counted` is told what happened."""

    def __init__(self, odds: Odds, rng: random.Random, counted: Callable[[str], None]) -> None:
        self.odds, self.rng, self.counted = odds, rng, counted
        self.hosts: dict[str, Host] = {}
        self._at: dict[str, Host] = {}
        self._working: set[asyncio.Task[httpx.Response]] = set()
        self.overlapped: list[str] = []

    def join(self, name: str, answers: Answers) -> None:
        """A network is reached under that name from now on."""
        host = Host(f"192.0.2.{len(self.hosts) + 1}", answers)
        self.hosts[name] = self._at[host.address] = host

    async def look_up(self, name: str, port: int) -> Sequence[str]:
        """See `csms.ocpi.addresses.Resolve`."""
        return [self.hosts[name].address]

    def calm(self) -> None:
        """From now on nothing goes wrong any more."""
        self.odds = CALM
        for host in self.hosts.values():
            host.away = None

    async def carry(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request. Raises `httpx.TransportError`, and waits longer than anybody."""
        odds, lot = self.odds, self.rng.random()
        host = self._at[request.url.host]
        await request.aread()
        await asyncio.sleep(self.rng.uniform(0.01, odds.slowest_s))
        if host.away is not None:
            return await self._nobody(host.away)
        if lot < odds.lost:
            self.counted("request_lost")
            raise httpx.ConnectError("the connection broke")
        lot -= odds.lost
        if lot < odds.error:
            self.counted("request_failed")
            return httpx.Response(self.rng.choice(ERRORS), text="<h1>Out of order</h1>")
        lot -= odds.error
        if lot < odds.slow:
            self.counted("request_slow")
            # The server goes on by itself, whether or not the caller still waits.
            answer = self._work(host, request, self.rng.uniform(1.0, odds.very_slow_s))
        else:
            answer = self._work(host, request, 0.0)
        response = await asyncio.shield(answer)
        if 0 <= lot - odds.slow < odds.answer_lost:
            self.counted("answer_lost")
            raise httpx.ReadError("the connection broke")
        return response

    async def _nobody(self, how: str) -> httpx.Response:
        """What is heard of a server that is away."""
        self.counted("partner_away")
        if how == "refuses":
            raise httpx.ConnectError("connection refused")
        if how == "hangs":
            await passing(3_600)
        if how == "3000":
            return httpx.Response(200, json={"status_code": 3000, "status_message": "not now"})
        return httpx.Response(503, text="<h1>Maintenance</h1>")

    def _work(
        self, host: Host, request: httpx.Request, after_s: float
    ) -> asyncio.Task[httpx.Response]:
        async def work() -> httpx.Response:
            if after_s:
                await asyncio.sleep(after_s)
            return await host.answers(request)

        task = asyncio.create_task(work(), name=f"{request.method} {request.url.path}")
        self._working.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[httpx.Response]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            # Nobody may be waiting for it.
            task.exception()


class Way(httpx.AsyncBaseTransport):
    """The way out of one caller. That two requests which change the same thing are under way at
    once, as far as the caller knows, is noted: a partner could take them in either order. `most`:
    how many that change something were under way to one host at once, at the most."""

    def __init__(self, internet: Internet) -> None:
        self.internet = internet
        self._changing: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        self.most = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        changes = request.method in ("PUT", "PATCH")
        host = request.url.host
        what = f"{host}{request.url.path}"
        if changes and self._changing[what]:
            self.internet.overlapped.append(what)
        self._changing[what] += changes
        self._under_way[host] += changes
        self.most = max(self.most, self._under_way[host])
        try:
            return arriving(await self.internet.carry(request))
        finally:
            self._under_way[host] -= changes
            self._changing[what] -= changes


async def asked(app: ASGIApp, request: httpx.Request) -> httpx.Response:
    """What an application answers, whole."""
    response = await httpx.ASGITransport(app).handle_async_request(request)
    body = await response.aread()
    return httpx.Response(response.status_code, headers=response.headers, content=body)
