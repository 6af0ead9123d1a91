"""The sessions module between two networks over real HTTP (OCPI 2.2.1 mod_sessions)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

from csms.bus.local import LocalBus
from csms.core import charging, metering, retention, stations, tariffs, visits
from csms.core.charging import MeterReport, StartReport, StopReport
from csms.core.ids import Origin
from csms.core.metering import Sample
from csms.core.neighbours import NeighbourObject
from csms.core.orders import Order, State, Wish
from csms.core.stations import NewStation
from csms.core.tariffs import Tariff
from csms.core.tokens import Shown
from csms.ocpi import sessions, tokens
from csms.ocpi.feeds import FEEDS
from csms.ocpi.publisher import Publisher
from csms.ocpi.wire import reading
from tests.ocpi.test_locations import evse, place
from tests.ocpi.test_tokens import add, token
from tests.support.ocpi import NOW, Side, anew, connected

SENDER = "/2.2.1/sender/sessions"
RECEIVER = "/2.2.1/receiver/sessions/CA/NTH"
SINCE = "?date_from=2025-12-31T00:00:00Z"
(FEED,) = [feed for feed in FEEDS if feed.name == "sessions"]


class Two:
    """North charges, South's drivers come."""

    def __init__(self, north: Side, south: Side) -> None:
        self.north, self.south = north, south
        self.publisher = Publisher(north.network, LocalBus())

    def origin(self) -> Origin:
        return Origin("s1", "CP-1", "ocpp1.6", self.north.now)

    def start(self, uid: str = "CARD", evse_number: int = 1) -> int:
        report = StartReport(evse_number, Shown(uid), self.north.now, 0)
        started = self.north.store.run(charging.start, self.origin(), report)
        return int(started.transaction_id)

    def meter(self, number: int, wh: int, evse_number: int = 1) -> None:
        self.north.later(minutes=10)
        reading_: Any = {"value": str(wh), "measurand": metering.REGISTER}
        report = MeterReport(evse_number, (Sample(self.north.now, (reading_,)),), number)
        self.north.store.run(charging.meter, self.origin(), report)

    def stop(self, number: int, wh: int) -> None:
        self.north.later(minutes=10)
        self.north.store.run(charging.stop, self.origin(), StopReport(number, self.north.now, wh))

    async def push(self) -> list[str]:
        """One turn of the pump: the methods of what was sent."""
        self.north.faults.sent.clear()
        assert await self.publisher.push(await self.north.partner(self.south), FEED)
        return [r.method for r in self.north.faults.sent]

    async def kept(self, number: int) -> dict[str, Any]:
        """The session as South has it."""
        key = "sessions", "CA*NTH", str(number)
        row = await self.south.store.reader.get(NeighbourObject, *key)
        assert row is not None
        return dict(reading.load(row.body.encode()))


@asynccontextmanager
async def two() -> AsyncIterator[Two]:
    north = Side("CA*NTH").offers(*sessions.MODULES, *tokens.MODULES)
    south = Side("US*STH").offers(*sessions.MODULES, *tokens.MODULES)
    north.store.run(stations.onboard, "s1", NewStation("CP-1", "CA*NTH", evses=2), NOW)
    place(north, "LOC1", evse(station_id="s1", evse=1), evse("E2", station_id="s1", evse=2))
    data = {
        "currency": "CAD",
        "tax_included": "NO",
        "elements": [{"price_components": [{"type": "ENERGY", "price": 0.3, "step_size": 1}]}],
    }
    row = Tariff("CA*NTH", "t1", 0, "T1", True, NOW, NOW, "CAD", data=data)
    north.store.run(tariffs.put, row, NOW)
    north.store.run(tariffs.assign, "CA*NTH", "T1", "LOC1", None, NOW)
    async with connected(north, south):
        await south.asks(north, "PUT", "/2.2.1/receiver/tokens/US/STH/CARD", token())
        made = Two(north, south)
        await made.push()
        yield made


async def test_a_session_is_told_whole_then_as_it_grows_then_whole() -> None:
    async with two() as t:
        number = t.start()
        assert await t.push() == ["PUT"]
        session = await t.kept(number)
        assert (session["status"], session["kwh"]) == ("ACTIVE", 0)
        assert session["cdr_token"]["contract_id"] == token()["contract_id"]
        assert (session["location_id"], session["evse_uid"]) == ("LOC1", "E1")
        assert session["auth_method"] == "WHITELIST"
        for wh in (1_000, 2_000, 4_000):
            t.meter(number, wh)
        assert await t.push() == ["PATCH"], "what changed several times is told once"
        session = await t.kept(number)
        assert (session["kwh"], session["total_cost"]["excl_vat"]) == (4, Decimal("1.20"))
        t.meter(number, 5_000)
        t.stop(number, 10_000)
        assert await t.push() == ["PUT"]
        session = await t.kept(number)
        assert (session["status"], session["kwh"]) == ("COMPLETED", 10)
        assert session["total_cost"] == {"excl_vat": Decimal("3.00"), "incl_vat": Decimal("3.00")}
        assert session["end_date_time"] == reading.moment(t.north.now)
        volumes = [
            d["volume"]
            for p in session["charging_periods"]
            for d in p["dimensions"]
            if d["type"] == "ENERGY"
        ]
        assert sum(volumes) == 10


