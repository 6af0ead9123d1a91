"""Reads for people, on a file and in memory: the same answers. (What every reader promises is in
the contract suite.)"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from csms.core.errors import Invalid, StoreUnavailable
from csms.core.stations import Station, UnknownStation
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.storage.open import open_inline, open_store
from csms.storage.reader import MAX_PAGE, EntityReader, SqliteReader
from csms.storage.sqlite import DIALECT, STATEMENTS
from tests.support.stores import NOW, card, knocker, note, station


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    if request.param == "memory":
        yield open_inline()
    else:
        async with open_store(f"sqlite:///{tmp_path}/store.db") as running_store:
            yield running_store


def fill(tx: Any, count: int) -> None:
    for n in range(count):
        tx.save(knocker(f"A{n:05}"))


async def test_a_page_is_never_longer_than_the_limit(store: Any) -> None:
    await store.transact(fill, MAX_PAGE + 5)
    assert len(await store.reader.page(UnknownStation, limit=10**9)) == MAX_PAGE
    assert len(await store.reader.page(UnknownStation, limit=-1)) == 0
    assert await store.reader.count(UnknownStation) == MAX_PAGE + 5


async def test_one_row(store: Any) -> None:
    await store.transact(lambda tx: tx.save(station("s1")))
    assert await store.reader.get(Station, "s1") == station("s1")
    assert await store.reader.get(Station, "s2") is None
    assert await store.reader.journal_end() == 0


@pytest.mark.parametrize(
    "read",
    [
        lambda reader: reader.get(Transaction, 2**64),
        lambda reader: reader.get(Station, "\ud800"),
        lambda reader: reader.page(Station, {"identity": "\ud800"}),
        lambda reader: reader.page(Transaction, after=(2**64,)),
        lambda reader: reader.count(Transaction, {"id": 2**64}),
        lambda reader: reader.journal(2**64, 10),
    ],
)
async def test_a_value_that_no_row_can_have_is_invalid(store: Any, read: Any) -> None:
    """It comes from a URL; that is no fault of ours."""
    with pytest.raises(Invalid):
        await read(store.reader)
    assert await store.reader.get(Station, "s1") is None


async def test_booleans_and_moments_are_filters_too(store: Any) -> None:
    row = card("X", blocked=True, created_at=NOW)
    await store.transact(lambda tx: tx.save(row))
    assert await store.reader.page(Token, {"blocked": True, "created_at": NOW}) == [row]
    assert await store.reader.page(Token, {"blocked": False}) == []


async def test_the_same_fields_with_and_without_a_value(store: Any) -> None:
    """Compiled statements are kept per shape, and "not set" is another shape."""
    await store.transact(lambda tx: tx.save(station("s1", node="n")))
    await store.transact(lambda tx: tx.save(station("s2")))
    for _ in range(2):
        assert [r.id for r in await store.reader.page(Station, {"node": "n"})] == ["s1"]
        assert [r.id for r in await store.reader.page(Station, {"node": None})] == ["s2"]


async def test_more_readers_than_connections_wait_their_turn(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        await store.transact(fill, 10)
        counts = await asyncio.gather(*(store.reader.count(UnknownStation) for _ in range(50)))
        assert counts == [10] * 50
        cancelled = [asyncio.ensure_future(store.reader.count(UnknownStation)) for _ in range(9)]
        await asyncio.sleep(0)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        assert await store.reader.count(UnknownStation) == 10


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        with pytest.raises(StoreUnavailable, match="readonly"):
            await store.reader.fetch("DELETE FROM stations", ())  # type: ignore[attr-defined]


async def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    reader = SqliteReader(STATEMENTS, DIALECT, tmp_path / "nothing.db")
    before = set(threading.enumerate())
    with pytest.raises(StoreUnavailable, match=r"nothing\.db"):
        await reader.open()
    await reader.close()
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 10)


async def test_a_reader_that_is_closed_says_so(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        pass
    with pytest.raises(StoreUnavailable):
        await store.reader.count(UnknownStation)


async def test_a_bare_reader_has_no_database() -> None:
    with pytest.raises(NotImplementedError):
        await EntityReader(STATEMENTS, DIALECT).fetch("SELECT 1", ())


async def test_the_journal_is_trimmed_at_its_oldest_end(store: Any) -> None:
    """At most so many rows of one call, and never the newest: it says how far the journal goes."""
    reader = store.reader
    assert await reader.journal_start() == 0
    for n in range(10):
        await store.transact(note, f"a{n}")
    assert await reader.journal_start() == 1
    for through, limit, start in ((3, 10, 4), (10, 2, 6), (2, 10, 6), (99, 99, 10), (99, 99, 10)):
        await store.transact(lambda tx, t=through, n=limit: tx.trim_journal(t, n))
        assert await reader.journal_start() == start
    assert await reader.journal_end() == 10
    await store.transact(note, "b")
    assert await reader.journal_end() == 11


async def test_a_trim_of_a_function_that_fails_is_dropped(store: Any) -> None:
    for n in range(5):
        await store.transact(note, f"a{n}")

    def fails(tx: Any) -> None:
        tx.trim_journal(3, 10)
        raise Invalid("on purpose")

    with pytest.raises(Invalid):
        await store.transact(fails)
    assert await store.reader.journal_start() == 1
