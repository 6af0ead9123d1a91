"""An outage of the store must not eat the stations' queues.

A connected station counts its attempts and then discards; an offline one keeps its queue. So while
the database cannot write nothing is answered, links are closed with 1013, and new ones get 503.
"""

from __future__ import annotations

import asyncio

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.bursts import Bursts
from tests.support.fleet import Fleet, onboard, running_fleet
from tests.support.system import System
from tests.support.truth import compare

SEED = 7
SPEED = 60.0
OUTAGE_VIRTUAL_S = 600.0


async def test_ten_minutes_without_a_writable_store_lose_nothing(system: System) -> None:
    await system.init(CSMS_STORE__GRACE_S="1")
    await system.start()
    profiles = await onboard(
        system, 12, meter_interval_s=20, message_timeout_s=10.0, attempts=3, retry_interval_s=20
    )
    async with running_fleet(system, profiles, SEED, SPEED) as fleet:
        await fleet.until_messages(150)
        with Bursts(system.database).holding():
            began = fleet.clock.now()
            await _until_all_links_are_closed(fleet)
            await _readyz_says_why(system)
            await _upgrades_get_503(system, fleet)
            while (fleet.clock.now() - began).total_seconds() < OUTAGE_VIRTUAL_S:
                await fleet.clock.sleep(10)
        await system.ready()
        await fleet.until_messages(fleet.messages + 150)
        await fleet.drain()
    assert sum(charger.ledger.given_up for charger in fleet.chargers) == 0
    assert await system.stop() == 0
    assert compare(system, fleet.chargers)["transactions"] > 12


async def _until_all_links_are_closed(fleet: Fleet) -> None:
    async with asyncio.timeout(20):
        while any(charger.online for charger in fleet.chargers):
            await fleet.clock.sleep(5)


async def _readyz_says_why(system: System) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{system.http_url}/readyz")
    assert answer.status_code == 503
    assert "locked" in answer.json()["reason"]


async def _upgrades_get_503(system: System, fleet: Fleet) -> None:
    profile = fleet.chargers[0].profile
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{system.station_url}/{profile.id}", subprotocols=["ocpp1.6"])
    assert refused.value.response.status_code == 503
    assert "Retry-After" in refused.value.response.headers
