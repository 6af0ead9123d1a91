"""Calling partners: bounded in time and size, never following a redirect to somewhere else, never
unpacking what they send.

Only https is called unless a setting allows http; the address is judged after the name is resolved
and the connection goes to that very address (`addresses`). Tokens are never logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from copy import copy
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import httpx
import structlog

from csms.core.errors import Invalid, PartnerUnreachable
from csms.ocpi import addresses, envelope, paging
from csms.ocpi.addresses import Policy, Resolve
from csms.ocpi.connections import Connections
from csms.ocpi.envelope import Heard
from csms.ocpi.headers import Ids, Routing, authorization
from csms.ocpi.wire import reading

log = structlog.get_logger("ocpi.client")
MAX_REDIRECTS = 3
# How often, and how long at a time, a partner that says "too many requests" is waited for.
MAX_WAITS = 8
LONGEST_WAIT_S = 5.0
TOO_MANY = 429
# The only content coding that is read (RFC 9110 12.5.3): a thousand bytes of another can be
# unpacked to a gigabyte, before anybody sees how much there is.
AS_IT_IS = "identity"
NO_ROUTING = Routing()
MAX_SHOWN = 40


class _Unusable(Exception):
    """An answer that is not read to its end, and why."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """`timeout_s` from the first byte to the last; `max_bytes` of an answer; `at_once` requests
    under way to all partners together."""

    timeout_s: float = 30.0
    max_bytes: int = 10_000_000
    at_once: int = 100


@dataclass(frozen=True, slots=True)
class Access:
    """How a partner is called: with which token, written how, between which parties."""

    token: str
    encoding: str = "base64"
    routing: Routing = NO_ROUTING


@dataclass(slots=True)
class _Count:
    """Shared by a client and those made from it."""

    under_way: int = 0


class Client:
    """HTTP to partners. `await close()` at the end. `on_called` is told what became of each request
    (answered, refused, unreachable, too_many) and how long it took."""

    def __init__(
        self,
        policy: Policy,
        new_id: Callable[[], str],
        limits: ClientLimits | None = None,
        *,
        look_up: Resolve = addresses.resolve,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.policy = policy
        self._new_id = new_id
        self._limits = limits or ClientLimits()
        self._look_up = look_up
        self._count = _Count()
        self.on_called: Callable[[str, float], None] = lambda outcome, seconds: None
        self._lanes: tuple[asyncio.Semaphore, ...] = (asyncio.Semaphore(self._limits.at_once),)
        self._connections = Connections(self._limits.at_once, self._limits.timeout_s, transport)

    @property
    def under_way(self) -> int:
        """Requests that are out or wait for their turn."""
        return self._count.under_way

    async def close(self) -> None:
        await self._connections.close()

    def limited(self, at_once: int) -> Client:
        """The same client for one purpose, which has at most so many requests under way, within the
        limits of this one. It is closed with this one."""
        other = copy(self)
        other._lanes = (asyncio.Semaphore(at_once), *self._lanes)
        return other

    async def call(
        self,
        method: str,
        url: str,
        access: Access,
        body: Any = None,
        *,
        correlation: str | None = None,
    ) -> Heard:
        """One request; again after a while when the partner says that there were too many (then it
        has not looked at it). Raises `Invalid` for an address that is never called,
        `PartnerUnreachable` when no whole answer came."""
        began, outcome = perf_counter(), "unreachable"
        self._count.under_way += 1
        try:
            for _ in range(MAX_WAITS):
                heard = await self._call(method, url, access, body, correlation)
                if heard.http != TOO_MANY:
                    outcome = "answered" if heard.ok else "refused"
                    return heard
                await asyncio.sleep(_wait_s(heard))
            outcome = "too_many"
            raise PartnerUnreachable("they take no more requests at the moment (HTTP 429)")
        finally:
            self._count.under_way -= 1
            self.on_called(outcome, perf_counter() - began)

    async def _call(
        self, method: str, url: str, access: Access, body: Any, correlation: str | None
    ) -> Heard:
        target = addresses.checked(url, self.policy)
        request_id = self._new_id()
        headers = {
            "Authorization": authorization(access.token, access.encoding),
            "Accept-Encoding": AS_IT_IS,
            **Ids(request_id, correlation or request_id).headers(),
            **access.routing.headers(),
        }
        content = None
        if body is not None:
            content = reading.dump(body)
            headers["Content-Type"] = "application/json"
        try:
            async with AsyncExitStack() as lanes:
                for lane in self._lanes:
                    await lanes.enter_async_context(lane)
                async with asyncio.timeout(self._limits.timeout_s):
                    return await self._follow(method, target, headers, content)
        except TimeoutError as error:
            raise PartnerUnreachable(
                f"{target.host}: no whole answer in {self._limits.timeout_s:g} s"
            ) from error

    async def _follow(
        self, method: str, target: httpx.URL, headers: Mapping[str, str], content: bytes | None
    ) -> Heard:
        for _ in range(MAX_REDIRECTS + 1):
            heard = await self._send(method, target, headers, content)
            location = heard.headers.get("location")
            if method != "GET" or heard.http not in (301, 302, 303, 307, 308) or not location:
                return heard
            there = addresses.checked(str(target.join(location)), self.policy)
            if (there.scheme, there.host, there.port) != (target.scheme, target.host, target.port):
                # Our token is for that host alone.
                return heard
            target = there
        return heard

    async def _send(
        self, method: str, target: httpx.URL, headers: Mapping[str, str], content: bytes | None
    ) -> Heard:
        pinned = await addresses.pinned(target, self.policy, self._look_up)
        try:
            async with (
                self._connections.to(target) as http,
                http.stream(
                    method,
                    pinned,
                    headers={**headers, "Host": target.netloc.decode("ascii")},
                    content=content,
                    extensions={"sni_hostname": target.host},
                ) as response,
            ):
                received = await self._read(response)
        except (httpx.HTTPError, httpx.StreamError, _Unusable) as error:
            what = str(error) or type(error).__name__
            raise PartnerUnreachable(f"{target.host}: {what}") from error
        return envelope.read(response.status_code, received, response.headers)

    async def _read(self, response: httpx.Response) -> bytes:
        for coding in response.headers.get_list("Content-Encoding", split_commas=True):
            if coding.strip().lower() not in ("", AS_IT_IS):
                raise _Unusable(
                    "the answer is compressed, although it was asked for as it is "
                    f"(Content-Encoding: {coding.strip()[:MAX_SHOWN]})"
                )
        parts, size = [], 0
        async for part in response.aiter_raw():
            size += len(part)
            if size > self._limits.max_bytes:
                raise _Unusable(f"the answer is longer than {self._limits.max_bytes} bytes")
            parts.append(part)
        return b"".join(parts)

    async def pages(self, url: str, access: Access) -> AsyncIterator[Heard]:
        """A list, page after page as the partner links them (transport_and_format, pagination). A
        page that is not well ends it, and is the last one given."""
        correlation = self._new_id()
        seen: set[str] = set()
        total: int | None = None
        while url not in seen and len(seen) < paging.MAX_PAGES:
            seen.add(url)
            heard = await self.call("GET", url, access, correlation=correlation)
            yield heard
            if not heard.ok:
                return
            now_total = paging.total_of(heard.headers)
            if total is not None and now_total is not None and now_total < total:
                # An object has left the list, so the others have moved up by as many.
                back = paging.moved_back(url, total - now_total)
                total = now_total
                if back not in seen:
                    url = back
                    continue
            total = now_total
            following = paging.next_of(heard.headers)
            if following is None:
                return
            url = _linked(following, url, next(iter(seen)))


def _linked(following: str, url: str, first: str) -> str:
    """The address of the next page. A Link may lead anywhere; our token goes to the host that it is
    for, and never in the clear where it began over https: a peer behind a proxy does not know how
    it is reached. Raises `Invalid`."""
    try:
        there, here = httpx.URL(url).join(following), httpx.URL(first)
    except (httpx.InvalidURL, ValueError) as error:
        raise Invalid("the Link to the next page is no URL") from error
    if there.host != here.host:
        raise Invalid("the Link to the next page leads to another host")
    if (here.scheme, there.scheme) == ("https", "http"):
        there = there.copy_with(scheme=here.scheme, port=here.port)
    return str(there)


def _wait_s(heard: Heard) -> float:
    """How long a partner wants to be left alone (Retry-After in seconds; RFC 9110 10.2.3)."""
    told = heard.headers.get("retry-after", "")
    return min(float(told), LONGEST_WAIT_S) if told.isdecimal() else 1.0
