"""Pushing: what changes here in one module is sent to one partner.

The journal is only a hint: its rows are collapsed to the set of changed things, and the present
state of each is sent, several at once but never two requests for one thing. A thing that does not
arrive is set aside and tried again, after what is new, so that it holds up no other. What the
partner fails on again and again while it takes other things is given up and shown: its own reading
of our list heals that (transport_and_format, push and pull). The cursor in the store waits for what
is set aside, so that after a restart everything that had not arrived goes again.

The journal is kept for a time. For a partner who is further behind than that (it was suspended, or
could not be reached), everything that it should know is gone through in its place, once; so is what
is owed to a partner (its records) when it has been registered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import structlog

from csms.core.errors import CsmsError
from csms.core.partners import PUSH, Partner, PartnerModule
from csms.core.ports import JournalRow
from csms.ocpi.feeds import Feed, Thing, collapsed, note
from csms.ocpi.network import LOOKED_AT_ONCE, RECEIVER, Network

log = structlog.get_logger("ocpi.pushes")
ROWS_AT_ONCE = 500
# Where telling takes longer than the pause between turns there is none: what changes meanwhile
# would wait for twice as long.
SLOW_S = 0.25
# While all goes well how far a partner has been told is kept once in so long.
NOTED_S = 1.0
# Beyond so many things that have not arrived the journal is not read.
MOST_LEFT = 500
# So many faults in a row are the partner's and not those of a thing: the turn ends.
FAULTS_IN_A_ROW = 3
# How often a thing may fail while others arrive.
TRIES = 5


@dataclass(slots=True)
class _Trouble:
    """Why a thing has not arrived. `tries`: how often it failed since something else did; `arrived`
    is how much had arrived before it failed at all."""

    why: str
    arrived: int
    tries: int = 0


class Pushes:
    """The pushes of one feed to one partner, `at_once` of them at a time. `arrived` counts what the
    partner has answered."""

    def __init__(self, network: Network, feed: Feed, at_once: int) -> None:
        self._network = network
        self._feed = feed
        self._at_once = at_once
        self.arrived = 0
        # Up to which row of the journal everything has arrived or is left.
        self._read_to = 0
        self._left: dict[Thing, _Trouble | None] = {}
        self._left_since: datetime | None = None
        self._in_a_row = 0
        self._refused: list[str] = []
        # The end of the journal is known to have been reached.
        self._current = False
        # What is gone through in place of the journal, and up to which of its rows that counts.
        self._whole: AsyncIterator[Thing] | None = None
        self._whole_to = 0
        self._gone_through: datetime | None = None

    @property
    def behind_s(self) -> float:
        """For how long something has waited to arrive."""
        if not self._left or self._left_since is None:
            return 0.0
        return max(0.0, (self._network.clock() - self._left_since).total_seconds())

    async def turn(self, partner: Partner) -> bool:
        """Send what changed since the last turn and meanwhile, and what is left of it; False when
        something did not arrive."""
        reader = self._network.store.reader
        row = await reader.get(PartnerModule, partner.id, self._feed.name, PUSH)
        if row is None:
            # What was there before is for the partner to pull.
            end = await reader.journal_end()
            await note(self._network, partner, self._feed, PUSH, cursor=end)
            return True
        if partner.endpoint(self._feed.name, RECEIVER) is None:
            return True
        self._read_to = max(self._read_to, row.cursor)
        if self._whole is None and self._feed.whole is not None and await self._lacks(row):
            log.info("partner_gone_through", partner=partner.name, module=self._feed.name)
            self._whole_to = await reader.journal_end()
            self._whole = self._feed.whole(self._network, partner)
        self._current = False
        self._in_a_row = 0
        again: Iterable[Thing] = sorted(self._left, key=self._tries)
        loop, noted_s, worth_noting = asyncio.get_running_loop(), 0.0, False
        while True:
            began_s = loop.time()
            room = ROWS_AT_ONCE if len(self._left) < MOST_LEFT else 0
            hinted, more = await self._next(room)
            worth_noting = worth_noting or bool(hinted or self._left)
            await self._send(partner, collapsed((*hinted, *again)))
            again = ()
            # What has changed while this took its time goes at once, unless something has to wait.
            now_s = loop.time()
            slow = now_s - began_s >= SLOW_S
            more = more or (slow and bool(hinted) and not self._left)
            more = more and self._in_a_row < FAULTS_IN_A_ROW
            due = not more or now_s - noted_s >= NOTED_S
            if self._left:
                await self._note_left(partner)
            elif due and self._whole is None and (worth_noting or self._is_far(row)):
                await self._note_done(partner)
                noted_s, worth_noting = now_s, False
            if not more:
                self._current = not self._left
                return self._current

    async def _lacks(self, row: PartnerModule) -> bool:
        """Whether the partner may lack what the journal does not tell (any more)."""
        if self._feed.owed and row.watermark is None and self._gone_through is None:
            return True
        # Who was at the end a moment ago cannot be behind the start.
        if self._current:
            return False
        return self._read_to < await self._network.store.reader.journal_start() - 1

    def _is_far(self, row: PartnerModule) -> bool:
        """Whether it is worth noting how far that is, although nothing was sent."""
        return self._gone_through is not None or self._read_to - row.cursor >= ROWS_AT_ONCE

    async def _next(self, room: int) -> tuple[list[Thing], bool]:
        """What to send next, at most so much, and whether more will follow at once."""
        if self._whole is None:
            reader = self._network.store.reader
            rows = await reader.journal(self._read_to, room, tuple(self._feed.things))
            return self._hinted(rows), len(rows) == ROWS_AT_ONCE
        found: list[Thing] = []
        whole, self._whole = self._whole, None
        while len(found) < room:
            thing = await anext(whole, None)
            if thing is None:
                self._read_to = max(self._read_to, self._whole_to)
                self._gone_through = self._network.clock()
                break
            found.append(thing)
        else:
            # Only what was not interrupted is gone on with; else it begins anew.
            self._whole = whole
        if not self._left and found:
            self._left_since = self._network.clock()
        for thing in collapsed(found):
            self._left.setdefault(thing, None)
        return found, room > 0

    def _tries(self, thing: Thing) -> int:
        trouble = self._left[thing]
        return trouble.tries if trouble is not None else 0

    def _hinted(self, rows: Sequence[JournalRow]) -> list[Thing]:
        """What changed by these rows: it is left until it arrives."""
        found: dict[Thing, None] = {}
        for row in rows:
            thing_of = self._feed.things.get(row.kind)
            thing = thing_of(orjson.loads(row.data)) if thing_of else None
            if thing is not None:
                if not self._left and not found:
                    self._left_since = row.at
                found[thing] = None
            self._read_to = row.seq
        for thing in collapsed(found):
            self._left.setdefault(thing, None)
        return list(found)

    async def _send(self, partner: Partner, things: Sequence[Thing]) -> None:
        """The present state of each thing, once. So many are looked at together, and then sent."""
        for first in range(0, len(things), LOOKED_AT_ONCE):
            some = things[first : first + LOOKED_AT_ONCE]
            seen = await self._feed.look(self._network, some) if self._feed.look else {}
            await self._send_some(partner, some, seen)

    async def _send_some(
        self, partner: Partner, things: Sequence[Thing], seen: Mapping[Thing, Any]
    ) -> None:
        free = asyncio.Semaphore(self._at_once)

        # What begins alike is of one object (an EVSE and its location): one after the other.
        groups: dict[Thing, list[Thing]] = {}
        for thing in things:
            groups.setdefault(thing[:2], []).append(thing)

        async def group(members: Sequence[Thing]) -> None:
            async with free:
                for thing in members:
                    if self._in_a_row >= FAULTS_IN_A_ROW:
                        return
                    try:
                        found = {"seen": seen[thing]} if thing in seen else {}
                        told = await self._feed.push(self._network, partner, *thing, **found)
                    except CsmsError as error:
                        self._failed(partner, thing, error.detail or error.code)
                    except Exception as error:
                        # A fault of ours with this one thing; the others go on.
                        log.exception("push_failed", partner=partner.name, thing=" ".join(thing))
                        self._failed(partner, thing, repr(error))
                    else:
                        self._has_arrived(thing, asked=told is not None)
                        self._refused += told or ()

        await asyncio.gather(*(group(members) for members in groups.values()))

    def _has_arrived(self, thing: Thing, *, asked: bool) -> None:
        """`asked`: the partner has answered; else there was nothing to send."""
        if asked:
            self.arrived += 1
            self._in_a_row = 0
        whole = len(thing) < 3 or not thing[2]
        for other in [t for t in self._left if t == thing or (whole and t[:2] == thing[:2])]:
            del self._left[other]

    def _failed(self, partner: Partner, thing: Thing, why: str) -> None:
        """Keep it to be tried again, unless that is over: then it is shown."""
        self._in_a_row += 1
        trouble = self._left.get(thing) or _Trouble(why, self.arrived)
        trouble.why = why
        trouble.tries += self.arrived > trouble.arrived
        if trouble.tries < TRIES:
            self._left[thing] = trouble
            return
        self._left.pop(thing, None)
        name = " ".join(part for part in thing if part)
        log.warning(
            "push_given_up", partner=partner.name, module=self._feed.name, thing=name, why=why
        )
        self._refused.append(f"{name} is given up: {why}")

    async def _note_done(self, partner: Partner) -> None:
        """What they refuse is shown, and does not hold up the rest."""
        shown = next(iter(self._refused), None)
        self._refused.clear()
        done: dict[str, Any] = {"cursor": self._read_to, "behind_s": 0}
        if self._gone_through is not None:
            done["watermark"] = self._gone_through
        await note(self._network, partner, self._feed, PUSH, shown, **done)
        self._gone_through = None

    async def _note_left(self, partner: Partner) -> None:
        troubles = [trouble for trouble in self._left.values() if trouble is not None]
        why = troubles[0].why if troubles else "it did not answer"
        await note(self._network, partner, self._feed, PUSH, why, behind_s=int(self.behind_s))
