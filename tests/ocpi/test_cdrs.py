"""The CDRs module between two networks over real HTTP (OCPI 2.2.1 mod_cdrs)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from csms.bus.local import LocalBus
from csms.core import cdrs as records
from csms.core import forgetting, neighbours, tokens
from csms.core.cdrs import Cdr
from csms.core.errors import StoreUnavailable
from csms.core.exchanged import CdrDelivery, Delivery, ReceivedCdr
from csms.core.partners import PartnerParty
from csms.core.ports import Tx
from csms.core.tokens import Token
from csms.flows.forgetting import Forgetter
from csms.ocpi import cdrs, tariffs
from csms.ocpi.envelope import Answer
from csms.ocpi.feeds import FEEDS
from csms.ocpi.network import Limits
from csms.ocpi.publisher import Publisher
from csms.ocpi.routing import Call, Module
from csms.ocpi.wire import reading
from csms.ocpi.wire.v221 import cdrs as wire
from csms.ocpi.wire.v221.tariffs import Tariff as WireTariff
from tests.support import ocpi_objects as objects
from tests.support.ocpi import NOW, Side, connected, listener

RECEIVER, SENDER = "/2.2.1/receiver/cdrs", "/2.2.1/sender/cdrs"
(FEED,) = [feed for feed in FEEDS if feed.name == "cdrs"]
TARIFF = {
    "country_code": "CA",
    "party_id": "NTH",
    "id": "DAY",
    "currency": "CAD",
    "tax_included": "NO",
    "elements": [{"price_components": [{"type": "ENERGY", "price": "0.30", "step_size": 1}]}],
}
PLACE = {
    "id": "LOC-1",
    "name": "Depot",
    "address": "1 Main Street",
    "city": "Laval",
    "country": "CAN",
    "coordinates": {"latitude": "45.500000", "longitude": "-73.500000"},
    "evse_uid": "E-1",
    "evse_id": "CA*NTH*E1",
    "connector_id": "1",
    "connector_standard": "IEC_62196_T2",
    "connector_format": "SOCKET",
    "connector_power_type": "AC_3_PHASE",
}
TOKEN = {"country_code": "US", "party_id": "STH", "uid": "CARD", "type": "RFID"}


def record(cdr_id: str = "R1", party: str = "US*STH", **said: Any) -> Cdr:
    """A sealed record of the northern network for a driver of another, as `core.cdrs` makes it."""
    began = NOW - timedelta(hours=1)
    data: dict[str, Any] = {
        "start_date_time": "2026-01-01T11:00:00.000Z",
        "end_date_time": "2026-01-01T12:00:00.000Z",
        "session_id": "7",
        "auth_method": "WHITELIST",
        "cdr_location": PLACE,
        "currency": "CAD",
        "tariffs": [TARIFF],
        "charging_periods": [
            {
                "start_date_time": "2026-01-01T11:00:00.000Z",
                "dimensions": [
                    {"type": "ENERGY", "volume": "10"},
                    {"type": "TIME", "volume": "1"},
                ],
                "tariff_id": "DAY",
            }
        ],
        "total_cost": {
            "before_taxes": "3.00",
            "taxes": [
                {"name": "GST", "amount": "0.15", "percentage": "5"},
                {"name": "QST", "amount": "0.30", "percentage": "9.975"},
            ],
        },
        "total_energy_cost": {"before_taxes": "3", "taxes": [{"name": "GST", "amount": "0.15"}]},
        "total_energy": "10",
        "total_time": "1",
        "total_parking_time": "0",
        "cdr_token": {**TOKEN, "contract_id": "US-STH-C1"},
        **said,
    }
    country, _, party_id = party.partition("*")
    data["cdr_token"] = {**data["cdr_token"], "country_code": country, "party_id": party_id}
    return Cdr(
        party_id="CA*NTH",
        id_key=cdr_id.casefold(),
        id=cdr_id,
        transaction_id=7,
        created_at=NOW,
        started_at=began,
        ended_at=NOW,
        token_party=party,
        token_uid="CARD",
        currency="CAD",
        energy_wh=10_000,
        before_taxes="3.00",
        after_taxes="3.45",
        data=data,
    )


def sealed(side: Side, *rows: Cdr) -> None:
    """Records that the biller has just made, of drivers who came over the connection that speaks
    for their party (unless the record says over which)."""

    def save(tx: Tx, row: Cdr) -> None:
        holder = tx.get(PartnerParty, row.token_party, "EMSP")
        over = row.partner_id or (holder.partner_id if holder else None)
        records._save(tx, row._replace(partner_id=over), None, side.now)

    for row in rows:
        side.store.run(save, row)


@asynccontextmanager
async def networks(**sides: Side) -> AsyncIterator[tuple[Side, Side]]:
    """North has chargers, south has the drivers: the token CARD."""
    north, south = (
        sides.get(name) or Side(party).offers(*cdrs.MODULES)
        for name, party in (("north", "CA*NTH"), ("south", "US*STH"))
    )
    async with connected(north, south) as both:
        south.store.run(tokens.add, Token("US*STH", "", "rfid", "CARD", NOW), NOW)
        yield both


async def turn(north: Side, south: Side) -> bool:
    """One turn of north's pump, made anew as after a restart."""
    publisher = Publisher(north.network, LocalBus())
    partner = await north.partner(south)
    well = await publisher.push(partner, FEED)
    return await publisher.settle(partner, FEED) and well


