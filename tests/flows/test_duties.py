"""What only one node may do is done by one, whoever dies; in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from csms.core import nodes
from csms.core.nodes import Lease
from csms.flows.duties import CHECK_EVERY_S, ENDS_WITHIN_S, Duties
from csms.flows.membership import Membership
from csms.storage.open import open_inline
from csms.storage.store import InlineStore
from tests.flows.test_membership import PULSE, member, virtual
from tests.support.ocpp import NOW
from tests.support.stores import Forgetful
from tests.support.virtual import passing

NAMES = [f"duty {n}" for n in range(12)]


class Slow:
    """A store that answers what is written after a while."""

    def __init__(self, inner: InlineStore) -> None:
        self._inner = inner
        self.answers_after_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def transact(self, fn: Any, *args: Any, **more: Any) -> Any:
        done = await self._inner.transact(fn, *args, **more)
        await passing(self.answers_after_s)
        return done


class Worker:
    """A node that does some of it. `doing`: what it does at the moment."""

    def __init__(self, store: InlineStore, name: str, log: list[tuple[str, str]]) -> None:
        self.membership: Membership = member(store, name)
        self.duties = Duties(store, self.membership, lambda: NOW)
        self.doing: set[str] = set()
        # How long its work goes on after it was told to end.
        self.ends_after_s = 0.0
        self.store_answers_after_s = 0.0
        self.wanted: list[str] = []
        self.dropped: list[str] = []
        self.log = log
        self.membership.on_change = self.duties.look
        for duty in NAMES:
            self.duties.add(duty, lambda duty=duty: self.work(duty))
        self.duties.also(self.named, self.drop)
        self.tasks: list[asyncio.Task[Any]] = []

    async def named(self) -> list[str]:
        await passing(self.store_answers_after_s)
        return self.wanted

    def drop(self, name: str) -> list[asyncio.Task[Any]]:
        """What is under way for it has still to end."""
        self.dropped.append(name)
        self.doing.add(name)
        return [asyncio.create_task(self.end(name))]

    async def end(self, name: str) -> None:
        await passing(self.ends_after_s)
        self.doing.discard(name)

    async def work(self, duty: str) -> None:
        self.doing.add(duty)
        try:
            while True:
                self.log.append((duty, self.membership.me.name))
                await passing(0.5)
        finally:
            await passing(self.ends_after_s)
            self.doing.discard(duty)

    async def start(self) -> None:
        await self.membership.join()
        self.tasks = [
            asyncio.create_task(self.membership.run()),
            asyncio.create_task(self.duties.run()),
        ]
        self.duties.look()

    async def kill(self) -> None:
        """The process is gone: nothing goes on, and nothing is said."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def hang(self) -> None:
        """It goes on, but cannot show that it lives."""
        self.tasks[0].cancel()


def of(workers: list[Worker]) -> list[str]:
    """What is done, sorted; twice where two do it."""
    return sorted(duty for worker in workers for duty in worker.doing)


@virtual
async def test_all_is_done_by_one_each_and_shared() -> None:
    store, log = open_inline(), []
    workers = [Worker(store, name, log) for name in "abc"]
    for worker in workers:
        await worker.start()
    await passing(10)
    assert of(workers) == sorted(NAMES)
    assert all(worker.doing for worker in workers)
    assert all(worker.duties.held == sorted(worker.doing) for worker in workers)


@virtual
async def test_others_take_over_from_one_that_died() -> None:
    store, log = open_inline(), []
    a, b = Worker(store, "a", log), Worker(store, "b", log)
    await a.start()
    await b.start()
    await passing(10)
    had = set(b.doing)
    await b.kill()
    await passing(12)
    assert had
    assert a.doing == set(NAMES)


@virtual
async def test_one_that_hangs_has_stopped_before_another_begins() -> None:
    store, log = open_inline(), []
    a, b = Worker(store, "a", log), Worker(store, "b", log)
    await a.start()
    await b.start()
    await passing(10)
    b.hang()
    for _ in range(300):
        await passing(0.05)
        assert len(of([a, b])) == len(set(of([a, b])))
    assert (a.doing, b.doing) == (set(NAMES), set())


