"""The outbox: every message about a transaction, in order, one at a time, until heard.

It survives lost links and resets of the charger. Failure modes:

- the link is lost: not an attempt; the message stays at the head until the link is back;
- the central system answers with an error, or not at all: an attempt. After `attempts` of them
  the message is given up and the next one gets its turn, as OCPP demands of a charger
  (1.6 section 3.7.1, 2.0.1 E13.FR.02 to FR.04);
- the outbox is full: the oldest meter values are given up, never a start or a stop
  (2.0.1 E04.FR.07).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from chargers.clock import Clock
from chargers.facts import Kind, TransactionMessage


class Delivery(Enum):
    """How one attempt went."""

    HEARD = "heard"
    FAILED = "failed"
    LINK_LOST = "link lost"


@dataclass
class Retries:
    """The retry rule; the central system may change it while the charger runs."""

    attempts: int
    interval_s: float


@dataclass
class _Waiting:
    message: TransactionMessage
    attempts: int = 0


class Outbox:
    """A bounded first-in-first-out queue with one consumer, `run`.

    `deliver` sends a message once and says how that went; `given_up` is told of each message
    that will not be sent again; `changed` is called whenever the queue has become shorter.
    """

    def __init__(
        self,
        deliver: Callable[[TransactionMessage], Awaitable[Delivery]],
        given_up: Callable[[TransactionMessage], None],
        changed: Callable[[], None],
        clock: Clock,
        retries: Retries,
        limit: int,
    ) -> None:
        self._deliver = deliver
        self._given_up = given_up
        self._changed = changed
        self._clock = clock
        self._retries = retries
        self._limit = limit
        self._queue: deque[_Waiting] = deque()
        self._filled = asyncio.Event()
        self._open = asyncio.Event()
        self._openings = 0
        self.emptied = asyncio.Event()
        """Set while nothing waits to be sent."""
        self.emptied.set()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def pending(self) -> list[TransactionMessage]:
        """The messages not yet heard, in the order in which they will be sent."""
        return [waiting.message for waiting in self._queue]

    def put(self, message: TransactionMessage) -> None:
        """Append a message; at the limit the oldest meter values that are not under way go."""
        if len(self._queue) >= self._limit:
            self._drop_oldest_reading()
        self._queue.append(_Waiting(message))
        self._filled.set()
        self.emptied.clear()

    def open(self) -> None:
        """The link is up and the central system has accepted the charger: send."""
        self._openings += 1
        self._open.set()

    def close(self) -> None:
        """The link is gone, or not accepted: keep everything."""
        self._open.clear()

    async def run(self) -> None:
        """Send what is queued for as long as the charger lives. Ends only by cancellation."""
        while True:
            await self._filled.wait()
            await self._open.wait()
            if not self._queue:
                self._filled.clear()
                continue
            await self._send_head()

    async def _send_head(self) -> None:
        head = self._queue[0]
        opening = self._openings
        outcome = await self._deliver(head.message)
        if outcome is Delivery.LINK_LOST:
            # Whoever notices the loss closes the outbox too; closing it here as well keeps
            # this loop from spinning if that comes a moment later. The link may also be back
            # already: then the outbox stays open.
            if opening == self._openings:
                self.close()
            return
        if outcome is Delivery.HEARD:
            self._remove(head)
            return
        head.attempts += 1
        if head.attempts >= self._retries.attempts:
            self._given_up(head.message)
            self._remove(head)
            return
        await self._clock.sleep(self._retries.interval_s * head.attempts)

    def _remove(self, head: _Waiting) -> None:
        assert self._queue[0] is head, "only the consumer takes from the head"
        self._queue.popleft()
        if not self._queue:
            self.emptied.set()
        self._changed()

    def _drop_oldest_reading(self) -> None:
        for index, waiting in enumerate(self._queue):
            # The head may be under way, so it stays.
            if index > 0 and waiting.message.kind in (Kind.READING, Kind.STATE):
                del self._queue[index]
                self._given_up(waiting.message)
                return
