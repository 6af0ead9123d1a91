"""SQLite: one writer connection with full durability.

WAL with `synchronous=FULL`: a commit that returned is on the disk. The file belongs to one process
at a time for writing; other processes may read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from csms.core.errors import StoreUnavailable
from csms.core.ids import MAX_INT32
from csms.storage.batch import Read, RefusedByDatabase, Rows
from csms.storage.statements import Statements

BUSY_TIMEOUT_S = 0.5
MEMORY = ":memory:"

# Faults of the values given, for ever: a constraint, a number over 64 bits, a lone surrogate, a
# type that the driver does not know, a text over SQLite's limit.
VALUE_FAULTS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)

DIALECT = SQLiteDialect(paramstyle="qmark")
STATEMENTS = Statements(DIALECT)


class SqliteDatabase:
    """The writer's connection; see `batch.Database`. May move between threads, not be shared."""

    def __init__(self, path: Path | str) -> None:
        self.statements = STATEMENTS
        self.path = path
        try:
            self.connection = sqlite3.connect(
                path,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
            )
            self._run("PRAGMA journal_mode=WAL")
            self._run("PRAGMA synchronous=FULL")
            self._run("PRAGMA foreign_keys=ON")
            self._run("PRAGMA cache_size=-65536")
            # Pages are written to the database less often: some 16 MB may stand in the log.
            self._run("PRAGMA wal_autocheckpoint=4000")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot open {path}: {error}") from error

    def _run(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self.connection.execute(sql, parameters)
        except VALUE_FAULTS as error:
            raise RefusedByDatabase(str(error)) from error
        except sqlite3.Error as error:
            raise StoreUnavailable(f"SQLite: {error}") from error

    only_writer = True
    numbers_outlive_rollback = False

    def claim(self, keys: Collection[str]) -> Collection[str]:
        """Nothing to do: there is one writer."""
        return ()

    def begin(self, reads: Sequence[Read] = ()) -> list[Rows]:
        self._run("BEGIN IMMEDIATE")
        return self.fetch_all(reads)

    def commit(self) -> None:
        self._run("COMMIT")

    def rollback(self) -> None:
        # SQLite has already rolled back by itself after a full disk.
        if self.connection.in_transaction:
            self._run("ROLLBACK")

    def fetch(self, sql: str, parameters: Sequence[Any]) -> Rows:
        return self._run(sql, parameters).fetchall()

    def fetch_all(self, reads: Sequence[Read]) -> list[Rows]:
        return [self.fetch(sql, parameters) for sql, parameters in reads]

    def write(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            self.connection.executemany(sql, rows)
        except VALUE_FAULTS as error:
            raise RefusedByDatabase(str(error)) from error
        except sqlite3.Error as error:
            raise StoreUnavailable(f"SQLite: {error}") from error

    def take_numbers(self, sequence: str, count: int) -> int:
        """The first of `count` fresh numbers. They start again at 1 after the largest int32."""
        self._run(
            "INSERT INTO sequences (name, next) VALUES (?, 1) ON CONFLICT (name) DO NOTHING",
            (sequence,),
        )
        ((first,),) = self.fetch("SELECT next FROM sequences WHERE name = ?", (sequence,))
        if first + count > MAX_INT32:
            first = 1
        self._run("UPDATE sequences SET next = ? WHERE name = ?", (first + count, sequence))
        return int(first)

    def probe(self) -> None:
        self.begin()
        self.take_numbers("probe", 1)
        self.commit()

    def close(self) -> None:
        self.connection.close()
