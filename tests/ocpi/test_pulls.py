"""The lists of a partner are read: how often, how much of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from csms.bus.local import LocalBus
from csms.core.partners import PULL
from csms.core.tokens import Token
from csms.core.visitors import VisitorToken
from csms.ocpi.publisher import Pace, Publisher
from csms.ocpi.pulls import Intervals, Pulls
from tests.ocpi.test_pushes import FEED, add, networks, noted, there
from tests.support.ocpi import NOW, said


async def test_a_list_is_read_from_its_watermark_with_an_overlap_and_daily_in_full() -> None:
    async with networks() as (north, south, _):
        reading = Publisher(
            south.network, LocalBus(), Pace(pulls=Intervals(overlap=timedelta(minutes=10)))
        )
        add(north, "A")
        partner = await south.partner(north)

        async def asked() -> Any:
            south.faults.sent.clear()
            assert await reading.pull(await south.partner(north), FEED)
            return south.faults.sent[0].url.params.get("date_from")

        assert await asked() is None
        assert (await noted(south, north, PULL)).watermark == NOW
        assert await asked() == "2026-01-01T11:50:00Z"
        south.later(hours=25)
        assert await asked() is None
        assert (await reading.pull_all(partner)) == ["tokens: read in full"]
        assert await there(south) == {"A": True}


async def test_a_list_that_cannot_be_read_is_noted() -> None:
    async with networks() as (north, south, _):
        reading = Publisher(south.network, LocalBus())
        south.faults.heal()
        south.faults.break_at = 1
        assert await reading.pull_all(await south.partner(north)) == ["tokens: failed"]
        row = await noted(south, north, PULL)
        assert (row.failures, row.watermark) == (1, None)


async def test_lists_are_read_at_intervals_with_some_splay() -> None:
    async with networks() as (north, south, _):
        partner = await south.partner(north)
        pulls = Pulls(south.network, FEED, Intervals())
        spread = timedelta(hours=4) * (1 + (sum(partner.id.encode()) % 20) / 100)

        async def asked() -> int:
            south.faults.sent.clear()
            assert await pulls.turn(partner)
            return len(south.faults.sent)

        assert await asked() == 1
        south.now += spread - timedelta(seconds=1)
        assert await asked() == 0
        south.later(seconds=1)
        assert await asked() == 1
        # What failed is due at once; how soon is for the job.
        south.now += spread
        south.faults.instead = lambda request: said(3000)
        for _ in range(2):
            assert not await pulls.turn(partner)
        south.faults.instead = lambda request: None
        assert await asked() == 1


async def test_what_is_missing_in_a_full_list_is_suspect_until_it_is_told_again() -> None:
    """I6: never deleted, because a list may be incomplete."""
    async with networks() as (north, south, _):
        reading = Publisher(south.network, LocalBus())
        for uid in ("A", "B"):
            add(north, uid)
        partner = await south.partner(north)

        async def missing(*, full: bool, well: bool = True) -> set[str]:
            assert await reading.pull(partner, FEED, full=full) is well
            rows = await south.store.reader.page(VisitorToken)
            return {row.uid for row in rows if row.missing_since is not None}

        assert await missing(full=True) == set()
        north.store.run(lambda tx: tx.delete(Token, "CA*NTH", "b", "rfid"))
        assert await missing(full=False) == set()
        assert await missing(full=True) == {"B"}
        assert (await noted(south, north, PULL)).missing == 1
        south.faults.instead = lambda request: said(3000)
        assert await missing(full=True, well=False) == {"B"}
        south.faults.instead = lambda request: None
        add(north, "B")
        assert await missing(full=True) == set()
        assert (await noted(south, north, PULL)).missing == 0
