"""The outbox: order, retries, giving up, lost links, and its bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chargers.facts import Cause, Kind, Reading, TransactionMessage
from chargers.outbox import Delivery, Outbox, Retries

AT = datetime(2024, 1, 1, tzinfo=UTC)


class FakeClock:
    """Time that passes at once, and remembers how long it was asked to."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime:
        return AT

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


class Post:
    """A central system that answers as told, 'heard' when nothing was."""

    def __init__(self, *outcomes: Delivery) -> None:
        self.outcomes = list(outcomes)
        self.tried: list[int] = []
        self.heard: list[int] = []
        self.lost: list[int] = []
        self.clock = FakeClock()

    async def deliver(self, message: TransactionMessage) -> Delivery:
        self.tried.append(message.number)
        await asyncio.sleep(0)
        outcome = self.outcomes.pop(0) if self.outcomes else Delivery.HEARD
        if outcome is Delivery.HEARD:
            self.heard.append(message.number)
        return outcome

    def outbox(self, attempts: int = 3, limit: int = 100) -> Outbox:
        return Outbox(
            self.deliver,
            lambda message: self.lost.append(message.number),
            lambda: None,
            self.clock,
            Retries(attempts, 60),
            limit,
        )


def message(number: int, kind: Kind = Kind.READING) -> TransactionMessage:
    reading = Reading(AT, 1000 + number, 0)
    return TransactionMessage(kind, "tx", number, 1, 1, Cause.PERIOD, reading, charging=True)


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(outbox.run())
        async with asyncio.timeout(5):
            yield
        task.cancel()


async def turns(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_nothing_is_sent_before_the_link_is_up() -> None:
    post = Post()
    outbox = post.outbox()
    outbox.put(message(0))
    async with running(outbox):
        for _ in range(5):
            await asyncio.sleep(0)
        assert post.tried == []
        outbox.open()
        await outbox.emptied.wait()
    assert post.heard == [0]


async def test_errors_are_retried_with_growing_waits_and_then_given_up() -> None:
    post = Post(Delivery.FAILED, Delivery.FAILED, Delivery.FAILED)
    outbox = post.outbox(attempts=3)
    for number in range(2):
        outbox.put(message(number))
    outbox.open()
    async with running(outbox):
        await outbox.emptied.wait()
    assert post.tried == [0, 0, 0, 1]
    assert post.lost == [0]
    assert post.heard == [1]
    assert post.clock.slept == [60, 120]


async def test_a_lost_link_is_no_attempt() -> None:
    post = Post(Delivery.FAILED, *[Delivery.LINK_LOST] * 5, Delivery.FAILED)
    outbox = post.outbox(attempts=3)
    outbox.put(message(0))
    async with running(outbox):
        for count in (2, 3, 4, 5, 6):
            outbox.open()
            await turns(lambda count=count: len(post.tried) >= count)
        outbox.open()
        await outbox.emptied.wait()
    assert post.lost == []
    assert post.heard == [0]


@given(st.lists(st.sampled_from([Delivery.HEARD, Delivery.FAILED]), max_size=30))
def test_order_is_kept_whatever_fails(outcomes: list[Delivery]) -> None:
    async def scenario() -> Post:
        post = Post(*outcomes)
        outbox = post.outbox(attempts=2)
        for number in range(10):
            outbox.put(message(number))
        outbox.open()
        async with running(outbox):
            await outbox.emptied.wait()
        return post

    post = asyncio.run(scenario())
    assert post.tried == sorted(post.tried)
    assert sorted(post.heard + post.lost) == list(range(10))


def test_a_full_outbox_drops_the_oldest_readings_only() -> None:
    post = Post()
    outbox = post.outbox(limit=4)
    for number, kind in enumerate(
        [Kind.STARTED, Kind.READING, Kind.READING, Kind.STOPPED, Kind.STARTED, Kind.STOPPED]
    ):
        outbox.put(message(number, kind))
    assert [waiting.number for waiting in outbox.pending] == [0, 3, 4, 5]
    assert post.lost == [1, 2]