async def deliveries(side: Side) -> dict[str, CdrDelivery]:
    return {row.cdr_id: row for row in await side.store.reader.page(CdrDelivery)}


async def received(side: Side) -> list[ReceivedCdr]:
    return await side.store.reader.page(ReceivedCdr)


def told(cdr: Cdr) -> dict[str, Any]:
    made = cdrs.shown(cdr)
    assert made is not None
    return made


def as_json(cdr: Cdr, **changes: Any) -> Any:
    """As a partner would post it, numbers as JSON has them."""
    return reading.storable({**told(cdr), **changes})


# -- in the words of 2.2.1 -------------------------------------------------------------------------


def test_the_tariff_of_a_record_is_told_with_its_vat() -> None:
    """mod_tariffs, PriceComponent: the price without VAT, and how much VAT there is on it."""
    component = {"type": "ENERGY", "price": "0.357", "step_size": 1, "vat": "19"}
    elements = [{"price_components": [component]}]
    for included, price in (("NO", "0.357"), ("YES", "0.3000")):
        said = told(record(tariffs=[{**TARIFF, "tax_included": included, "elements": elements}]))
        (shown,) = said["tariffs"][0]["elements"][0]["price_components"]
        assert (shown["price"], shown["vat"]) == (Decimal(price), Decimal(19))


def test_taxes_become_a_total_before_and_after_them() -> None:
    """M16: Price is excl_vat and incl_vat."""
    said = told(record())
    assert said["total_cost"] == {"excl_vat": Decimal("3.00"), "incl_vat": Decimal("3.45")}
    assert said["total_energy_cost"] == {"excl_vat": Decimal(3), "incl_vat": Decimal("3.15")}
    assert "total_time_cost" not in said
    assert said["tariffs"][0]["elements"][0]["price_components"][0]["price"] == Decimal("0.30")
    assert "tax_included" not in said["tariffs"][0]
    assert (said["country_code"], said["party_id"], said["id"]) == ("CA", "NTH", "R1")
    assert (said["total_energy"], said["session_id"]) == (Decimal(10), "7")
    assert said["cdr_token"]["contract_id"] == "US-STH-C1"
    assert "null" not in reading.dump(said).decode()
    assert "credit" not in said


def test_a_credit_negates_the_total_alone() -> None:
    """M14: all data of the original, only total_cost is the negative."""
    north = Side("CA*NTH")
    sealed(north, record())
    credit = north.store.run(records.credit, "CA*NTH", "R1", NOW + timedelta(hours=1), "twice")
    before, after = told(record()), told(credit)
    assert after.pop("credit") is True
    assert after.pop("credit_reference_id") == "R1"
    assert after.pop("remark") == "twice"
    assert after["total_cost"] == {"excl_vat": Decimal("-3.00"), "incl_vat": Decimal("-3.45")}
    for own in ("id", "last_updated", "total_cost"):
        assert before.pop(own) != after.pop(own)
    assert before == after
    north.listener.close()


def test_what_is_too_long_for_a_place_is_cut_and_what_is_missing_is_not_invented() -> None:
    long = record(cdr_location={**PLACE, "address": "x" * 60})
    assert told(long)["cdr_location"]["address"] == "x" * 45
    without = {name: value for name, value in PLACE.items() if name != "connector_id"}
    assert cdrs.shown(record(cdr_location=without)) is None


