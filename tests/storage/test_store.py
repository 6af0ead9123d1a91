"""The inline store for tests and simulations: the same promises, without a thread; and what of the
queued store is about its thread alone. (What every store promises is in the contract suite.)"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from csms.core.errors import NotFound, StoreRefused, StoreUnavailable
from csms.core.ports import Need
from csms.core.stations import UnknownStation
from csms.storage.open import open_inline
from csms.storage.store import QueuedStore
from tests.support.stores import SqliteSite, knocker, running


def test_inline_runs_at_once() -> None:
    store = open_inline()
    store.run(lambda tx: tx.save(knocker("A")))
    assert store.run(lambda tx, key: tx.get(UnknownStation, key), "A") == knocker("A")
    assert store.trouble is None


def test_inline_refuses_what_a_database_refuses() -> None:
    store = open_inline()
    with pytest.raises(StoreRefused):
        store.run(lambda tx: tx.save(knocker("A", 2**64)))
    store.run(lambda tx: tx.save(knocker("A")))
    with pytest.raises(StoreRefused):
        store.run(lambda tx: tx.save(knocker("A")))


def test_inline_keeps_the_marks_of_what_was_stored() -> None:
    store = open_inline()

    def fail(tx: Any) -> None:
        tx.mark("lost")
        raise NotFound("on purpose")

    store.run(lambda tx: tx.mark("kept"))
    with pytest.raises(NotFound):
        store.run(fail)
    assert store.marks == ["kept"]


async def test_inline_is_a_store_to_await() -> None:
    store = open_inline()
    needs = [Need(UnknownStation, None, ("A",))]
    await store.transact(lambda tx: tx.save(knocker("A")), needs=needs)
    assert await store.reader.get(UnknownStation, "A") == knocker("A")


async def test_functions_run_on_one_thread_that_is_not_the_callers(tmp_path: Any) -> None:
    async with running(SqliteSite(tmp_path)) as store:
        names = {await store.transact(lambda tx: threading.current_thread().name) for _ in range(3)}
        assert names == {"store"}
    assert not any(thread.name == "store" for thread in threading.enumerate())


async def test_a_store_is_used_between_start_and_stop(tmp_path: Any) -> None:
    site = SqliteSite(tmp_path)
    database = site.database()
    async with site.reader() as reader:
        store = QueuedStore(database, reader)
        with pytest.raises(AssertionError):
            store.transact(lambda tx: None)
        await store.start()
        await store.stop()
        await store.stop()
        with pytest.raises(StoreUnavailable, match="stopping"):
            store.transact(lambda tx: None)
    database.close()


def test_a_loop_that_is_gone_ends_the_thread(tmp_path: Any) -> None:
    """Nobody waits for results any more; the thread must not spin or raise."""
    site = SqliteSite(tmp_path)
    database = site.database()
    entered, release = threading.Event(), threading.Event()
    stores: list[QueuedStore] = []

    def wait(tx: Any) -> None:
        entered.set()
        release.wait(10)

    async def main() -> None:
        store = QueuedStore(database, reader=None)  # type: ignore[arg-type]
        stores.append(store)
        await store.start()
        store.transact(wait)
        await asyncio.to_thread(entered.wait, 10)

    asyncio.run(main())
    release.set()
    stores[0]._thread.join(10)
    assert not stores[0]._thread.is_alive()
    database.close()