@virtual
async def test_one_that_waits_for_the_store_has_stopped_all_the_same() -> None:
    """A store that hangs answers after twenty seconds, and others take over after eight."""
    store, log = open_inline(), []
    a, b = Worker(store, "a", log), Worker(store, "b", log)
    await a.start()
    await b.start()
    await passing(10)
    assert b.doing
    b.store_answers_after_s = 20.0
    await passing(2)
    b.hang()
    for _ in range(400):
        await passing(0.05)
        assert len(of([a, b])) == len(set(of([a, b])))
        if (
            b.membership._shown_at + PULSE.sure_s + CHECK_EVERY_S
            < asyncio.get_running_loop().time()
        ):
            assert b.doing == set()
    assert a.doing == set(NAMES)


@virtual
async def test_what_is_taken_too_late_to_be_sure_is_not_begun() -> None:
    """The store answers when others may have taken it since."""
    store = open_inline()
    slow: Any = Slow(store)
    a = Worker(slow, "a", [])
    await a.membership.join()
    slow.answers_after_s = PULSE.sure_s + 1
    await a.duties.settle()
    assert (a.duties.held, a.duties._tasks) == ([], {})
    # It is this node's all the same, when its life goes on.
    slow.answers_after_s = 0.0
    await a.membership.turn()
    await a.duties.settle()
    assert a.duties.held == sorted(NAMES)
    await a.kill()


@virtual
async def test_what_has_not_ended_is_not_begun_once_more() -> None:
    store, log = open_inline(), []
    worker = Worker(store, "a", log)
    worker.ends_after_s = 3.0
    await worker.start()
    await passing(5)
    # Not sure for a moment, and sure again before the work has ended.
    worker.membership._shown_at -= 1_000.0
    await passing(CHECK_EVERY_S)
    begun = len(log)
    await passing(worker.ends_after_s - 2 * CHECK_EVERY_S)
    assert worker.membership.sure
    assert (worker.doing, worker.duties.held, len(log)) == (set(NAMES), [], begun)
    await passing(2)
    assert len(log) > begun
    assert worker.duties.held == sorted(worker.doing) == sorted(NAMES)


@virtual
async def test_what_is_handed_over_has_ended_before_it_is_given_back() -> None:
    """Whether its work is known here, or done by whoever asks who holds it."""
    store, log = open_inline(), []
    a, b = Worker(store, "a", log), Worker(store, "b", log)
    partners = [f"partner {n}" for n in range(4)]
    for worker in (a, b):
        worker.ends_after_s = 3.0
        worker.wanted = partners
    await a.start()
    await passing(3)
    assert {*a.duties.held} == {*NAMES, *partners}
    await b.start()
    store.run(nodes.drain, "a", NOW)
    for _ in range(1_500):
        await passing(0.05)
        given = {*NAMES, *partners} - {row.name for row in await store.reader.page(Lease)}
        theirs = {row.name for row in await store.reader.page(Lease, {"node": "b"})}
        assert not a.doing & (given | theirs)
    assert (a.doing, b.duties.held) == (set(), sorted([*NAMES, *partners]))


@virtual
async def test_what_does_not_end_keeps_its_lease_and_holds_up_nothing_else() -> None:
    store, log = open_inline(), []
    a, b = Worker(store, "a", log), Worker(store, "b", log)
    over = asyncio.Event()

    async def stays() -> None:
        while not over.is_set():
            with suppress(asyncio.CancelledError):
                await over.wait()

    try:
        for worker in (a, b):
            worker.duties.add("a job that stays", stays)
        await a.start()
        await passing(3)
        await b.start()
        store.run(nodes.drain, "a", NOW)
        await passing(ENDS_WITHIN_S + 10)
        assert b.doing == set(NAMES)
        assert "a job that stays" not in b.duties.held
    finally:
        over.set()
    await passing(10)
    assert "a job that stays" in b.duties.held


