"""A copy of an SQLite database that is in use.

The file by itself is no copy: what was written last is in the log beside it. SQLite writes out what
one reader sees, which holds up no writer.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from csms.core.errors import AlreadyExists, StoreUnavailable

PRIVATE = 0o600


def back_up(database: Path, copy: Path) -> int:
    """Write a copy, and check it; its size in bytes. It is there whole or not at all, and only its
    owner can read it. Raises `AlreadyExists`, and `StoreUnavailable` where the database or the
    place of the copy cannot be used."""
    if copy.exists():
        raise AlreadyExists(f"{copy} exists already; give the copy another name")
    if not database.exists():
        raise StoreUnavailable(f"there is no database {database}; csms init makes one")
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
        address = f"{database.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as source:
            source.execute("VACUUM INTO ?", (str(unfinished),))
        _check(unfinished)
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.rename(copy)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(f"{copy} was not written: {error}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return copy.stat().st_size


def _check(file: Path) -> None:
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as copy:
        ((found,),) = copy.execute("PRAGMA quick_check(1)").fetchall()
    if found != "ok":
        raise StoreUnavailable(f"the copy is damaged: {found}; csms check says how the database is")
