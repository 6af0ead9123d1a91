"""Pulling: the lists of a partner are read, from a watermark with an overlap, and in full once a
day (transport_and_format, pull). What a push has lost is found here.

A list is read in one way for each party of the partner. A way that fails while others go well is
kept apart, with a row of its own that says how far it was read, until it has caught up: so the
others are not read again because of it, and the watermark never passes what was not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from csms.core import neighbours, partners
from csms.core.entities import SHAPES
from csms.core.errors import CsmsError
from csms.core.ids import folded
from csms.core.neighbours import NeighbourObject
from csms.core.partners import PULL, Partner, PartnerModule
from csms.core.ports import Tx
from csms.ocpi.feeds import Feed, note
from csms.ocpi.headers import Routing
from csms.ocpi.lists import Pulled
from csms.ocpi.network import SENDER, Network

log = structlog.get_logger("ocpi.pulls")
MOST_FAULTS_LOGGED = 10
MARKED_AT_ONCE = 250
# After so many failures in a row a list is not read in full as soon as may be: each time may take
# thousands of pages. The waiting doubles up to the ordinary interval.
FEW = 3
FIRST_WAIT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Intervals:
    """`every`: how often a list is read; `full_every`: in full; `overlap`: how far before the
    watermark."""

    every: timedelta = timedelta(hours=4)
    full_every: timedelta = timedelta(hours=24)
    overlap: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Part:
    """The ways in which a list has been read equally far, as the row says (None: not at all).
    `direction` is that of the row. `behind`: the others were read in full since."""

    direction: str
    ways: Sequence[Routing]
    row: PartnerModule | None
    behind: bool = False

    @property
    def apart(self) -> bool:
        return self.direction != PULL

    @property
    def watermark(self) -> datetime | None:
        return self.row.watermark if self.row is not None else None

    @property
    def last_full(self) -> int:
        """When it was last read in full, in seconds."""
        return self.row.cursor if self.row is not None else 0


def _apart(way: Routing) -> str:
    """The direction of the row of a way that is kept apart."""
    return f"{PULL} of {way.to} for {way.sender}"


class Pulls:
    """The reading of one feed."""

    def __init__(self, network: Network, feed: Feed, intervals: Intervals) -> None:
        self._network = network
        self._feed = feed
        self._intervals = intervals

    async def turn(self, partner: Partner) -> bool:
        """Read of their list what it is time for; False when something of that failed."""
        well = True
        for part in await self._parts(partner):
            full = self._full_due(part)
            tired = part.row is not None and part.row.failures >= FEW
            if self._due(partner, part):
                # What changes must not wait for a full list that always fails.
                full = full and not (tired and part.watermark is not None)
                well = await self._read(partner, part, full=full) and well
        return well

    async def pull(self, partner: Partner, *, full: bool = False) -> bool:
        """Take in their list from the watermark on, or all of it; False when some of it failed."""
        well = True
        for part in await self._parts(partner):
            well = await self._read(partner, part, full=full or self._full_due(part)) and well
        return well

    async def _parts(self, partner: Partner) -> list[_Part]:
        """What can be read of their list, the ways that go together first."""
        network, feed = self._network, self._feed
        if partner.endpoint(feed.name, SENDER) is None:
            return []
        where = {"partner_id": partner.id, "module": feed.name}
        rows = {row.direction: row async for row in network.every(PartnerModule, where)}
        main = rows.get(PULL)
        together, parts = [], []
        for way in feed.ways(network, partner):
            row = rows.pop(_apart(way), None)
            if row is None:
                together.append(way)
                continue
            behind = main is not None and row.cursor < main.cursor
            parts.append(_Part(row.direction, (way,), row, behind))
        gone = [name for name in rows if name.startswith(f"{PULL} ")]
        if gone:
            # Parties that the partner speaks for no longer.
            await network.store.transact(_forget, partner.id, feed.name, gone)
        return [_Part(PULL, together, main), *parts] if together else parts

    def _full_due(self, part: _Part) -> bool:
        waited_s = self._network.clock().timestamp() - part.last_full
        full_s = self._intervals.full_every.total_seconds()
        return part.watermark is None or part.behind or waited_s >= full_s

    def _due(self, partner: Partner, part: _Part) -> bool:
        row = part.row
        if row is None or row.last_at is None:
            return True
        # The splay follows from the partner's id, so that partners do not come all at once.
        wait = self._intervals.every * (1 + (sum(partner.id.encode()) % 20) / 100)
        if row.failures:
            # What failed is due at once, how soon is for the job; but not all of it for ever.
            if row.failures < FEW or part.watermark is not None:
                return True
            wait = min(wait, FIRST_WAIT * 2 ** min(row.failures - FEW, 20))
        return self._network.clock() - row.last_at >= wait

    async def _read(self, partner: Partner, part: _Part, *, full: bool) -> bool:
        """Read in the ways of a part, and keep how far that came."""
        network, feed = self._network, self._feed
        now = network.clock()
        watermark = part.watermark
        since = None if full or watermark is None else watermark - self._intervals.overlap
        try:
            pulled = await feed.pull(network, partner, since, part.ways)
        except CsmsError as error:
            await note(network, partner, feed, part.direction, error.detail or error.code)
            return False
        for fault in pulled.faults[:MOST_FAULTS_LOGGED]:
            log.warning("partner_object_refused", partner=partner.name, module=feed.name, why=fault)
        if pulled.deviations:
            forgiven = tuple(pulled.deviations)
            await network.store.transact(partners.forgive, partner.id, forgiven)
        if len(pulled.failed) == len(part.ways):
            why = next(iter(pulled.failed.values()))
            await note(network, partner, feed, part.direction, why)
            return False
        if pulled.newest is not None:
            # What changed behind the reader while it read is newer than its beginning.
            newest = min(pulled.newest, now)
            watermark = newest if watermark is None else max(newest, watermark)
        cursor = int(now.timestamp()) if full else part.last_full
        missing = None
        if full and feed.kept is not None:
            missing = await self._missing(partner, part, pulled)
        came = watermark, cursor, missing
        await network.store.transact(_keep, partner.id, feed.name, part, pulled.failed, came, now)
        return not pulled.failed

    async def _missing(self, partner: Partner, part: _Part, pulled: Pulled) -> int:
        """Mark what is known of the partner and was not in its list, as far as that could be read;
        how much is missing altogether."""
        network, kind = self._network, self._feed.kept
        assert kind is not None
        where: dict[str, Any] = {"partner_id": partner.id}
        if kind is NeighbourObject:
            where["module"] = self._feed.name
        read = {way.to for way in part.ways if way not in pulled.failed}
        everything = len(read) == len(self._feed.ways(network, partner))
        missing: list[tuple[Any, ...]] = []
        before = 0
        async for row in network.every(kind, where):
            named = row.id if isinstance(row, NeighbourObject) else row.uid
            if not everything and row.party_id not in read:
                before += row.missing_since is not None
            elif (row.party_id, folded(named)) not in pulled.held:
                missing.append(SHAPES[kind].key_of(row))
        for n in range(0, len(missing), MARKED_AT_ONCE):
            some = missing[n : n + MARKED_AT_ONCE]
            await network.store.transact(neighbours.missed, kind, some, network.clock())
        return len(missing) + before


def _keep(
    tx: Tx,
    partner_id: str,
    module: str,
    part: _Part,
    failed: dict[Routing, str],
    came: tuple[datetime | None, int, int | None],
    now: datetime,
) -> None:
    """How far a part was read: with it the ways that went well; those that did not are apart from
    now on, where they were."""
    watermark, cursor, missing = came
    main = tx.get(PartnerModule, partner_id, module, PULL)
    stays: dict[str, Any] = {"watermark": part.watermark, "cursor": part.last_full}
    for way, why in failed.items():
        partners.note(tx, partner_id, module, _apart(way), now, why, **stays)
    if not part.apart or main is None:
        reached: dict[str, Any] = {"watermark": watermark, "cursor": cursor}
        if missing is not None:
            reached["missing"] = missing
        partners.note(tx, partner_id, module, PULL, now, **reached)
        return
    if missing is not None:
        tx.save(main._replace(missing=missing))
    if cursor >= main.cursor:
        _forget(tx, partner_id, module, [part.direction])
    else:
        partners.note(tx, partner_id, module, part.direction, now, watermark=watermark)


def _forget(tx: Tx, partner_id: str, module: str, directions: Sequence[str]) -> None:
    for direction in directions:
        tx.delete(PartnerModule, partner_id, module, direction)
