"""Orders of a partner: two answers over real HTTP, one at once and one in the end (OCPI 2.2.1
mod_commands)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from csms.core import charging, stations
from csms.core.charging import StartReport
from csms.core.commands import Command, Kind, Status
from csms.core.ids import Origin
from csms.core.locations import LocationEvse
from csms.core.orders import Order, State
from csms.core.ports import Tx
from csms.core.stations import NewStation
from csms.core.tokens import Shown
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from csms.flows.commands import Commander, Performed
from csms.ocpi.commands import Orders
from csms.ocpi.envelope import Answer
from csms.ocpi.network import SENDER
from csms.ocpi.routing import Call, Module
from tests.ocpi.test_locations import evse, place
from tests.ocpi.test_tokens import add, token
from tests.support.nodes import OneNode
from tests.support.ocpi import NOW, Side, anew, connected

PATH = "/2.2.1/receiver/commands"


class Wire(OneNode):
    """The station: says at once what the test has told it to say. None: says nothing."""

    def __init__(self) -> None:
        self.online = True
        self.outcome: Performed | None = Performed(Status.ACCEPTED)
        self.sent: list[Command] = []

    def holds(self, station_id: str) -> bool:
        return self.online

    async def perform(
        self, command: Command, timeout_s: float, sending: Callable[[], Awaitable[object]]
    ) -> Performed:
        await sending()
        self.sent.append(command)
        if self.outcome is None:
            await asyncio.Event().wait()
        assert self.outcome is not None
        return self.outcome


class Desk:
    """North takes orders for its station, South makes them and hears the results."""

    def __init__(self, north: Side, south: Side, commander: Commander, wire: Wire) -> None:
        self.north, self.south, self.commander, self.wire = north, south, commander, wire
        self.orders = Orders(north.network, commander, within_s=30)
        self.heard: list[tuple[str, Any]] = []
        north.offers(self.orders.module)
        south.offers(Module("commands", SENDER, {("POST", 2): self._hear}))

    async def _hear(self, call: Call) -> Answer:
        self.heard.append(("/".join(call.rest), call.body))
        return Answer()

    def url(self, name: str = "1") -> str:
        return f"{self.south.base}/2.2.1/sender/commands/X/{name}"

    async def orders_(self, what: str, name: str = "1", **body: Any) -> Any:
        """The answer at once."""
        asked = {"response_url": self.url(name), **body}
        answer = await self.south.asks(self.north, "POST", f"{PATH}/{what}", asked)
        return answer.json()

    async def start(self, name: str = "1", **body: Any) -> Any:
        where = {"location_id": "LOC1", "evse_uid": "E1"}
        return await self.orders_("START_SESSION", name, **{"token": token(), **where, **body})

    async def tell(self) -> list[tuple[str, Any]]:
        """What the partner has heard when everything that is due was told."""
        running = list(self.commander._running.values())
        if running and self.wire.outcome is not None:
            await asyncio.wait(running, timeout=10)
        for order in await self.orders.due():
            await self.orders.tell(order)
        return self.heard

    def shows(self, uid_key: str, status: str) -> None:
        """The published status of an EVSE."""

        def change(tx: Tx) -> None:
            row = tx.get(LocationEvse, "CA*NTH", uid_key)
            assert row is not None
            tx.save(row._replace(status=status))

        self.north.store.run(change)

    def charges(self, uid: str = "CARD", evse_number: int = 1) -> int:
        origin = Origin("s1", "CP-1", "ocpp1.6", self.north.now)
        report = StartReport(evse_number, Shown(uid), self.north.now, 0)
        return int(self.north.store.run(charging.start, origin, report).transaction_id)


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    north, south, wire = Side("CA*NTH"), Side("US*STH"), Wire()
    north.store.run(stations.onboard, "s1", NewStation("CP-1", "CA*NTH", evses=2), NOW)
    place(north, "LOC1", evse(station_id="s1", evse=1), evse("E2", station_id="s1", evse=2))
    new_id = north.network.new_id
    commander = Commander(north.store, wire, "n", lambda: north.now, new_id, call_timeout_s=30)
    made = Desk(north, south, commander, wire)
    async with connected(north, south):
        yield made
    await commander.stop()


async def test_a_start_is_answered_at_once_and_its_result_is_told_once() -> None:
    async with desk() as d:
        said = await d.start(authorization_reference="REF-1")
        assert (said["status_code"], said["data"]) == (1000, {"result": "ACCEPTED", "timeout": 30})
        assert await d.tell() == [("X/1", {"result": "ACCEPTED"})]
        assert len(await d.tell()) == 1, "exactly one"
        (command,) = d.wire.sent
        assert command.kind == Kind.START_CHARGING
        assert command.requested_by == "partner US*STH"
        assert command.parameters == {"token": "CARD", "evse": 1, "token_kind": "rfid"}
        order = await d.north.store.reader.get(Order, (await d.north.partner(d.south)).id, d.url())
        assert order is not None
        assert (order.state, order.reference) == (State.TOLD, "REF-1")
        # M11: it need not have been known, and is good where it was ordered.
        t = await d.north.store.reader.get(Transaction, d.charges())
        assert t is not None
        assert (t.outcome, t.command_id) == ("accepted", command.id)


async def test_a_start_names_the_connector_where_that_is_required() -> None:
    """mod_locations, Capability: START_SESSION_CONNECTOR_REQUIRED."""
    async with desk() as d:
        required = {"capabilities": ["START_SESSION_CONNECTOR_REQUIRED"]}
        place(d.north, "LOC1", evse(station_id="s1", evse=1, data=required))
        said = await d.start()
        assert said["data"]["result"] == "REJECTED"
        assert "connector_id" in said["data"]["message"][0]["text"]
        assert (await d.start("2", connector_id="1"))["data"]["result"] == "ACCEPTED"


async def test_the_same_order_twice_is_one() -> None:
    async with desk() as d:
        first = await d.start()
        again = await d.start()
        assert first["data"] == again["data"]
        await d.start("2")
        assert sorted(await d.tell()) == [
            ("X/1", {"result": "ACCEPTED"}),
            ("X/2", {"result": "ACCEPTED"}),
        ]
        assert len(d.wire.sent) == 2


@pytest.mark.parametrize(
    ("performed", "status", "result"),
    [
        (Performed(Status.REJECTED, {"status": "Rejected"}), "available", "REJECTED"),
        (Performed(Status.REJECTED, {"status": "Rejected"}), "charging", "EVSE_OCCUPIED"),
        (Performed(Status.REJECTED, {"status": "Rejected"}), "inoperative", "EVSE_INOPERATIVE"),
        (Performed(Status.REJECTED, {"status": "Rejected"}), "out_of_order", "EVSE_INOPERATIVE"),
        (Performed(Status.FAILED, detail="NotImplemented"), "available", "FAILED"),
        (Performed(Status.TIMED_OUT), "available", "TIMEOUT"),
        (Performed(Status.UNKNOWN), "available", "TIMEOUT"),
    ],
)
async def test_what_the_station_says_in_the_words_of_ocpi(
    performed: Performed, status: str, result: str
) -> None:
    async with desk() as d:
        d.wire.outcome = performed
        await d.start()
        d.shows("e1", status)
        assert await d.tell() == [("X/1", {"result": result})]


async def test_a_station_that_says_nothing_is_a_timeout_at_the_deadline() -> None:
    """I3: a result is told in any case; what the station says later changes nothing."""
    async with desk() as d:
        d.wire.outcome = None
        await d.start()
        assert await d.tell() == []
        d.north.later(seconds=30)
        assert await d.tell() == [("X/1", {"result": "TIMEOUT"})]
        d.north.later(seconds=30)
        assert len(await d.tell()) == 1


async def test_a_result_that_did_not_arrive_is_told_again_and_stays_what_it_was() -> None:
    async with desk() as d:
        await d.start()
        await asyncio.wait(list(d.commander._running.values()) or [_done()], timeout=10)
        d.north.faults.heal()
        d.north.faults.break_at = 1
        assert await d.tell() == []
        assert await d.tell() == [], "not before its time"
        d.north.later(seconds=2)
        assert await d.tell() == [("X/1", {"result": "ACCEPTED"})]


def _done() -> asyncio.Future[None]:
    done = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done


async def test_an_order_that_cannot_be_carried_out_is_rejected_at_once() -> None:
    async with desk() as d:
        d.wire.online = False
        said = (await d.start())["data"]
        assert said["result"] == "REJECTED"
        assert "not connected" in said["message"][0]["text"]
        assert await d.tell() == []
        unknown = await d.start("2", location_id="ELSEWHERE")
        assert (unknown["status_code"], unknown["data"]["result"]) == (2003, "REJECTED")
        assert (await d.start("3", evse_uid="E9"))["status_code"] == 2003
        for kind, body in (("RESERVE_NOW", {}), ("CANCEL_RESERVATION", {})):
            assert (await d.orders_(kind, **body))["data"]["result"] == "NOT_SUPPORTED"
        assert (await d.orders_("EXPLODE"))["status_code"] == 2000


async def test_a_result_goes_only_where_partners_may_be_called() -> None:
    async with desk() as d:
        for url in ("ftp://example.com/x", "http://user:pw@example.com/x"):
            said = await d.start(response_url=url)
            assert said["status_code"] == 2001, url
        assert d.wire.sent == []


async def test_a_partner_starts_with_its_own_tokens_alone() -> None:
    """M11: an eMSP may use only its own tokens."""
    async with desk() as d:
        said = await d.start(token=token("NL*EXA"))
        assert said["data"]["result"] == "REJECTED"
        assert await d.north.store.reader.page(VisitorToken) == []
        add(d.north, "OURS")
        said = await d.start(token=token(uid="OURS"))
        assert said["data"]["result"] == "REJECTED"
        assert d.wire.sent == []


async def test_a_session_is_stopped_by_the_partner_whose_driver_charges() -> None:
    async with desk() as d:
        await d.start()
        await d.tell()
        number = d.charges()
        said = await d.orders_("STOP_SESSION", "2", session_id=str(number))
        assert said["data"]["result"] == "ACCEPTED"
        assert (await d.tell())[-1] == ("X/2", {"result": "ACCEPTED"})
        assert d.wire.sent[-1].parameters["transaction_id"] == number


async def test_a_session_is_stopped_over_the_connection_that_was_made_anew() -> None:
    async with desk() as d:
        await d.start()
        await d.tell()
        number = d.charges()
        await anew(d.north, d.south)
        said = await d.orders_("STOP_SESSION", "2", session_id=str(number))
        assert said["data"]["result"] == "ACCEPTED"
        assert (await d.tell())[-1] == ("X/2", {"result": "ACCEPTED"})


async def test_nobody_stops_or_unlocks_the_charge_of_another() -> None:
    """Ids of sessions can be guessed: whose it is decides."""
    async with desk() as d:
        add(d.north, "OURS")
        number = d.charges("OURS")
        for session_id in (str(number), "999", "x", "9" * 30):
            said = await d.orders_("STOP_SESSION", session_id, session_id=session_id)
            assert said["data"]["result"] == "UNKNOWN_SESSION"
        where = {"location_id": "LOC1", "connector_id": "1"}
        said = await d.orders_("UNLOCK_CONNECTOR", "u1", evse_uid="E1", **where)
        assert said["data"]["result"] == "REJECTED"
        assert d.wire.sent == []
        said = await d.orders_("UNLOCK_CONNECTOR", "u2", evse_uid="E2", **where)
        assert said["data"]["result"] == "ACCEPTED"
        assert d.wire.sent or await d.tell()
        assert d.wire.sent[0].kind == Kind.UNLOCK


async def test_where_no_evse_is_named_a_free_one_is_taken() -> None:
    async with desk() as d:
        d.shows("e2", "available")
        body = {"token": token(), "location_id": "LOC1"}
        assert (await d.orders_("START_SESSION", **body))["data"]["result"] == "ACCEPTED"
        await d.tell()
        assert d.wire.sent[0].parameters["evse"] == 2


async def test_a_long_token_has_an_alias_for_stations_that_need_one() -> None:
    """M11: on OCPP 1.6 a token has 20 characters."""
    async with desk() as d:
        uid = "US-STH-APP-0123456789-0123456789-XYZ"
        await d.start(token=token(uid=uid, type="APP_USER"))
        await d.tell()
        assert len(d.wire.sent[0].parameters["alias"]) == 20
        assert d.wire.sent[0].parameters["token"] == uid


async def test_results_are_told_by_themselves() -> None:
    async with desk() as d:
        telling = asyncio.create_task(d.orders.run())
        await d.start()
        async with asyncio.timeout(10):
            while not d.heard:
                await asyncio.sleep(0)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        assert d.heard == [("X/1", {"result": "ACCEPTED"})]


async def test_a_partner_stops_no_session_of_another_partner() -> None:
    async with desk() as d:
        await d.start()
        number = d.charges()
        east = Side("DE*EST").offers(Module("commands", SENDER, {("POST", 2): d._hear}))
        async with east.up():
            await east.register(d.north, d.north.invite(east.party))
            url = f"{east.base}/2.2.1/sender/commands/X/1"
            body = {"response_url": url, "session_id": str(number)}
            said = (await east.asks(d.north, "POST", f"{PATH}/STOP_SESSION", body)).json()
            assert said["data"]["result"] == "UNKNOWN_SESSION"
        t = await d.north.store.reader.get(Transaction, number)
        assert t is not None
        assert t.open
