"""Status notifications: sent in order while the link is up, forgotten while it is down.

When the link comes back the charger reports the current state of everything, so what was
missed in between is of no interest to anyone (transactions are; they go through the outbox).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime

from chargers.facts import Target

LIMIT = 1_000
"""Beyond it the oldest notices go: the newest say what is true."""


class Notices:
    """One consumer, `run`; `send` reports one status and swallows its own failures."""

    def __init__(self, send: Callable[[Target, str, datetime], Awaitable[None]]) -> None:
        self._send = send
        self._queue: deque[tuple[Target, str, datetime]] = deque(maxlen=LIMIT)
        self._filled = asyncio.Event()
        self._open = False
        self._reported: dict[Target, str] = {}

    def note(self, target: Target, word: str, at: datetime) -> None:
        """Queue a status if it differs from the last one queued for that target."""
        if self._open and self._reported.get(target) != word:
            self._reported[target] = word
            self._queue.append((target, word, at))
            self._filled.set()

    def repeat(self, target: Target, word: str, at: datetime) -> None:
        """Queue a status though nothing has changed: the central system asked for it."""
        self._reported.pop(target, None)
        self.note(target, word, at)

    def open(self) -> None:
        """The link is up: from here on everything counts as unreported."""
        self._reported.clear()
        self._open = True

    def close(self) -> None:
        self._open = False
        self._queue.clear()

    async def run(self) -> None:
        """Send what is queued. Ends only by cancellation."""
        while True:
            await self._filled.wait()
            if not self._queue:
                self._filled.clear()
                continue
            target, word, at = self._queue.popleft()
            await self._send(target, word, at)
