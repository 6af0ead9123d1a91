"""Figures of several processes: the store on PostgreSQL, two workers in a storm, commands from one
node to a station of another. The servers are real: PostgreSQL, Mosquitto, `csms serve`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg

from chargers.charger import Charger
from chargers.profile import ChargerProfile
from csms.core import locations, security, stations
from csms.core.availability import ConnectorReport
from csms.core.ids import Origin
from csms.core.locations import Location, LocationEvse
from csms.core.security import BASIC, Credential
from csms.core.stations import BootReport, NewStation
from csms.fresh import keyring_of, new_id
from csms.settings import load
from csms.storage.open import open_store
from tests.benchmarks.generator import LINKS_PER_ADDRESS
from tests.benchmarks.processes import CannotRun
from tests.benchmarks.roaming import Partner
from tests.benchmarks.scripts import Script
from tests.support import mosquitto, postgres
from tests.support.ocpi_objects import PLUG
from tests.support.postgres import Cluster
from tests.support.system import SystemOnServer, free_port
from tests.support.waiting import until

ONBOARDED_AT_ONCE = 500
# Commands that are not counted: what is loaded once is loaded by them.
FIRST = 10
STORM_WITHIN_S = 600.0
NODES_UP_S = 60.0
WORKERS = 2
AT_A_PLACE = 5
# Percent of the statuses that are not as they were, and what a partner is told of those.
CHANGED = 1.0
CHANGED_STATUS = "INOPERATIVE"
TOLD_WITHIN_S = 30.0
LOOK_EVERY_S = 0.2


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """A new PostgreSQL server with an empty database, while the block runs: its address."""
    if postgres.binaries() is None:
        raise CannotRun(postgres.MISSING)
    # Its own user has to be able to enter all folders above it.
    inside = tempfile.mkdtemp(prefix="csms-bench-pg-", dir=_open_folder(folder))
    made = Cluster(Path(inside), free_port())
    try:
        made.make()
        made.start()
        with psycopg.connect(made.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE csms")
        yield made.url("csms")
    finally:
        made.stop(signal.SIGQUIT)
        made.remove()


def _open_folder(folder: Path) -> Path:
    """The nearest folder above that everybody may enter."""
    for above in (folder, *folder.parents):
        if above.stat().st_mode & 0o001 and all(p.stat().st_mode & 0o001 for p in above.parents):
            return above
    return Path(tempfile.gettempdir())


def faults(url: str, load_name: str, sent: Sequence[Script]) -> list[str]:
    """What is missing of what was acknowledged, or there twice, in words."""
    acknowledged = sum(script.acknowledged for script in sent)
    with psycopg.connect(url) as connection:
        one = "SELECT count(*), count(DISTINCT (transaction_id, at)) FROM meter_samples"
        samples = connection.execute(one).fetchone()
        two = "SELECT count(*), count(DISTINCT wire_id) FROM transactions"
        charges = connection.execute(two).fetchone()
        kept = connection.execute("SELECT count(*) FROM quarantine").fetchone()
    found = [f"{kept[0]} reports are in quarantine"] if kept and kept[0] else []
    if load_name == "meter" and samples != (acknowledged, acknowledged):
        found.append(f"samples {samples}, acknowledged {acknowledged}")
    if load_name == "transactions":
        begun = sum(-(-script.acknowledged // script.messages_each) for script in sent)
        if charges != (begun, begun):
            found.append(f"transactions {charges}, acknowledged {begun}")
    return found


# -- two nodes -------------------------------------------------------------------------------------


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[str]:
    if mosquitto.binary() is None:
        raise CannotRun(mosquitto.MISSING)
    folder.mkdir()
    async with mosquitto.mosquitto(folder) as made:
        yield made.url


async def onboard(system: SystemOnServer, count: int) -> Path:
    """Stations in the database as they are before a restart: they have booted, their connectors are
    free, every ten EVSEs are a place that partners know, and their links have just ended. A file of
    their tokens."""
    settings = load(system.config)
    keyring, party = keyring_of(settings), settings.party
    file = system.config.with_name("tokens.csv")

    def add(tx: Any, number: int, credentials: Sequence[Credential]) -> None:
        now = datetime.now(UTC)
        origins = []
        for n, credential in enumerate(credentials):
            identity = _name(number * AT_A_PLACE + n)
            stations.onboard(tx, credential.station_id, NewStation(identity, party, 2), now)
            security.issue(tx, credential, now)
            origins.append(Origin(credential.station_id, identity, "ocpp1.6", now))
            stations.boot(tx, origins[-1], BootReport("Crowd", "Load"))
        _place(tx, party, number, origins, now)
        for origin in origins:
            opened = stations.link_opened(tx, origin, "before", "127.0.0.1")
            for evse in (1, 2):
                locations.record(tx, origin, ConnectorReport(evse, 1, "available", now))
            ended = (opened.generation, now, now, "restart")
            stations.link_closed(tx, origin.station_id, *ended)

    async with open_store(settings.store.url, max_queue=100_000) as store:
        with file.open("w") as text:
            text.write("identity,token\n")
            waiting: list[Any] = []
            for number in range(-(-count // AT_A_PLACE)):
                credentials = []
                for n in range(number * AT_A_PLACE, min(count, (number + 1) * AT_A_PLACE)):
                    token = secrets.token_hex(20)
                    text.write(f"{_name(n)},{token}\n")
                    key_id, hashed = keyring.hash(token.encode())
                    at = datetime.now(UTC)
                    credentials.append(Credential(new_id(), new_id(), BASIC, key_id, hashed, at))
                waiting.append(store.transact(add, number, credentials, lane=f"{number}"))
                if len(waiting) >= ONBOARDED_AT_ONCE:
                    await asyncio.gather(*waiting)
                    waiting.clear()
            await asyncio.gather(*waiting)
    return file


def _name(number: int) -> str:
    return f"LOAD-{number:05}"


def _place(tx: Any, party: str, number: int, origins: Sequence[Origin], now: datetime) -> None:
    name = f"P{number}"
    where = ("1 Main Street", "New York", "USA", f"{40 + number % 5}.700000", "-74.000000")
    place = Location(party, name.lower(), name, now, now, *where, "America/New_York")
    evses = []
    for origin in origins:
        for n in (1, 2):
            uid = f"{origin.identity}-{n}"
            served = {"station_id": origin.station_id, "evse": n}
            key = (uid.lower(), uid, name.lower())
            evses.append(LocationEvse(party, *key, now, now, connectors=[PLUG], **served))
    locations.put(tx, place, evses, now)


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _up(system: SystemOnServer, nodes: int) -> None:
    async def seen() -> bool:
        async with system.client() as client:
            rows = (await client.get("/nodes")).json()["items"]
        return sum(row["state"] == "up" for row in rows) == nodes

    await until(seen, NODES_UP_S)


class Told:
    """When the partner was told of each change."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def __call__(self, uid: str, status: str) -> None:
        if status == CHANGED_STATUS:
            self.at.setdefault(uid, time.time())

    def seconds(self, changes: dict[str, float]) -> list[float]:
        """From the moment that a station said it to the answer of the PATCH, of those told."""
        uids = {f"{identity}-1": at for identity, at in changes.items()}
        return [self.at[uid] - at for uid, at in uids.items() if uid in self.at]


