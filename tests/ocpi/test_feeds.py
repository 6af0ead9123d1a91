"""Which rows of the journal hint at what, and what there is to tell without them."""

from __future__ import annotations

from csms.core import tariffs
from csms.ocpi.feeds import FEEDS, Thing, collapsed
from tests.ocpi.test_locations import evse, place
from tests.ocpi.test_pushes import add
from tests.ocpi.test_sessions import two
from tests.support.ocpi import Side, connected


def test_an_evse_goes_with_its_place_where_that_goes() -> None:
    changed = [("P", "L1", "E1"), ("P", "L2", "E1"), ("P", "L1", ""), ("P", "L2", "E1"), ("P", "U")]
    assert collapsed(changed) == [("P", "L2", "E1"), ("P", "L1", ""), ("P", "U")]


async def whole(name: str, side: Side, other: Side) -> list[Thing]:
    (feed,) = [feed for feed in FEEDS if feed.name == name]
    assert feed.whole is not None
    return [thing async for thing in feed.whole(side.network, await side.partner(other))]


async def test_everything_is_all_that_our_parties_have() -> None:
    async with connected() as (north, south):
        for side in (north, south):
            add(side, "A")
        place(north, "LOC1", evse("E1"), evse("E2"))
        row = tariffs.Tariff("CA*NTH", "t1", 0, "T1", True, north.now, north.now, "CAD", data={})
        for version in ({}, {"elements": []}):
            north.store.run(tariffs.put, row._replace(data=version), north.now)
        assert await whole("tokens", north, south) == [("CA*NTH", "A")]
        assert await whole("locations", north, south) == [("CA*NTH", "LOC1", "")]
        assert await whole("tariffs", north, south) == [("CA*NTH", "T1")]
        assert await whole("cdrs", north, south) == []


async def test_of_the_sessions_those_that_go_on() -> None:
    async with two() as t:
        over = t.start()
        t.stop(over, 1_000)
        running = t.start()
        assert await whole("sessions", t.north, t.south) == [("sessions", str(running), "")]
