"""`csms serve --workers 2`: two processes, one address."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.fleet import onboard, running_fleet
from tests.support.mosquitto import mosquitto
from tests.support.postgres import database
from tests.support.system import System, SystemOnServer
from tests.support.truth import compare
from tests.support.waiting import until

pytestmark = [pytest.mark.postgres, pytest.mark.mosquitto]

NODES = ["n-1", "n-2", "n-duties"]
SEED = 31
SPEED = 60.0


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[SystemOnServer]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(database())
        broker = await stack.enter_async_context(mosquitto(tmp_path))
        made = SystemOnServer(tmp_path, url)
        made.how_to_serve = ("--workers", "2")
        await made.init(CSMS_NODE="n", CSMS_BUS__URL=broker.url, CSMS_NODES__LOST_AFTER_S="4")
        try:
            yield made
        finally:
            if made.process is not None and made.process.returncode is None:
                await made.kill()


async def nodes(system: System) -> dict[str, dict[str, Any]]:
    """Those that live, by name; nobody where the one that was asked is killed over it."""
    try:
        async with system.client() as client:
            rows = (await client.get("/nodes")).json()["items"]
    except httpx.TransportError:
        return {}
    return {row["name"]: row for row in rows if row["state"] == "up"}


async def test_stations_are_spread_and_a_worker_that_dies_comes_back(
    system: SystemOnServer,
) -> None:
    await system.start()

    async def all_up() -> bool:
        return sorted(await nodes(system)) == NODES

    await until(all_up, 30)
    profiles = await onboard(  # the kernel draws who gets which: of 24, one has none in 8 million
        system, 24, meter_interval_s=20, message_timeout_s=60.0, attempts=50, retry_interval_s=5
    )
    async with running_fleet(system, profiles, SEED, SPEED) as fleet:
        await fleet.until_messages(80)

        async def spread() -> bool:
            found = {name: row["links"] for name, row in (await nodes(system)).items()}
            return bool(found.get("n-1") and found.get("n-2") and found.get("n-duties") == 0)

        async def one_does_it_all() -> bool:
            rows = await nodes(system)
            return {name for name, row in rows.items() if row["duties"]} == {"n-duties"}

        await until(spread, 30)
        await until(one_does_it_all, 30)
        os.kill(system.workers[0], signal.SIGKILL)
        await fleet.until_messages(fleet.messages + 80)
        await until(lambda: len(system.workers) == 3, 30)
        await until(all_up, 30)
        # The one without stations: what it did for all it does again when it is back.
        before = (await until(lambda: nodes(system)))["n-duties"]["joined_at"]

        async def begun_again() -> bool:
            row = (await nodes(system)).get("n-duties")
            return row is not None and row["joined_at"] > before

        os.kill(system.workers[-1], signal.SIGKILL)
        await until(begun_again, 30)
        await until(one_does_it_all, 30)
        await fleet.drain()
    assert sum(charger.ledger.given_up for charger in fleet.chargers) == 0
    compare(system, fleet.chargers)
    pids = system.workers
    assert len(pids) == 3
    assert await system.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    said = system.log.read_text()
    assert re.search(r"worker \d ended \(signal 9\); it is started again", said), said


async def test_each_has_an_address_of_its_own_and_none_outlives_who_started_it(
    system: SystemOnServer,
) -> None:
    await system.start()
    async with httpx.AsyncClient() as client:
        for number, node in enumerate(NODES, 1):
            base = f"http://127.0.0.1:{system.http_port + number}"

            async def there(base: str = base) -> Any:
                try:
                    return (await client.get(f"{base}/healthz")).json()
                except httpx.TransportError:
                    return None

            found = await until(there, 30)
            assert found["node"] == node
    pids = system.workers
    assert len(pids) == 3
    await system.kill()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 30)


async def test_a_file_has_one_process_only(tmp_path: Path) -> None:
    system = System(tmp_path)
    await system.init()
    system.how_to_serve = ("--workers", "2")
    with pytest.raises(AssertionError, match="--workers 2 needs a PostgreSQL server"):
        async with asyncio.timeout(30):
            await system.start()
