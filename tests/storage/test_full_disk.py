"""A disk that is full: nothing that was not stored is acknowledged, and all goes on when there is
room again (rule 5)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from csms.core.errors import StoreUnavailable
from csms.core.stations import UnknownStation
from csms.storage.sqlite import SqliteDatabase
from tests.support.stores import SqliteSite, knocker, note, put, running, until

FILLING = "x" * 4_000


def limit(database: SqliteDatabase, pages: int) -> None:
    """How large the database may become; SQLite refuses beyond it as on a full disk."""
    database.connection.execute(f"PRAGMA max_page_count={pages}")


@pytest.fixture
def site(tmp_path: Path) -> SqliteSite:
    return SqliteSite(tmp_path)


async def test_what_is_acknowledged_is_stored_and_nothing_else(site: SqliteSite) -> None:
    database = site.database()
    ((pages,),) = database.fetch("PRAGMA page_count", ())
    limit(database, pages + 20)
    acknowledged: list[str] = []
    async with running(site, database, grace_s=0.3) as store:

        async def write(name: str) -> None:
            await store.transact(put, knocker(name, address=FILLING))
            acknowledged.append(name)

        results: list[Any] = []
        for n in range(10):
            names = [f"{n}-{m}" for m in range(10)]
            results += await asyncio.gather(*map(write, names), return_exceptions=True)
        refused = [r for r in results if r is not None]
        assert acknowledged
        assert refused
        assert {type(r) for r in refused} == {StoreUnavailable}
        assert "full" in (store.trouble or "")
        stored = {row.identity for row in await store.reader.page(UnknownStation, limit=1_000)}
        assert stored == set(acknowledged)

        # Reads go on meanwhile; writes do as soon as there is room.
        assert await store.reader.count(UnknownStation) == len(acknowledged)
        limit(database, pages + 10_000)
        await until(lambda: store.trouble is None)
        await write("after")
        await store.transact(note, "after")
        assert await store.reader.get(UnknownStation, "after") is not None
    assert database.path == site.path


async def test_a_short_shortage_costs_nobody_anything(site: SqliteSite) -> None:
    """Room is made within the grace: what waits is done then, once."""
    database = site.database()
    ((pages,),) = database.fetch("PRAGMA page_count", ())
    limit(database, pages + 2)
    async with running(site, database, grace_s=20.0) as store:
        waiting = [store.transact(put, knocker(f"A{n}", address=FILLING)) for n in range(20)]
        await until(lambda: store.trouble is not None)
        limit(database, pages + 10_000)
        async with asyncio.timeout(20):
            await asyncio.gather(*waiting)
        assert await store.reader.count(UnknownStation) == 20
