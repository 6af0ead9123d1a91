"""Opening a store from its address, for the composition root and for tests."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import TypeAlias

import sqlalchemy as sa

from csms.core.errors import Invalid, StoreUnavailable
from csms.storage.fencing import Fencing
from csms.storage.lanes import LanedStore
from csms.storage.postgres import PostgresDatabase
from csms.storage.postgres_reader import PostgresReader
from csms.storage.reader import InlineReader, SqliteReader
from csms.storage.schema import create_all, engine_for, engine_on, revisions, upgrade
from csms.storage.server import SCHEMES, Server, server_of
from csms.storage.sqlite import DIALECT, MEMORY, STATEMENTS, SqliteDatabase
from csms.storage.store import InlineStore, QueuedStore

OpenStore: TypeAlias = QueuedStore | LanedStore
"""A store as it is opened: of one lane, or of several."""


def sqlite_path(address: str) -> Path:
    """The file of a `sqlite:///path` address; raises `Invalid` for anything else."""
    prefix = "sqlite:///"
    if not address.startswith(prefix) or len(address) == len(prefix):
        # What was given is not repeated: an address may hold a password.
        raise Invalid("store.url must be sqlite:///PATH or postgresql://USER@HOST/DATABASE")
    return Path(address.removeprefix(prefix)).expanduser()


def on_server(address: str) -> bool:
    """Whether it names a database of a server, and not a file."""
    return address.startswith(SCHEMES)


def shown(address: str) -> str:
    """What people are told of an address: the path, or the address without its password. Raises
    `Invalid`."""
    return server_of(address).shown if on_server(address) else str(sqlite_path(address))


def state_of(address: str) -> tuple[str | None, str | None] | None:
    """The revision of its schema (None: empty) and the newest one known here; None where there is
    no file yet. Changes nothing. Raises `Invalid` and `StoreUnavailable`."""
    if not on_server(address) and not sqlite_path(address).exists():
        return None
    try:
        return revisions(_engine(address))
    except sa.exc.SQLAlchemyError as error:
        said = " ".join(str(getattr(error, "orig", error)).split())
        raise StoreUnavailable(f"cannot read the database {shown(address)}: {said}") from error


def upgrade_schema(address: str) -> tuple[str | None, str | None]:
    """Bring it to the schema of this version; the revisions before and after. Raises `Invalid` and
    `StoreUnavailable`."""
    if not on_server(address):
        _make_file(sqlite_path(address))
    return upgrade(_engine(address))


def _engine(address: str) -> sa.Engine:
    if on_server(address):
        return engine_on(server_of(address))
    return engine_for(sqlite_path(address))


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Cards and hashes are nobody else's business; an existing file keeps its mode.
        path.touch(mode=0o600)
    except OSError as error:
        raise StoreUnavailable(f"cannot open {path}: {error.strerror}") from error


@asynccontextmanager
async def open_store(
    address: str,
    *,
    max_queue: int = 20_000,
    grace_s: float = 10.0,
    lanes: int = 1,
    on_commit: Callable[[int], None] = lambda events: None,
    on_mark: Callable[[str], None] = lambda name: None,
) -> AsyncIterator[OpenStore]:
    """A running store with its schema up to date; stopped and closed at the end. `lanes`: how many
    batches may be under way at once, on a database that takes several.

    Raises `Invalid` and `StoreUnavailable`, also when another process has a file: its links and
    commands would be taken for those of a process that died."""

    def queued(
        database: SqliteDatabase | PostgresDatabase, reader: SqliteReader | PostgresReader
    ) -> QueuedStore:
        return QueuedStore(
            database,
            reader,
            max_queue=max_queue,
            grace_s=grace_s,
            on_commit=on_commit,
            on_mark=on_mark,
        )

    if on_server(address):
        async with _opened_on(server_of(address), lanes, queued, max_queue) as store:
            yield store
        return
    path = sqlite_path(address)
    _make_file(path)
    with _owned(path):
        async with _opened(path, queued) as store:
            yield store


@asynccontextmanager
async def _opened_on(
    server: Server,
    lanes: int,
    queued: Callable[[PostgresDatabase, PostgresReader], QueuedStore],
    max_queue: int,
) -> AsyncIterator[OpenStore]:
    # Another node may be at it: then we wait, and others of our tasks go on.
    await asyncio.to_thread(upgrade, engine_on(server))
    reader = PostgresReader(server)
    fencing = Fencing(server)
    databases = [PostgresDatabase(server, fencing) for _ in range(lanes + 1)]
    *stores, first = (queued(database, reader) for database in databases)
    store = LanedStore(reader, stores, max_queue, first, fencing)
    await reader.open()
    async with _started(store, reader, databases):
        yield store


@asynccontextmanager
async def _opened(
    path: Path, queued: Callable[[SqliteDatabase, SqliteReader], QueuedStore]
) -> AsyncIterator[QueuedStore]:
    upgrade(engine_for(path))
    database = SqliteDatabase(path)
    reader = SqliteReader(STATEMENTS, DIALECT, path)
    store = queued(database, reader)
    try:
        await reader.open()
    except StoreUnavailable:
        await reader.close()
        database.close()
        raise
    async with _started(store, reader, [database]):
        yield store


@asynccontextmanager
async def _started(
    store: OpenStore,
    reader: SqliteReader | PostgresReader,
    databases: Sequence[SqliteDatabase | PostgresDatabase],
) -> AsyncIterator[None]:
    ended = True
    try:
        await store.start()
        try:
            yield
        finally:
            ended = await store.stop()
    finally:
        await reader.close()
        # Closing would wait for a commit that hangs; the end of the process is what ends it.
        if ended:
            for database in databases:
                database.close()


@contextmanager
def _owned(path: Path) -> Iterator[None]:
    """The right to write a database, for one process at a time. A file of its own: closing the
    database's would drop the locks that SQLite holds on it. It stays, because whoever removes it
    may remove another's."""
    owner = os.open(f"{path}-owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        other = os.pread(owner, 32, 0).decode("ascii", "replace").strip()
        os.close(owner)
        raise StoreUnavailable(
            f"{path} is in use by another process ({other or 'unknown'}): stop that one, or give "
            "this one a database of its own (store.url)"
        ) from error
    try:
        os.truncate(owner, 0)
        os.pwrite(owner, f"pid {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(owner)


def open_inline() -> InlineStore:
    """A store in memory without threads, schema in place."""
    database = in_memory()
    return InlineStore(database, InlineReader(STATEMENTS, DIALECT, database))


def in_memory() -> SqliteDatabase:
    """A writer's connection to an empty database that is nowhere else."""
    database = SqliteDatabase(MEMORY)
    _empty().connection.backup(database.connection)
    return database


@cache
def _empty() -> SqliteDatabase:
    """A database without rows, to be copied: a copy takes a hundredth of the time."""
    database = SqliteDatabase(MEMORY)
    create_all(
        sa.create_engine("sqlite://", creator=lambda: database.connection, poolclass=sa.StaticPool)
    )
    return database
