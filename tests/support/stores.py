"""Every store there is, and doubles at the lowest seam: the database connection.

A *site* is one database of one kind, empty at first. The contract suite runs against each entry of
`SITES`; a new kind of store is added there and must pass unchanged.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest

from csms.core import events
from csms.core.errors import AlreadyExists, StoreUnavailable
from csms.core.ports import Reader, Tx
from csms.core.quarantine import Quarantined
from csms.core.stations import Station, UnknownStation
from csms.core.tokens import Token
from csms.storage.batch import Database, Read, Rows
from csms.storage.lanes import LanedStore
from csms.storage.postgres import PostgresDatabase
from csms.storage.postgres_reader import PostgresReader
from csms.storage.reader import SqliteReader
from csms.storage.schema import engine_for, upgrade
from csms.storage.server import server_of
from csms.storage.sqlite import DIALECT, STATEMENTS, SqliteDatabase
from csms.storage.store import QueuedStore
from tests.support import postgres
from tests.support.waiting import until as until

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


class Site(Protocol):
    """One database, its schema in place. `lanes`: how many a store on it has."""

    lanes: int

    def database(self) -> Any:
        """A new writer's connection (`batch.Database` with `close`)."""
        ...

    def reader(self) -> AbstractAsyncContextManager[Reader]:
        """A new reader with connections of its own."""
        ...


@cache
def _template() -> bytes:
    """An empty database with the schema in place, made once in each process that runs tests."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "template.db"
        upgrade(engine_for(file))
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return file.read_bytes()


def prepared(folder: Path, name: str = "csms.db") -> str:
    """The address of a new SQLite database whose schema is in place: bringing it there step by step
    is tested by itself, and takes longer than most tests."""
    if not (folder / name).exists():
        (folder / name).write_bytes(_template())
    return f"sqlite:///{folder}/{name}"


class SqliteSite:
    """A SQLite file."""

    lanes = 1

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"
        prepared(folder, "store.db")

    def database(self) -> SqliteDatabase:
        return SqliteDatabase(self.path)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[SqliteReader]:
        reader = SqliteReader(STATEMENTS, DIALECT, self.path)
        await reader.open()
        try:
            yield reader
        finally:
            await reader.close()


class PostgresSite:
    """A database of the PostgreSQL server that all tests share."""

    def __init__(self, url: str, lanes: int = 1) -> None:
        self.url, self.lanes = url, lanes
        self._server = server_of(url)

    def database(self) -> PostgresDatabase:
        return PostgresDatabase(self._server)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[PostgresReader]:
        reader = PostgresReader(self._server)
        await reader.open()
        try:
            yield reader
        finally:
            await reader.close()


@contextmanager
def sqlite_site(folder: Path) -> Iterator[Site]:
    yield SqliteSite(folder)


@contextmanager
def postgres_site(folder: Path) -> Iterator[PostgresSite]:
    with postgres.database() as url:
        yield PostgresSite(url)


@contextmanager
def postgres_lanes(folder: Path) -> Iterator[PostgresSite]:
    with postgres.database() as url:
        yield PostgresSite(url, lanes=3)


SITES: dict[str, Callable[[Path], AbstractContextManager[Site]]] = {
    "sqlite": sqlite_site,
    "postgres": postgres_site,
    "postgres-lanes": postgres_lanes,
}


def kinds_of_site() -> list[Any]:
    """The kinds of `SITES`, as parameters of a fixture."""
    needs = pytest.mark.postgres
    return [pytest.param(k, marks=[needs] if "postgres" in k else []) for k in sorted(SITES)]


@asynccontextmanager
async def running(site: Site, database: Any | None = None, **options: Any) -> AsyncIterator[Any]:
    """A started store on that site; stopped and closed at the end. The given connection is the
    first lane's."""
    connections = [database or site.database()]
    connections += [site.database() for _ in range(site.lanes - 1)]
    async with site.reader() as reader:
        queued = [QueuedStore(connection, reader, **options) for connection in connections]
        store: Any = queued[0]
        if site.lanes > 1:
            store = LanedStore(reader, queued, queued[0].max_queue)
        await store.start()
        try:
            yield store
        finally:
            if await store.stop():
                for connection in connections:
                    connection.close()


