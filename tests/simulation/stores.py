"""A store in memory that wakes who waits for its journal, and that is away at times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from csms.bus.local import LocalBus
from csms.core.errors import StoreUnavailable
from csms.core.ports import Need
from csms.storage.open import open_inline

R = TypeVar("R")
# How long a function waits for a store that is away; as `store.grace_s`.
GRACE_S = 10.0
GONE = "the database is away"


class Life:
    """The store in the hands of one process: what is killed writes nothing any more, whatever it
    is in the middle of."""

    def __init__(self, store: SimStore) -> None:
        self._store = store
        self.reader, self.buses = store.reader, store.buses
        self.over = False

    @property
    def trouble(self) -> str | None:
        return self._store.trouble

    def live_as(self, run: str) -> None:
        """Nothing to do: what is killed has nothing under way."""

    async def fence(self, run: str) -> None:
        """Nothing to do: a function of this store is over at once."""

    async def transact(
        self,
        fn: Callable[..., R],
        *args: Any,
        needs: Sequence[Need] = (),
        lane: str | None = None,
    ) -> R:
        """See `csms.core.ports.Store.transact`."""
        if self.over:
            raise asyncio.CancelledError
        return await self._store.transact(fn, *args, needs=needs, lane=lane)


class SimStore:
    """`buses`: whom a commit wakes, unless `deaf`. While it is away functions wait for `GRACE_S`
    from its going on, then fail at once, and reads fail."""

    def __init__(self) -> None:
        self.inner = open_inline()
        self.inner.on_commit = self._wake
        self.reader = self.inner.reader
        self._fetch = self.reader.fetch
        # Everything that is read of this store comes through this one method, whoever reads: the
        # type is ignored because it is replaced on one reader, whose class others use as it is.
        self.reader.fetch = self._fetch_if_there  # type: ignore[method-assign]
        self.buses: list[LocalBus] = []
        self.deaf = False
        self._back: asyncio.Event | None = None
        self._since = 0.0
        self._loses = False
        self.lost = 0

    @property
    def trouble(self) -> str | None:
        """See `csms.storage.store.QueuedStore`."""
        return GONE if self._back is not None else None

    def run(self, fn: Callable[..., R], *args: Any) -> R:
        """At once, whether it is away or not: for what stands outside the simulation."""
        return self.inner.run(fn, *args)

    async def transact(
        self,
        fn: Callable[..., R],
        *args: Any,
        needs: Sequence[Need] = (),
        lane: str | None = None,
    ) -> R:
        """See `csms.core.ports.Store.transact`."""
        if self._back is None:
            return self.inner.run(fn, *args)
        if self._loses:
            # Its commit hung: it is stored, and who waits for it is not told.
            self._loses = False
            self.lost += 1
            self.inner.run(fn, *args)
            await self._wait(self._back)
            raise StoreUnavailable(GONE)
        await self._wait(self._back)
        return self.inner.run(fn, *args)

    async def _wait(self, back: asyncio.Event) -> None:
        left = self._since + GRACE_S - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(0.0, left)):
                await back.wait()
        except TimeoutError:
            raise StoreUnavailable(GONE) from None

    def go(self, *, loses: bool) -> None:
        """Away from now on. `loses`: the first function that comes is stored, and fails all the
        same."""
        self._back, self._loses = asyncio.Event(), loses
        self._since = asyncio.get_running_loop().time()

    def come_back(self) -> None:
        """There again, if it was away."""
        if self._back is not None:
            self._back.set()
        self._back, self._loses = None, False

    async def _fetch_if_there(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._back is not None:
            raise StoreUnavailable(GONE)
        return await self._fetch(sql, parameters)

    def journal(self) -> list[tuple[Any, ...]]:
        """All of it: number, kind, station, data."""
        fetch = self.inner._runner._database.fetch
        return fetch("SELECT seq, kind, station_id, data FROM journal ORDER BY seq", ())

    def life(self) -> Life:
        """The store as one process has it."""
        return Life(self)

    def _wake(self, events: int) -> None:
        if not self.deaf:
            for bus in self.buses:
                bus.wake()