def test_the_digest_is_of_the_content_not_of_its_form() -> None:
    first = objects.cdr()
    same = dict(reversed(first.items())) | {"total_energy": Decimal("10.500"), "remark": None}
    same["last_updated"] = "2026-02-01T00:00:00Z"
    other = first | {"total_energy": Decimal("10.51")}
    one, two, three = (
        cdrs.digest(reading.parse(wire.CDR, each, NOW).value) for each in (first, same, other)
    )
    assert one == two != three


# -- as a sender -----------------------------------------------------------------------------------


async def test_a_record_is_posted_once_and_its_place_is_kept() -> None:
    async with networks() as (north, south):
        assert await turn(north, south)
        sealed(north, record())
        assert await turn(north, south)
        assert await turn(north, south)
        assert [r.method for r in north.faults.sent] == ["POST"]
        (row,) = (await deliveries(north)).values()
        assert (row.state, row.attempts) == (Delivery.CONFIRMED, 1)
        assert row.location == f"{south.base}{RECEIVER}/CA/NTH/r1"
        (kept,) = await received(south)
        assert (kept.id, kept.before_taxes, kept.after_taxes) == ("R1", "3", "3.45")
        assert (kept.party_id, kept.token_party, kept.energy_kwh) == ("CA*NTH", "US*STH", "10")
        assert reading.load(kept.body.encode())["total_cost"]["incl_vat"] == Decimal("3.45")


async def test_only_records_of_the_partners_drivers_are_told_and_listed() -> None:
    async with networks() as (north, south):
        await turn(north, south)
        sealed(north, record(), record("R2", "DE*EST"), record("R3", "CA*NTH"))
        await turn(north, south)
        assert set(await deliveries(north)) == {"R1"}
        listed = await south.asks(north, "GET", SENDER)
        assert [cdr["id"] for cdr in listed.json()["data"]] == ["R1"]
        assert listed.headers["x-total-count"] == "1"


async def test_the_list_has_pages_and_times() -> None:
    async with networks() as (north, south):
        for hour in range(3):
            made = record(f"R{hour}")._replace(created_at=NOW + timedelta(hours=hour))
            sealed(north, made)
        query = "date_from=2026-01-01T12:00:00Z&date_to=2026-01-01T14:00:00Z&limit=1"
        first = await south.asks(north, "GET", f"{SENDER}?{query}")
        assert [cdr["id"] for cdr in first.json()["data"]] == ["R0"]
        assert first.headers["x-total-count"] == "2"
        following = first.headers["link"].split(">")[0].lstrip("<")
        second = await south.asks(north, "GET", following)
        assert [cdr["id"] for cdr in second.json()["data"]] == ["R1"]
        assert "link" not in second.headers


@pytest.mark.parametrize("delivered", [False, True])
async def test_an_answer_that_is_lost_loses_and_doubles_nothing(delivered: bool) -> None:
    """I4: after an unknown outcome the same body is sent again, which is safe by I1."""
    async with networks() as (north, south):
        await turn(north, south)
        sealed(north, record())
        north.faults.break_at, north.faults.delivered = len(north.faults.sent) + 1, delivered
        assert not await turn(north, south)
        row = (await deliveries(north))["R1"]
        assert (row.state, row.attempts) == (Delivery.SENT, 1)
        assert "broke" in (row.error or "")
        assert len(await received(south)) == (1 if delivered else 0)
        assert await turn(north, south), "not before its time"
        assert (await deliveries(north))["R1"].attempts == 1
        north.later(seconds=5)
        assert await turn(north, south)
        assert (await deliveries(north))["R1"].state == Delivery.CONFIRMED
        first, second = (r.content for r in north.faults.sent if r.method == "POST")
        assert first == second
        assert len(await received(south)) == 1


async def test_where_that_is_wished_a_record_is_sent_once() -> None:
    """I4: a deviation from the specification that can be switched off."""
    north = Side("CA*NTH", limits=Limits(redeliver=False)).offers(*cdrs.MODULES)
    async with networks(north=north) as (north, south):
        await turn(north, south)
        sealed(north, record())
        north.faults.break_at = len(north.faults.sent) + 1
        assert not await turn(north, south)
        north.later(hours=1)
        assert await turn(north, south)
        assert (await deliveries(north))["R1"].attempts == 1
        assert await received(south) == []
        # It is in the list that the partner reads.
        assert await Publisher(south.network, LocalBus()).pull(await south.partner(north), FEED)
        assert [cdr.id for cdr in await received(south)] == ["R1"]


