"""A driver is forgotten: two whole systems, everything that a driver can leave behind, and then
every table of the database as text.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from csms.app import Running, running
from csms.core.cdrs import Cdr
from csms.core.exchanged import CdrDelivery, ReceivedCdr
from csms.core.neighbours import NeighbourObject
from csms.core.partners import PartnerModule
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from tests.api.test_locations import CONNECTOR, LOCATION
from tests.api.test_tariffs import TARIFF
from tests.e2e.test_roaming import operator, settings
from tests.support.ocpi_objects import token
from tests.support.waiting import until

VISITOR = "APP-0123456789-0123456789-0123456789"
LABEL = "Ana's own card"
NAMED = {
    "audit",
    "cdrs",
    "commands",
    "connectors",
    "disclosures",
    "journal",
    "messages",
    "neighbour_objects",
    "quarantine",
    "received_cdrs",
    "remembered_writes",
    "tokens",
    "transactions",
}


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Station:
    """An OCPP 1.6 station, frame by frame. `asked`: the calls that it got; each is accepted."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._calls = 0
        self.asked: list[Any] = []

    async def read(self) -> None:
        with suppress(ConnectionClosed):
            await self._read()

    async def _read(self) -> None:
        async for text in self._socket:
            frame = json.loads(text)
            if frame[0] == 2:
                self.asked.append(frame)
                await self._socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
            else:
                self._answers.pop(frame[1]).set_result(frame[2])

    async def __call__(self, action: str, **payload: Any) -> Any:
        self._calls += 1
        number = f"m{self._calls}"
        self._answers[number] = answer = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps([2, number, action, payload]))
        return await asyncio.wait_for(answer, 10)

    async def start(self, uid: str) -> int:
        at = {"timestamp": now(), "meterStart": 0, "connectorId": 1}
        number: int = (await self("StartTransaction", idTag=uid, **at))["transactionId"]
        return number

    async def charge(self, uid: str, number: int | None = None) -> int:
        number = number or await self.start(uid)
        sample = {"timestamp": now(), "sampledValue": [{"value": "4000"}]}
        await self("MeterValues", connectorId=1, transactionId=number, meterValue=[sample])
        await self(
            "StopTransaction", transactionId=number, idTag=uid, timestamp=now(), meterStop=10_000
        )
        return number


@asynccontextmanager
async def station(system: Running, client: httpx.AsyncClient) -> AsyncIterator[Station]:
    """A place with a price, and its station, connected."""
    secret = (await made(client, "/stations", {"identity": "CP-1"}))["token"]
    place = {"station": "CP-1", "evse": 1, "uid": "E1", "connectors": [CONNECTOR]}
    await made(client, "/locations", LOCATION | {"evses": [place]}, "PUT")
    tariff = await made(client, "/tariffs", TARIFF)
    path = f"/tariffs/{tariff['party_id']}/{tariff['id']}/assignments"
    await made(client, path, {"location_id": LOCATION["id"]})
    login = base64.b64encode(f"CP-1:{secret}".encode()).decode()
    async with connect(
        f"ws://127.0.0.1:{system.ocpp_port}/ocpp/CP-1",
        subprotocols=["ocpp1.6"],  # type: ignore[list-item]
        additional_headers={"Authorization": f"Basic {login}"},
    ) as socket:
        there = Station(socket)
        reading = asyncio.create_task(there.read(), name="station")
        await there("BootNotification", chargePointVendor="V", chargePointModel="M")
        await there("StatusNotification", connectorId=1, errorCode="NoError", status="Available")
        yield there
        reading.cancel()


async def made(client: httpx.AsyncClient, path: str, body: Any, method: str = "POST") -> Any:
    headers = {"Idempotency-Key": f"{method} {path} {json.dumps(body)}"[:128]}
    answer = await client.request(method, path, json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json()


async def connected(
    one: Running, two: Running, north: httpx.AsyncClient, south: httpx.AsyncClient
) -> None:
    """The two know each other, and their pumps have begun."""
    invited = await made(south, "/partners", {"name": "North"})
    body = {"name": "South", "url": invited["url"], "token": invited["token"]}
    await made(north, "/partners/register", body)
    begun = {"module": "cdrs", "direction": "push"}
    for system in (one, two):
        await until(lambda system=system: system.store.reader.page(PartnerModule, begun))


def dump(folder: Path) -> dict[str, str]:
    """Every table of the database as text, in small letters."""
    with sqlite3.connect(folder / "csms.db") as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: "\n".join(map(repr, connection.execute(f"SELECT * FROM {name}"))).casefold()
            for (name,) in tables.fetchall()
        }


