"""Pumps: what changed here reaches every partner, and what their lists hold reaches us.

One pump per registered partner. The journal is only a hint: rows beyond the pump's cursor are
collapsed to the set of changed things, and the present state of each is sent, several at once but
never two requests for one thing. A partner that fails is left alone for a while, longer each time;
its cursor stays, so nothing is forgotten. Pulls run at intervals in hours with some splay, from a
watermark with an overlap, and in full once a day (transport_and_format, pull and push; a push that
was lost is healed by the partner's own pull).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson
import structlog

from csms.core import partners
from csms.core.errors import CsmsError
from csms.core.partners import Partner, PartnerModule, State
from csms.ocpi import cdrs, locations, sessions, tariffs, tokens
from csms.ocpi.network import RECEIVER, SENDER, Network
from csms.ocpi.paging import Pulled

log = structlog.get_logger("ocpi.publisher")
Thing = tuple[str, ...]
ROWS_AT_ONCE = 500
PUSH, PULL = "push", "pull"


class Wakeups(Protocol):
    """Tells when the journal grew."""

    async def grown(self, within_s: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Feed:
    """One module as a pump handles it. `things`: the journal kinds that hint at a change, and what
    changed; `push` sends the present state of one thing; `pull` takes in their list. `settle`: send
    what waits in an outbox, and say what is in the way."""

    name: str
    things: dict[str, Callable[[dict[str, Any]], Thing | None]]
    push: Callable[..., Awaitable[list[str]]]
    pull: Callable[[Network, Partner, datetime | None], Awaitable[Pulled]]
    settle: Callable[[Network, Partner], Awaitable[str | None]] | None = None


def _place(event: dict[str, Any]) -> Thing:
    """The EVSE whose status changed, or the whole location for anything else."""
    alone = event["evse_uid"] if event["status"] is not None else None
    return (event["party_id"], event["location_id"], alone or "")


def _whole(event: dict[str, Any]) -> Thing:
    """A session that began or ended."""
    return (sessions.NAME, str(event["transaction_id"]), "")


def _grown(event: dict[str, Any]) -> Thing:
    """A session that goes on; it goes as a whole where that goes anyway."""
    return (sessions.NAME, str(event["transaction_id"]), "grown")


def _collapsed(things: Iterable[Thing]) -> list[Thing]:
    """Each thing once; an EVSE goes with its location where that goes as a whole, so that no two
    requests are under way for one object."""
    found = dict.fromkeys(things)
    whole = {thing[:2] for thing in found if len(thing) == 3 and not thing[2]}
    return [t for t in found if len(t) < 3 or not t[2] or t[:2] not in whole]


FEEDS = (
    Feed(
        tokens.NAME,
        {"token_changed": lambda event: (event["party_id"], event["uid"])},
        tokens.push,
        tokens.pull,
    ),
    Feed(
        locations.NAME,
        {"location_changed": _place},
        locations.push,
        locations.pull,
    ),
    Feed(
        tariffs.NAME,
        {"tariff_changed": lambda event: (event["party_id"], event["tariff_id"])},
        tariffs.push,
        tariffs.pull,
    ),
    Feed(
        sessions.NAME,
        {
            "transaction_started": _whole,
            "transaction_updated": _grown,
            "transaction_ended": _whole,
            "transaction_priced": _whole,
        },
        sessions.push,
        sessions.pull,
    ),
    Feed(
        cdrs.NAME,
        {"cdr_sealed": lambda event: (event["party_id"], event["cdr_id"])},
        cdrs.push,
        cdrs.pull,
        cdrs.deliver,
    ),
)


@dataclass(frozen=True, slots=True)
class Pace:
    """`at_once`: requests in flight to one partner. `first_s` to `most_s`: how long a partner that
    failed is left alone. A turn comes after at most `idle_s`, and never sooner than `turn_s` after
    the one before, however busy the journal is. `pull_every`, `full_every`: reading their lists;
    `overlap`: how far before the watermark."""

    at_once: int = 4
    first_s: float = 1.0
    most_s: float = 300.0
    idle_s: float = 1.0
    turn_s: float = 0.25
    pull_every: timedelta = timedelta(hours=4)
    full_every: timedelta = timedelta(hours=24)
    overlap: timedelta = timedelta(minutes=10)


class Publisher:
    """Runs the pumps until it is cancelled."""

    def __init__(self, network: Network, bus: Wakeups, pace: Pace | None = None) -> None:
        self._network = network
        self._bus = bus
        self._pace = pace or Pace()
        self._waits: dict[str, tuple[float, float]] = {}
        # What a push that was broken off had sent, and up to which journal row that was its state.
        self._sent: dict[tuple[str, str], dict[Thing, int]] = {}

    async def run(self) -> None:
        """Everything that is due, again and again; one partner does not hold up the others, and a
        store that is away for a while ends nothing."""
        pumps: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    connected = await self._registered()
                except CsmsError as error:
                    log.warning("partners_not_read", error=error.detail)
                    await asyncio.sleep(self._pace.idle_s)
                    continue
                for partner in connected:
                    running = pumps.get(partner.id)
                    if running is None or running.done():
                        pumps[partner.id] = tasks.create_task(
                            self._serve(partner), name=f"partner {partner.name}"
                        )
                for gone in [i for i, task in pumps.items() if task.done()]:
                    del pumps[gone]
                if not connected:
                    # Nobody to tell: that the journal grows is no reason to look.
                    await asyncio.sleep(self._pace.idle_s)
                    continue
                # Listening begins before the pause, so that nothing that happens in it is missed.
                listening = tasks.create_task(
                    self._bus.grown(self._pace.idle_s), name="listen to the journal"
                )
                await asyncio.sleep(self._pace.turn_s)
                await listening

    async def _registered(self) -> list[Partner]:
        found: list[Partner] = []
        async for partner in self._network.every(Partner, {"state": State.REGISTERED}):
            found.append(partner)
        return found

    async def _serve(self, partner: Partner) -> None:
        """One turn of one partner; what goes wrong with it ends nothing else."""
        now = asyncio.get_running_loop().time()
        if now < self._waits.get(partner.id, (0.0, 0.0))[0]:
            return
        try:
            well = True
            for feed in FEEDS:
                well = await self.push(partner, feed) and well
                well = await self.settle(partner, feed) and well
                well = await self._pull_due(partner, feed) and well
        except Exception:
            log.exception("partner_pump_failed", partner=partner.name)
            well = False
        if well:
            self._waits.pop(partner.id, None)
            return
        waited = self._waits.get(partner.id, (0.0, 0.0))[1]
        wait = min(max(waited * 2, self._pace.first_s), self._pace.most_s)
        self._waits[partner.id] = (asyncio.get_running_loop().time() + wait, wait)

    # -- push --------------------------------------------------------------------------------------

    async def push(self, partner: Partner, feed: Feed) -> bool:
        """Send what changed since the cursor, a batch of journal rows at a time; False when the
        partner did not take something."""
        reader = self._network.store.reader
        row = await reader.get(PartnerModule, partner.id, feed.name, PUSH)
        if row is None:
            # What was there before is for the partner to pull.
            await self._note(partner, feed, PUSH, cursor=await reader.journal_end())
            return True
        if partner.endpoint(feed.name, RECEIVER) is None:
            return True
        cursor = row.cursor
        while True:
            rows = await reader.journal(cursor, ROWS_AT_ONCE)
            if not rows:
                return True
            hints: dict[Thing, int] = {}
            for entry in rows:
                thing_of = feed.things.get(entry.kind)
                thing = thing_of(orjson.loads(entry.data)) if thing_of else None
                if thing is not None:
                    hints[thing] = entry.seq
            sent = self._sent.setdefault((partner.id, feed.name), {})
            changed = _collapsed(t for t, seq in hints.items() if sent.get(t, 0) < seq)
            refused, fault = await self._send(partner, feed, changed, sent, rows[-1].seq)
            if fault is not None:
                behind = max(0, int((self._network.clock() - rows[0].at).total_seconds()))
                await self._note(partner, feed, PUSH, fault, behind_s=behind)
                return False
            cursor = rows[-1].seq
            sent.clear()
            if hints or cursor - row.cursor >= ROWS_AT_ONCE:
                # What they refuse is shown, and does not hold up the rest.
                await self._note(partner, feed, PUSH, refused, cursor=cursor, behind_s=0)
            if len(rows) < ROWS_AT_ONCE:
                return True

    async def _send(
        self, partner: Partner, feed: Feed, things: list[Thing], sent: dict[Thing, int], seq: int
    ) -> tuple[str | None, str | None]:
        """The present state of each thing, once; the first refusal, and the first fault for which
        it has to be tried again. What arrived is entered in `sent`, as of the row `seq`: it need
        not go again with the rest."""
        free = asyncio.Semaphore(self._pace.at_once)
        refused: list[str] = []
        faults: list[str] = []

        # What begins alike is of one object (an EVSE and its location): one after the other.
        groups: dict[Thing, list[Thing]] = {}
        for thing in things:
            groups.setdefault(thing[:2], []).append(thing)

        async def group(members: list[Thing]) -> None:
            async with free:
                for thing in members:
                    if faults:
                        return
                    try:
                        refused.extend(await feed.push(self._network, partner, *thing))
                        sent[thing] = seq
                    except CsmsError as error:
                        faults.append(error.detail or error.code)

        await asyncio.gather(*(group(members) for members in groups.values()))
        return next(iter(refused), None), next(iter(faults), None)

    async def settle(self, partner: Partner, feed: Feed) -> bool:
        """Send what waits in the outbox of a module; False when the partner did not settle it."""
        fault = await feed.settle(self._network, partner) if feed.settle else None
        if fault is not None:
            await self._note(partner, feed, PUSH, fault)
        return fault is None

    # -- pull --------------------------------------------------------------------------------------

    async def _pull_due(self, partner: Partner, feed: Feed) -> bool:
        reader = self._network.store.reader
        row = await reader.get(PartnerModule, partner.id, feed.name, PULL)
        now = self._network.clock()
        if row is not None and row.last_at is not None and not row.failures:
            # The splay follows from the partner's id, so that partners do not come all at once.
            splay = 1 + (sum(partner.id.encode()) % 20) / 100
            if now - row.last_at < self._pace.pull_every * splay:
                return True
        return await self.pull(partner, feed)

    async def pull(self, partner: Partner, feed: Feed, *, full: bool = False) -> bool:
        """Take in their list from the watermark on, or all of it; False when it failed."""
        if partner.endpoint(feed.name, SENDER) is None:
            return True
        reader = self._network.store.reader
        row = await reader.get(PartnerModule, partner.id, feed.name, PULL)
        watermark = row.watermark if row is not None else None
        now = self._network.clock()
        # `cursor` of a pull is the time of the last full one, in seconds.
        last_full = row.cursor if row is not None else 0
        full = full or watermark is None or now.timestamp() - last_full >= self._full_s
        since = None if full or watermark is None else watermark - self._pace.overlap
        try:
            pulled = await feed.pull(self._network, partner, since)
        except CsmsError as error:
            await self._note(partner, feed, PULL, error.detail or error.code)
            return False
        newest = max((t for t in (watermark, pulled.newest) if t is not None), default=None)
        cursor = int(now.timestamp()) if full else last_full
        await self._note(partner, feed, PULL, watermark=newest, cursor=cursor)
        for fault in pulled.faults[:10]:
            log.warning("partner_object_refused", partner=partner.name, module=feed.name, why=fault)
        if pulled.deviations:
            await self._network.store.transact(
                partners.forgive, partner.id, tuple(pulled.deviations)
            )
        return True

    async def pull_all(self, partner: Partner) -> list[str]:
        """Read every list of a partner in full; what became of it, in words."""
        steps = []
        for feed in FEEDS:
            if partner.endpoint(feed.name, SENDER) is None:
                continue
            well = await self.pull(partner, feed, full=True)
            steps.append(f"{feed.name}: read in full" if well else f"{feed.name}: failed")
        return steps

    @property
    def _full_s(self) -> float:
        return self._pace.full_every.total_seconds()

    async def _note(
        self, partner: Partner, feed: Feed, direction: str, error: str | None = None, **changes: Any
    ) -> None:
        now = self._network.clock()

        def note(tx: Any) -> None:
            partners.note(tx, partner.id, feed.name, direction, now, error, **changes)

        await self._network.store.transact(note)