async def test_every_write_may_fail_and_nothing_is_lost_or_doubled() -> None:
    """A crash at each point of the way: the store refuses one write after the other."""
    for fail_at in range(1, 7):
        async with networks() as (north, south):
            await turn(north, south)
            sealed(north, record())
            north.store.fail_at, north.store.writes = fail_at, 0
            for _ in range(4):
                with suppress(StoreUnavailable):
                    await turn(north, south)
                north.later(hours=1)
            assert (await deliveries(north))["R1"].state == Delivery.CONFIRMED, fail_at
            assert len(await received(south)) == 1, fail_at


async def test_a_partner_that_dies_in_the_middle_gets_everything_once() -> None:
    """The partner is killed between two records and brought back on the same address."""
    async with networks() as (north, south):
        await turn(north, south)
        sealed(north, record("R1"), record("R2"), record("R3"))
        north.faults.break_at = 2
        assert not await turn(north, south)
        assert len(await received(south)) == 1
        # Longer than it is remembered in memory; whoever sends next knows it from the outbox.
        north.faults.heal()
        for _ in range(3):
            north.later(minutes=5)
            await turn(north, south)
        found = await deliveries(north)
        assert {row.state for row in found.values()} == {Delivery.CONFIRMED}
        assert sorted(row.id for row in await received(south)) == ["R1", "R2", "R3"]


async def test_a_partner_whose_process_ends_and_comes_back_gets_everything_once() -> None:
    """Its server is gone between two records; its store and its address are the same after."""
    north, south = (Side(party).offers(*cdrs.MODULES) for party in ("CA*NTH", "US*STH"))
    async with north.up():
        async with south.up():
            await north.register(south, south.invite(north.party))
            south.store.run(tokens.add, Token("US*STH", "", "rfid", "CARD", NOW), NOW)
            await turn(north, south)
            north.faults.heal()
            sealed(north, record("R1"), record("R2"))
            # The answer to the second is lost with the process that gave it.
            north.faults.break_at, north.faults.delivered = 2, True
            assert not await turn(north, south)
        sealed(north, record("R3"))
        north.faults.heal()
        north.later(minutes=5)
        assert not await turn(north, south)
        assert {i: row.state for i, row in (await deliveries(north)).items()} == {
            "R1": Delivery.CONFIRMED,
            "R2": Delivery.SENT,
            "R3": Delivery.DUE,
        }
        south.listener = listener(south.port)
        async with south.up():
            for _ in range(2):
                north.later(minutes=5)
                await turn(north, south)
            found = await deliveries(north)
            assert {row.state for row in found.values()} == {Delivery.CONFIRMED}
            assert sorted(row.id for row in await received(south)) == ["R1", "R2", "R3"]


def scripted(answers: Iterable[Answer], gets: Answer | None = None) -> Side:
    """A southern network whose receiver gives these answers, one after the other."""
    given = iter(answers)

    async def post(call: Call) -> Answer:
        return next(given)

    async def get(call: Call) -> Answer:
        assert gets is not None
        return gets

    routes = {("POST", 0): post, ("GET", 3): get}
    return Side("US*STH").offers(Module("cdrs", "RECEIVER", routes))


async def test_what_they_refuse_is_kept_with_their_words_and_not_sent_again() -> None:
    south = scripted([Answer(status=2001, message="no such session")])
    async with networks(south=south) as (north, _):
        await turn(north, south)
        sealed(north, record())
        assert await turn(north, south), "the rest goes on"
        north.later(days=1)
        await turn(north, south)
        row = (await deliveries(north))["R1"]
        assert (row.state, row.error) == (Delivery.REFUSED, "OCPI 2001: no such session")
        assert row.attempts == 1