async def storm(folder: Path, count: int) -> dict[str, Any]:
    """Two workers that begin, and all stations come back at the same moment: each connects, boots
    and reports two connectors, of which one in a hundred is not as it was; a partner is told of
    those. After it the workers are killed, and the database is looked at."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(database(folder))
        broker_url = await stack.enter_async_context(broker(folder / "broker"))
        system = SystemOnServer(folder, url)
        system.how_to_serve = ("--workers", str(WORKERS))
        await system.init(
            CSMS_BUS__URL=broker_url,
            CSMS_OCPP__SETTLE_S="3600",
            CSMS_OCPP__OFFLINE_GRACE_S="900",
            CSMS_OCPI__ALLOW_HTTP="true",
            CSMS_OCPI__ALLOW_NETWORKS='["127.0.0.0/8"]',
        )
        file = await onboard(system, count)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")
        told, began = Told(), datetime.now(UTC)
        partner = await stack.enter_async_context(Partner(told).up())
        try:
            await system.start()
            # One more takes no stations.
            await _up(system, WORKERS + 1)
            await _registered(system, partner)
            processes = Used(system.workers)
            report = await processes.during(_load(system.station_url, file, count))
            changes = report["changes"]
            with contextlib.suppress(TimeoutError):
                await until(lambda: len(told.seconds(changes)) == len(changes), TOLD_WITHIN_S)
        finally:
            if system.process is not None:
                for pid in system.workers:
                    os.kill(pid, signal.SIGKILL)
                await system.kill()
        missing = _missing(url, count, began, len(changes))
    took = told.seconds(changes)
    settled_s = report["settled_s"] or report["seconds"]
    used = processes.until(report["began_at"] + settled_s)
    return {
        "stations": count,
        "settled": report["settled"],
        "settled_s": settled_s,
        "worker_cpu_s": used[:WORKERS],
        "duties_cpu_s": sum(used[WORKERS:]),
        "generator_cpu_s": report["generator_cpu_s"],
        "p99_ms": report["p99_ms"],
        "counts": report["counts"],
        "changes": len(changes),
        "untold": len(changes) - len(took),
        "patches": partner.patches,
        "told_p50_ms": _quantile(took, 0.5),
        "told_p99_ms": _quantile(took, 0.99),
        "missing": missing,
    }


class Used:
    """The CPU time of processes, looked at while something happens."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._seen: list[tuple[float, list[float]]] = []

    def _look(self) -> None:
        self._seen.append((time.time(), [cpu_s(pid) for pid in self._pids]))

    async def during(self, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        """What that comes to."""
        working = asyncio.ensure_future(work)
        while not working.done():
            self._look()
            await asyncio.wait((working,), timeout=LOOK_EVERY_S)
        self._look()
        return working.result()

    def until(self, at: float) -> list[float]:
        """Seconds that each process has used by then."""
        before, *_ = self._seen
        after = next((seen for seen in self._seen if seen[0] >= at), self._seen[-1])
        return [round(b - a, 1) for a, b in zip(before[1], after[1], strict=True)]


async def _registered(system: SystemOnServer, partner: Partner) -> None:
    body = {
        "name": "partner",
        "url": f"http://127.0.0.1:{partner.port}/versions",
        "token": "I" * 20,
    }
    async with system.client() as client:
        answer = await client.post("/partners/register", json=body)
        if not answer.is_success:
            raise CannotRun(f"the partner was not registered: {answer.text}")


def _missing(url: str, count: int, began: datetime, changed: int) -> int:
    """How many of the reports, all of which were answered, are not in the database."""
    with psycopg.connect(url) as connection:
        booted = connection.execute(
            "SELECT count(*) FROM stations WHERE booted_at >= %s", (began,)
        ).fetchone()
        reported = connection.execute(
            "SELECT count(*) FILTER (WHERE status = 'available'),"
            " count(*) FILTER (WHERE status = 'unavailable') FROM connectors"
        ).fetchone()
    assert booted is not None
    assert reported is not None
    free, other = reported
    return int(count - booted[0] + 2 * count - free - other + abs(changed - other))


async def _load(url: str, file: Path, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "chargers", "load", url, str(file), "--count", str(count)]
    command += ["--profile", "boot-storm", "--processes", "2", "--at-once", str(count), "--json"]
    command += ["--addresses", str(1 + count // LINKS_PER_ADDRESS), "--changed", str(CHANGED)]
    command += ["--seconds", str(STORM_WITHIN_S)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    found: dict[str, Any] = json.loads(out)
    return found


async def commands(folder: Path, asked: int) -> dict[str, Any]:
    """The same command to the same station, asked at its own node and at another, in turn."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(database(folder))
        broker_url = await stack.enter_async_context(broker(folder / "broker"))
        a = SystemOnServer(folder, url)
        await a.init(CSMS_NODE="a", CSMS_BUS__URL=broker_url, CSMS_OCPP__SETTLE_S="3600")
        b = a.beside("b")
        took: dict[str, list[float]] = {"here": [], "there": []}
        try:
            await asyncio.gather(a.start(), b.start())
            await _up(a, 2)
            async with a.client() as own, b.client() as other:
                token = (await own.post("/stations", json={"identity": "CP-1"})).json()["token"]
                profile = ChargerProfile(id="CP-1", version="1.6", token=token)
                async with Charger(profile, a.station_url) as charger:
                    await charger.booted()
                    for number in range(asked + FIRST):
                        for where, client in (("here", own), ("there", other)):
                            began = time.perf_counter()
                            await _ask(client)
                            if number >= FIRST:
                                took[where].append(time.perf_counter() - began)
        finally:
            for node in (a, b):
                if node.process is not None:
                    await node.kill()
    return {
        "commands": asked,
        **{f"{where}_p50_ms": _quantile(found, 0.5) for where, found in took.items()},
        **{f"{where}_p99_ms": _quantile(found, 0.99) for where, found in took.items()},
    }


async def _ask(client: httpx.AsyncClient) -> None:
    wish = {"kind": "trigger", "parameters": {"message": "heartbeat"}}
    answer = await client.post("/stations/CP-1/commands?wait=10", json=wish)
    if answer.status_code >= 300 or answer.json()["status"] != "accepted":
        raise CannotRun(f"a command was not accepted: {answer.text}")


def _quantile(values: list[float], part: float) -> float:
    found = sorted(values)
    return found[min(len(found) - 1, int(len(found) * part))] * 1_000
