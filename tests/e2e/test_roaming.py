"""Two whole systems connect, over their operator APIs alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from csms.app import Running, running
from csms.fresh import ensure_admin_key
from csms.settings import Settings
from tests.support.stores import prepared

HEADERS = {"Authorization": "Bearer first.secret"}


def settings(folder: Path, party: str) -> Settings:
    folder.mkdir()
    return Settings.model_validate(
        {
            "party": party,
            "ocpp": {"port": 0, "host": "127.0.0.1"},
            "http": {"port": 0},
            "store": {"url": prepared(folder)},
            "security": {"keys": {"k": "0" * 64}, "current": "k"},
            "ocpi": {"allow_http": True, "allow_networks": ["127.0.0.0/8"]},
        }
    )


async def operator(system: Running) -> httpx.AsyncClient:
    await ensure_admin_key(system.store, system.api.keyring, "first.secret")
    base = f"http://127.0.0.1:{system.http_port}/api/v1"
    return httpx.AsyncClient(base_url=base, headers=HEADERS, timeout=30)


async def test_two_systems_connect_rotate_and_part(tmp_path: Path) -> None:
    north_settings = settings(tmp_path / "north", "CA*NTH")
    south_settings = settings(tmp_path / "south", "US*STH")
    async with (
        running(north_settings) as one,
        running(south_settings) as two,
        await operator(one) as north,
        await operator(two) as south,
    ):
        invited = (await south.post("/partners", json={"name": "North"})).json()
        assert invited["url"] == f"http://127.0.0.1:{two.http_port}/ocpi/versions"
        body = {"name": "South", "url": invited["url"], "token": invited["token"]}
        answer = await north.post("/partners/register", json=body)
        assert answer.status_code == 201, answer.text

        async def states() -> tuple[str, str]:
            south_seen: Any = (await north.get("/partners/South")).json()
            north_seen: Any = (await south.get("/partners/North")).json()
            return south_seen["state"], north_seen["state"]

        assert await states() == ("registered", "registered")
        for client, name in ((north, "South"), (south, "North")):
            answer = await client.post(f"/partners/{name}/rotate")
            assert answer.json()["steps"][-1] == "their new token works"
            assert (await client.post(f"/partners/{name}/sync")).status_code == 200
        assert (await north.delete("/partners/South")).json()["steps"] == ["they were told"]
        assert await states() == ("removed", "removed")
        described = (await north.get("../../openapi.json")).json()["paths"]
        assert not [path for path in described if path.startswith("/ocpi")]


async def test_addresses_that_are_not_public_are_not_called_by_default(tmp_path: Path) -> None:
    careful = settings(tmp_path / "north", "CA*NTH")
    careful.ocpi.allow_networks = ()
    async with running(careful) as system, await operator(system) as client:
        url = f"http://127.0.0.1:{system.http_port}/ocpi/versions"
        body = {"name": "South", "url": url, "token": "x" * 20}
        answer = await client.post("/partners/register", json=body)
        assert (answer.status_code, answer.json()["code"]) == (502, "partner_unreachable")
        assert "not public" in answer.json()["detail"]
