"""Status notifications."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from chargers.facts import Target
from chargers.notices import Notices

AT = datetime(2024, 1, 1, tzinfo=UTC)
PLACE = Target(1, 1)


async def sent_by(*steps: str) -> list[str]:
    """What goes out after `steps`: words to note, or 'open', 'close', 'repeat <word>'."""
    sent: list[str] = []

    async def send(target: Target, word: str, at: datetime) -> None:
        sent.append(word)

    notices = Notices(send)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(notices.run())
        for step in steps:
            if step == "open":
                notices.open()
            elif step == "close":
                notices.close()
            elif step.startswith("repeat "):
                notices.repeat(PLACE, step.removeprefix("repeat "), AT)
            else:
                notices.note(PLACE, step, AT)
            for _ in range(3):
                await asyncio.sleep(0)
        task.cancel()
    return sent


async def test_only_changes_are_sent() -> None:
    assert await sent_by("open", "a", "a", "b", "a") == ["a", "b", "a"]


async def test_what_happens_without_a_link_is_forgotten() -> None:
    assert await sent_by("a", "open", "b", "close", "c", "open", "b") == ["b", "b"]


async def test_the_central_system_may_ask_again() -> None:
    assert await sent_by("open", "a", "repeat a") == ["a", "a"]
