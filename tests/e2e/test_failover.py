"""Nodes of one system in processes of their own behind a balancer: one is killed, and its stations
go on at the other where they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.balancer import balancer
from tests.support.fleet import onboard, running_fleet
from tests.support.mosquitto import mosquitto
from tests.support.postgres import database
from tests.support.system import SystemOnServer
from tests.support.truth import compare
from tests.support.waiting import until

pytestmark = [pytest.mark.postgres, pytest.mark.mosquitto]

SEED = 23
SPEED = 60.0


class Behind(SystemOnServer):
    """The system as stations see it: by the address of its balancer."""

    balancer_port = 0

    @property
    def station_url(self) -> str:
        return f"ws://127.0.0.1:{self.balancer_port}/ocpp"


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[Behind, SystemOnServer]]:
    """Two nodes that run, `a` and `b`."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(database())
        broker = await stack.enter_async_context(mosquitto(folder))
        a = Behind(folder, url)
        await a.init(CSMS_NODE="a", CSMS_BUS__URL=broker.url, CSMS_NODES__LOST_AFTER_S="4")
        b = a.beside("b")
        made = await stack.enter_async_context(balancer([a.ocpp_port, b.ocpp_port]))
        a.balancer_port = made.port
        try:
            await asyncio.gather(a.start(), b.start())
            yield a, b
        finally:
            for node in (a, b):
                if node.process is not None and node.process.returncode is None:
                    await node.kill()


async def listed(node: SystemOnServer) -> dict[str, dict[str, Any]]:
    async with node.client() as client:
        rows = (await client.get("/nodes")).json()["items"]
    return {row["name"]: row for row in rows}


async def test_a_node_that_is_killed_is_taken_over_and_nothing_is_lost(tmp_path: Path) -> None:
    async with pair(tmp_path) as (a, b):
        profiles = await onboard(
            a, 8, meter_interval_s=20, message_timeout_s=60.0, attempts=50, retry_interval_s=5
        )
        async with running_fleet(a, profiles, SEED, SPEED) as fleet:
            await fleet.until_messages(100)
            before = await listed(a)
            assert all(before[name]["links"] > 1 for name in "ab"), before
            await b.kill()

            async def taken_over() -> bool:
                now = await listed(a)
                return now["b"]["state"] == "left" and len(now["a"]["duties"]) == 9

            await until(taken_over, 20)
            await fleet.until_messages(fleet.messages + 100)
            assert (await listed(a))["a"]["links"] == 8
            await b.start()
            await a.kill()
            await fleet.until_messages(fleet.messages + 100)
            await a.start()
            await fleet.drain()
        assert sum(charger.ledger.given_up for charger in fleet.chargers) == 0
        assert compare(a, fleet.chargers)["transactions"] > 4
        ((rows, numbers),) = a.query("SELECT count(*), count(DISTINCT seq) FROM journal")
        assert rows == numbers
        assert [await node.stop() for node in (a, b)] == [0, 0]


async def test_a_name_is_one_nodes_and_no_charge_notices_a_drain(tmp_path: Path) -> None:
    async with pair(tmp_path) as (a, b):
        with pytest.raises(AssertionError, match="give this one a name of its own"):
            await a.beside("a").start()
        profiles = await onboard(
            a, 8, meter_interval_s=20, message_timeout_s=60.0, attempts=50, retry_interval_s=5
        )
        async with running_fleet(a, profiles, SEED, SPEED) as fleet:
            await fleet.until_messages(80)
            async with a.client() as client:
                answer = await client.post("/nodes/b/drain")
                assert answer.status_code == 200, answer.text

            async def empty() -> bool:
                return (await listed(a))["b"]["links"] == 0

            await until(empty, 20)
            assert await b.stop() == 0
            assert (await listed(a))["b"]["state"] == "left"
            await b.start()
            assert (await listed(b))["b"]["state"] == "up"
            await fleet.until_messages(fleet.messages + 80)
            await fleet.drain()
        assert sum(charger.ledger.given_up for charger in fleet.chargers) == 0
        compare(a, fleet.chargers)
