"""The feed of events to an MQTT broker: every row of the journal, in order, at least once.

The cursor is in the store and moves on when the broker has taken what is before it. While the
broker is away nothing is lost and nothing else waits; when it is back everything follows. After a
crash, or a connection that broke, some events come again (same `id`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import aiomqtt
import structlog

from csms.bus.broker import Broker, BrokerClient, client_of
from csms.bus.events import cloud_event, topic
from csms.core import cursors
from csms.core.cursors import Cursor
from csms.core.errors import CsmsError
from csms.core.ports import JournalRow, Store
from csms.core.stations import Station

log = structlog.get_logger("bus.feed")

CURSOR = "mqtt"
STATION_CHANGED = "station_changed"
MOST_NAMES = 50_000


class Wakeups(Protocol):
    """Tells when the journal grew."""

    async def grown(self, within_s: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """`at_once`: events under way to the broker. `answer_s`: how long it may take to connect, or to
    take an event. `first_s` to `most_s`: how long one that failed is left alone. `pause_s`: what
    happens within it goes together, and costs one write of the cursor; `idle_s`: how often the
    journal is looked at without a wake-up."""

    at_once: int = 100
    answer_s: float = 10.0
    first_s: float = 0.5
    most_s: float = 30.0
    pause_s: float = 0.05
    idle_s: float = 5.0


class Feed:
    """Delivers the journal to a broker, from its cursor on. `run` it until it is cancelled.

    `source`: who we are, in every event; `prefix`: what topics begin with. `trouble`: why nothing
    is delivered at the moment, None when all is well; `published`: events taken by the broker.
    """

    def __init__(
        self,
        store: Store,
        bus: Wakeups,
        broker: Broker,
        source: str,
        prefix: str,
        clock: Callable[[], datetime],
        limits: FeedLimits | None = None,
    ) -> None:
        self._store = store
        self._bus = bus
        self._broker = broker
        self._source = source
        self._prefix = prefix
        self._clock = clock
        self._limits = limits or FeedLimits()
        self.trouble: str | None = "not connected so far"
        self.published = 0
        self._oldest: datetime | None = None
        self._names: dict[str, str] = {}
        self._wait_s = self._limits.first_s

    @property
    def behind_s(self) -> float:
        """For how long the oldest event that has not arrived has waited."""
        if self._oldest is None:
            return 0.0
        return max(0.0, (self._clock() - self._oldest).total_seconds())

    async def run(self) -> None:
        """Deliver, and connect again whenever that fails."""
        limits = self._limits
        while True:
            try:
                async with client_of(self._broker, limits.answer_s, limits.at_once) as client:
                    await self._deliver(client)
            except aiomqtt.MqttError as error:
                self._failed(f"{self._broker.shown}: {error}")
            except CsmsError as error:
                self._failed(error.detail or error.code)
            except Exception as error:
                log.exception("events_failed")
                self._failed(type(error).__name__)
            await self._look()
            # Not all systems at once on a broker that has come back.
            await asyncio.sleep(self._wait_s * random.uniform(0.8, 1.2))  # noqa: S311
            self._wait_s = min(self._wait_s * 2, limits.most_s)

    def _failed(self, why: str) -> None:
        if why != self.trouble:
            log.warning("events_not_delivered", why=why)
        self.trouble = why

    async def _look(self) -> None:
        """What waits while the broker is away."""
        try:
            rows = await self._store.reader.journal(await self._cursor(), 1)
        except CsmsError:
            return
        self._oldest = rows[0].at if rows else None

    async def _cursor(self) -> int:
        """Up to where everything has arrived; a feed that was never there begins with what comes
        from now on."""
        reader = self._store.reader
        known = await reader.get(Cursor, CURSOR)
        if known is None:
            end = await reader.journal_end()
            known = await self._store.transact(cursors.advance, CURSOR, end, self._clock())
        return known.seq

    async def _deliver(self, client: BrokerClient) -> None:
        """Everything there is and everything that comes; ends with an exception."""
        limits, reader = self._limits, self._store.reader
        after, start = await self._cursor(), await reader.journal_start()
        if after < start - 1:
            log.error("events_lost", count=start - 1 - after, why="retention.journal_days")
        self._well()
        while True:
            rows = await reader.journal(after, limits.at_once)
            if rows:
                self._oldest = rows[0].at
                await self._publish(client, rows)
                after = rows[-1].seq
                await self._store.transact(cursors.advance, CURSOR, after, self._clock())
                self._well()
            self._oldest = None
            if len(rows) < limits.at_once:
                # Listening begins before the pause, so that nothing in it is missed.
                listening = asyncio.create_task(self._bus.grown(limits.idle_s), name="feed waits")
                try:
                    await asyncio.sleep(limits.pause_s)
                    await listening
                finally:
                    listening.cancel()

    def _well(self) -> None:
        if self.trouble is not None:
            log.info("events_delivered", broker=self._broker.shown)
        self.trouble = None
        self._wait_s = self._limits.first_s

    async def _publish(self, client: BrokerClient, rows: Sequence[JournalRow]) -> None:
        """Rows in their order, under way together: a broker keeps the order of one connection
        (MQTT 3.1.1 4.6). Returns when it has taken them all."""
        await self._learn_names(rows)
        await client.publish_all(
            (topic(self._prefix, row), cloud_event(self._source, row, self._identity(row)))
            for row in rows
        )
        self.published += len(rows)

    async def _learn_names(self, rows: Sequence[JournalRow]) -> None:
        """What the stations of these rows are called: one query for all that are not known."""
        unknown: dict[str, None] = {}
        for row in rows:
            if row.station_id is None:
                continue
            if row.kind == STATION_CHANGED:
                self._names.pop(row.station_id, None)
            if row.station_id not in self._names:
                unknown[row.station_id] = None
        if not unknown:
            return
        if len(self._names) + len(unknown) > MOST_NAMES:
            self._names.clear()
            unknown = dict.fromkeys(row.station_id for row in rows if row.station_id is not None)
        ids = tuple(unknown)
        # One text of the query for any number.
        padded = ids + ids[-1:] * (self._limits.at_once - len(ids))
        names = ("id", "identity")
        found = await self._store.reader.fields(Station, names, {"id": padded}, limit=len(ids))
        # A station that is gone is called by its id.
        self._names |= {**dict(zip(ids, ids, strict=True)), **dict(found)}

    def _identity(self, row: JournalRow) -> str | None:
        return None if row.station_id is None else self._names[row.station_id]