class FaultyDatabase:
    """A connection that can be told to fail as a full disk or a lost server does.

    `failing_commits`: how many of the next commits raise, nothing stored. `failing_at`: numbers of
    commits (`attempts` counts them) that raise. `down`: why nothing works at the moment, None when
    it does.
    """

    def __init__(self, inner: Any) -> None:
        self.inner: Database = inner
        self.statements = inner.statements
        self.numbers_outlive_rollback = self.inner.numbers_outlive_rollback
        self.only_writer = self.inner.only_writer
        self.failing_commits = 0
        self.failing_at: set[int] = set()
        self.attempts = 0
        self.down: str | None = None
        self.writes: list[tuple[str, int]] = []

    def _check(self) -> None:
        if self.down is not None:
            raise StoreUnavailable(self.down)

    def claim(self, keys: Collection[str]) -> Collection[str]:
        return self.inner.claim(keys)

    def begin(self, reads: Sequence[Read] = ()) -> list[Rows]:
        self._check()
        self.inner.begin()
        return self.fetch_all(reads)

    def commit(self) -> None:
        self._check()
        self.attempts += 1
        if self.failing_commits > 0 or self.attempts in self.failing_at:
            self.failing_commits = max(0, self.failing_commits - 1)
            raise StoreUnavailable("the commit failed")
        self.inner.commit()

    def rollback(self) -> None:
        self.inner.rollback()

    def fetch(self, sql: str, parameters: Sequence[Any]) -> Rows:
        self._check()
        return self.inner.fetch(sql, parameters)

    def fetch_all(self, reads: Sequence[Read]) -> list[Rows]:
        return [self.fetch(sql, parameters) for sql, parameters in reads]

    def write(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._check()
        self.writes.append((sql, len(rows)))
        self.inner.write(sql, rows)

    def take_numbers(self, sequence: str, count: int) -> int:
        self._check()
        return self.inner.take_numbers(sequence, count)

    def probe(self) -> None:
        self._check()
        self.inner.probe()

    def close(self) -> None:
        self.inner.close()  # type: ignore[attr-defined]


@asynccontextmanager
async def held(store: QueuedStore) -> AsyncIterator[None]:
    """The store's thread is busy during the block, so that what is queued in it becomes a batch."""
    entered, release = threading.Event(), threading.Event()

    def wait(tx: Any) -> None:
        entered.set()
        assert release.wait(10)

    waiting = store.transact(wait)
    await asyncio.to_thread(entered.wait, 10)
    try:
        yield
    finally:
        release.set()
        await asyncio.gather(waiting, return_exceptions=True)


# -- rows for tests that are not about them --------------------------------------------------------


def knocker(identity: str, attempts: int = 1, address: str = "192.0.2.1") -> UnknownStation:
    """A row with a plain key."""
    return UnknownStation(identity, NOW, NOW, attempts, address)


def station(station_id: str, identity: str | None = None, **changes: Any) -> Station:
    """A row with a unique field beside its key."""
    row = Station(station_id, identity or f"CS-{station_id}", "CA*NTH", "accepted", NOW)
    return row._replace(**changes)


def card(uid: str, kind: str = "rfid", party: str = "CA*NTH", **changes: Any) -> Token:
    """A row with a finder (`uid`)."""
    return Token(party, uid.casefold(), kind, uid, NOW)._replace(**changes)


def kept(quarantine_id: str, station_id: str = "s1", payload: Any = None) -> Quarantined:
    """A row with a structured value."""
    return Quarantined(quarantine_id, station_id, "stop", "test", NOW, payload or {})


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


# -- functions to run, and how to run them together ------------------------------------------------


def put(tx: Tx, entity: Any) -> Any:
    """Save without looking: a new row is meant."""
    tx.save(entity)
    return entity


def put_and_tell(tx: Tx, entity: Any, target: str = "") -> None:
    tx.save(entity)
    note(tx, target or entity[0])


def note(tx: Tx, target: str) -> None:
    tx.record(events.AuditRecorded(at=NOW, actor="test", action="noted", target=target))


def knock_again(tx: Tx, identity: str) -> int:
    """Look first, then write: sees what neighbours did."""
    known = tx.get(UnknownStation, identity)
    row = knocker(identity) if known is None else known._replace(attempts=known.attempts + 1)
    tx.save(row)
    return row.attempts


def fail(tx: Tx, entity: Any) -> None:
    """Write everything there is, then raise."""
    put_and_tell(tx, entity)
    tx.mark("never_told")
    raise AlreadyExists("on purpose")


async def together(store: QueuedStore, *calls: tuple[Any, ...]) -> list[Any]:
    """Queue the calls so that they become one batch; results or exceptions, in order."""
    async with asyncio.timeout(20):
        async with held(store):
            waiting = [store.transact(*call) for call in calls]
        return await asyncio.gather(*waiting, return_exceptions=True)


async def journal_targets(store: QueuedStore) -> list[str]:
    """What `note` wrote, in the order of the journal."""
    return [json.loads(row.data)["target"] for row in await store.reader.journal(0, 1_000)]


class Forgetful:
    """A store whose next write is not answered; it may have been stored all the same."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.loses: str | None = None
        self.stored = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def transact(self, fn: Any, *args: Any, **more: Any) -> Any:
        if fn.__name__ != self.loses:
            return await self._inner.transact(fn, *args, **more)
        self.loses = None
        if self.stored:
            await self._inner.transact(fn, *args, **more)
        raise StoreUnavailable("no answer")
