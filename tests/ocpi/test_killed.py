"""A partner that is killed in the middle of an exchange and comes back holds what one holds that
never was away: every request of every module is lost once, before it arrives and after.

Nothing is told twice either: what a partner does with the second copy is its own business, but what
it holds in the end is the same (OCPI 2.2.1 transport_and_format; 1.5 of the duties on ourselves).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from csms.bus.local import LocalBus
from csms.core import charging, stations
from csms.core import tariffs as prices
from csms.core.charging import StartReport, StopReport
from csms.core.exchanged import ReceivedCdr
from csms.core.ids import Origin
from csms.core.neighbours import NeighbourObject
from csms.core.stations import NewStation
from csms.core.tariffs import Tariff
from csms.core.tokens import Shown
from csms.core.visitors import VisitorToken
from csms.ocpi import cdrs, locations, sessions, tariffs, tokens
from csms.ocpi.feeds import FEEDS, Feed
from csms.ocpi.publisher import Publisher
from tests.ocpi.test_cdrs import record, sealed
from tests.ocpi.test_locations import evse, place
from tests.ocpi.test_tokens import add, token
from tests.support.ocpi import NOW, Side, connected

MODULES = (
    *tokens.MODULES,
    *locations.MODULES,
    *tariffs.MODULES,
    *sessions.MODULES,
    *cdrs.MODULES,
)
PRICE = {
    "currency": "CAD",
    "tax_included": "NO",
    "elements": [{"price_components": [{"type": "ENERGY", "price": 0.3, "step_size": 1}]}],
}
# More than any module takes for one turn here.
MOST_REQUESTS = 12
MOST_TURNS = 10


@asynccontextmanager
async def networks() -> AsyncIterator[tuple[Side, Side, Publisher]]:
    north, south = (Side(party).offers(*MODULES) for party in ("CA*NTH", "US*STH"))
    async with connected(north, south):
        # The drivers are South's own, and North knows them.
        add(south, "CARD")
        await south.asks(north, "PUT", "/2.2.1/receiver/tokens/US/STH/CARD", token())
        await south.asks(north, "PUT", "/2.2.1/receiver/tokens/US/STH/C1", token(uid="C1"))
        yield north, south, Publisher(north.network, LocalBus())


def happens(north: Side) -> None:
    """Two of everything that a network tells."""
    north.store.run(stations.onboard, "s1", NewStation("CP-1", "CA*NTH", evses=2), NOW)
    for number in (1, 2):
        add(north, f"OWN-{number}")
        place(north, f"LOC{number}", evse(f"E{number}", station_id="s1", evse=number))
        name = f"T{number}"
        row = Tariff("CA*NTH", name.lower(), 0, name, True, NOW, NOW, "CAD", data=PRICE)
        north.store.run(prices.put, row, NOW)
        north.store.run(prices.assign, "CA*NTH", name, f"LOC{number}", None, NOW)
    origin = Origin("s1", "CP-1", "ocpp1.6", north.now)
    for number, uid in ((1, "CARD"), (2, "C1")):
        begun = north.store.run(
            charging.start, origin, StartReport(number, Shown(uid), north.now, 0)
        )
        end = StopReport(begun.transaction_id, north.later(minutes=30), 1_000 * number)
        north.store.run(charging.stop, origin, end)
        sealed(north, record(f"R{number}"))


async def held(south: Side) -> dict[str, Any]:
    """What South knows of North, without when it heard of it."""
    reader = south.store.reader
    found: dict[str, Any] = {}
    for row in await reader.page(NeighbourObject, limit=100):
        found[f"{row.module} {row.party_id} {row.id_key}"] = row.body
    for visitor in await reader.page(VisitorToken, limit=100):
        found[f"token {visitor.party_id} {visitor.uid}"] = dict(visitor.data)
    for cdr in await reader.page(ReceivedCdr, limit=100):
        found[f"cdr {cdr.party_id} {cdr.id}"] = cdr.body
    return found


async def turns(north: Side, south: Side, publisher: Publisher, feed: Feed) -> int:
    """The pump of one module, until all is well; how many turns it took."""
    for turn in range(1, MOST_TURNS):
        partner = await north.partner(south)
        well = await publisher.push(partner, feed)
        if await publisher.settle(partner, feed) and well:
            return turn
        north.later(minutes=10)
    raise AssertionError(f"{feed.name} is never done")


async def undisturbed(feed: Feed) -> tuple[dict[str, Any], int]:
    """What South holds in the end, and how many requests it took."""
    async with networks() as (north, south, publisher):
        north.faults.sent.clear()
        happens(north)
        await turns(north, south, publisher, feed)
        return await held(south), len(north.faults.sent)


@pytest.mark.parametrize("delivered", [False, True], ids=["lost", "answer lost"])
@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
async def test_the_partner_holds_the_same_as_if_nothing_had_happened(
    feed: Feed, delivered: bool
) -> None:
    expected, requests = await undisturbed(feed)
    assert 2 <= requests <= MOST_REQUESTS
    assert len(expected) >= 2
    for at in range(1, requests + 1):
        async with networks() as (north, south, publisher):
            happens(north)
            north.faults.sent.clear()
            north.faults.break_at, north.faults.delivered = at, delivered
            assert await turns(north, south, publisher, feed) > 1, "it was noticed"
            assert await held(south) == expected, f"request {at} of {requests}"


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
async def test_a_reading_that_breaks_off_is_made_again(feed: Feed) -> None:
    """The other way: South reads North's lists, and the connection breaks on every page."""
    async with networks() as (north, south, _):
        happens(north)
        reading = Publisher(south.network, LocalBus())
        partner = await south.partner(north)
        south.faults.sent.clear()
        assert await reading.pull(partner, feed, full=True)
        requests, expected = len(south.faults.sent), await held(south)
    assert requests >= 1
    for at in range(1, requests + 1):
        async with networks() as (north, south, _):
            happens(north)
            reading = Publisher(south.network, LocalBus())
            partner = await south.partner(north)
            south.faults.sent.clear()
            south.faults.break_at = at
            assert not await reading.pull(partner, feed, full=True)
            assert await reading.pull(partner, feed, full=True)
            assert await held(south) == expected