async def test_a_server_fault_is_tried_again_later_each_time_and_holds_up_nothing() -> None:
    fault, well = Answer(status=3000, message="busy"), Answer(headers={"Location": "/x"})
    south = scripted([fault, well, fault, well])
    async with networks(south=south) as (north, _):
        await turn(north, south)
        sealed(north, record("R1"), record("R2"))
        assert not await turn(north, south)
        found = await deliveries(north)
        assert [found[i].state for i in ("R1", "R2")] == [Delivery.SENT, Delivery.CONFIRMED]
        assert found["R2"].location == f"http://127.0.0.1:{south.port}/x"
        waits = [found["R1"].next_at - north.now]
        north.later(minutes=1)
        assert not await turn(north, south)
        waits.append((await deliveries(north))["R1"].next_at - north.now)
        assert waits == [timedelta(seconds=2), timedelta(seconds=4)]
        north.later(minutes=1)
        assert await turn(north, south)
        assert (await deliveries(north))["R1"].state == Delivery.CONFIRMED


@pytest.mark.parametrize("found", [{"id": "R1"}, [{"id": "R1"}]])
async def test_where_they_said_that_it_is_is_looked_at_before_it_is_sent_again(found: Any) -> None:
    place = {"Location": f"{RECEIVER}/CA/NTH/R1"}
    south = scripted([Answer(status=3000, headers=place)], Answer(found))
    place["Location"] = f"{south.base}{RECEIVER}/CA/NTH/R1"
    async with networks(south=south) as (north, _):
        await turn(north, south)
        sealed(north, record())
        await turn(north, south)
        north.later(minutes=1)
        assert await turn(north, south)
        assert [r.method for r in north.faults.sent] == ["POST", "GET"]
        assert (await deliveries(north))["R1"].state == Delivery.CONFIRMED


async def test_our_token_goes_to_no_other_host_for_the_sake_of_a_location() -> None:
    away = Answer(status=3000, headers={"Location": "https://evil.example.com/R1"})
    south = scripted([away, Answer()])
    async with networks(south=south) as (north, _):
        await turn(north, south)
        sealed(north, record())
        await turn(north, south)
        assert (await deliveries(north))["R1"].location is None


async def test_a_credit_waits_for_what_it_cancels() -> None:
    south = scripted([Answer(status=3000), Answer(), Answer()])
    async with networks(south=south) as (north, _):
        await turn(north, south)
        sealed(north, record())
        north.store.run(records.credit, "CA*NTH", "R1", NOW, "twice")
        await turn(north, south)
        assert (await deliveries(north))["R1-C"].attempts == 0
        north.later(minutes=1)
        assert await turn(north, south)
        sent = [reading.load(r.content)["id"] for r in north.faults.sent]
        assert sent == ["R1", "R1", "R1-C"]


# -- as a receiver ---------------------------------------------------------------------------------


async def test_the_same_record_again_has_the_same_place_and_other_content_is_refused() -> None:
    """I1."""
    async with networks() as (north, south):
        first = await north.asks(south, "POST", RECEIVER, as_json(record()))
        again = await north.asks(south, "POST", RECEIVER, as_json(record(), id="r1"))
        assert (first.status_code, first.json()["status_code"]) == (201, 1000)
        other = await north.asks(south, "POST", RECEIVER, as_json(record(), total_energy=11))
        assert (other.status_code, other.json()["status_code"]) == (200, 2001)
        same = await north.asks(south, "POST", RECEIVER, as_json(record()))
        assert (same.status_code, same.json()["status_code"]) == (200, 1000)
        assert same.headers["location"] == first.headers["location"]
        assert again.json()["status_code"] == 2001, "an id that is written otherwise is no copy"
        (kept,) = await received(south)
        assert kept.energy_kwh == "10"
        read = await north.asks(south, "GET", first.headers["location"])
        assert read.json()["data"]["id"] == "R1"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"party_id": "XXX"}, 2001),
        ({"cdr_token": {**TOKEN, "contract_id": "C", "uid": "NOBODY"}}, 2004),
        ({"cdr_token": {**TOKEN, "contract_id": "C", "party_id": "EST"}}, 2004),
        ({"total_cost": None}, 2001),
        ({"charging_periods": []}, 2001),
    ],
)
async def test_what_is_not_theirs_or_not_ours_is_not_kept(
    changes: dict[str, Any], status: int
) -> None:
    async with networks() as (north, south):
        answer = await north.asks(south, "POST", RECEIVER, as_json(record()) | changes)
        assert (answer.status_code, answer.json()["status_code"]) == (200, status)
        assert await received(south) == []


