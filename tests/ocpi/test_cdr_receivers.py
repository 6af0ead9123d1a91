"""To whom records go: to the network over whose connection their driver came (OCPI 2.2.1 mod_cdrs),
also when that is a hub, was away for long, or was made anew."""

from __future__ import annotations

import json
from contextlib import suppress

import httpx

from csms.bus.local import LocalBus
from csms.core import partners, retention
from csms.core.cdrs import Cdr
from csms.core.errors import StoreUnavailable
from csms.core.exchanged import Delivery
from csms.ocpi import cdrs, exchange
from csms.ocpi.exchange import Progress
from csms.ocpi.network import OwnRole
from csms.ocpi.publisher import Publisher
from tests.ocpi.test_cdrs import (
    FEED,
    RECEIVER,
    SENDER,
    deliveries,
    networks,
    received,
    record,
    sealed,
    turn,
)
from tests.support.ocpi import Side, anew, said


def fails(request: httpx.Request) -> httpx.Response | None:
    """A partner that takes no record at the moment."""
    return said(3000) if request.url.path.endswith(RECEIVER) else None


async def listed(reader: Side, owner: Side) -> list[str]:
    answer = await reader.asks(owner, "GET", SENDER)
    return [cdr["id"] for cdr in answer.json()["data"]]


async def test_a_record_goes_to_the_hub_that_its_driver_came_over() -> None:
    """mod_cdrs: to the eMSP of the driver; where that is reached over a hub, there. A hub speaks
    for no party of its own in that role."""
    hub = Side("NL*HUB", roles=("HUB",)).offers(*cdrs.MODULES)
    async with networks(south=hub) as (north, _):
        await turn(north, hub)
        over = (await north.partner(hub)).id
        sealed(north, record("R1", "FR*OTH")._replace(partner_id=over), record("R2", "FR*OTH"))
        assert await turn(north, hub)
        (post,) = north.faults.sent
        assert (post.method, post.headers["ocpi-to-party-id"]) == ("POST", "OTH")
        assert set(await deliveries(north)) == {"R1"}
        assert await listed(hub, north) == ["R1"]


async def test_who_names_a_party_later_is_shown_no_record_of_before() -> None:
    """Neither in an exchange that nobody here has a hand in, nor with a connection of its own."""
    async with networks() as (north, south):
        sealed(north, record("R1"))
        east = Side("DE*EST").offers(*cdrs.MODULES)
        async with east.up():
            await east.register(north, north.invite(east.party))
            north.store.run(partners.remove, (await north.partner(south)).id, north.now)
            roles = (*east.network.roles, OwnRole("EMSP", "US*STH", "x"))
            object.__setattr__(east.network, "roles", roles)
            await exchange.rotate(east.network, await east.partner(north), Progress())
            assert (await north.partner(east)).speaks_for("US*STH", "EMSP")
            assert await listed(east, north) == []
            await anew(north, east)
            assert await listed(east, north) == []
            assert await turn(north, east)
            assert await deliveries(north) == {}


async def test_a_network_whose_connection_is_made_anew_gets_what_it_was_owed_and_that_once() -> (
    None
):
    """Of the records of before: one that it has, one of which that is not known, one that was never
    sent, one that was sealed between the connections, and one of a charge that went on."""
    async with networks() as (north, south):
        await turn(north, south)
        sealed(north, record("HAS"))
        assert await turn(north, south)
        sealed(north, record("UNKNOWN"))
        north.faults.instead = fails
        assert not await turn(north, south)
        old = (await north.partner(south)).id
        sealed(north, record("NEVER"))
        north.store.run(partners.remove, old, north.now)
        sealed(north, record("BETWEEN")._replace(partner_id=old))
        south.store.run(partners.remove, (await south.partner(north)).id, south.now)
        await north.register(south, south.invite(north.party))
        north.faults.heal()
        north.faults.instead = lambda request: None
        assert await turn(north, south)
        sealed(north, record("AFTER")._replace(partner_id=old))
        assert await turn(north, south)
        posted = [json.loads(r.content)["id"] for r in north.faults.sent if r.method == "POST"]
        assert sorted(posted) == ["AFTER", "BETWEEN", "NEVER", "UNKNOWN"]
        rows = await deliveries(north)
        assert {row.state for row in rows.values()} == {Delivery.CONFIRMED}
        new = (await north.partner(south)).id
        assert {i for i, row in rows.items() if row.partner_id == new} == set(posted)
        assert len(await received(south)) == 5
        assert len(await listed(south, north)) == 5


async def test_under_another_name_a_connection_is_another_network() -> None:
    async with networks() as (north, south):
        await turn(north, south)
        sealed(north, record("R1"))
        await anew(north, south, "Somebody")
        partner = await exchange.by_name(north.network, "Somebody")
        publisher = Publisher(north.network, LocalBus())
        for _ in range(2):
            assert await publisher.push(partner, FEED)
        assert await deliveries(north) == {}
        assert await listed(south, north) == []


async def test_what_is_owed_is_not_forgotten_with_the_record_or_the_journal() -> None:
    """A connection that was away for longer than either is kept."""
    async with networks() as (north, south):
        await turn(north, south)
        sealed(north, record("R1"))
        north.faults.instead = fails
        assert not await turn(north, south)
        sealed(north, record("R2"))
        north.store.run(lambda tx: tx.delete(Cdr, "CA*NTH", "r1"))
        north.store.run(retention.trim, await north.store.reader.journal_end(), 1_000)
        await anew(north, south)
        north.faults.instead = lambda request: None
        north.later(hours=1)
        assert await turn(north, south)
        assert sorted(row.id for row in await received(south)) == ["R1", "R2"]


async def test_a_partner_that_was_suspended_for_longer_than_the_journal_gets_its_records() -> None:
    async with networks() as (north, south):
        await turn(north, south)
        north.store.run(partners.suspend, (await north.partner(south)).id, north.now)
        sealed(north, *(record(f"R{n}") for n in range(3)))
        north.later(days=31)
        north.store.run(partners.heard, (await north.partner(south)).id, [], north.now)
        sealed(north, record("OTHER", "DE*EST"))
        end = await north.store.reader.journal_end()
        north.store.run(retention.trim, end, 1_000)
        north.store.run(partners.resume, (await north.partner(south)).id, north.now)
        assert await turn(north, south)
        assert sorted(row.id for row in await received(south)) == ["R0", "R1", "R2"]
        north.faults.heal()
        assert await turn(north, south)
        assert north.faults.sent == [], "once"


async def test_looking_for_what_is_owed_may_fail_at_any_write() -> None:
    for fail_at in range(1, 12):
        async with networks() as (north, south):
            await turn(north, south)
            sealed(north, record("R1"))
            north.faults.instead = fails
            await turn(north, south)
            sealed(north, record("R2"), record("R3"))
            await anew(north, south)
            north.faults.instead = lambda request: None
            north.store.fail_at, north.store.writes = fail_at, 0
            for _ in range(4):
                with suppress(StoreUnavailable):
                    await turn(north, south)
                north.later(hours=1)
            found = await deliveries(north)
            assert {row.state for row in found.values()} == {Delivery.CONFIRMED}, fail_at
            assert len(found) == len(await received(south)) == 3, fail_at
