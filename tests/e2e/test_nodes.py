"""Two nodes of one system: a station is at one of them, and everybody can use either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chargers.charger import Charger
from chargers.profile import ChargerProfile
from csms.core.nodes import Lease
from tests.support.cluster import Cluster, NodeHere, cluster
from tests.support.waiting import until

pytestmark = [pytest.mark.postgres, pytest.mark.mosquitto]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as made:
        yield made


async def added(node: NodeHere, identity: str = "CP-1") -> dict[str, Any]:
    async with node.client() as client:
        answer = await client.post("/stations", json={"identity": identity})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found


def charger(node: NodeHere, token: str, version: str = "1.6", name: str = "CP-1") -> Charger:
    profile = ChargerProfile(id=name, version=version, token=token)
    return Charger(profile, node.station_url)


async def command(client: httpx.AsyncClient, kind: str, wait: float = 10) -> httpx.Response:
    path = f"/stations/CP-1/commands?wait={wait}"
    return await client.post(path, json={"kind": kind, "parameters": PARAMETERS.get(kind, {})})


PARAMETERS = {"trigger": {"message": "heartbeat"}}


async def test_a_command_reaches_a_station_of_another_node(place: Cluster) -> None:
    a, b = await place.start("a", "b")
    station = await added(a)
    async with charger(a, station["token"]) as here, b.client() as client:
        await here.booted()
        answer = await command(client, "trigger")
        assert answer.status_code in (200, 201, 202), answer.text
        row = answer.json()
        assert (row["status"], row["node"]) == ("accepted", "a")
        shown = (await client.get("/stations/CP-1")).json()
        assert (shown["connected"], shown["node"]) == (True, "a")


async def test_a_raw_call_and_a_new_token_go_there_too(place: Cluster) -> None:
    a, b = await place.start("a", "b")
    station = await added(a)
    async with charger(a, station["token"], "2.0.1") as here, b.client() as client:
        await here.booted()
        raw = await client.post(
            "/stations/CP-1/ocpp/GetVariables",
            json={
                "getVariableData": [
                    {
                        "component": {"name": "OCPPCommCtrlr"},
                        "variable": {"name": "HeartbeatInterval"},
                    }
                ]
            },
        )
        assert raw.status_code == 200, raw.text
        read = await client.post(
            "/stations/CP-1/configuration/refresh", json={"names": ["HeartbeatInterval"]}
        )
        assert read.status_code == 200, read.text
        rotated = await client.post("/stations/CP-1/credentials")
        assert rotated.json()["pushed"] in ("accepted", "reboot_required"), rotated.text


async def test_without_the_broker_own_stations_are_served_and_others_fail_fast(
    place: Cluster,
) -> None:
    a, b = await place.start("a", "b")
    station = await added(a)
    assert place.broker is not None
    async with charger(a, station["token"]) as here, a.client() as own, b.client() as other:
        await here.booted()
        await place.broker.kill()

        async def refused() -> httpx.Response | None:
            async with asyncio.timeout(5):
                answer = await command(other, "trigger", 30)
            return answer if answer.status_code == 503 else None

        answer = await until(refused)
        problem = answer.json()
        assert problem["code"] == "node_unreachable"
        assert "the broker is away" in problem["detail"] or "over the broker" in problem["detail"]
        row = (await other.get(f"/commands/{problem['command_id']}")).json()
        assert row["status"] == "failed"
        assert (await command(own, "trigger")).json()["status"] == "accepted"
        status, said = await b.ready()
        assert status == 200
        assert any("other nodes cannot be asked" in text for text in said["warnings"])
        await place.broker.start()

        async def works() -> bool:
            return (await command(other, "trigger")).status_code < 300

        await until(works)


async def test_a_station_that_is_gone_is_offline_on_every_node(place: Cluster) -> None:
    a, b = await place.start("a", "b")
    station = await added(a)
    async with b.client() as client:
        assert (await command(client, "trigger")).json()["code"] == "station_offline"
        async with charger(a, station["token"]) as here:
            await here.booted()

        async def offline() -> bool:
            return (await client.get("/stations/CP-1")).json()["node"] is None

        await until(offline)
        assert (await command(client, "trigger")).json()["code"] == "station_offline"


async def test_a_new_token_at_once_ends_the_link_on_the_other_node(place: Cluster) -> None:
    a, b = await place.start("a", "b")
    station = await added(a)
    async with charger(a, station["token"]) as here, b.client() as client:
        await here.booted()
        await client.post("/stations/CP-1/credentials", json={"at_once": True})
        await until(lambda: len(a.system.registry) == 0)


async def test_a_station_goes_on_at_another_node(place: Cluster) -> None:
    a, b = await place.start("a", "b")
    station = await added(a)
    async with charger(a, station["token"]) as here:
        await here.booted()
        async with charger(b, station["token"]) as there, a.client() as client:
            await there.booted()
            assert (await client.get("/stations/CP-1")).json()["node"] == "b"
            assert (await command(client, "trigger")).json()["node"] == "b"


async def leases(node: NodeHere) -> dict[str, str]:
    rows = await node.system.store.reader.page(Lease)
    return {row.name: row.node for row in rows}


async def test_each_duty_is_one_nodes_and_a_drain_moves_all(place: Cluster) -> None:
    a, b = await place.start("a", "b")
    station = await added(a)
    await until(lambda: a.system.duties.held and b.system.duties.held)

    def apart() -> bool:
        mine, theirs = set(a.system.duties.held), set(b.system.duties.held)
        return not mine & theirs and len(mine | theirs) == 9

    await until(apart)
    async with charger(a, station["token"]) as here, b.client() as client:
        await here.booted()
        listed = (await client.get("/nodes")).json()["items"]
        assert [(n["name"], n["state"]) for n in listed] == [("a", "up"), ("b", "up")]
        assert sorted(listed[0]["duties"] + listed[1]["duties"]) == sorted(await leases(a))
        answer = await client.post("/nodes/a/drain")
        assert answer.json()["state"] == "draining"
        await until(lambda: len(a.system.registry) == 0 and a.system.duties.held == [])
        await until(lambda: len(b.system.duties.held) == 9)
        status, said = await a.ready()
        assert (status, "draining" in said["reason"]) == (503, True)
        again = await client.post("/nodes/b/drain")
        assert again.status_code == 409
        await client.post("/nodes/a/resume")
        await until(lambda: a.system.duties.held != [])
        await here.booted()


async def test_two_nodes_without_a_broker_say_what_is_missing(tmp_path: Path) -> None:
    async with cluster(tmp_path, broker=False) as place:
        a, b = await place.start("a", "b")
        station = await added(a)
        async with charger(a, station["token"]) as here, b.client() as client:
            await here.booted()
            problem = (await command(client, "trigger")).json()
            assert problem["code"] == "node_unreachable"
            assert "set bus.url" in problem["detail"]
            _, said = await b.ready()
            assert any("set bus.url" in text for text in said["warnings"])
