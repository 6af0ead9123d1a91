"""The HTTP side that partners call: who is it, may it, is it JSON, which handler.

An ASGI application of its own, beside the operator API and not in its description. Bodies, time and
requests per second are bounded per partner; tokens are never logged. A trailing or doubled slash
makes no difference, and nothing is ever redirected.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from csms.core import partners
from csms.core.errors import CsmsError
from csms.core.partners import IN, Partner, PartnerModule, PartnerToken, State, TokenKind
from csms.core.ports import Tx
from csms.ocpi import exchange
from csms.ocpi.envelope import CLIENT_ERROR, INVALID, SERVER_ERROR, Answer, failure
from csms.ocpi.headers import Ids, Routing, presented
from csms.ocpi.network import SENDER, VERSION, Network
from csms.ocpi.routing import Call, Foreign, Gone, Module
from csms.ocpi.wire import reading

log = structlog.get_logger("ocpi.server")
PREFIX = "/ocpi"
HEARD_EVERY = timedelta(minutes=1)
WITH_BODY = ("POST", "PUT", "PATCH")
WRITES = (*WITH_BODY, "DELETE")
MAX_SEGMENT = 255


class Budget:
    """Requests of one partner: `per_s` on average, `burst` at once."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float]) -> None:
        self._per_s, self._burst, self._clock = per_s, float(burst), clock
        self._left: dict[str, tuple[float, float]] = {}

    def takes(self, partner_id: str) -> bool:
        """Whether one more is allowed now; counts it."""
        now = self._clock()
        left, at = self._left.get(partner_id, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_s)
        allowed = left >= 1
        self._left[partner_id] = (left - 1 if allowed else left, now)
        return allowed


