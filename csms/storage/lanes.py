"""A store of several lanes: each a queue, a thread and a connection of its own.

While one lane waits for the database another runs its functions. Functions about the same thing
(`lane=`, the id of a station) are always in the same lane and so in order; what names nothing runs
in the first. What must not wait behind others (`FIRST`) has a lane that nobody else uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from csms.core.errors import StoreOverloaded
from csms.core.ports import FIRST, Need, Reader
from csms.observability import Tally
from csms.storage.fencing import Fencing
from csms.storage.store import QueuedStore

R = TypeVar("R")


class LanedStore:
    """`core.ports.Store` over several stores of one database, used like one of them. `first`: the
    one that is kept free, None for none. `fencing`: of the sessions of all."""

    def __init__(
        self,
        reader: Reader,
        lanes: Sequence[QueuedStore],
        max_queue: int,
        first: QueuedStore | None = None,
        fencing: Fencing | None = None,
    ) -> None:
        assert lanes
        self.reader = reader
        self.lanes = tuple(lanes)
        self.max_queue = max_queue
        self.first = first
        self.fencing = fencing

    @property
    def trouble(self) -> str | None:
        """Why writes fail at the moment, None when they work."""
        return next((lane.trouble for lane in self.lanes if lane.trouble), None)

    @property
    def queued(self) -> int:
        """Functions waiting to run."""
        return sum(lane.queued for lane in self.lanes)

    @property
    def conflicts(self) -> int:
        """Batches that were run again because another writer was quicker."""
        return sum(lane.conflicts for lane in self.lanes)

    @property
    def batch_functions(self) -> Tally:
        return Tally.sum_of([lane.batch_functions for lane in self.lanes])

    @property
    def batch_seconds(self) -> Tally:
        return Tally.sum_of([lane.batch_seconds for lane in self.lanes])

    @property
    def commit_seconds(self) -> Tally:
        return Tally.sum_of([lane.commit_seconds for lane in self.lanes])

    async def start(self) -> None:
        for lane in self._all():
            await lane.start()

    async def stop(self) -> bool:
        """Run what has queued, then end the threads. False when one of them hangs: see
        `QueuedStore.stop`."""
        return all(await asyncio.gather(*(lane.stop() for lane in self._all())))

    def _all(self) -> tuple[QueuedStore, ...]:
        return self.lanes if self.first is None else (*self.lanes, self.first)

    def live_as(self, run: str) -> None:
        """See `core.ports.Store.live_as`."""
        if self.fencing is not None:
            self.fencing.run = run

    async def fence(self, run: str) -> None:
        """See `core.ports.Store.fence`."""
        if self.fencing is not None:
            await self.fencing.fence(run)

    def transact(
        self,
        fn: Callable[..., R],
        *args: Any,
        needs: Sequence[Need] = (),
        lane: str | None = None,
    ) -> Awaitable[R]:
        """See `core.ports.Store.transact`."""
        if lane == FIRST and self.first is not None:
            # Without a claim on the name: a node that hangs must not hold up the signs of others.
            return self.first.transact(fn, *args, needs=needs)
        waiting = self.queued
        if waiting >= self.max_queue:
            raise StoreOverloaded(f"{waiting} functions are waiting for the store")
        number = 0 if lane is None else hash(lane) % len(self.lanes)
        return self.lanes[number].transact(fn, *args, needs=needs, lane=lane)
