"""Wake-ups within one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class LocalBus:
    """Everybody who waits is woken when the journal grew. A lost wake-up costs a poll, no data.
    `on_wake` is called when it grew by this process, for others to be told."""

    def __init__(self) -> None:
        self._grown = asyncio.Event()
        self.on_wake: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """The journal grew, by this process. Call it on the event loop."""
        self.woken()
        self.on_wake()

    def woken(self) -> None:
        """The journal grew, by whomever."""
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    async def grown(self, within_s: float) -> bool:
        """Wait for the next growth; False when none came in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._grown.wait()
        except TimeoutError:
            return False
        return True
