"""Waiting for what happens by itself and tells nobody, with a deadline."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

LOOK_EVERY_S = 0.002
WITHIN_S = 30.0


async def until(condition: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
    """What the condition gives as soon as it is true; it may be a coroutine function. Raises
    `TimeoutError`."""
    async with asyncio.timeout(within_s):
        while True:
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(LOOK_EVERY_S)
