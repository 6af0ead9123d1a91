"""The lists of a partner are read: how often, how much of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx

from csms.bus.local import LocalBus
from csms.core import tokens as own
from csms.core.partners import PULL, PartnerModule
from csms.core.tokens import Token
from csms.core.visitors import VisitorToken
from csms.ocpi import tokens
from csms.ocpi.headers import Routing
from csms.ocpi.publisher import Pace, Publisher
from csms.ocpi.pulls import FEW, Intervals, Pulls
from tests.ocpi.test_pushes import FEED, add, networks, noted, there
from tests.support.ocpi import NOW, Side, connected, said


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


async def test_what_changes_while_a_long_list_is_read_is_read_the_next_time() -> None:
    """Pages are in the order of creation, so what changes behind the reader is in none of them."""
    async with networks() as (north, south, _):
        reading = Publisher(south.network, LocalBus())
        add(north, "A")
        north.later(hours=1)
        add(north, "B")
        partner = await south.partner(north)
        assert await reading.pull(partner, FEED)
        assert (await noted(south, north, PULL)).watermark == NOW


# -- a partner of several parties ------------------------------------------------------------------


class Reading:
    """South reads the tokens of North's two parties, of which one may fail."""

    def __init__(self, north: Side, south: Side) -> None:
        self.north, self.south = north, south
        self.pulls = Pulls(south.network, FEED, Intervals())
        self.failing = ""
        south.faults.instead = self._instead

    def _instead(self, request: httpx.Request) -> httpx.Response | None:
        to = Routing.of(request.headers).to
        return said(2000) if to == self.failing else None

    def add(self, party: str, uid: str) -> None:
        row = Token(party, "", "rfid", uid, self.north.now)
        self.north.store.run(own.add, row, self.north.now)

    async def turn(self) -> tuple[bool, list[tuple[str, bool]]]:
        """Whether all went well, and who was asked; in full or not."""
        self.south.faults.sent.clear()
        well = await self.pulls.turn(await self.south.partner(self.north))
        asked = []
        for request in self.south.faults.sent:
            to = str(Routing.of(request.headers).to)
            asked.append((to, "date_from" not in request.url.params))
        return well, asked

    async def rows(self) -> dict[str, PartnerModule]:
        partner = await self.south.partner(self.north)
        rows = await self.south.store.reader.page(PartnerModule, {"partner_id": partner.id})
        return {row.direction: row for row in rows if row.direction.startswith(PULL)}

    def later(self, **delta: float) -> None:
        for side in (self.north, self.south):
            side.later(**delta)


@asynccontextmanager
async def two_parties() -> AsyncIterator[Reading]:
    north = Side("CA*NTH", more=["CA*NT2"]).offers(*tokens.MODULES)
    south = Side("US*STH").offers(*tokens.MODULES)
    async with connected(north, south):
        reading = Reading(north, south)
        for party in (GOOD, BAD):
            reading.add(party, f"A-{party}")
        yield reading


GOOD, BAD = "CA*NTH", "CA*NT2"
APART = f"pull of {BAD} for US*STH"


async def test_the_party_that_fails_is_read_again_and_the_others_keep_what_they_have() -> None:
    async with two_parties() as reading:
        reading.failing = BAD
        assert await reading.turn() == (False, [(GOOD, True), (BAD, True)])
        rows = await reading.rows()
        assert (rows[PULL].watermark, rows[PULL].failures) == (NOW, 0)
        assert (rows[APART].watermark, rows[APART].failures) == (None, 1)
        assert "2000" in str(rows[APART].error)
        reading.later(minutes=5)
        assert await reading.turn() == (False, [(BAD, True)])
        reading.later(hours=5)
        assert await reading.turn() == (False, [(GOOD, False), (BAD, True)])
        reading.failing = ""
        reading.later(minutes=5)
        assert await reading.turn() == (True, [(BAD, True)])
        assert list(await reading.rows()) == [PULL]
        reading.later(hours=5)
        assert await reading.turn() == (True, [(GOOD, False), (BAD, False)])
        assert await there(reading.south) == {f"A-{party}": True for party in (GOOD, BAD)}


async def test_nothing_is_lost_of_a_party_that_failed_for_a_while() -> None:
    """What changed meanwhile lies before the watermark of the others."""
    async with two_parties() as reading:
        assert (await reading.turn())[0]
        reading.failing = BAD
        reading.later(hours=5)
        reading.add(BAD, "MEANWHILE")
        assert await reading.turn() == (False, [(GOOD, False), (BAD, False)])
        reading.later(hours=5)
        reading.add(GOOD, "LATER")
        assert await reading.turn() == (False, [(GOOD, False), (BAD, False)])
        reading.failing = ""
        assert await reading.turn() == (True, [(BAD, False)])
        assert (await there(reading.south)).keys() >= {"MEANWHILE", "LATER"}
        assert list(await reading.rows()) == [PULL]


async def test_what_is_missing_is_found_in_what_could_be_read() -> None:
    async with two_parties() as reading:
        assert (await reading.turn())[0]
        for party in (GOOD, BAD):
            key = party, f"a-{party}".casefold(), "rfid"
            reading.north.store.run(lambda tx, key=key: tx.delete(Token, *key))

        async def missing() -> tuple[set[str], int]:
            rows = await reading.south.store.reader.page(VisitorToken)
            marked = {row.party_id for row in rows if row.missing_since is not None}
            return marked, (await reading.rows())[PULL].missing

        reading.failing = BAD
        reading.later(hours=25)
        assert await reading.turn() == (False, [(GOOD, True), (BAD, True)])
        assert await missing() == ({GOOD}, 1)
        reading.failing = ""
        assert await reading.turn() == (True, [(BAD, True)])
        assert await missing() == ({GOOD, BAD}, 2)


async def test_a_full_reading_that_fails_again_and_again_comes_at_the_ordinary_interval() -> None:
    """It may be ten thousand pages of which the last one is broken."""
    async with networks() as (north, south, _):
        partner = await south.partner(north)
        pulls = Pulls(south.network, FEED, Intervals())
        south.faults.instead = lambda request: said(3000)
        asked = []
        for _ in range(7 * 24 * 12):
            south.faults.sent.clear()
            await pulls.turn(partner)
            if south.faults.sent:
                asked.append(south.now)
            south.later(minutes=5)
        waits = [b - a for a, b in pairwise(asked)]
        assert waits[: FEW - 1] == [timedelta(minutes=5)] * (FEW - 1)
        assert waits == sorted(waits), "later each time"
        assert timedelta(hours=4) <= waits[-1] < timedelta(hours=5)
        assert len(asked) < 60


async def test_meanwhile_it_is_read_from_its_watermark() -> None:
    """What changes is not to wait for a page that is broken."""
    async with networks() as (north, south, _):
        partner = await south.partner(north)
        pulls = Pulls(south.network, FEED, Intervals())
        add(north, "OLD")
        assert await pulls.turn(partner)
        full = 0

        def instead(request: httpx.Request) -> httpx.Response | None:
            nonlocal full
            if "date_from" in request.url.params:
                return None
            full += 1
            return said(3000)

        south.faults.instead = instead
        for side in (north, south):
            side.later(hours=25)
        add(north, "NEW")
        assert [await pulls.turn(partner) for _ in range(FEW + 1)] == [False] * FEW + [True]
        assert await there(south) == {"OLD": True, "NEW": True}
        assert full == FEW
        south.later(hours=1)
        assert await pulls.turn(partner)
        assert full == FEW, "at its ordinary interval"
        south.later(hours=4)
        assert not await pulls.turn(partner)
        assert full == FEW + 1
