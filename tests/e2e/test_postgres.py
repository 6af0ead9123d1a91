"""A whole system on PostgreSQL: chargers charge, the server dies in the middle, and all that was
acknowledged is there exactly once."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.fleet import onboard, running_fleet
from tests.support.postgres import Cluster, database
from tests.support.system import SystemOnServer, free_port
from tests.support.truth import compare

pytestmark = pytest.mark.postgres

SEED = 11
SPEED = 60.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server of this test's own. Not below pytest's folder, which only its owner may enter."""
    made = Cluster(Path(tempfile.mkdtemp(prefix="csms-test-postgres-")), free_port())
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.stop(signal.SIGQUIT)
        made.remove()


async def ended(system: SystemOnServer) -> AsyncIterator[SystemOnServer]:
    try:
        yield system
    finally:
        if system.process is not None and system.process.returncode is None:
            await system.kill()


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[SystemOnServer]:
    with database() as url:
        async for made in ended(SystemOnServer(tmp_path, url)):
            yield made


@pytest.fixture
async def alone(tmp_path: Path, cluster: Cluster) -> AsyncIterator[SystemOnServer]:
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE csms")
    async for made in ended(SystemOnServer(tmp_path, cluster.url("csms"))):
        yield made


async def test_chargers_of_all_versions_charge_and_the_energies_agree(
    system: SystemOnServer,
) -> None:
    await system.init()
    await system.start()
    profiles = await onboard(system, 9, meter_interval_s=20)
    async with running_fleet(system, profiles, SEED, SPEED) as fleet:
        await fleet.until_messages(400)
        await fleet.drain()
    assert await system.stop() == 0
    assert compare(system, fleet.chargers)["transactions"] > 9
    ((rows, numbers),) = system.query("SELECT count(*), count(DISTINCT seq) FROM journal")
    assert rows == numbers > 100


async def test_a_killed_system_loses_nothing_that_it_acknowledged(system: SystemOnServer) -> None:
    await system.init()
    await system.start()
    profiles = await onboard(
        system, 9, meter_interval_s=20, message_timeout_s=60.0, attempts=50, retry_interval_s=5
    )
    async with running_fleet(system, profiles, SEED, SPEED) as fleet:
        for more in (150, 150):
            await fleet.until_messages(fleet.messages + more)
            await system.kill()
            await system.start()
        await fleet.drain()
    assert sum(charger.ledger.given_up for charger in fleet.chargers) == 0
    assert await system.stop() == 0
    assert compare(system, fleet.chargers)["transactions"] > 9


async def test_a_server_that_dies_and_comes_back_costs_no_message(
    alone: SystemOnServer, cluster: Cluster
) -> None:
    """Twice: once for longer than stations are left waiting, once for a moment."""
    await alone.init(CSMS_STORE__GRACE_S="1")
    await alone.start()
    profiles = await onboard(
        alone, 9, meter_interval_s=20, message_timeout_s=600.0, attempts=3, retry_interval_s=20
    )
    async with running_fleet(alone, profiles, SEED, SPEED) as fleet:
        await fleet.until_messages(200)
        cluster.stop(signal.SIGQUIT)
        async with asyncio.timeout(60):
            while any(charger.online for charger in fleet.chargers):
                await fleet.clock.sleep(5)
        await asyncio.to_thread(cluster.start)
        await alone.ready()
        await fleet.until_messages(fleet.messages + 200)
        cluster.stop(signal.SIGQUIT)
        await asyncio.to_thread(cluster.start)
        await alone.ready()
        await fleet.until_messages(fleet.messages + 200)
        await fleet.drain()
    assert sum(charger.ledger.given_up for charger in fleet.chargers) == 0
    assert await alone.stop() == 0
    assert compare(alone, fleet.chargers)["transactions"] > 9
    ((rows, numbers),) = alone.query("SELECT count(*), count(DISTINCT seq) FROM journal")
    assert rows == numbers
