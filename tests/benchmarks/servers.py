"""The three servers, each run as a process of its own: `python -m tests.benchmarks.servers FILE`.

The file is JSON: which server, its core, its stations and tokens, where the database goes. When it
listens, the server writes one line of JSON to its output; it ends when its input is closed, so that
none is left behind whatever happens to the benchmark.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import logging
import os
import sys
import threading
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from websockets.asyncio.server import ServerConnection, serve

ONBOARDED_AT_ONCE = 200
SUBPROTOCOLS = ["ocpp1.6", "ocpp2.0.1"]


# -- floor -------------------------------------------------------------------------------------


@asynccontextmanager
async def floor(plan: dict[str, Any]) -> AsyncIterator[dict[str, int]]:
    """Parse each frame, answer with an empty result, keep nothing."""
    import orjson

    async def answer(websocket: ServerConnection) -> None:
        async for frame in websocket:
            message = orjson.loads(frame)
            await websocket.send(orjson.dumps([3, message[1], {}]).decode())

    async with serve(
        answer, "127.0.0.1", 0, subprotocols=SUBPROTOCOLS, compression=None, backlog=4_096
    ) as server:
        yield {"port": next(iter(server.sockets)).getsockname()[1]}


# -- package -----------------------------------------------------------------------------------


@asynccontextmanager
async def package(plan: dict[str, Any]) -> AsyncIterator[dict[str, int]]:
    """The `ocpp` package as its documentation shows it, with handlers that store nothing."""
    from ocpp.routing import on
    from ocpp.v16 import ChargePoint as ChargePoint16
    from ocpp.v16 import call_result as result16
    from ocpp.v201 import ChargePoint as ChargePoint201
    from ocpp.v201 import call_result as result201

    numbers = iter(range(1, 2**31))

    def now() -> str:
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    class Station16(ChargePoint16):
        @on("BootNotification")
        async def boot(self, **fields: Any) -> Any:
            return result16.BootNotification(current_time=now(), interval=300, status="Accepted")

        @on("StartTransaction")
        async def start_transaction(self, **fields: Any) -> Any:
            return result16.StartTransaction(next(numbers), {"status": "Accepted"})

        @on("StopTransaction")
        async def stop_transaction(self, **fields: Any) -> Any:
            return result16.StopTransaction()

        @on("MeterValues")
        async def meter_values(self, **fields: Any) -> Any:
            return result16.MeterValues()

    class Station201(ChargePoint201):
        @on("BootNotification")
        async def boot(self, **fields: Any) -> Any:
            return result201.BootNotification(current_time=now(), interval=300, status="Accepted")

        @on("TransactionEvent")
        async def transaction_event(self, **fields: Any) -> Any:
            info = {"status": "Accepted"} if "id_token" in fields else None
            return result201.TransactionEvent(id_token_info=info)

    async def answer(websocket: ServerConnection) -> None:
        kind = Station16 if websocket.subprotocol == "ocpp1.6" else Station201
        assert websocket.request is not None
        await kind(websocket.request.path.rpartition("/")[2], websocket).start()

    async with serve(
        answer, "127.0.0.1", 0, subprotocols=SUBPROTOCOLS, compression=None, backlog=4_096
    ) as server:
        yield {"port": next(iter(server.sockets)).getsockname()[1]}


# -- system ------------------------------------------------------------------------------------


@asynccontextmanager
async def system(plan: dict[str, Any]) -> AsyncIterator[dict[str, int]]:
    """This central system as `csms serve` runs it, with its stations, tokens and places added."""
    from csms import app, fresh
    from csms.observability import configure_logging
    from csms.settings import (
        HttpSettings,
        OcpiSettings,
        OcppSettings,
        SecuritySettings,
        Settings,
        StoreSettings,
    )

    configure_logging("warning")
    roaming = plan.get("roaming") or {}
    settings = Settings(
        log_level="warning",
        party=roaming.get("party", "XX*CSM"),
        ocpi=OcpiSettings(
            allow_http=True,
            allow_networks=("127.0.0.0/8",),
            pushes_at_once=roaming.get("pushes_at_once", 4),
        ),
        # Nobody is asked about anything meanwhile: the generator answers no calls.
        ocpp=OcppSettings(
            host="127.0.0.1",
            port=0,
            max_links=len(plan["stations"]) + 1_000,
            settle_s=3_600,
        ),
        http=HttpSettings(port=0),
        store=StoreSettings(url=plan.get("store") or f"sqlite:///{plan['database']}"),
        security=SecuritySettings(keys={"bench": plan["key"]}, current="bench"),
    )
    async with app.running(settings) as running:
        keyring = fresh.keyring_of(settings)
        await _onboard(running.store, keyring, settings.party, plan)
        if roaming:
            await fresh.ensure_admin_key(running.store, keyring, roaming["api_key"])
            await _furnish(running.store, settings.party, roaming)
        app.settle_memory()
        yield {"port": running.ocpp_port or 0, "http_port": running.http_port}


async def _onboard(store: Any, keyring: Any, party: str, plan: dict[str, Any]) -> None:
    """Add the plan's stations and tokens, as the operator API does."""
    from csms.core import security, stations, tokens
    from csms.core.security import BASIC, Credential
    from csms.core.stations import NewStation

    now = datetime.now(UTC)

    def add(tx: Any, identity: str, credential: Credential) -> None:
        station = stations.onboard(tx, credential.station_id, NewStation(identity, party), now)
        security.issue(tx, credential._replace(station_id=station.id), now)

    waiting: list[Any] = []
    for identity, token in plan["stations"]:
        key_id, hashed = keyring.hash(token.encode())
        credential = Credential(uuid.uuid4().hex, uuid.uuid4().hex, BASIC, key_id, hashed, now)
        waiting.append(store.transact(add, identity, credential))
        if len(waiting) >= ONBOARDED_AT_ONCE:
            await asyncio.gather(*waiting)
            waiting.clear()
    for uid in plan["tokens"]:
        waiting.append(store.transact(tokens.add, tokens.Token(party, "", "rfid", uid, now), now))
    await asyncio.gather(*waiting)


