"""Wake-ups within one process."""

from __future__ import annotations

import asyncio


class LocalBus:
    """Everybody who waits is woken when the journal grew. A lost wake-up costs a poll, no data."""

    def __init__(self) -> None:
        self._grown = asyncio.Event()

    def wake(self) -> None:
        """The journal grew. Call it on the event loop."""
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