def where(folder: Path, *words: str) -> dict[str, str]:
    """Table -> the first surroundings of one of the words."""
    found = {}
    for table, text in dump(folder).items():
        for word in words:
            at = text.find(word.casefold())
            if at >= 0:
                found[table] = text[max(0, at - 80) : at + 80]
    return found


async def forget(client: httpx.AsyncClient, **body: Any) -> Any:
    began = await client.post("/forgettings", json=body)
    assert began.status_code == 202, began.text
    assert body["uid"] not in began.text
    path = f"/forgettings/{began.json()['id']}"

    async def done() -> Any:
        row = (await client.get(path)).json()
        return row if row["state"] == "done" else None

    return await until(done)


async def accepted(client: httpx.AsyncClient, **body: Any) -> bool:
    """Nothing is in the way."""
    answer = await client.post("/forgettings", json=body)
    assert answer.status_code in (202, 409)
    return answer.status_code == 202


@pytest.mark.parametrize("uid", ["04E1A2B3", "decafbad"])
async def test_nothing_names_a_driver_who_was_forgotten(tmp_path: Path, uid: str) -> None:
    async with (
        running(settings(tmp_path / "north", "CA*NTH")) as one,
        running(settings(tmp_path / "south", "US*STH")) as two,
        await operator(one) as north,
        await operator(two) as south,
        station(one, north) as here,
        station(two, south) as there,
    ):
        await connected(one, two, north, south)

        # The driver gets a card, which partners are told of.
        await made(north, "/tokens", {"uid": uid, "label": LABEL, "group_id": "depot"})
        await until(lambda: two.store.reader.page(VisitorToken))
        for blocked in (True, False):
            path = f"/tokens/CA*NTH/rfid/{uid}"
            await made(north, path, {"blocked": blocked}, "PATCH")

        # It charges at home and elsewhere.
        await here("Authorize", idTag=uid)
        at_home = await here.charge(uid)
        await until(lambda: one.store.reader.page(Cdr, {"transaction_id": at_home}))
        await there.charge(uid.lower())
        await until(lambda: one.store.reader.page(ReceivedCdr))

        async def over() -> bool:
            rows = await one.store.reader.page(NeighbourObject, {"module": "sessions"})
            return bool(rows) and '"COMPLETED"' in rows[0].body

        await until(over)

        # It is named in whatever else people and stations say.
        wish = {"kind": "start_charging", "parameters": {"token": uid, "evse": 1}}
        await made(north, "/stations/CP-1/commands?wait=10", wish)
        said = {"vendorId": "V", "data": f"card {uid.upper()} is for {uid}."}
        await made(north, "/stations/CP-1/ocpp/DataTransfer?wait=10", said)
        stray = {"transactionId": 99_999, "timestamp": now(), "meterStop": 1}
        await here("StopTransaction", idTag=uid.upper(), **stray)
        await here("DataTransfer", vendorId="V", data=json.dumps({"card": uid, "n": 1}))
        await here("FirmwareStatusNotification", status="Idle", unknownField=f"by {uid}")
        await here("LogStatusNotification", status="Idle", requestId=1, card={"id tag": uid})
        await here(
            "StatusNotification",
            connectorId=1,
            errorCode="ReaderFailure",
            info=f"card {uid.upper()} unreadable",
            status="Available",
        )

        # While it charges it is not forgotten.
        number = await here.start(uid)
        refused = await north.post("/forgettings", json={"uid": uid})
        assert refused.status_code == 409
        assert f"transaction {number} of this token is open" in refused.json()["detail"]
        await here.charge(uid, number)

        before = {cdr.id: cdr for cdr in await one.store.reader.page(Cdr)}
        await until(lambda: one.store.reader.page(Cdr, {"transaction_id": number}))
        before = {cdr.id: cdr for cdr in await one.store.reader.page(Cdr)}
        rows = [row.seq for row in await one.store.reader.journal(0, 1_000)]
        named = where(tmp_path / "north", uid)
        assert named.keys() == NAMED

        await until(lambda: accepted(north, uid=uid))
        done = await forget(north, uid=uid)

        contract = (await two.store.reader.page(VisitorToken))[0].contract_id
        assert where(tmp_path / "north", uid, contract, LABEL) == {}
        pseudonym = done["pseudonym"]
        assert pseudonym.startswith("forgotten-")
        assert done["rewritten"] > 20
        # South was told first.
        (visitor,) = await two.store.reader.page(VisitorToken)
        assert not visitor.valid
        # What was charged and billed is as it was.
        after = {cdr.id: cdr for cdr in await one.store.reader.page(Cdr)}
        assert len(after) == 2
        for cdr in after.values():
            said_before = json.dumps(before[cdr.id].data).replace(uid, pseudonym)
            assert dict(cdr.data) == json.loads(said_before)
            assert cdr == before[cdr.id]._replace(token_uid=pseudonym, data=cdr.data)
        listed = (await north.get("/transactions")).json()["items"]
        assert {t["token_uid"] for t in listed} == {pseudonym}
        kept = [row for row in await one.store.reader.journal(0, 1_000) if row.seq in rows]
        assert [row.seq for row in kept] == rows
        assert all(json.loads(row.data) for row in kept)
        told = (await north.get("/partners/South/disclosures")).json()["items"]
        assert {row["module"] for row in told} >= {"token_push"}
        assert {row["uid"] for row in told} == {pseudonym}
        # Nobody knows it any more.
        again = await north.post("/forgettings", json={"uid": uid})
        assert again.status_code == 404
        # And at the other network, where it was a visitor.
        visitor_done = await forget(south, uid=uid, party_id="CA*NTH")
        assert where(tmp_path / "south", uid, contract) == {}
        assert visitor_done["pseudonym"] != pseudonym
        (record,) = await two.store.reader.page(Cdr)
        assert (record.token_party, record.token_uid) == ("CA*NTH", visitor_done["pseudonym"])


