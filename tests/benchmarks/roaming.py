"""The runs about other networks: reading a whole network, and how soon a partner knows.

*pull*: one system with many places and one that registers with it, each a process of its own; the
second reads the list of the first in full, over real HTTP, and keeps it. *status*: stations change
their status at a given rate, and the partner (here in the generator) is told of each EVSE; what is
measured is the time from the station's message to the answer of the PATCH that tells it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse

from chargers.frames import upgrade
from tests.benchmarks import scripts
from tests.benchmarks.generator import Broken, Load
from tests.benchmarks.processes import Server, Usage

EVSES_EACH = 10
STATIONS = 100
CHANGES_PER_S = 100
# How long the partner takes to answer: about a connection within a continent.
PARTNER_S = 0.010
SETTLE_S = 600.0
AT = "2026-01-01T00:00:00Z"


class Api:
    """The operator API of a server process, as far as the runs need it."""

    def __init__(self, port: int, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        base = f"http://127.0.0.1:{port}/api/v1"
        self.http = httpx.AsyncClient(base_url=base, headers=headers, timeout=120)

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.http.request(method, path, json=body)
        if not answer.is_success:
            raise Broken(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    async def pulled(self, partner: str, since: float) -> dict[str, Any]:
        """Wait until the locations of a partner were read."""
        while perf_counter() - since < SETTLE_S:
            shown = await self("GET", f"/partners/{partner}")
            for module in shown["modules"]:
                if (module["module"], module["direction"]) == ("locations", "pull"):
                    if module["error"]:
                        raise Broken(f"the list was not read: {module['error']}")
                    return dict(module)
            await asyncio.sleep(0.05)
        raise Broken(f"the list was not read within {SETTLE_S:g} s")


def plan(party: str, places: int = 0, evses: int = EVSES_EACH, **more: Any) -> dict[str, Any]:
    """The plan of a server that roams."""
    return {
        "key": secrets.token_hex(32),
        "roaming": {
            "party": party,
            "api_key": f"bench.{secrets.token_hex(20)}",
            "places": places,
            "evses": evses,
            "pushes_at_once": 4,
            **more,
        },
    }


# -- reading a whole network -----------------------------------------------------------------------


async def pull(folder: Path, core: int | None, own_core: int | None, evses: int) -> dict[str, Any]:
    """Read a network of so many EVSEs in full; what it took on both sides."""
    giving, taking = plan("US*STH", max(1, evses // EVSES_EACH)), plan("CA*NTH")
    counted = giving["roaming"]["places"] * EVSES_EACH
    with (
        _server(folder / "giver", core, giving) as giver,
        _server(folder / "taker", own_core, taking) as taker,
    ):
        first = Api(giver.http_port, giving["roaming"]["api_key"])
        second = Api(taker.http_port, taking["roaming"]["api_key"])
        invited = await first("POST", "/partners", {"name": "taker"})
        rss = [await asyncio.to_thread(s.settled_rss) or 0 for s in (giver, taker)]
        before = [s.usage() for s in (giver, taker)]
        began = perf_counter()
        body = {"name": "giver", "url": invited["url"], "token": invited["token"]}
        await second("POST", "/partners/register", body)
        await second.pulled("giver", began)
        took = perf_counter() - began
        after = [s.usage() for s in (giver, taker)]
        grown = [(s.rss() or 0) - at for s, at in zip((giver, taker), rss, strict=True)]
        kept = await second("GET", f"/roaming/locations/US*STH/P{giving['roaming']['places'] - 1}")
        if len(kept["location"]["evses"]) != EVSES_EACH:
            raise Broken("not every EVSE has arrived")
        await asyncio.gather(first.http.aclose(), second.http.aclose())
    return {
        "evses": counted,
        "seconds": took,
        "per_s": counted / took,
        "giver_cpu_us": _cpu(before[0], after[0], counted),
        "taker_cpu_us": _cpu(before[1], after[1], counted),
        "giver_rss_grown_bytes": grown[0],
        "taker_rss_grown_bytes": grown[1],
    }


def _cpu(before: Usage | None, after: Usage | None, counted: int) -> float | None:
    if before is None or after is None:
        return None
    spent = after.loop_s - before.loop_s + after.others_s - before.others_s
    return spent / counted * 1e6


@contextmanager
def _server(folder: Path, core: int | None, given: dict[str, Any]) -> Iterator[Server]:
    folder.mkdir()
    with Server("system", folder, core, **given) as server:
        server.wait_ready()
        yield server


# -- how soon a partner knows ----------------------------------------------------------------------


class Partner:
    """The other network: takes our credentials and every PATCH of an EVSE's status, each after
    `PARTNER_S`. `on_status` is called when a PATCH was answered."""

    def __init__(self, on_status: Callable[[str, str], None]) -> None:
        self._on_status = on_status
        self.port = 0
        self.patches = 0
        self.in_flight = self.most_in_flight = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        answer = JSONResponse(
            {"status_code": 1000, "data": self._data(request, body), "timestamp": AT}
        )
        if request.method not in ("PATCH", "PUT"):
            await answer(scope, receive, send)
            return
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(PARTNER_S)
        self.in_flight -= 1
        await answer(scope, receive, send)
        if request.method == "PATCH":
            self.patches += 1
            self._on_status(request.url.path.rsplit("/", 1)[-1], json.loads(body)["status"])

    def _data(self, request: Request, body: bytes) -> Any:
        base = f"http://127.0.0.1:{self.port}"
        path = request.url.path
        if path == "/versions":
            return [{"version": "2.2.1", "url": f"{base}/2.2.1"}]
        if path == "/2.2.1":
            modules = (("credentials", "SENDER"), ("locations", "RECEIVER"))
            endpoints = [
                {"identifier": name, "role": role, "url": f"{base}/2.2.1/{name}"}
                for name, role in modules
            ]
            return {"version": "2.2.1", "endpoints": endpoints}
        if path == "/2.2.1/credentials" and body:
            role = {"role": "EMSP", "country_code": "CA", "party_id": "NTH"}
            role |= {"business_details": {"name": "Partner"}}  # type: ignore[dict-item]
            return {"token": "T" * 32, "url": f"{base}/versions", "roles": [role]}
        return None

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Partner]:
        config = uvicorn.Config(
            self, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off"
        )
        server = uvicorn.Server(config)
        config.load()
        serving = asyncio.create_task(server._serve(), name="partner")
        while not server.started:
            await asyncio.sleep(0.01)
        self.port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.should_exit = True
            await serving


class Changes:
    """When each status was sent, and how long until the partner had been told of it or of a later
    one (an EVSE that changes twice before its turn is told once)."""

    def __init__(self) -> None:
        self._open: dict[str, deque[tuple[str, float]]] = {}
        self.latencies: list[float] = []

    def sent(self, uid: str, status: str) -> None:
        self._open.setdefault(uid, deque()).append((status, perf_counter()))

    def told(self, uid: str, status: str) -> None:
        waiting, now = self._open.get(uid, deque()), perf_counter()
        upto = max((n for n, (each, _) in enumerate(waiting) if each == status), default=-1)
        for _ in range(upto + 1):
            self.latencies.append(now - waiting.popleft()[1])

    @property
    def untold(self) -> int:
        return sum(len(waiting) for waiting in self._open.values())


async def status(folder: Path, core: int | None, at_once: int, seconds: float) -> dict[str, Any]:
    """Change statuses at `CHANGES_PER_S` for so long; the latencies, in ms."""
    given = plan("US*STH", STATIONS, 1, pushes_at_once=at_once, stations=True)
    given["stations"] = [(f"BENCH-{n:05d}", secrets.token_hex(20)) for n in range(STATIONS)]
    changes = Changes()
    load = Load()
    with _server(folder, core, given) as server:
        api = Api(server.http_port, given["roaming"]["api_key"])
        async with Partner(changes.told).up() as partner:
            try:
                url = f"http://127.0.0.1:{partner.port}/versions"
                body = {"name": "partner", "url": url, "token": "I" * 20}
                await api("POST", "/partners/register", body)
                for identity, secret in given["stations"]:
                    request = upgrade(
                        f"/ocpp/{identity}", "ocpp1.6", identity, secret, deflate=False
                    )
                    lane = await load.connect(server.port, request)
                    await lane.ask(scripts.boot_16())
                    await lane.ask(_status("Available"))
                # The pump has set its cursor, and the first statuses are told.
                await asyncio.sleep(2.0)
                changes.latencies.clear()
                await asyncio.gather(*(_change(load, n, changes, seconds) for n in range(STATIONS)))
                until = perf_counter() + 30
                while changes.untold and perf_counter() < until:
                    await asyncio.sleep(0.05)
            finally:
                load.close()
                await api.http.aclose()
    if changes.untold or not changes.latencies:
        raise Broken(f"{changes.untold} changes were not told within 30 s\n{server.errors}")
    ordered = sorted(changes.latencies)
    return {
        "changes": len(ordered),
        "per_s": CHANGES_PER_S,
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
        "patches": partner.patches,
        "most_in_flight": partner.most_in_flight,
    }


async def _change(load: Load, number: int, changes: Changes, seconds: float) -> None:
    """One station, once a second, each at its own moment."""
    loop = asyncio.get_running_loop()
    every = STATIONS / CHANGES_PER_S
    start = loop.time() + every * number / STATIONS
    turns = max(1, int(seconds / every))
    for turn in range(turns):
        await asyncio.sleep(max(0.0, start + turn * every - loop.time()))
        free = turn % 2
        changes.sent(f"E{number}", "AVAILABLE" if free else "CHARGING")
        await load.lanes[number].ask(_status("Available" if free else "Charging"))


def _status(word: str) -> bytes:
    payload = {"connectorId": 1, "errorCode": "NoError", "status": word}
    return scripts.call(secrets.token_hex(8), "StatusNotification", payload)
