"""What changes here arrives there, and a partner that fails is caught up with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from csms.bus.local import LocalBus
from csms.core import partners, retention
from csms.core import tokens as own
from csms.core.partners import PUSH, PartnerModule
from csms.core.tokens import Token
from csms.core.visitors import VisitorToken
from csms.ocpi import tokens
from csms.ocpi.feeds import FEEDS
from csms.ocpi.network import Limits
from csms.ocpi.publisher import Pace, Publisher
from csms.ocpi.pushes import MOST_LEFT
from tests.support.ocpi import Side, connected, said

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
    add(sides[0], "OLD")
    async with connected(*sides) as (north, south):
        publisher = Publisher(north.network, LocalBus())
        for _ in range(2):
            assert await publisher.push(await north.partner(south), FEED)
        assert await there(south) == {}


@pytest.mark.parametrize("first", ["one side registered", "the other"])
async def test_what_changes_before_the_first_turn_of_a_pump_is_pushed(first: str) -> None:
    """A partner may read a list as soon as it is registered; what it saw changes right after."""
    sides = [Side(party).offers(*tokens.MODULES) for party in ("CA*NTH", "US*STH")]
    async with connected(*sides) as both:
        here, other = both if first == "one side registered" else both[::-1]
        add(here, "NEW")
        assert await Publisher(here.network, LocalBus()).push(await here.partner(other), FEED)
        assert await there(other) == {"NEW": True}


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
        assert publisher.behind()["US*STH", "tokens"] >= 90
        north.heal()
        assert await publisher.push(await north.partner(south), FEED)
        assert await there(south) == {"A": True}
        assert (await noted(north, south)).failures == 0
        assert publisher.behind()["US*STH", "tokens"] == 0


async def test_what_a_partner_refuses_is_shown_and_holds_nothing_up() -> None:
    async with networks() as (north, south, _):
        # A party that South does not know of.
        stranger = north.network.roles[1]
        assert stranger.role == "EMSP"
        roles = (*north.network.roles, type(stranger)("EMSP", "CA*NEW", "New"))
        object.__setattr__(north.network, "roles", roles)
        north.store.run(own.add, Token("CA*NEW", "", "rfid", "X", north.now), north.now)
        add(north, "A")
        publisher = Publisher(north.network, LocalBus())
        assert await publisher.push(await north.partner(south), FEED)
        assert await there(south) == {"A": True}
        assert "OCPI 2" in str((await noted(north, south)).error)


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


def failing(uid: str) -> Any:
    """South answers 3000 to everything about one token."""
    return lambda request: said(3000) if request.url.path.endswith(f"/{uid}") else None


async def test_a_thing_that_a_partner_fails_on_holds_up_no_other_and_is_given_up() -> None:
    async with networks() as (north, south, publisher):
        partner = await north.partner(south)
        north.faults.instead = failing("BAD")
        add(north, "BAD")
        for uid in "ABCDE":
            add(north, uid)
            assert not await publisher.push(partner, FEED)
            assert uid in await there(south)
        row = await noted(north, south)
        assert (row.failures, row.error) == (5, "OCPI 3000: on purpose")
        add(north, "F")
        assert await publisher.push(partner, FEED)
        assert "BAD is given up: OCPI 3000" in str((await noted(north, south)).error)
        assert "BAD" not in await there(south)
        # It is sent again when it changes.
        north.faults.instead = lambda request: None
        block(north, "BAD", True)
        assert await publisher.push(partner, FEED)
        assert (await there(south))["BAD"] is False
        assert (await noted(north, south)).error is None


async def test_a_thing_that_cannot_be_made_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault of ours with one object is no reason to tell of no other; and nothing goes on behind
    the turn that it ended."""
    async with networks() as (north, south, publisher):
        partner = await north.partner(south)
        whole = FEED.push

        async def push(network: Any, partner: Any, party: str, uid: str) -> Any:
            if uid == "BAD":
                raise KeyError("id")
            return await whole(network, partner, party, uid)

        broken = replace(FEED, push=push)
        monkeypatch.setattr(publisher.pump(partner)._pushes[FEED.name], "_feed", broken)
        add(north, "BAD")
        for uid in "ABCDE":
            add(north, uid)
            assert not await publisher.push(partner, FEED)
            assert uid in await there(south)
        assert "KeyError" in str((await noted(north, south)).error)
        assert await publisher.push(partner, FEED)
        assert "BAD is given up" in str((await noted(north, south)).error)


