"""Two nodes behind a real balancer, put together as `docker/compose.cluster.yaml` does it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from websockets.asyncio.client import connect

from tests.support.haproxy import HAProxy, haproxy
from tests.support.mosquitto import mosquitto
from tests.support.ocpp_links import basic
from tests.support.postgres import database
from tests.support.system import SystemOnServer, csms
from tests.support.waiting import until

pytestmark = [pytest.mark.postgres, pytest.mark.mosquitto, pytest.mark.haproxy]

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.cluster.yaml").read_text())
STATION_ADDRESS = "127.0.0.9"
OPERATOR_ADDRESS = "127.0.0.8"


class Place:
    def __init__(self, nodes: list[SystemOnServer], front: HAProxy) -> None:
        self.nodes = nodes
        self.front = front

    def client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.nodes[0].admin_key}"}
        base = f"http://127.0.0.1:{self.front.http_port}/api/v1"
        return httpx.AsyncClient(base_url=base, headers=headers, timeout=30)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(database())
        broker = await stack.enter_async_context(mosquitto(tmp_path))
        first = SystemOnServer(tmp_path, url)
        await first.init(
            CSMS_NODE="csms-1",
            CSMS_BUS__URL=broker.url,
            CSMS_OCPP__PROXY_PROTOCOL="true",
            CSMS_OCPP__TRUSTED_PROXIES='["127.0.0.1"]',
            CSMS_HTTP__TRUSTED_PROXIES='["127.0.0.1"]',
        )
        nodes = [first, first.beside("csms-2")]
        try:
            await asyncio.gather(*(node.start() for node in nodes))
            yield Place(nodes, await stack.enter_async_context(haproxy(tmp_path, nodes)))
        finally:
            for node in nodes:
                if node.process is not None and node.process.returncode is None:
                    await node.kill()


async def test_behind_the_balancer_of_the_compose_file(place: Place, tmp_path: Path) -> None:
    """One after the other, because to begin takes longer than each."""
    await stations_are_spread_and_known_by_their_own_address(place)
    await operators_are_known_by_their_own_address(place)
    await the_simulated_fleet_charges(place, tmp_path)
    await a_node_that_drains_gets_nothing_new(place)


async def stations_are_spread_and_known_by_their_own_address(place: Place) -> None:
    async with place.client() as client, AsyncExitStack() as stack:
        for number in range(4):
            name = f"CP-{number}"
            added = await client.post("/stations", json={"identity": name})
            header = basic(name, added.json()["token"])
            link = connect(
                f"ws://127.0.0.1:{place.front.ocpp_port}/ocpp/{name}",
                subprotocols=["ocpp1.6"],  # type: ignore[list-item]
                additional_headers={"Authorization": header},
                local_addr=(STATION_ADDRESS, 0),
                proxy=None,
            )
            await stack.enter_async_context(link)

        async def connected() -> list[dict[str, Any]]:
            rows = (await client.get("/stations")).json()["items"]
            return [row for row in rows if row["connected"]]

        async def all_of_them() -> bool:
            return len(await connected()) == 4

        await until(all_of_them)
        rows = await connected()
        assert sorted(row["node"] for row in rows) == ["csms-1", "csms-1", "csms-2", "csms-2"]
        shown = (await client.get("/stations/CP-0")).json()
        assert shown["remote_address"] == STATION_ADDRESS


async def operators_are_known_by_their_own_address(place: Place) -> None:
    """Whatever they say of themselves, also that they are a proxy."""
    line = httpx.AsyncHTTPTransport(local_address=OPERATOR_ADDRESS)
    headers = {
        "Authorization": f"Bearer {place.nodes[0].admin_key}",
        "X-Forwarded-For": "6.6.6.6, 127.0.0.1",
    }
    base = f"http://127.0.0.1:{place.front.http_port}/api/v1"
    async with httpx.AsyncClient(base_url=base, headers=headers, transport=line) as client:
        added = await client.post("/tokens", json={"uid": "A-1"})
        assert added.status_code == 201, added.text
        newest = (await client.get("/audit?limit=1")).json()["items"][0]
    assert (newest["target"], newest["remote_address"]) == ("A-1", OPERATOR_ADDRESS)


async def a_node_that_drains_gets_nothing_new(place: Place) -> None:
    async with place.client() as client:
        assert (await client.post("/nodes/csms-1/drain")).status_code == 200

        async def served_by_the_other() -> bool:
            async with httpx.AsyncClient() as anybody:
                base = f"http://127.0.0.1:{place.front.http_port}"
                names = {(await anybody.get(f"{base}/healthz")).json()["node"] for _ in range(4)}
            return names == {"csms-2"}

        await until(served_by_the_other, 20)


async def the_simulated_fleet_charges(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CSMS_URL": f"http://127.0.0.1:{place.front.http_port}",
        "CSMS_API_KEY": place.nodes[0].admin_key,
        "FLEET_URL": f"ws://127.0.0.1:{place.front.ocpp_port}/ocpp",
        "FLEET_SIZE": "4",
    }
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            str(DOCKER / "fleet.sh"),
            "--seconds",
            "3",
            "--output",
            "json",
            cwd=folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(90):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        assert '"messages"' in out.decode(), out.decode()
    code, listed, _ = await csms(
        "station",
        "list",
        "--output",
        "json",
        environment={key: environment[key] for key in ("CSMS_URL", "CSMS_API_KEY")},
    )
    assert code == 0
    rows = [row for row in json.loads(listed) if row["identity"].startswith("SIM-")]
    assert sorted(row["version"] for row in rows) == ["1.6", "1.6", "2.0.1", "2.1"]


def test_the_compose_file_puts_the_same_together() -> None:
    services = COMPOSE["services"]
    assert {"csms-1", "csms-2", "database", "broker", "balancer", "fleet"} <= set(services)
    subnet = COMPOSE["networks"]["default"]["ipam"]["config"][0]["subnet"]
    for name in ("csms-1", "csms-2"):
        node = services[name]
        assert node["hostname"] == name
        assert json.loads(node["environment"]["CSMS_OCPP__TRUSTED_PROXIES"]) == [subnet]
        assert json.loads(node["environment"]["CSMS_HTTP__TRUSTED_PROXIES"]) == [subnet]
        assert node["environment"]["CSMS_OCPP__PROXY_PROTOCOL"] == "true"
        assert node["read_only"] is True
        assert "ports" not in node
    for service in services.values():
        for volume in service.get("volumes", []):
            if volume.startswith("."):
                assert (DOCKER / volume.split(":")[0]).exists(), volume
    wanted = set(HAProxy().environment([SystemOnServer(Path("x"), "")] * 2))
    assert set(services["balancer"]["environment"]) == wanted
    assert services["balancer"]["ports"] == ["9000:9000", "127.0.0.1:8000:8000"]
    secrets = (DOCKER / "compose.cluster.yaml").read_text()
    assert "CSMS_DB_PASSWORD:?" in secrets
