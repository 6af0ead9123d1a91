"""Another program that writes to the database file of a system, and takes its time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Bursts:
    """Another program that takes the database for itself, again and again."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def run(self, held_s: float, free_s: float) -> None:
        """Until cancelled."""
        while True:
            with self.holding():
                await asyncio.sleep(held_s)
            await asyncio.sleep(free_s)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """It has the database for the block."""
        connection = sqlite3.connect(self._file, isolation_level=None, timeout=30)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
            connection.close()
