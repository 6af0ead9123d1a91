"""A driver of another network charges here, from the order over OCPI to the bill: two whole
systems, with a simulated charger as the station."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from chargers.car import Car
from chargers.charger import Charger
from chargers.profile import ChargerProfile
from csms.app import Running, running
from csms.core.neighbours import NeighbourObject
from csms.core.orders import Order
from csms.core.transactions import Transaction
from csms.ocpi.wire import reading
from tests.api.test_locations import CONNECTOR, LOCATION
from tests.api.test_tariffs import TARIFF
from tests.e2e.test_roaming import operator, settings
from tests.support.ocpi_objects import token
from tests.support.waiting import until

# Longer than what OCPP 1.6 can carry.
UID = "APP-0123456789-0123456789-0123456789"


async def orders(north: Running, access: Any, what: str, **body: Any) -> Any:
    """An order as South's eMSP makes it; the answer at once."""
    url = f"http://127.0.0.1:{north.http_port}/ocpi/2.2.1/receiver/commands/{what}"
    async with httpx.AsyncClient() as client:
        headers = {"Authorization": f"Token {access.token}"}
        answer = await client.post(url, json=body, headers=headers, timeout=30)
    return answer.json()["data"]["result"]


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_visitor_starts_and_stops_by_its_app(tmp_path: Path, version: str) -> None:
    async with (
        running(settings(tmp_path / "north", "CA*NTH")) as one,
        running(settings(tmp_path / "south", "US*STH")) as two,
        await operator(one) as north,
        await operator(two) as south,
    ):

        async def made(path: str, body: Any, method: str = "POST") -> Any:
            answer = await north.request(method, path, json=body)
            assert answer.is_success, answer.text
            return answer.json()

        secret = (await made("/stations", {"identity": "CP-1"}))["token"]
        place = {"station": "CP-1", "evse": 1, "uid": "E1", "connectors": [CONNECTOR]}
        await made("/locations", LOCATION | {"evses": [place]}, "PUT")
        tariff = await made("/tariffs", TARIFF)
        path = f"/tariffs/CA*NTH/{tariff['id']}/assignments"
        await made(path, {"location_id": LOCATION["id"]})
        invited = (await south.post("/partners", json={"name": "North"})).json()
        body = {"name": "South", "url": invited["url"], "token": invited["token"]}
        await made("/partners/register", body)

        connections: Any = two.api.connections
        access = connections._network.access(await connections.find("North"))
        back = f"http://127.0.0.1:{two.http_port}/ocpi/2.2.1/sender/commands/X"
        profile = ChargerProfile(id="CP-1", version=version, token=secret)
        async with Charger(profile, f"ws://127.0.0.1:{one.ocpp_port}/ocpp") as charger:
            await charger.booted()
            charger.plug_in(1, Car(soc=0.2))
            said = await orders(
                one,
                access,
                "START_SESSION",
                response_url=f"{back}/1",
                token=token(UID, country_code="US", party_id="STH", type="APP_USER"),
                location_id=LOCATION["id"],
                evse_uid="E1",
                authorization_reference="REF-1",
            )
            assert said == "ACCEPTED"

            async def session() -> Any:
                rows = await two.store.reader.page(NeighbourObject, {"module": "sessions"})
                return reading.load(rows[0].body.encode()) if rows else None

            told = await until(session)
            assert (told["status"], told["cdr_token"]["uid"]) == ("ACTIVE", UID)
            assert told["authorization_reference"] == "REF-1"
            assert (told["evse_uid"], told["auth_method"]) == ("E1", "COMMAND")
            t = await one.store.reader.get(Transaction, int(told["id"]))
            assert t is not None
            assert (t.token_uid, t.outcome) == (UID, "accepted")

            said = await orders(
                one, access, "STOP_SESSION", response_url=f"{back}/2", session_id=told["id"]
            )
            assert said == "ACCEPTED"

            async def completed() -> bool:
                return (await session())["status"] == "COMPLETED"

            await until(completed)

            async def results() -> list[str | None]:
                rows = await one.store.reader.page(Order, {"state": "told"})
                return [row.result for row in rows] if len(rows) == 2 else []

            assert await until(results) == ["ACCEPTED", "ACCEPTED"]
