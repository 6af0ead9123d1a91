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


async def links(system: System) -> dict[str, int]:
    """Node -> its stations, of those that live."""
    async with system.client() as client:
        rows = (await client.get("/nodes")).json()["items"]
    return {row["name"]: row["links"] for row in rows if row["state"] == "up"}


def workers(system: System) -> list[int]:
    """The process ids of the workers."""
    assert system.process is not None
    task = Path(f"/proc/{system.process.pid}/task/{system.process.pid}/children")
    return [int(pid) for pid in task.read_text().split()]


async def test_stations_are_spread_and_a_worker_that_dies_comes_back(
    system: SystemOnServer,
) -> None:
    await system.start()

    async def both() -> bool:
        return len(await links(system)) == 2

    await until(both, 30)
    profiles = await onboard(  # the kernel draws who gets which: of 24, one has none in 8 million
        system, 24, meter_interval_s=20, message_timeout_s=60.0, attempts=50, retry_interval_s=5
    )
    async with running_fleet(system, profiles, SEED, SPEED) as fleet:
        await fleet.until_messages(80)

        async def spread() -> bool:
            return sorted(await links(system)) == ["n-1", "n-2"] and all(
                (await links(system)).values()
            )

        await until(spread, 30)
        os.kill(workers(system)[0], signal.SIGKILL)
        await fleet.until_messages(fleet.messages + 80)
        await until(both, 30)
        await fleet.drain()
    assert sum(charger.ledger.given_up for charger in fleet.chargers) == 0
    compare(system, fleet.chargers)
    pids = workers(system)
    assert len(pids) == 2
    assert await system.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    said = system.log.read_text()
    assert re.search(r"worker \d ended \(signal 9\); it is started again", said), said


async def test_each_has_an_address_of_its_own_and_none_outlives_who_started_it(
    system: SystemOnServer,
) -> None:
    await system.start()
    async with httpx.AsyncClient() as client:
        for number in (1, 2):
            base = f"http://127.0.0.1:{system.http_port + number}"

            async def there(base: str = base) -> Any:
                try:
                    return (await client.get(f"{base}/healthz")).json()
                except httpx.TransportError:
                    return None

            found = await until(there, 30)
            assert found["node"] == f"n-{number}"
    pids = workers(system)
    assert len(pids) == 2
    await system.kill()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 30)


async def test_a_file_has_one_process_only(tmp_path: Path) -> None:
    system = System(tmp_path)
    await system.init()
    system.how_to_serve = ("--workers", "2")
    with pytest.raises(AssertionError, match="--workers 2 needs a PostgreSQL server"):
        async with asyncio.timeout(30):
            await system.start()