async def test_a_visitor_by_app_leaves_no_alias_either(tmp_path: Path) -> None:
    """Its token is too long for OCPP 1.6, so the station has an alias of it."""
    async with (
        running(settings(tmp_path / "north", "CA*NTH")) as one,
        running(settings(tmp_path / "south", "US*STH")) as two,
        await operator(one) as north,
        await operator(two) as south,
        station(one, north) as here,
    ):
        await connected(one, two, north, south)
        await made(south, "/tokens", {"uid": VISITOR, "kind": "app"})
        await until(lambda: one.store.reader.page(VisitorToken))

        connections: Any = two.api.connections
        access = connections._network.access(await connections.find("North"))
        back = f"http://127.0.0.1:{two.http_port}/ocpi/2.2.1/sender/commands/X/1"
        order = {
            "response_url": back,
            "token": token(
                VISITOR,
                country_code="US",
                party_id="STH",
                type="APP_USER",
                visual_number="DF000-2001-8999",
            ),
            "location_id": LOCATION["id"],
            "evse_uid": "E1",
        }
        url = f"http://127.0.0.1:{one.http_port}/ocpi/2.2.1/receiver/commands/START_SESSION"
        headers = {"Authorization": f"Token {access.token}"}
        async with httpx.AsyncClient() as client:
            answer = await client.post(url, json=order, headers=headers, timeout=30)
        assert answer.json()["data"]["result"] == "ACCEPTED"

        async def asked() -> Any:
            return [frame for frame in here.asked if frame[2] == "RemoteStartTransaction"]

        alias = (await until(asked))[0][3]["idTag"]
        assert alias != VISITOR
        number = await here.charge(alias)

        async def settled() -> bool:
            rows = await one.store.reader.page(CdrDelivery)
            return bool(rows) and rows[0].state == "confirmed"

        t = await one.store.reader.get(Transaction, number)
        assert t is not None
        assert t.token_uid == VISITOR
        await until(settled)
        assert {"token_aliases", "partner_orders", "cdr_deliveries"} <= where(
            tmp_path / "north", VISITOR, alias
        ).keys()
        await until(lambda: accepted(north, uid=VISITOR))
        done = await forget(north, uid=VISITOR)
        words = (VISITOR, alias, "DF000-2001-8999", token()["contract_id"])
        assert where(tmp_path / "north", *words) == {}
        assert done["party_id"] == "US*STH"
        (delivery,) = await one.store.reader.page(CdrDelivery)
        assert json.loads(delivery.body)["cdr_token"]["uid"] == done["pseudonym"]
        # The home network may tell of it anew: it is a new token, without its history.
        await made(south, f"/tokens/US*STH/app/{VISITOR}", {"blocked": True}, "PATCH")
        await until(lambda: one.store.reader.page(VisitorToken))
        t = await one.store.reader.get(Transaction, number)
        assert t is not None
        assert t.token_uid == done["pseudonym"]