async def _furnish(store: Any, party: str, roaming: dict[str, Any]) -> None:
    """Add the plan's places; with `stations` each of their EVSEs is served by one."""
    from csms.core import locations
    from csms.core.locations import Location, LocationEvse
    from csms.core.stations import Station
    from tests.support.ocpi_objects import PLUG

    now = datetime.now(UTC)
    served: list[str] = []
    if roaming.get("stations"):
        rows = await store.reader.page(Station, limit=1_000)
        served = [row.id for row in sorted(rows, key=lambda row: row.identity)]
    waiting = []
    for number in range(roaming["places"]):
        name = f"P{number}"
        address = ("1 Main Street", "New York", "USA", f"{40 + number % 5}.700000", "-74.000000")
        place = Location(party, name.lower(), name, now, now, *address, "America/New_York")
        evses = []
        for n in range(roaming["evses"]):
            uid = f"E{number * roaming['evses'] + n}"
            evse = LocationEvse(party, uid.lower(), uid, name.lower(), now, now, connectors=[PLUG])
            if served:
                evse = evse._replace(station_id=served[number], evse=1)
            evses.append(evse)
        waiting.append(store.transact(locations.put, place, evses, now))
        if len(waiting) >= ONBOARDED_AT_ONCE:
            await asyncio.gather(*waiting)
            waiting.clear()
    await asyncio.gather(*waiting)


SERVERS = {"floor": floor, "package": package, "system": system}


# -- the process -------------------------------------------------------------------------------


class Watch:
    """cProfile on one thread of the server: the event loop's or the store's.

    One at a time, because each slows down the other. The interpreter's lock is then handed over
    only where a thread waits or lets it go by itself, so that waiting for it is charged to those
    functions (SQLite's above all) and to no others.
    """

    def __init__(self, thread: str) -> None:
        self.profile = cProfile.Profile()
        self._thread = thread
        sys.setswitchinterval(1.0)
        if thread == "store":
            threading.setprofile(self._thread_started)

    def _thread_started(self, frame: Any, event: str, arg: Any) -> None:
        sys.setprofile(None)
        if threading.current_thread().name == "store":
            self.profile.enable()

    def begin(self) -> None:
        """The server is ready."""
        if self._thread == "loop":
            self.profile.enable()

    def end(self) -> None:
        """The load is over."""
        if self._thread == "loop":
            self.profile.disable()


async def _serve(plan: dict[str, Any], watch: Watch | None) -> None:
    async with AsyncExitStack() as stack:
        ports = await stack.enter_async_context(SERVERS[plan["server"]](plan))
        if watch is not None:
            watch.begin()
        print(json.dumps(ports), flush=True)
        # The end of the input is the wish to stop.
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), ended.set)
        await ended.wait()
        loop.remove_reader(sys.stdin.fileno())
        if watch is not None:
            watch.end()


def main(file: Path) -> None:
    """Run the server that the file describes until the input ends."""
    plan = json.loads(file.read_text())
    if plan["core"] is not None:
        # Before anything starts a thread: threads inherit it.
        os.sched_setaffinity(0, {plan["core"]})
    logging.basicConfig(level=logging.WARNING)
    watch = Watch(plan["profile"]) if plan["profile"] else None
    uvloop.run(_serve(plan, watch))
    if watch is not None:
        watch.profile.dump_stats(file.with_name("server.pstats"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