async def test_a_record_without_its_evse_is_kept_and_counted() -> None:
    """mod_cdrs, CdrLocation: `evse_uid` has cardinality 1; a library in the field has no such
    field. What is to be paid does not depend on it."""
    async with networks() as (north, south):
        body = as_json(record())
        del body["cdr_location"]["evse_uid"]
        answer = await north.asks(south, "POST", RECEIVER, body)
        assert (answer.status_code, answer.json()["status_code"]) == (201, 1000)
        (kept,) = await received(south)
        assert "evse_uid" not in kept.body
        assert (await south.partner(north)).deviations == {"evse_uid: missing": 1}


async def test_a_record_is_read_by_its_sender_alone() -> None:
    async with networks() as (north, south):
        east = Side("DE*EST").offers(*cdrs.MODULES)
        async with east.up():
            await east.register(south, south.invite(east.party))
            place = (await north.asks(south, "POST", RECEIVER, as_json(record()))).headers
            answer = await east.asks(south, "GET", place["location"])
            assert answer.status_code == 404
            assert "data" not in answer.json()
            overwrite = await east.asks(south, "POST", RECEIVER, as_json(record()))
            assert overwrite.json()["status_code"] == 2001
            assert (await north.asks(south, "GET", place["location"])).status_code == 200
            async with httpx.AsyncClient() as nobody:
                assert (await nobody.get(place["location"])).status_code == 401


async def test_a_record_is_priced_by_the_tariff_that_is_known_here() -> None:
    async with networks() as (north, south):
        given = reading.plain(WireTariff.model_validate(told(record())["tariffs"][0]))
        sender = (await south.partner(north)).id
        held = tariffs.neighbour(WireTariff.model_validate(given), sender, NOW)
        south.store.run(neighbours.put, held)
        total = {"excl_vat": 3.5, "incl_vat": 4}
        await north.asks(south, "POST", RECEIVER, as_json(record()))
        await north.asks(south, "POST", RECEIVER, as_json(record("R2"), total_cost=total))
        one, two = await received(south)
        assert (one.priced_by, one.repriced, one.difference) == ("tariff DAY", "3.00", "0")
        assert (two.repriced, Decimal(two.difference or 0)) == ("3.00", Decimal("0.5"))


async def test_what_was_never_sent_is_found_in_their_list() -> None:
    async with networks() as (north, south):
        sealed(north, record(), record("R2"))
        await north.asks(south, "POST", RECEIVER, as_json(record()))
        pulled = await cdrs.pull(south.network, await south.partner(north), None)
        assert (pulled.faults, pulled.newest) == ([], NOW)
        assert [row.id for row in await received(south)] == ["R1", "R2"]


async def test_a_credit_of_a_record_about_a_forgotten_driver_is_taken_under_its_pseudonym() -> None:
    """Its network does not know that it is forgotten here, and the money has to come back."""
    async with networks() as (north, south):
        told = cdrs.shown(record("R1"))
        credit = cdrs.shown(record("R1-C")._replace(credit_of="R1"))
        assert told is not None
        assert credit is not None
        await south_takes(north, south, told)
        wish = forgetting.Wish("f1", "US*STH", "CARD", "forgotten-0123456789abcdef")
        south.store.run(forgetting.begin, wish, "k1", south.now)
        forgetter = Forgetter(south.store, lambda: south.now, timedelta(0), timedelta(0))
        await forgetter.go_on()
        assert await south.store.reader.page(Token) == []
        # What is here already comes again, and what cancels it comes for the first time.
        assert (await south_takes(north, south, told))["status_code"] == 1000
        assert (await south_takes(north, south, credit))["status_code"] == 1000
        assert (await south_takes(north, south, credit))["status_code"] == 1000
        other = {**credit, "id": "R2", "credit": False, "credit_reference_id": None}
        assert (await south_takes(north, south, other))["status_code"] == 2004
        rows = await south.store.reader.page(ReceivedCdr)
        assert [row.id for row in rows] == ["R1", "R1-C"]
        for row in rows:
            assert row.token_uid == wish.pseudonym
            assert "CARD" not in row.body
            assert row.credit_of == (None if row.id == "R1" else "R1")


async def south_takes(north: Side, south: Side, told: dict[str, Any]) -> Any:
    body = json.loads(reading.dump(told))
    return (await north.asks(south, "POST", RECEIVER, body)).json()
