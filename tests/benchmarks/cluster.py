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
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg

from chargers.charger import Charger
from chargers.profile import ChargerProfile
from csms.core import security, stations
from csms.core.security import BASIC, Credential
from csms.core.stations import NewStation
from csms.fresh import keyring_of, new_id
from csms.settings import load
from csms.storage.open import open_store
from tests.benchmarks.generator import LINKS_PER_ADDRESS
from tests.benchmarks.processes import CannotRun
from tests.benchmarks.scripts import Script
from tests.support import mosquitto, postgres
from tests.support.postgres import Cluster
from tests.support.system import SystemOnServer, free_port
from tests.support.waiting import until

ONBOARDED_AT_ONCE = 500
# Commands that are not counted: what is loaded once is loaded by them.
FIRST = 10
STORM_WITHIN_S = 600.0
NODES_UP_S = 60.0


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
    """Stations in the database, as the operator API adds them; a file of their tokens."""
    settings = load(system.config)
    keyring, now, party = keyring_of(settings), datetime.now(UTC), settings.party
    file = system.config.with_name("tokens.csv")

    def add(tx: Any, identity: str, credential: Credential) -> None:
        stations.onboard(tx, credential.station_id, NewStation(identity, party, 2), now)
        security.issue(tx, credential, now)

    async with open_store(settings.store.url, max_queue=100_000) as store:
        with file.open("w") as text:
            text.write("identity,token\n")
            waiting: list[Any] = []
            for number in range(count):
                identity, token = f"LOAD-{number:05}", secrets.token_hex(20)
                text.write(f"{identity},{token}\n")
                key_id, hashed = keyring.hash(token.encode())
                station_id = new_id()
                credential = Credential(new_id(), station_id, BASIC, key_id, hashed, now)
                waiting.append(store.transact(add, identity, credential, lane=station_id))
                if len(waiting) >= ONBOARDED_AT_ONCE:
                    await asyncio.gather(*waiting)
                    waiting.clear()
            await asyncio.gather(*waiting)
    return file


def workers_of(system: SystemOnServer) -> list[int]:
    """The process ids of the workers."""
    assert system.process is not None
    pid = system.process.pid
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


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


async def storm(folder: Path, count: int) -> dict[str, Any]:
    """Two workers that begin, and all stations come at the same moment: each connects, boots and
    reports two connectors. After it the workers are killed, and the database is looked at."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(database(folder))
        broker_url = await stack.enter_async_context(broker(folder / "broker"))
        system = SystemOnServer(folder, url)
        system.how_to_serve = ("--workers", "2")
        await system.init(CSMS_BUS__URL=broker_url, CSMS_OCPP__SETTLE_S="3600")
        file = await onboard(system, count)
        with contextlib.suppress(psycopg.Error), psycopg.connect(url, autocommit=True) as c:
            c.execute("ANALYZE")
        try:
            await system.start()
            await _up(system, 2)
            pids = workers_of(system)
            before = [cpu_s(pid) for pid in pids]
            report = await _load(system.station_url, file, count)
            used = [cpu_s(pid) - b for pid, b in zip(pids, before, strict=True)]
        finally:
            if system.process is not None:
                for pid in workers_of(system):
                    os.kill(pid, signal.SIGKILL)
                await system.kill()
        with psycopg.connect(url) as connection:
            booted = connection.execute(
                "SELECT count(*) FROM stations WHERE booted_at IS NOT NULL"
            ).fetchone()
            reported = connection.execute(
                "SELECT count(*) FROM connectors WHERE status = 'available'"
            ).fetchone()
    assert booted is not None
    assert reported is not None
    return {
        "stations": count,
        "settled": report["settled"],
        "settled_s": report["settled_s"] or report["seconds"],
        "worker_cpu_s": [round(s, 1) for s in used],
        "generator_cpu_s": report["generator_cpu_s"],
        "p99_ms": report["p99_ms"],
        "counts": report["counts"],
        "missing": 3 * count - booted[0] - reported[0],
    }


async def _load(url: str, file: Path, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "chargers", "load", url, str(file), "--count", str(count)]
    command += ["--profile", "boot-storm", "--processes", "2", "--at-once", str(count), "--json"]
    command += ["--addresses", str(1 + count // LINKS_PER_ADDRESS)]
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