async def test_what_it_costs_is_what_the_one_function_of_prices_says() -> None:
    """M17."""
    async with two() as t:
        number = t.start()
        t.meter(number, 3_333)
        await t.push()
        assert t.north.network.price is not None
        found = await t.north.network.price(number)
        assert found is not None
        told = (await t.kept(number))["total_cost"]
        assert told["excl_vat"] == found.cost.total.before_taxes


async def test_a_session_of_a_driver_who_was_refused_has_no_cost() -> None:
    """mod_sessions, SessionStatus INVALID: it will not be billed; total_cost is optional."""
    async with two() as t:
        path = "/2.2.1/receiver/tokens/US/STH/LOST"
        await t.south.asks(t.north, "PUT", path, token(uid="LOST", valid=False))
        number = t.start("LOST")
        t.stop(number, 0)
        assert await t.push() == ["PUT"]
        session = await t.kept(number)
        assert (session["status"], session["kwh"]) == ("INVALID", 0)
        assert "total_cost" not in session
        drawn = t.start("LOST")
        t.stop(drawn, 10_000)
        await t.push()
        session = await t.kept(drawn)
        assert session["status"] == "COMPLETED", "the station let the driver charge all the same"
        assert session["total_cost"]["excl_vat"] == Decimal("3.00")


async def test_nobody_is_told_of_the_charges_of_others() -> None:
    async with two() as t:
        add(t.north, "OURS")
        t.start("OURS")
        t.start("STRANGER", 2)
        assert await t.push() == []
        listed = await t.south.asks(t.north, "GET", SENDER + SINCE)
        assert listed.json()["data"] == []


async def test_the_list_needs_a_time_and_has_the_partners_own() -> None:
    async with two() as t:
        number = t.start()
        t.meter(number, 2_000)
        missing = await t.south.asks(t.north, "GET", SENDER)
        assert missing.json()["status_code"] == 2001
        (listed,) = (await t.south.asks(t.north, "GET", SENDER + SINCE)).json()["data"]
        assert (listed["id"], listed["kwh"]) == (str(number), 2)
        later = "?date_from=2026-01-02T00:00:00Z"
        assert (await t.south.asks(t.north, "GET", SENDER + later)).json()["data"] == []
        partner = await t.south.partner(t.north)
        pulled = await sessions.pull(t.south.network, partner, None)
        assert (pulled.faults, pulled.newest) == ([], t.north.now)
        assert (await t.kept(number))["kwh"] == 2


async def test_the_reference_of_an_order_is_in_its_session() -> None:
    """M11, M13: and it is said that a command began it."""
    async with two() as t:
        partner = await t.north.partner(t.south)
        until = NOW + timedelta(minutes=1)
        order = Order(partner.id, "https://x", Wish.START, State.TOLD, NOW, until, "ACCEPTED")
        order = order._replace(
            party_id="US*STH",
            uid_key="card",
            token_type="RFID",
            command_id="c1",
        )
        t.north.store.run(lambda tx: tx.save(order._replace(reference="REF-1")))
        number = t.start()

        def ordered(tx: Any) -> None:
            t = tx.get(sessions.Transaction, number)._replace(command_id="c1")
            tx.save(t)
            visits.begin(tx, t, NOW)

        t.north.store.run(ordered)
        await t.push()
        session = await t.kept(number)
        assert session["authorization_reference"] == "REF-1"
        assert session["auth_method"] == "COMMAND"


# -- as they tell us -------------------------------------------------------------------------------


async def told(t: Two) -> tuple[str, dict[str, Any]]:
    """South has a session of North's; its address there and its body."""
    number = t.start()
    await t.push()
    return f"{RECEIVER}/{number}", await t.kept(number)


