"""A database that hangs: it raises nothing, so only the time tells.

What every store promises then is what it promises of one that refuses: nobody waits longer than the
grace, nobody is told that something was stored, and work goes on by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from csms.core.errors import StoreUnavailable
from csms.core.stations import UnknownStation
from csms.storage import store as store_module
from csms.storage.store import QueuedStore
from tests.support.ocpp_links import SeamDatabase
from tests.support.stores import (
    Site,
    journal_targets,
    knock_again,
    knocker,
    put,
    put_and_tell,
    running,
    until,
)

GRACE_S = 0.4


@contextmanager
def no_complaints() -> Iterator[None]:
    """Nothing that a result comes late for may be told to the event loop as a fault."""
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: told.append(context))
    try:
        yield
    finally:
        loop.set_exception_handler(None)
    assert told == []


@asynccontextmanager
async def hanging(database: SeamDatabase) -> AsyncIterator[None]:
    """Commits hang inside the block."""
    database.hold()
    try:
        yield
    finally:
        database.release()


async def hangs(store: QueuedStore, database: SeamDatabase, *call: Any) -> Any:
    """A function whose commit hangs now."""
    waiting = store.transact(*call)
    assert await asyncio.to_thread(database.holding.wait, 10)
    return waiting


async def test_a_commit_that_hangs_fails_everybody_after_the_grace(site: Site) -> None:
    database = SeamDatabase(site.database())
    async with running(site, database, grace_s=GRACE_S) as store:
        with no_complaints():
            await store.transact(put_and_tell, knocker("A"))
            async with hanging(database):
                began = time.monotonic()
                waiting = [await hangs(store, database, knock_again, "A")]
                waiting += [store.transact(knock_again, "A") for _ in range(3)]
                async with asyncio.timeout(10):
                    results = await asyncio.gather(*waiting, return_exceptions=True)
                took = time.monotonic() - began
                assert all(isinstance(error, StoreUnavailable) for error in results)
                assert GRACE_S * 0.9 < took < GRACE_S * 4
                assert store.trouble
                assert results[0].detail
                assert store.queued == 0
                # New calls fail at once.
                began = time.monotonic()
                for _ in range(100):
                    with pytest.raises(StoreUnavailable):
                        await store.transact(knock_again, "A")
                assert time.monotonic() - began < GRACE_S
                # Who reads is not concerned.
                assert await store.reader.get(UnknownStation, "A") == knocker("A")
            await until(lambda: store.trouble is None)
            # What hung may have been stored all the same; what waited behind it was not.
            assert await store.transact(knock_again, "A") == 3
            assert await journal_targets(store) == ["A"]


async def test_the_event_loop_stays_free_meanwhile(site: Site) -> None:
    database = SeamDatabase(site.database())
    async with running(site, database, grace_s=GRACE_S) as store, hanging(database):
        waiting = asyncio.ensure_future(await hangs(store, database, knock_again, "A"))
        longest, last = 0.0, time.monotonic()
        async with asyncio.timeout(10):
            while not waiting.done():
                await asyncio.sleep(0)
                now = time.monotonic()
                longest, last = max(longest, now - last), now
        assert isinstance(waiting.exception(), StoreUnavailable)
        assert longest < GRACE_S / 2


async def test_a_commit_that_is_only_slow_is_waited_for(site: Site) -> None:
    database = SeamDatabase(site.database())
    async with running(site, database, grace_s=30.0) as store:
        async with hanging(database):
            first = await hangs(store, database, knock_again, "A")
            second = store.transact(knock_again, "A")
            assert store.trouble is None
        assert await asyncio.gather(first, second) == [1, 2]
        assert store.trouble is None


async def test_a_database_may_hang_again_and_again(site: Site) -> None:
    database = SeamDatabase(site.database())
    async with running(site, database, grace_s=0.2) as store:
        with no_complaints():
            for _ in range(3):
                async with hanging(database):
                    waiting = await hangs(store, database, knock_again, "A")
                    with pytest.raises(StoreUnavailable):
                        await waiting
                await until(lambda: store.trouble is None)
            assert await store.transact(knock_again, "A") == 4


class Broken(SeamDatabase):
    """Hangs, and then says that nothing was stored."""

    breaks = False

    def commit(self) -> None:
        if self.breaks:
            self.holding.set()
            assert self._go.wait(10)
            self.breaks = False
            raise StoreUnavailable("the connection was lost")
        super().commit()


async def test_what_was_given_up_is_not_tried_again(site: Site) -> None:
    """Its caller was told that nothing is stored, and may have done something else since."""
    database = Broken(site.database())
    async with running(site, database, grace_s=GRACE_S) as store:
        with no_complaints():
            async with hanging(database):
                database.breaks = True
                waiting = await hangs(store, database, knock_again, "given up")
                with pytest.raises(StoreUnavailable):
                    await waiting
            await until(lambda: store.trouble is None)
            assert await store.transact(knock_again, "A") == 1
            assert await store.reader.get(UnknownStation, "given up") is None


async def test_a_cancelled_caller_of_what_hangs_is_no_harm(site: Site) -> None:
    database = SeamDatabase(site.database())
    async with running(site, database, grace_s=0.2) as store:
        with no_complaints():
            async with hanging(database):
                waiting = asyncio.ensure_future(await hangs(store, database, knock_again, "A"))
                waiting.cancel()
                await until(lambda: store.trouble is not None)
            await until(lambda: store.trouble is None)
            assert await store.transact(knock_again, "A") == 2


async def test_stopping_does_not_wait_for_ever(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process must be able to end; the connection is left to the thread that hangs in it."""
    monkeypatch.setattr(store_module, "STOP_WAIT_S", 0.2)
    database = SeamDatabase(site.database())
    async with site.reader() as reader:
        store = QueuedStore(database, reader, grace_s=0.2)
        await store.start()
        async with hanging(database):
            waiting = await hangs(store, database, put, knocker("A"))
            async with asyncio.timeout(10):
                assert await store.stop() is False
            with pytest.raises(StoreUnavailable):
                await waiting
        async with asyncio.timeout(10):
            assert await store.stop() is True
    database.inner.close()