@virtual
async def test_a_new_node_takes_its_share_and_no_duty_is_done_twice() -> None:
    store, log = open_inline(), []
    a, b = Worker(store, "a", log), Worker(store, "b", log)
    await a.start()
    await passing(5)
    assert a.doing == set(NAMES)
    await b.start()
    for _ in range(200):
        await passing(0.05)
        assert len(of([a, b])) == len(set(of([a, b])))
    assert b.doing
    assert a.doing | b.doing == set(NAMES)


@virtual
async def test_a_node_that_is_drained_gives_its_work_away() -> None:
    store, log = open_inline(), []
    a, b = Worker(store, "a", log), Worker(store, "b", log)
    await a.start()
    await b.start()
    await passing(5)
    store.run(nodes.drain, "a", NOW)
    await passing(6)
    assert (a.doing, b.doing) == (set(), set(NAMES))
    leases = await store.reader.page(Lease)
    assert {lease.node for lease in leases} == {"b"}


@virtual
async def test_what_fails_is_begun_again() -> None:
    store = open_inline()
    worker = Worker(store, "a", [])
    tries = []

    async def failing() -> None:
        tries.append(1)
        raise RuntimeError("on purpose")

    worker.duties.add("failing", failing)
    await worker.start()
    await passing(20)
    assert len(tries) > 3
    assert worker.doing == set(NAMES)


@virtual
async def test_duties_that_come_and_go() -> None:
    store, log = open_inline(), []
    workers = [Worker(store, name, log) for name in "ab"]
    partners = [f"partner {n}" for n in range(10)]
    for worker in workers:
        worker.wanted = partners[:5]
        await worker.start()
    await passing(8)
    for worker in workers:
        worker.wanted = partners
    await passing(8)
    for partner in partners:
        assert sum(worker.duties.holds(partner) for worker in workers) == 1
    for worker in workers:
        worker.wanted = []
    await passing(8)
    assert not any(w.duties.holds(partner) for w in workers for partner in partners)
    assert {*workers[0].dropped, *workers[1].dropped} == set(partners)


@virtual
async def test_a_new_life_begins_without_what_the_old_one_had() -> None:
    """Two nodes; one hangs until it is lost, and comes back."""
    store, log = open_inline(), []
    a, b = Worker(store, "a", log), Worker(store, "b", log)
    await a.start()
    await b.start()
    await passing(10)
    had = set(b.doing)
    b.hang()
    await passing(20)
    b.tasks[0] = asyncio.create_task(b.membership.run())
    for _ in range(200):
        await passing(0.05)
        assert len(of([a, b])) == len(set(of([a, b])))
    assert b.doing == had


@pytest.mark.parametrize(("loses", "stored"), [("give", False), ("give", True), ("take", True)])
@virtual
async def test_a_lost_answer_of_the_store_leaves_no_duty_to_nobody(
    loses: str, stored: bool
) -> None:
    store, log = open_inline(), []
    first, second = Worker(store, "a", log), Worker(store, "b", log)
    forgetful: Any = Forgetful(store)
    first.duties._store = forgetful
    forgetful.stored = stored
    forgetful.loses = loses if loses == "take" else None
    await first.start()
    await passing(1.0)
    forgetful.loses = loses if loses == "give" else None
    await second.start()
    await passing(30.0)
    assert of([first, second]) == sorted(NAMES)
    assert second.doing
    for worker in (first, second):
        await worker.kill()


@virtual
async def test_what_was_laid_down_in_doubt_is_given_to_who_came_meanwhile() -> None:
    store, log = open_inline(), []
    first, second = Worker(store, "a", log), Worker(store, "b", log)
    await first.start()
    await passing(1.25)
    # Not sure for a moment, of a life that goes on.
    first.membership._shown_at -= 1_000.0
    while first.doing:
        await passing(0.1)
    await second.start()
    await passing(30.0)
    assert of([first, second]) == sorted(NAMES)
    assert second.doing
    for worker in (first, second):
        await worker.kill()