def json_of(session: dict[str, Any], **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = reading.load(reading.dump({**session, **changes}))
    return {k: float(v) if isinstance(v, Decimal) else v for k, v in made.items()} | {
        "total_cost": {"excl_vat": 0},
        "charging_periods": changes.get("charging_periods", []),
    }


async def test_what_is_older_changes_nothing_and_is_no_fault() -> None:
    """I2."""
    async with two() as t:
        path, session = await told(t)
        old = json_of(session, kwh=99, last_updated="2025-01-01T00:00:00Z")
        for method, body in (("PUT", old), ("PATCH", old)):
            answer = await t.north.asks(t.south, method, path, body)
            assert answer.json()["status_code"] == 1000, answer.text
        got = (await t.north.asks(t.south, "GET", path)).json()["data"]
        assert got["kwh"] == 0


async def test_the_periods_of_a_patch_are_added_each_once() -> None:
    """I2: a PATCH may come twice."""
    async with two() as t:
        path, _ = await told(t)

        def period(minute: int) -> dict[str, Any]:
            return {
                "start_date_time": f"2026-01-01T13:{minute:02}:00Z",
                "dimensions": [{"type": "ENERGY", "volume": 1}],
            }

        at = "2026-01-01T14:00:00Z"
        before = (await t.north.asks(t.south, "GET", path)).json()["data"]
        known = len(before.get("charging_periods", ()))
        for periods in ([period(0)], [period(0)], [period(0), period(1)]):
            change = {"charging_periods": periods, "last_updated": at}
            said = (await t.north.asks(t.south, "PATCH", path, change)).json()
            assert said["status_code"] == 1000
        got = (await t.north.asks(t.south, "GET", path)).json()["data"]
        assert len(got["charging_periods"]) == known + 2
        wrong = {"charging_periods": "x", "last_updated": at}
        assert (await t.north.asks(t.south, "PATCH", path, wrong)).json()["status_code"] == 2001


async def test_a_session_of_a_party_that_is_not_theirs_is_not_taken() -> None:
    async with two() as t:
        path, session = await told(t)
        body = json_of(session, country_code="NL", party_id="EXA")
        foreign = "/2.2.1/receiver/sessions/NL/EXA/1"
        for method in ("GET", "PUT", "PATCH"):
            answer = await t.north.asks(t.south, method, foreign, body)
            assert (answer.status_code, answer.json()["status_code"]) == (404, 2000), method
        assert (await t.north.asks(t.south, "PUT", path, body)).json()["status_code"] == 2001
        gone = await t.north.asks(t.south, "GET", f"{RECEIVER}/999")
        assert gone.status_code == 404


async def test_sessions_elsewhere_end_with_transactions() -> None:
    (rule,) = [rule for rule in retention.RULES if rule.kind is NeighbourObject]
    row = NeighbourObject("sessions", "CA*NTH", "1", "1", "p1", NOW, NOW, "{}")
    later = NOW + timedelta(days=1)
    assert rule.judge(row, later, None) is True
    assert rule.judge(row, NOW, None) is False
    assert rule.judge(row._replace(module="locations"), later, None) is False


async def test_a_partner_reaches_only_sessions_that_it_told_of() -> None:
    async with two() as t:
        number = t.start()
        await t.push()
        before = await t.kept(number)
        east = Side("DE*EST").offers(*sessions.MODULES, *tokens.MODULES)
        async with east.up():
            await east.register(t.south, t.south.invite(east.party))
            change = {"kwh": 99, "last_updated": reading.moment(t.north.later(minutes=1))}
            for method, body in (("GET", None), ("PUT", before), ("PATCH", change)):
                path = f"{RECEIVER}/{number}"
                body = reading.storable(body) if body is not None else None
                assert (await east.asks(t.south, method, path, body)).status_code == 404, method
        assert await t.kept(number) == before


async def test_a_charge_that_goes_on_is_told_over_the_connection_that_was_made_anew() -> None:
    """And taken there as what it is: the session that the same network told before."""
    async with two() as t:
        number = t.start()
        assert await t.push() == ["PUT"]
        other = t.start(evse_number=2)
        await anew(t.north, t.south)
        t.meter(number, 4_000)
        await t.push()
        assert ((await t.kept(number))["status"], (await t.kept(number))["kwh"]) == ("ACTIVE", 4)
        answer = await t.south.asks(t.north, "GET", SENDER + SINCE)
        assert {one["id"] for one in answer.json()["data"]} == {str(number), str(other)}
        t.stop(number, 10_000)
        await t.push()
        assert (await t.kept(number))["status"] == "COMPLETED"
        read = await t.north.asks(t.south, "GET", f"{RECEIVER}/{number}")
        assert read.json()["data"]["kwh"] == 10


async def test_a_session_is_nothing_to_a_connection_under_another_name() -> None:
    async with two() as t:
        number = t.start()
        await t.push()
        await anew(t.south, t.north, "Somebody")
        change = {"kwh": 3, "last_updated": "2026-01-02T00:00:00Z"}
        for method, body in (("GET", None), ("PATCH", change), ("PUT", await t.kept(number))):
            sent = reading.storable(body) if body else None
            answer = await t.north.asks(t.south, method, f"{RECEIVER}/{number}", sent)
            assert answer.json()["status_code"] >= 2000, method
