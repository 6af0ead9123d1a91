"""A message that needs an answer from outside before it can be replied to.

The first commit already holds the message's facts. The shell asks outside any transaction, bounded;
the second function's commit releases the reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

import structlog

from csms.core.ports import Ask, Outside, Reply, Store

log = structlog.get_logger("flows.exchange")
R = TypeVar("R")


async def exchange(
    store: Store, outside: Outside, ask: Ask[R], lane: str | None = None
) -> Reply[R]:
    """Ask, at most `ask.deadline_s` seconds, then run `ask.then` with the answer or None, in
    that lane of the store.

    Raises what the store raises. What the outside raises counts as no answer.
    """
    answer: Any = None
    try:
        async with asyncio.timeout(ask.deadline_s):
            answer = await outside.ask(ask.request)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Not our own end: the outside gave up by itself.
        log.warning("asking_failed", error="cancelled")
    except TimeoutError:
        log.info("no_answer_in_time", deadline_s=ask.deadline_s)
    except Exception as error:
        log.warning("asking_failed", error=repr(error))
    return await store.transact(ask.then, answer, lane=lane)


class Answerers:
    """The outside, put together: the type of a request says who answers it."""

    def __init__(self, by_type: Mapping[type[Any], Outside]) -> None:
        self._by_type = by_type

    async def ask(self, request: object) -> object:
        """The answer of whoever is there for such a request. Raises `LookupError` when nobody is,
        and what the answerer raises."""
        answerer = self._by_type.get(type(request))
        if answerer is None:
            raise LookupError(f"nobody answers a {type(request).__name__}")
        return await answerer.ask(request)


class Nobody:
    """The outside of a network without partners: nobody ever answers."""

    async def ask(self, request: object) -> object:
        """Raises at once, so that nobody waits for the deadline."""
        raise LookupError("no partner is connected")
