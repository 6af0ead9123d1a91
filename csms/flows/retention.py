"""Retention: one loop that goes through the tables and deletes what is old, a little at a time.

Rows are found by reading along the key, so that no index has to be kept for it, and deleted in
chunks with pauses between them, so that no station waits for it. It may be interrupted anywhere;
several processes may do it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import structlog

from csms.core import retention
from csms.core.entities import SHAPES
from csms.core.errors import CsmsError
from csms.core.ports import Store
from csms.core.retention import JOURNAL_SETTING, RULES, Key, Rule

log = structlog.get_logger("flows.retention")

# At most so many rows of one transaction, and the pause after it.
CHUNK = 250
PAUSE_S = 0.05
# How many rows are looked at where the one before told that there may be nothing.
GLANCE = 10
JOURNAL = "journal"


class Retention:
    """Purges by these ages, by the names of the settings: None or absent keeps for ever.

    `on_purged(table, rows)` is told after each chunk.
    """

    def __init__(
        self,
        store: Store,
        keep: Mapping[str, timedelta | None],
        clock: Callable[[], datetime],
        on_purged: Callable[[str, int], None] = lambda table, rows: None,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._store = store
        self._keep = keep
        self._clock = clock
        self._on_purged = on_purged
        self._pause_s = pause_s

    async def run(self, every_s: float) -> None:
        """Sweep again and again; trouble with the store costs one sweep."""
        while True:
            await asyncio.sleep(every_s)
            try:
                purged = await self.sweep()
            except CsmsError as error:
                log.warning("sweep_given_up", why=error.code)
            else:
                if purged:
                    log.info("purged", **purged)

    async def sweep(self) -> dict[str, int]:
        """Delete everything that is old; how many rows of which table. Raises what the store
        raises."""
        purged = {JOURNAL: await self._journal()}
        for rule in RULES:
            purged[SHAPES[rule.kind].table] = await self._table(rule)
        return {table: count for table, count in purged.items() if count}

    def _cutoff(self, setting: str) -> datetime | None:
        age = self._keep.get(setting)
        return None if age is None else self._clock() - age

    async def _table(self, rule: Rule) -> int:
        cutoff = self._cutoff(rule.setting)
        if cutoff is None:
            return 0
        table, key_of = SHAPES[rule.kind].table, SHAPES[rule.kind].key_of
        purged, after, size = 0, None, CHUNK
        known: dict[Key, Any] = {}
        while True:
            page = await self._store.reader.page(rule.kind, after=after, limit=size)
            old: list[Any] = []
            jump: Key | None = None
            over = len(page) < size
            for row in page:
                after = key_of(row)
                verdict = rule.judge(row, cutoff, await self._beside(rule, row, known))
                if verdict is True:
                    old.append(row)
                elif verdict is None:
                    over = True
                    break
                elif verdict is not False:
                    jump, over = verdict, False
                    break
            if old:
                gone = await self._store.transact(retention.purge, old, needs=retention.needs(old))
                purged += gone
                self._on_purged(table, gone)
            if over:
                return purged
            after = jump or after
            size = GLANCE if jump and not old else CHUNK
            await asyncio.sleep(self._pause_s if old else 0)

    async def _beside(self, rule: Rule, row: Any, known: dict[Key, Any]) -> Any:
        """What the row depends on; the last one is remembered, for it is that of many rows."""
        wanted = rule.beside(row)
        if wanted is None:
            return None
        kind, key = wanted
        if key not in known:
            known.clear()
            known[key] = await self._store.reader.get(kind, *key)
        return known[key]

    async def _journal(self) -> int:
        cutoff = self._cutoff(JOURNAL_SETTING)
        if cutoff is None:
            return 0
        purged = 0
        while True:
            reader = self._store.reader
            start = await reader.journal_start()
            rows = await reader.journal(start - 1, CHUNK)
            old = [row.seq for row in takewhile(lambda row: row.at < cutoff, rows)]
            # The newest stays, so that it is known how far the journal goes.
            if old and old[-1] == await reader.journal_end():
                old.pop()
            if not old:
                return purged
            await self._store.transact(retention.trim, old[-1], CHUNK)
            purged += len(old)
            self._on_purged(JOURNAL, len(old))
            if len(old) < len(rows):
                return purged
            await asyncio.sleep(self._pause_s)
