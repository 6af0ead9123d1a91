"""Nodes that show life, nodes that are lost, and clocks that differ; in virtual time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from csms.core import nodes
from csms.core.errors import AlreadyExists, StoreUnavailable
from csms.core.nodes import Node
from csms.flows.membership import Membership, Pulse, place_of_process
from csms.storage.open import open_inline
from csms.storage.reader import InlineReader
from csms.storage.sqlite import DIALECT, MEMORY, STATEMENTS, SqliteDatabase
from csms.storage.store import InlineStore
from tests.support.ocpp import NOW
from tests.support.stores import FaultyDatabase, Forgetful
from tests.support.virtual import passing, run_virtually

PULSE = Pulse(beat_s=1.0, lost_after_s=8.0)
Test = Callable[..., Coroutine[Any, Any, None]]


def virtual(test: Test) -> Callable[..., None]:
    """In virtual time."""

    @wraps(test)
    def run(*args: Any, **more: Any) -> None:
        run_virtually(test(*args, **more))

    return run


_runs = count(1)


def member(store: InlineStore, name: str, **how: Any) -> Membership:
    how = {"place": f"{name}/1", "pulse": PULSE, **how}
    return Membership(store, name, lambda: NOW, lambda: f"run-{next(_runs)}", **how)


@asynccontextmanager
async def living(made: Membership) -> AsyncIterator[asyncio.Task[None]]:
    """Joined and running; cut off at the end without a word, as a process that is killed."""
    await made.join()
    task = asyncio.create_task(made.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def state(store: InlineStore, name: str) -> str:
    row = await store.reader.get(Node, name)
    assert row is not None
    return row.state


@virtual
async def test_those_who_live_see_each_other() -> None:
    store = open_inline()
    a, b = member(store, "a"), member(store, "b")
    async with living(a), living(b):
        await passing(60)
        assert [other.name for other in a.others()] == ["b"]
        assert a.workers() == ["a", "b"]
        assert a.sure
        assert b.sure
    rows = await store.reader.page(Node)
    assert [row.state for row in rows] == ["up", "up"]
    assert all(row.beats > 55 for row in rows)


@virtual
async def test_one_that_is_killed_is_lost_after_the_time_and_not_before() -> None:
    store = open_inline()
    a, b = member(store, "a"), member(store, "b")
    changed: list[list[str]] = []
    a.on_change = lambda: changed.append([other.name for other in a.others()])
    async with living(a):
        async with living(b):
            await passing(20)
        await passing(PULSE.lost_after_s - 1)
        assert await state(store, "b") == "up"
        await passing(3)
        assert await state(store, "b") == "lost"
        assert (a.others(), a.workers()) == ([], ["a"])
    assert changed[0] == ["b"]
    assert changed[-1] == []


class Fenced(InlineStore):
    """Notes whose work is ended, and how that node was known at that moment."""

    broken = False

    def live_as(self, run: str) -> None:
        self.lives.append(run)

    async def fence(self, run: str) -> None:
        node = next(row for row in await self.reader.page(Node) if row.run == run)
        self.ended.append((node.name, node.state))
        if self.broken:
            raise StoreUnavailable("no connection is free")

    def __init__(self) -> None:
        inner = open_inline()
        super().__init__(inner._runner._database, inner.reader)
        self.lives: list[str] = []
        self.ended: list[tuple[str, str]] = []


@virtual
async def test_what_one_that_is_lost_has_under_way_is_ended_before() -> None:
    """Or it may hold up everybody who wants to write that it is lost."""
    for broken in (False, True):
        store = Fenced()
        store.broken = broken
        a, b = member(store, "a"), member(store, "b")
        async with living(a):
            async with living(b):
                await passing(20)
            assert store.lives == [a.me.run, b.me.run]
            assert store.ended == []
            await passing(PULSE.lost_after_s + 2)
            assert store.ended == [("b", "up")]
            assert await state(store, "b") == "lost"


@virtual
async def test_one_whose_name_is_taken_has_nothing_under_way_any_more() -> None:
    store = Fenced()
    async with living(member(store, "a")):
        with pytest.raises(AlreadyExists):
            await member(store, "a", place="elsewhere/1").join()
        # Whoever asks for the name of one that lives ends nothing.
        assert store.ended == []
    await member(store, "a", place="elsewhere/1").join()
    assert store.ended == [("a", "up")]


@virtual
async def test_a_new_life_is_known_to_the_store() -> None:
    store = Fenced()
    a, b = member(store, "a"), member(store, "b")
    async with living(a), living(b):
        await passing(2)
        seen = store.run(nodes.require, "b")
        store.run(nodes.lose, seen, NOW)
        await passing(3)
        assert store.lives[2:] == [b.me.run]


@virtual
async def test_clocks_that_differ_by_days_matter_to_nobody() -> None:
    store = open_inline()
    a = member(store, "a")
    b = Membership(
        store, "b", lambda: NOW - timedelta(days=3), lambda: "r", pulse=PULSE, place="b/1"
    )
    async with living(a), living(b):
        await passing(100)
        assert [await state(store, name) for name in "ab"] == ["up", "up"]


@virtual
async def test_an_end_in_order_is_seen_at_once() -> None:
    store = open_inline()
    a, b = member(store, "a"), member(store, "b")
    async with living(a), living(b) as running:
        await passing(2)
        running.cancel()
        await b.leave()
        assert not b.sure
        await passing(2)
        assert a.workers() == ["a"]


@virtual
async def test_nobody_is_lost_because_the_store_was_away() -> None:
    database = FaultyDatabase(SqliteDatabase(MEMORY))
    database.inner = open_inline()._runner._database
    store = InlineStore(database, InlineReader(STATEMENTS, DIALECT, database))
    a, b = member(store, "a"), member(store, "b")
    async with living(a), living(b):
        await passing(10)
        for away_s in (5, 300):
            database.down = "failing over"
            await passing(away_s)
            assert a.sure is (away_s < PULSE.sure_s)
            database.down = None
            await passing(10)
            assert a.sure
            assert b.sure
            assert [await state(store, name) for name in "ab"] == ["up", "up"]


@virtual
async def test_the_others_stay_known_while_the_store_is_away() -> None:
    """Whose own sign of life is late has to begin to watch anew, and forgets nobody for it."""
    database = FaultyDatabase(SqliteDatabase(MEMORY))
    database.inner = open_inline()._runner._database
    store = InlineStore(database, InlineReader(STATEMENTS, DIALECT, database))
    a, b = member(store, "a"), member(store, "b")
    async with living(a), living(b):
        await passing(5)
        database.down = "failing over"
        for away_s in range(60):
            await passing(0.25)
            assert a.workers() == ["a", "b"], away_s
            if away_s == 40:
                database.down = None


@virtual
async def test_who_cannot_show_life_is_not_sure_before_others_may_think_it_lost() -> None:
    store = open_inline()
    a, b = member(store, "a"), member(store, "b")
    async with living(a):
        async with living(b):
            await passing(10)
        # It hangs from here on.
        while await state(store, "b") == "up":
            was_sure = b.sure
            await passing(0.1)
        assert not was_sure


@virtual
async def test_one_that_was_thought_lost_begins_a_new_life() -> None:
    store = open_inline()
    a, b = member(store, "a"), member(store, "b")
    before = b.me.run
    closed: list[bool] = []

    async def close() -> None:
        closed.append(b.living)

    b.on_given_up = close
    async with living(a):
        async with living(b):
            await passing(3)
        await passing(20)
        assert await state(store, "b") == "lost"
        again = asyncio.create_task(b.run())
        await passing(3)
        assert closed == [False]
        assert b.living
        assert b.sure
        assert b.me.run != before
        assert await state(store, "b") == "up"
        assert [other.run for other in a.others()] == [b.me.run]
        again.cancel()


@asynccontextmanager
async def thought_lost(store: InlineStore, made: Membership) -> AsyncIterator[None]:
    """It lived, and others have declared it lost; it goes on."""
    async with living(made):
        await passing(3.5)
        assert store.run(nodes.lose, store.run(nodes.require, made.me.name), NOW)
        yield


@pytest.mark.parametrize("stored", [True, False])
@virtual
async def test_a_new_life_begins_though_nobody_answers_that_it_has(stored: bool) -> None:
    """What a beat of it says is answer enough; a life that nobody stored is begun again."""
    store = open_inline()
    forgetful: Any = Forgetful(store)
    a = member(forgetful, "a")
    changed: list[bool] = []
    async with thought_lost(store, a):
        forgetful.loses, forgetful.stored = "join", stored
        a.on_change = lambda: changed.append(a.living)
        await passing(1)
        assert (forgetful.loses, a.living) == (None, False)
        await passing(2)
        assert (a.living, a.sure) == (True, True)
        assert store.run(nodes.require, "a").run == a.me.run
    assert changed[-1]


@virtual
async def test_a_life_that_was_over_before_its_node_knew_of_it_is_not_lived() -> None:
    """Others may settle what they think is left of it."""
    store = open_inline()
    forgetful: Any = Forgetful(store)
    a = member(forgetful, "a")
    async with thought_lost(store, a):
        forgetful.loses = "join"
        await passing(1)
        never = store.run(nodes.require, "a")
        assert never.alive
        store.run(nodes.lose, never, NOW)
        await passing(2)
        assert a.sure
        assert a.me.run != never.run
        assert store.run(nodes.require, "a").run == a.me.run


@virtual
async def test_one_that_was_drained_and_thought_lost_begins_again_drained() -> None:
    """An operator is about to end it: nothing shall come to it because it was slow."""
    store = open_inline()
    a, b = member(store, "a"), member(store, "b")
    ready: list[bool] = []
    async with living(a), living(b):
        await passing(1.5)
        store.run(nodes.drain, "a", NOW)
        await passing(1)
        a.on_change = lambda: ready.append(a.living and not a.draining)
        assert store.run(nodes.lose, store.run(nodes.require, "a"), NOW)
        await passing(2)
        assert (a.living, a.draining) == (True, True)
        assert await state(store, "a") == "draining"
        assert b.workers() == ["b"]
        assert ready
        assert not any(ready)
        store.run(nodes.resume, "a", NOW)
        await passing(2)
        assert not a.draining


@virtual
async def test_two_do_not_live_under_one_name() -> None:
    store = open_inline()
    async with living(member(store, "a")):
        with pytest.raises(AlreadyExists, match="a node named a is running"):
            await member(store, "a", place="elsewhere/1").join()


@virtual
async def test_a_name_of_one_that_was_killed_is_taken_when_that_is_sure() -> None:
    store = open_inline()
    async with living(member(store, "a")):
        await passing(1)
    began = asyncio.get_running_loop().time()
    again = member(store, "a", place="elsewhere/1")
    await again.join()
    assert asyncio.get_running_loop().time() - began == PULSE.lost_after_s
    assert again.sure


@virtual
async def test_a_process_of_this_machine_that_is_gone_is_not_waited_for() -> None:
    store = open_inline()
    machine = place_of_process().partition("/")[0]
    gone = next(pid for pid in range(4_000_000, 5_000_000) if not Path(f"/proc/{pid}").exists())
    for place in (f"{machine}/{gone}", f"{machine}/{os.getpid()}"):
        row = Node("a", "r", place, "up", 5, 0, "1", "", NOW, NOW)
        store.run(lambda tx, row=row: tx.save(row))
        began = asyncio.get_running_loop().time()
        await member(store, "a").join()
        assert asyncio.get_running_loop().time() == began
        store.run(lambda tx: tx.delete(Node, "a"))


@virtual
async def test_who_finds_another_under_its_name_ends() -> None:
    store = open_inline()
    a = member(store, "a")
    async with living(a) as running:
        await passing(3)
        row = await store.reader.get(Node, "a")
        assert row is not None
        store.run(nodes.join, row._replace(run="another", address="http://b:8000"), row)
        with pytest.raises(AlreadyExists, match="another process lives under the name a"):
            async with asyncio.timeout(5):
                await asyncio.shield(running)


@virtual
async def test_an_operators_wish_is_seen() -> None:
    store = open_inline()
    a, b = member(store, "a"), member(store, "b")
    async with living(a), living(b):
        await passing(2)
        store.run(nodes.drain, "b", NOW)
        await passing(2)
        assert b.draining
        assert not a.draining
        assert a.workers() == b.workers() == ["a"]
        store.run(nodes.drain, "a", NOW, True)
        await passing(2)
        # Somebody has to do it.
        assert a.workers() == ["a", "b"]


@virtual
async def test_one_that_is_alone_shows_nothing_and_waits_for_nobody() -> None:
    store = open_inline()
    row = Node("a", "r", "elsewhere/1", "up", 5, 0, "1", "", NOW, NOW)
    store.run(lambda tx: tx.save(row))
    a = member(store, "a", alone=True)
    async with living(a):
        assert asyncio.get_running_loop().time() == 0
        await passing(1_000)
        assert a.sure
        found = await store.reader.get(Node, "a")
        assert found is not None
        assert found.beats == 0
        store.run(nodes.drain, "a", NOW, True)
        await passing(2)
        assert a.draining