async def test_nothing_is_given_up_while_a_partner_takes_nothing() -> None:
    async with networks() as (north, south, publisher):
        partner = await north.partner(south)
        north.faults.instead = lambda request: said(3000)
        for uid in "ABCDEFGH":
            add(north, uid)
            for _ in range(3):
                north.faults.sent.clear()
                assert not await publisher.push(partner, FEED)
                # One that is away is not asked for everything that waits.
                assert len(north.faults.sent) <= 3 + Pace().at_once
        north.faults.instead = lambda request: None
        assert await publisher.push(partner, FEED)
        assert set(await there(south)) == set("ABCDEFGH")
        assert (await noted(north, south)).error is None


async def test_what_was_set_aside_goes_again_after_a_restart() -> None:
    async with networks() as (north, south, publisher):
        partner = await north.partner(south)
        north.faults.instead = failing("BAD")
        add(north, "BAD")
        add(north, "A")
        assert not await publisher.push(partner, FEED)
        north.faults.instead = lambda request: None
        assert await Publisher(north.network, LocalBus()).push(partner, FEED)
        assert await there(south) == {"A": True, "BAD": True}


# -- further behind than the journal ---------------------------------------------------------------


async def trimmed(side: Side, other: Side) -> None:
    """The journal has lost what the partner was not told of."""
    side.store.run(partners.heard, (await side.partner(other)).id, [], side.now)
    add(side, "LAST")
    side.store.run(retention.trim, await side.store.reader.journal_end(), 1_000)


async def test_who_is_further_behind_than_the_journal_is_told_everything() -> None:
    async with networks() as (north, south, _):
        for uid in "ABC":
            add(north, uid)
        await trimmed(north, south)
        after = Publisher(north.network, LocalBus())
        assert await after.push(await north.partner(south), FEED)
        assert set(await there(south)) == {"A", "B", "C", "LAST"}
        row = await noted(north, south)
        assert (row.cursor, row.error) == (await north.store.reader.journal_end(), None)
        for again in (after, Publisher(north.network, LocalBus())):
            north.faults.heal()
            assert await again.push(await north.partner(south), FEED)
            assert north.faults.sent == [], "once"


async def test_what_is_told_in_place_of_the_journal_goes_on_where_it_was() -> None:
    """More than is left at once, and a partner that is away in the middle of it."""
    async with networks() as (north, south, _):
        for number in range(MOST_LEFT + 20):
            add(north, f"T{number}")
        await trimmed(north, south)
        after = Publisher(north.network, LocalBus())
        partner = await north.partner(south)
        north.faults.instead = lambda r: said(3000) if len(north.faults.sent) > 100 else None
        assert not await after.push(partner, FEED)
        first = await south.store.reader.count(VisitorToken)
        assert 90 <= first <= 100
        assert (await noted(north, south)).error == "OCPI 3000: on purpose"
        north.faults.instead = lambda request: None
        north.faults.heal()
        add(north, "MEANWHILE")
        assert await after.push(partner, FEED)
        assert await south.store.reader.count(VisitorToken) == MOST_LEFT + 22
        assert len(north.faults.sent) <= MOST_LEFT + 22 - first + Pace().at_once
        assert (await noted(north, south)).error is None


async def test_a_restart_in_the_middle_begins_it_again() -> None:
    async with networks() as (north, south, _):
        add(north, "A")
        add(north, "B")
        await trimmed(north, south)
        partner = await north.partner(south)
        north.faults.heal()
        north.faults.break_at = 2
        assert not await Publisher(north.network, LocalBus()).push(partner, FEED)
        north.heal()
        assert await Publisher(north.network, LocalBus()).push(partner, FEED)
        assert set(await there(south)) == {"A", "B", "LAST"}
