"""A whole system with a real MQTT broker: what happens in it comes out there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from chargers.charger import Charger
from chargers.profile import ChargerProfile
from csms.app import Running, running
from csms.fresh import ensure_admin_key
from tests.support.mosquitto import mosquitto, subscribed
from tests.support.waiting import until
from tests.test_app import settings

pytestmark = pytest.mark.mosquitto


async def warnings(system: Running) -> list[str]:
    """What `/readyz` has to say, of a system that is ready."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{system.http_port}/readyz")
    assert answer.status_code == 200
    found: list[str] = answer.json().get("warnings", [])
    return found


async def test_a_charger_that_boots_is_seen_by_any_subscriber(tmp_path: Path) -> None:
    async with (
        mosquitto(tmp_path) as broker,
        subscribed(broker) as subscriber,
        running(settings(tmp_path, bus={"url": broker.url})) as system,
    ):

        async def ready() -> bool:
            return not await warnings(system)

        await until(ready)
        await ensure_admin_key(system.store, system.api.keyring, "first.secret")
        base = f"http://127.0.0.1:{system.http_port}"
        headers = {"Authorization": "Bearer first.secret"}
        async with httpx.AsyncClient(base_url=base, headers=headers) as client:
            made = await client.post("/api/v1/stations", json={"identity": "CP-1"})
            station = made.json()
            profile = ChargerProfile(id="CP-1", version="2.0.1", token=station["token"])
            async with Charger(profile, f"ws://127.0.0.1:{system.ocpp_port}/ocpp") as charger:
                await charger.booted()
                seen: dict[str, dict[str, Any]] = {}
                async with asyncio.timeout(20):
                    while "csms.station_booted" not in seen:
                        heard = await subscriber.hears(len(subscriber.heard) + 1)
                        seen = {event["type"]: event for _, event in heard}
            metrics = (await client.get("/metrics")).text
    boot = seen["csms.station_booted"]
    assert (boot["subject"], boot["station"]) == (station["id"], "CP-1")
    assert boot["source"] == "/csms/XX*CSM"
    assert seen["csms.station_onboarded"]["data"]["identity"] == "CP-1"
    assert "csms_bus_trouble 0.0" in metrics


async def test_without_its_broker_a_system_works_and_says_so(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        url = broker.url
    async with running(settings(tmp_path, bus={"url": url})) as system:

        async def said() -> str | None:
            return next((text for text in await warnings(system) if "127.0.0.1" in text), None)

        assert "events are not delivered" in await until(said)
