"""Opening a store from its address, for the composition root and for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa

from csms.core.errors import Invalid, StoreUnavailable
from csms.storage.reader import InlineReader, SqliteReader
from csms.storage.schema import create_all, engine_for, upgrade
from csms.storage.sqlite import DIALECT, MEMORY, STATEMENTS, SqliteDatabase
from csms.storage.store import InlineStore, QueuedStore


def sqlite_path(address: str) -> Path:
    """The file of a `sqlite:///path` address; raises `Invalid` for anything else."""
    prefix = "sqlite:///"
    if not address.startswith(prefix) or len(address) == len(prefix):
        raise Invalid(f"storage: {address!r} is not supported; use sqlite:///PATH")
    return Path(address.removeprefix(prefix)).expanduser()


@asynccontextmanager
async def open_store(
    address: str,
    *,
    max_queue: int = 20_000,
    grace_s: float = 10.0,
    on_commit: Callable[[int], None] = lambda events: None,
    on_mark: Callable[[str], None] = lambda name: None,
) -> AsyncIterator[QueuedStore]:
    """A running store with its schema up to date; stopped and closed at the end."""
    path = sqlite_path(address)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Cards and hashes are nobody else's business; an existing file keeps its mode.
        path.touch(mode=0o600)
    except OSError as error:
        raise StoreUnavailable(f"cannot open {path}: {error.strerror}") from error
    upgrade(engine_for(path))
    database = SqliteDatabase(path)
    reader = SqliteReader(STATEMENTS, DIALECT, path)
    store = QueuedStore(
        database,
        reader,
        max_queue=max_queue,
        grace_s=grace_s,
        on_commit=on_commit,
        on_mark=on_mark,
    )
    try:
        await reader.open()
        await store.start()
        try:
            yield store
        finally:
            await store.stop()
    finally:
        await reader.close()
        database.close()


def open_inline() -> InlineStore:
    """A store in memory without threads, schema in place."""
    database = SqliteDatabase(MEMORY)
    engine = sa.create_engine(
        "sqlite://", creator=lambda: database.connection, poolclass=sa.StaticPool
    )
    create_all(engine)
    return InlineStore(database, InlineReader(STATEMENTS, DIALECT, database))
