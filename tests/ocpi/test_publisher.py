"""Pumps: what changes here arrives there, and a partner that fails is caught up with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from csms.bus.local import LocalBus
from csms.core import tokens as own
from csms.core.errors import StoreUnavailable
from csms.core.partners import PartnerModule
from csms.core.tokens import Token
from csms.core.visitors import VisitorToken
from csms.ocpi import tokens
from csms.ocpi.network import Limits
from csms.ocpi.publisher import FEEDS, PULL, PUSH, Pace, Publisher
from tests.support.ocpi import NOW, Side, connected

FEED = FEEDS[0]


@asynccontextmanager
async def networks() -> AsyncIterator[tuple[Side, Side, Publisher]]:
    sides = [Side(party).offers(*tokens.MODULES) for party in ("CA*NTH", "US*STH")]
    async with connected(*sides) as (north, south):
        publisher = Publisher(
            north.network, LocalBus(), Pace(first_s=0.01, idle_s=0.01, turn_s=0.01)
        )
        # The first turn sets the cursor.
        assert await publisher.push(await north.partner(south), FEED)
        yield north, south, publisher


def add(side: Side, uid: str) -> None:
    side.store.run(own.add, Token(side.party, "", "rfid", uid, side.now), side.now)


def block(side: Side, uid: str, blocked: bool) -> None:
    side.later(seconds=1)
    side.store.run(own.set_blocked, side.party, uid, "rfid", blocked, side.now)


async def there(side: Side) -> dict[str, bool]:
    return {row.uid: row.valid for row in await side.store.reader.page(VisitorToken)}


async def noted(side: Side, other: Side, direction: str = PUSH) -> PartnerModule:
    partner = await side.partner(other)
    row = await side.store.reader.get(PartnerModule, partner.id, "tokens", direction)
    assert row is not None
    return row


async def test_changes_arrive_once_in_their_present_state() -> None:
    async with networks() as (north, south, publisher):
        add(north, "A")
        add(north, "B")
        for n in range(9):
            block(north, "A", n % 2 == 0)
        north.faults.sent.clear()
        assert await publisher.push(await north.partner(south), FEED)
        assert await there(south) == {"A": False, "B": True}
        # Eleven changes of two things are two requests.
        assert len(north.faults.sent) == 2
        north.faults.sent.clear()
        assert await publisher.push(await north.partner(south), FEED)
        assert north.faults.sent == []
        row = await noted(north, south)
        assert (row.error, row.behind_s) == (None, 0)


async def test_what_was_there_before_is_for_the_partner_to_pull() -> None:
    sides = [Side(party).offers(*tokens.MODULES) for party in ("CA*NTH", "US*STH")]
    async with connected(*sides) as (north, south):
        add(north, "OLD")
        publisher = Publisher(north.network, LocalBus())
        for _ in range(2):
            assert await publisher.push(await north.partner(south), FEED)
        assert await there(south) == {}


async def test_a_partner_that_is_away_is_caught_up_with() -> None:
    async with networks() as (north, south, publisher):
        add(north, "A")
        north.later(seconds=90)
        north.faults.heal()
        north.faults.break_at = 1
        assert not await publisher.push(await north.partner(south), FEED)
        row = await noted(north, south)
        assert row.failures == 1
        assert row.behind_s >= 90
        assert "broke" in str(row.error)
        north.heal()
        assert await publisher.push(await north.partner(south), FEED)
        assert await there(south) == {"A": True}
        assert (await noted(north, south)).failures == 0


async def test_what_a_partner_refuses_is_shown_and_holds_nothing_up() -> None:
    async with networks() as (north, south, publisher):
        # A party that South does not know of.
        stranger = north.network.roles[1]
        assert stranger.role == "EMSP"
        roles = (*north.network.roles, type(stranger)("EMSP", "CA*NEW", "New"))
        object.__setattr__(north.network, "roles", roles)
        north.store.run(own.add, Token("CA*NEW", "", "rfid", "X", north.now), north.now)
        add(north, "A")
        assert await publisher.push(await north.partner(south), FEED)
        assert await there(south) == {"A": True}
        assert "OCPI 2" in str((await noted(north, south)).error)


async def test_a_list_is_read_from_its_watermark_with_an_overlap_and_daily_in_full() -> None:
    async with networks() as (north, south, _):
        reading = Publisher(south.network, LocalBus(), Pace(overlap=timedelta(minutes=10)))
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


async def test_a_busy_journal_makes_no_busy_pump() -> None:
    class Busy:
        """Grows all the time."""

        async def grown(self, within_s: float) -> bool:
            return True

    async with networks() as (north, _, _):
        turns = 0
        publisher = Publisher(north.network, Busy(), Pace(turn_s=0.05))
        registered = publisher._registered

        async def counted() -> Any:
            nonlocal turns
            turns += 1
            return await registered()

        publisher._registered = counted  # type: ignore[method-assign]
        loop = asyncio.get_running_loop()
        began = loop.time()
        running = asyncio.create_task(publisher.run())
        await asyncio.wait((running,), timeout=0.3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert 1 <= turns <= (loop.time() - began) / 0.05 + 1


async def test_the_pumps_run_by_themselves_and_survive_a_partner_that_breaks() -> None:
    async with networks() as (north, south, publisher):
        north.faults.heal()
        north.faults.break_at = 1
        add(north, "A")
        running = asyncio.create_task(publisher.run())
        async with asyncio.timeout(10):
            while await there(south) != {"A": True}:
                await publisher._bus.grown(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert len(north.faults.sent) > 1


async def test_a_store_that_cannot_be_read_for_a_while_ends_no_pump() -> None:
    async with networks() as (north, south, publisher):
        add(north, "A")
        reader, away = north.store.reader, [1, 2, 3]
        fetch = reader.fetch

        async def fails_at_first(sql: str, parameters: Any) -> Any:
            if away:
                away.pop()
                raise StoreUnavailable("no connection")
            return await fetch(sql, parameters)

        reader.fetch = fails_at_first  # type: ignore[method-assign]
        running = asyncio.create_task(publisher.run())
        async with asyncio.timeout(10):
            while await there(south) != {"A": True}:
                assert not running.done()
                await publisher._bus.grown(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert away == []


async def test_more_changes_than_a_partner_takes_at_once_all_arrive() -> None:
    """A limit on requests slows a push down; it neither loses anything nor begins anew for ever."""
    north = Side("CA*NTH").offers(*tokens.MODULES)
    south = Side("US*STH", limits=Limits(per_s=50, burst=10)).offers(*tokens.MODULES)
    async with connected(north, south):
        publisher = Publisher(north.network, LocalBus())
        partner = await north.partner(south)
        assert await publisher.push(partner, FEED)
        for number in range(60):
            add(north, f"T{number}")
        assert await publisher.push(partner, FEED)
        assert len(await there(south)) == 60
        assert (await noted(north, south)).error is None


async def test_what_arrived_before_a_push_broke_off_does_not_go_again() -> None:
    async with networks() as (north, south, publisher):
        for uid in "ABCD":
            add(north, uid)
        north.faults.heal()
        north.faults.break_at = 4
        partner = await north.partner(south)
        assert not await publisher.push(partner, FEED)
        arrived = len(await there(south))
        block(north, "A", True)
        north.heal()
        assert await publisher.push(partner, FEED)
        # What had not arrived, and what has changed since.
        assert len(north.faults.sent) == 4 - arrived + 1
        assert (await there(south))["A"] is False
