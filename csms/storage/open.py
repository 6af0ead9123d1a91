"""Opening a store from its address, for the composition root and for tests."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
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
    """A running store with its schema up to date; stopped and closed at the end. Raises
    `StoreUnavailable`, also when another process has it: its links and commands would be taken for
    those of a process that died."""
    path = sqlite_path(address)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Cards and hashes are nobody else's business; an existing file keeps its mode.
        path.touch(mode=0o600)
    except OSError as error:
        raise StoreUnavailable(f"cannot open {path}: {error.strerror}") from error
    with _owned(path):
        async with _opened(path, max_queue, grace_s, on_commit, on_mark) as store:
            yield store


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


@asynccontextmanager
async def _opened(
    path: Path,
    max_queue: int,
    grace_s: float,
    on_commit: Callable[[int], None],
    on_mark: Callable[[str], None],
) -> AsyncIterator[QueuedStore]:
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
    ended = True
    try:
        await reader.open()
        await store.start()
        try:
            yield store
        finally:
            ended = await store.stop()
    finally:
        await reader.close()
        # Closing would wait for a commit that hangs; the end of the process is what ends it.
        if ended:
            database.close()


def open_inline() -> InlineStore:
    """A store in memory without threads, schema in place."""
    database = SqliteDatabase(MEMORY)
    engine = sa.create_engine(
        "sqlite://", creator=lambda: database.connection, poolclass=sa.StaticPool
    )
    create_all(engine)
    return InlineStore(database, InlineReader(STATEMENTS, DIALECT, database))
