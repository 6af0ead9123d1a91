"""Pulling: the lists of a partner are read, from a watermark with an overlap, and in full once a
day (transport_and_format, pull). What a push has lost is found here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from csms.core import neighbours, partners
from csms.core.entities import SHAPES
from csms.core.errors import CsmsError
from csms.core.ids import folded
from csms.core.neighbours import NeighbourObject
from csms.core.partners import PULL, Partner, PartnerModule
from csms.ocpi.feeds import Feed, note
from csms.ocpi.lists import Pulled
from csms.ocpi.network import SENDER, Network

log = structlog.get_logger("ocpi.pulls")
MOST_FAULTS_LOGGED = 10
MARKED_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Intervals:
    """`every`: how often a list is read; `full_every`: in full; `overlap`: how far before the
    watermark."""

    every: timedelta = timedelta(hours=4)
    full_every: timedelta = timedelta(hours=24)
    overlap: timedelta = timedelta(minutes=10)


class Pulls:
    """The reading of one feed."""

    def __init__(self, network: Network, feed: Feed, intervals: Intervals) -> None:
        self._network = network
        self._feed = feed
        self._intervals = intervals

    async def turn(self, partner: Partner) -> bool:
        """Read their list if it is time to; False when that failed."""
        reader = self._network.store.reader
        row = await reader.get(PartnerModule, partner.id, self._feed.name, PULL)
        if row is not None and row.last_at is not None and not row.failures:
            # The splay follows from the partner's id, so that partners do not come all at once.
            splay = 1 + (sum(partner.id.encode()) % 20) / 100
            if self._network.clock() - row.last_at < self._intervals.every * splay:
                return True
        return await self.pull(partner)

    async def pull(self, partner: Partner, *, full: bool = False) -> bool:
        """Take in their list from the watermark on, or all of it; False when it failed."""
        network, feed = self._network, self._feed
        if partner.endpoint(feed.name, SENDER) is None:
            return True
        row = await network.store.reader.get(PartnerModule, partner.id, feed.name, PULL)
        watermark = row.watermark if row is not None else None
        now = network.clock()
        # `cursor` of a pull is the time of the last full one, in seconds.
        last_full = row.cursor if row is not None else 0
        full_s = self._intervals.full_every.total_seconds()
        full = full or watermark is None or now.timestamp() - last_full >= full_s
        since = None if full or watermark is None else watermark - self._intervals.overlap
        try:
            pulled = await feed.pull(network, partner, since)
        except CsmsError as error:
            await note(network, partner, feed, PULL, error.detail or error.code)
            return False
        newest = max((t for t in (watermark, pulled.newest) if t is not None), default=None)
        cursor = int(now.timestamp()) if full else last_full
        counted: dict[str, Any] = {}
        if full and feed.kept:
            counted["missing"] = await self._missing(partner, pulled)
        await note(network, partner, feed, PULL, watermark=newest, cursor=cursor, **counted)
        for fault in pulled.faults[:MOST_FAULTS_LOGGED]:
            log.warning("partner_object_refused", partner=partner.name, module=feed.name, why=fault)
        if pulled.deviations:
            forgiven = tuple(pulled.deviations)
            await network.store.transact(partners.forgive, partner.id, forgiven)
        return True

    async def _missing(self, partner: Partner, pulled: Pulled) -> int:
        """Mark what is known of the partner and was not in its list; how much it is."""
        network, kind = self._network, self._feed.kept
        assert kind is not None
        where: dict[str, Any] = {"partner_id": partner.id}
        if kind is NeighbourObject:
            where["module"] = self._feed.name
        missing: list[tuple[Any, ...]] = []
        async for row in network.every(kind, where):
            named = row.id if isinstance(row, NeighbourObject) else row.uid
            if (row.party_id, folded(named)) not in pulled.held:
                missing.append(SHAPES[kind].key_of(row))
        for n in range(0, len(missing), MARKED_AT_ONCE):
            some = missing[n : n + MARKED_AT_ONCE]
            await network.store.transact(neighbours.missed, kind, some, network.clock())
        return len(missing)
