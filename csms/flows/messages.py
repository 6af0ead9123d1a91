"""The message log: gathered at the links, written every second.

A link notes a frame with an append, or, when it has used up what it may log, with a comparison.
The flow writes what has gathered, at most `rows_per_s`; what does not fit is left out and counted.
Every bound is a setting: `burst` frames at once and `per_minute` in the long run for each link,
`rows_per_s` for the whole process, `max_chars` of each frame.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from csms.core import messages
from csms.core.errors import CsmsError
from csms.core.messages import IN, OUT, Message
from csms.core.ports import Store

log = structlog.get_logger("flows.messages")

EVERY_S = 1.0
# Rows of one transaction: few enough to hold up no station.
CHUNK = 200
# What may wait altogether, and from what size on a frame is written after others had their turn.
MAX_WAITING_CHARS = 16_000_000
LARGE = 2_000
_KINDS = {
    "Call": "call",
    "Notice": "send",
    "Result": "result",
    "Failure": "error",
    "Refused": "refused",
    "Ignored": "ignored",
}


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """What may be logged; see the module."""

    burst: int = 120
    per_minute: float = 60.0
    rows_per_s: int = 1_000
    max_chars: int = 2_000


class Noted(NamedTuple):
    """A frame as a link noted it."""

    station_id: str
    at: datetime
    direction: str
    kind: str
    action: str | None
    frame: str | bytes
    skipped: int


class MessageLog:
    """What waits to be written. `tap` for each link; `run` until cancelled."""

    def __init__(self, store: Store, limits: MessageLimits, clock: Callable[[], datetime]) -> None:
        self.limits = limits
        self.clock = clock
        # Counts the seconds for the taps, so that none of them has to look at a clock.
        self.second = 0
        self.waiting: deque[Noted] = deque()
        self.waiting_chars = 0
        self.room = 2 * limits.rows_per_s
        self.left_out = 0
        self.written = 0
        self._store = store
        self._n = 0

    def tap(self, station_id: str) -> Tap:
        """Where the link of a station notes its frames."""
        return Tap(self, station_id)

    async def run(self) -> None:
        """Write what gathers, for ever."""
        while True:
            await asyncio.sleep(EVERY_S)
            self.second += 1
            await self.write()

    async def write(self) -> None:
        """Write what has gathered, up to `rows_per_s`. What the store does not take is lost."""
        for _ in range(0, self.limits.rows_per_s, CHUNK):
            if not self.waiting:
                return
            count = min(CHUNK, len(self.waiting))
            rows = [await self._next() for _ in range(count)]
            try:
                await self._store.transact(messages.record, rows)
            except CsmsError as error:
                self.left_out += count
                log.warning("messages_not_logged", count=count, why=error.code)
            else:
                self.written += count

    async def _next(self) -> Message:
        """The row of what has waited longest."""
        noted = self.waiting.popleft()
        self.waiting_chars -= len(noted.frame)
        if len(noted.frame) > LARGE:
            await asyncio.sleep(0)
        return self._row(noted)

    def _row(self, noted: Noted) -> Message:
        frame = noted.frame
        text = frame if isinstance(frame, str) else bytes(frame).decode("utf-8", "replace")
        self._n += 1
        return Message(
            noted.station_id,
            noted.at,
            self._n,
            noted.direction,
            noted.kind,
            noted.action,
            # The database takes no NUL and no half of a pair.
            messages.shown(text, self.limits.max_chars)
            .replace("\0", "\ufffd")
            .encode("utf-8", "replace")
            .decode(),
            len(text),
            noted.skipped,
        )


class Tap:
    """One link's share of the log. Called for every frame: it must cost next to nothing."""

    __slots__ = ("_left", "_log", "_second", "_skipped", "_station_id")

    def __init__(self, log: MessageLog, station_id: str) -> None:
        self._log = log
        self._station_id = station_id
        self._left = float(log.limits.burst)
        self._second = log.second
        self._skipped = 0

    def heard(self, received: Any, frame: str | bytes, at: datetime) -> None:
        """A frame of the station, and what the machine made of it."""
        log = self._log
        if self._second != log.second:
            self._refill()
        if self._left < 1.0:
            self._skipped += 1
            log.left_out += 1
            return
        kind = _KINDS[type(received).__name__]
        self._note(IN, kind, getattr(received, "action", None), frame, at)

    def said(self, kind: str, action: str | None, frame: str) -> None:
        """A frame of ours."""
        log = self._log
        if self._second != log.second:
            self._refill()
        if self._left < 1.0:
            self._skipped += 1
            log.left_out += 1
            return
        self._note(OUT, kind, action, frame, log.clock())

    def _refill(self) -> None:
        log = self._log
        gained = (log.second - self._second) * log.limits.per_minute / 60.0
        self._left = min(float(log.limits.burst), self._left + gained)
        self._second = log.second

    def _note(
        self, direction: str, kind: str, action: str | None, frame: str | bytes, at: datetime
    ) -> None:
        log = self._log
        size = len(frame)
        if len(log.waiting) >= log.room or log.waiting_chars + size > MAX_WAITING_CHARS:
            self._skipped += 1
            log.left_out += 1
            return
        self._left -= 1.0
        # A name that a station made up may be of any length.
        named = action[:64] if action else None
        skipped, self._skipped = self._skipped, 0
        log.waiting_chars += size
        log.waiting.append(Noted(self._station_id, at, direction, kind, named, frame, skipped))
