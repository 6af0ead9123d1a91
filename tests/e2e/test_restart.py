"""A station that comes back without a boot after the central system was killed and started again:
it is still registered, what it charges goes on, and commands reach it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect

from tests.support.ocpp import event, meter, rfid, start, stop
from tests.support.ocpp_links import WITHIN_S, Socket, basic
from tests.support.system import System

BOOTS = {
    "1.6": {"chargePointVendor": "Maker", "chargePointModel": "One"},
    "2.0.1": {
        "reason": "PowerUp",
        "chargingStation": {"vendorName": "Maker", "model": "Two"},
    },
}


class Charging:
    """A charge of 2,500 Wh: what the station says before the system dies, and what afterwards."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.number = 0

    async def begins(self, station: Socket) -> None:
        if self.version == "1.6":
            answer = await station.calls("StartTransaction", start())
            assert answer["idTagInfo"]["status"] == "Accepted"
            self.number = answer["transactionId"]
            return
        said = event("Started", 0, evse={"id": 1}, idToken=rfid("04A2"), wh=1_000)
        answer = await station.calls("TransactionEvent", said)
        assert answer["idTokenInfo"]["status"] == "Accepted"

    async def goes_on_and_ends(self, station: Socket) -> None:
        if self.version == "1.6":
            values = meter({"value": "2000"}, transactionId=self.number)
            assert await station.calls("MeterValues", values) == {}
            await station.calls("StopTransaction", stop(self.number))
            return
        await station.calls("TransactionEvent", event("Updated", 1, wh=2_000))
        await station.calls("TransactionEvent", event("Ended", 2, wh=3_500))


@asynccontextmanager
async def link(system: System, identity: str, token: str, version: str) -> AsyncIterator[Socket]:
    connection = await connect(
        f"{system.station_url}/{identity}",
        subprotocols=[f"ocpp{version}"],  # type: ignore[list-item]
        additional_headers={"Authorization": basic(identity, token)},
        open_timeout=WITHIN_S,
        close_timeout=0.1,
        proxy=None,
    )
    try:
        yield Socket(connection)
    finally:
        connection.transport.abort()


async def add(client: httpx.AsyncClient, identity: str) -> str:
    """A new station; its token."""
    answer = await client.post("/stations", json={"identity": identity})
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    return token


async def transactions(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """The only transaction of each station."""
    found: list[dict[str, Any]] = (await client.get("/transactions")).json()["items"]
    by_station = {row["station"]: row for row in found}
    assert len(by_station) == len(found)
    return by_station


def authorize(version: str) -> dict[str, Any]:
    """Authorize is for accepted stations alone, so that its answer shows the registration."""
    return {"idTag": "04A2"} if version == "1.6" else {"idToken": rfid("04A2")}


async def test_no_boot_after_a_restart(system: System) -> None:
    # Nothing is asked of the stations by itself while they are scripted.
    await system.init(CSMS_OCPP__SETTLE_S="600")
    await system.start()
    charges = {f"CP-{version}": Charging(version) for version in BOOTS}
    tokens = {}
    async with system.client() as client, AsyncExitStack() as links:
        card = {"uid": "04A2", "concurrent": True}
        assert (await client.post("/tokens", json=card)).status_code == 201
        stations = []
        for name, charge in charges.items():
            tokens[name] = await add(client, name)
            there = link(system, name, tokens[name], charge.version)
            station = await links.enter_async_context(there)
            booted = await station.calls("BootNotification", BOOTS[charge.version])
            assert booted["status"] == "Accepted"
            await charge.begins(station)
            stations.append(station)
        before = await transactions(client)
        assert set(before) == set(charges)
        await system.kill()
        for station in stations:
            await station.closed()
    await system.start()
    async with system.client() as client:
        for name, charge in charges.items():
            async with link(system, name, tokens[name], charge.version) as station:
                known = await station.calls("Authorize", authorize(charge.version))
                assert next(iter(known.values()))["status"] == "Accepted"
                shown = (await client.get(f"/stations/{name}")).json()
                assert (shown["registration"], shown["connected"]) == ("accepted", True)
                running = (await transactions(client))[name]
                assert (running["id"], running["open"]) == (before[name]["id"], True)
                await commands_reach(client, name, station)
                await charge.goes_on_and_ends(station)
        ended = await transactions(client)
    for name in charges:
        row = ended[name]
        assert (row["id"], row["open"], row["energy_wh"]) == (before[name]["id"], False, 2_500)
        assert (row["end_kind"], row["flags"]) == ("reported", [])


async def commands_reach(client: httpx.AsyncClient, name: str, station: Socket) -> None:
    path, wish = f"/stations/{name}/commands?wait=10", {"kind": "clear_cache", "parameters": {}}
    asking = asyncio.create_task(client.post(path, json=wish))
    kind, message_id, action, _ = await station.reads()
    assert (kind, action) == (2, "ClearCache")
    await station.sends([3, message_id, {"status": "Accepted"}])
    assert (await asking).json()["status"] == "accepted"