class Server:
    """The ASGI application under `/ocpi`."""

    def __init__(
        self,
        network: Network,
        modules: Iterable[Module] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._network = network
        self._modules = {module.key: module for module in modules}
        network.offered[:] = list(self._modules)
        limits = network.limits
        self._budget = Budget(limits.per_s, limits.burst, monotonic)
        self._names = {name for name, _ in self._modules} | {"versions", "credentials"}
        self.on_answered: Callable[[str, int], None] = lambda module, status: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        ids = Ids.of(request.headers, self._network.new_id())
        routing = Routing()
        try:
            answer, routing = await self._answer(request, ids)
        except ClientDisconnect:
            return
        except Exception:
            log.exception("partner_request_failed", path=request.url.path)
            answer = Answer(status=SERVER_ERROR, message="this is a fault of the server")
        headers = {**ids.headers(), **routing.headers(), **answer.headers}
        self.on_answered(self._module_of(request), answer.http)
        body = answer.body(self._network.clock())
        response = Response(body, answer.http, headers, "application/json")
        await response(scope, receive, send)

    def _module_of(self, request: Request) -> str:
        """The module that a request is about, as one of a few words."""
        return next((p for p in _raw_path(request).split("/") if p in self._names), "other")

    async def _answer(self, request: Request, ids: Ids) -> tuple[Answer, Routing]:
        held, secret = None, ""
        for token in presented(request.headers.get("authorization")):
            if held is None:
                held, secret = await self._network.holder(token), token
        if held is None or held[0].state == State.REMOVED:
            return _http(401, "send your credentials token: Authorization: Token BASE64"), Routing()
        partner, row = held
        if not self._budget.takes(partner.id):
            # Nothing is wrong with the request, so no code says that.
            after = {"Retry-After": "1"}
            return Answer(None, SERVER_ERROR, "too many requests", 429, after), Routing()
        if row.used_at is None:
            await self._network.store.transact(partners.shown, row.id, self._network.clock())
        try:
            async with asyncio.timeout(self._network.limits.request_timeout_s):
                return await self._serve(request, ids, partner, row, secret)
        except TimeoutError:
            log.warning("partner_request_too_slow", partner=partner.name, path=request.url.path)
            return Answer(status=SERVER_ERROR, message="this took too long"), Routing()
        except (Foreign, Gone) as error:
            http = 404 if request.method == "GET" or isinstance(error, Foreign) else 200
            answer = failure(error)
            return Answer(status=answer.status, message=answer.message, http=http), Routing()
        except CsmsError as error:
            return failure(error), Routing()

    async def _serve(
        self, request: Request, ids: Ids, partner: Partner, row: PartnerToken, secret: str
    ) -> tuple[Answer, Routing]:
        segments = [unquote(part) for part in _raw_path(request).split("/") if part]
        segments = segments[len([p for p in PREFIX.split("/") if p]) :]
        if any(len(segment) > MAX_SEGMENT for segment in segments):
            raise Gone("no such address")
        body: Any = None
        if request.method in WITH_BODY:
            raw = await self._body(request)
            if raw is None:
                most = self._network.limits.max_body_bytes
                return _http(413, f"at most {most} bytes"), Routing()
            try:
                # Where a body is optional (mod_tokens, authorize), peers send none at all.
                body = reading.load(raw) if raw else None
            except CsmsError as error:
                return _http(400, error.detail), Routing()
        noted: list[str] = []
        network = self._network
        segments = self._apart(segments, noted)

        def call(rest: list[str], routing: Routing, url: str) -> Call:
            return Call(
                network,
                partner,
                row,
                request.method,
                tuple(rest),
                request.query_params,
                body,
                ids,
                routing,
                url,
                noted,
            )

        match segments:
            case ["versions"]:
                answer = _only_get(request) or _versions(network)
            case [version] if version == VERSION:
                answer = _only_get(request) or _details(network)
            case [version, "credentials"] if version == VERSION:
                answer = await self._credentials(call([], Routing(), ""), secret)
            case [version, ("sender" | "receiver") as interface, module, *rest] if (
                version == VERSION and (module, interface.upper()) in self._modules
            ):
                found = self._modules[module, interface.upper()]
                return await self._module(found, call, rest, Routing.of(request.headers))
            case _:
                answer = _http(404, "no such address")
        await self._heard(partner, noted)
        return answer, Routing()

    def _apart(self, segments: list[str], noted: list[str]) -> list[str]:
        """The segments with what was put on to an address of ours without a slash on its own: so
        mod_commands and mod_tokens write it (`{commands_endpoint_url}{command}`)."""
        if len(segments) < 3:
            return segments
        version, interface, module, *rest = segments
        for name, of in self._modules:
            glued = module.startswith(name) and module != name
            if version == VERSION and of == interface.upper() and glued:
                noted.append("address: no_slash")
                return [version, interface, name, module.removeprefix(name), *rest]
        return segments

    async def _module(
        self,
        module: Module,
        call: Callable[[list[str], Routing, str], Call],
        rest: list[str],
        routing: Routing,
    ) -> tuple[Answer, Routing]:
        made = call(rest, routing, self._network.interface_url(module.name, module.interface))
        partner = made.partner
        if made.token.kind == TokenKind.INVITATION or partner.state == State.INVITED:
            return _http(401, "register first"), Routing()
        back = routing.swapped()
        if partner.state != State.REGISTERED:
            return Answer(status=CLIENT_ERROR, message="this connection is suspended"), back
        if routing.to is not None and routing.to not in self._network.parties():
            return Answer(status=INVALID, message=f"{routing.to} is not here"), back
        theirs = routing.sender is None or partner.is_hub or partner.speaks_for(routing.sender)
        if not theirs:
            return Answer(status=INVALID, message=f"{routing.sender} is not one of yours"), back
        handler = module.routes.get((made.method, len(rest)))
        if handler is None:
            there = any(length == len(rest) for _, length in module.routes)
            return _http(405, "not with that method") if there else _http(404, "nothing here"), back
        error: str | None = "it was not finished"
        try:
            answer = await handler(made)
            error = answer.wrong
        except CsmsError as failed:
            error = failure(failed).wrong
            raise
        finally:
            await self._heard(partner, made.noted)
            if made.method in WRITES:
                await self._noted(partner, module.name, error)
        return answer, back

    async def _credentials(self, call: Call, secret: str) -> Answer:
        """GET, POST, PUT, DELETE of the credentials module. Only a keyed hash of our token is
        kept: what GET tells is the one that was just shown (`secret`)."""
        invitation = call.token.kind == TokenKind.INVITATION
        registered = call.partner.state in (State.REGISTERED, State.SUSPENDED)
        match call.method:
            case "GET":
                return Answer(self._network.credentials(secret))
            case "POST" if invitation or not registered:
                return await exchange.accept(self._network, call.partner, call.body)
            case "PUT" if registered and not invitation:
                return await exchange.accept(self._network, call.partner, call.body)
            case "DELETE" if registered and not invitation:
                await self._network.store.transact(
                    partners.remove, call.partner.id, self._network.clock()
                )
                return Answer()
            case "POST":
                return _http(405, "you are registered already: use PUT")
            case "PUT" | "DELETE":
                return _http(405, "you are not registered: use POST")
            case _:
                return _http(405, "GET, POST, PUT or DELETE")

    async def _body(self, request: Request) -> bytes | None:
        """The body; None when it is longer than allowed."""
        most = self._network.limits.max_body_bytes
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                return None
            parts.append(part)
        return b"".join(parts)

    async def _noted(self, partner: Partner, module: str, error: str | None) -> None:
        """What became of the partner's pushes in a module, for people: every fault, and that all is
        well once a minute."""
        now = self._network.clock()
        row = await self._network.store.reader.get(PartnerModule, partner.id, module, IN)
        told = row is not None and row.last_at is not None and now - row.last_at < HEARD_EVERY
        if error is not None or not told or (row is not None and row.error):
            await self._network.store.transact(_note_in, partner.id, module, error, now)

    async def _heard(self, partner: Partner, noted: list[str]) -> None:
        now = self._network.clock()
        fresh = partner.heard_at is not None and now - partner.heard_at < HEARD_EVERY
        if noted or not fresh:
            await self._network.store.transact(_note_heard, partner.id, tuple(noted), now)


def _note_heard(tx: Tx, partner_id: str, noted: tuple[str, ...], now: Any) -> None:
    if tx.get(Partner, partner_id) is not None:
        partners.heard(tx, partner_id, noted, now)


def _note_in(tx: Tx, partner_id: str, module: str, error: str | None, now: Any) -> None:
    if tx.get(Partner, partner_id) is not None:
        partners.note(tx, partner_id, module, IN, now, error)


def _raw_path(request: Request) -> str:
    """The path before it was decoded: an encoded slash belongs to an id."""
    raw = request.scope.get("raw_path")
    return raw.decode("ascii", "replace").partition("?")[0] if raw else request.url.path


def _http(status: int, message: str) -> Answer:
    """An HTTP error, in an envelope all the same."""
    return Answer(
        status=INVALID if status in (400, 413) else CLIENT_ERROR, message=message, http=status
    )


def _only_get(request: Request) -> Answer | None:
    return None if request.method == "GET" else _http(405, "only GET")


def _versions(network: Network) -> Answer:
    return Answer([{"version": VERSION, "url": network.url()}])


def _details(network: Network) -> Answer:
    endpoints = [{"identifier": "credentials", "role": SENDER, "url": network.url("credentials")}]
    for module, interface in network.offered:
        url = network.interface_url(module, interface)
        endpoints.append({"identifier": module, "role": interface, "url": url})
    return Answer({"version": VERSION, "endpoints": endpoints})


def beside(api: ASGIApp, ocpi: ASGIApp) -> ASGIApp:
    """One application of two: what is under `/ocpi` goes to the partners' side."""

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "") + "/"
        chosen = ocpi if scope["type"] == "http" and path.startswith(f"{PREFIX}/") else api
        await chosen(scope, receive, send)

    return both
