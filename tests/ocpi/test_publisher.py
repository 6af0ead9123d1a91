"""Pumps: every feed by itself, and how much at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from csms.bus.local import LocalBus
from csms.core.errors import StoreUnavailable
from csms.core.partners import PULL, PUSH, Partner
from csms.ocpi import tariffs, tokens
from csms.ocpi.publisher import Job, Pace, Publisher
from tests.ocpi.test_pushes import FEED, add, block, networks, noted, there
from tests.support.ocpi import NOW, Side, connected, said


async def test_a_busy_journal_makes_no_busy_pump() -> None:
    class Busy:
        """Grows all the time."""

        async def grown(self, within_s: float) -> bool:
            return True

    async with networks() as (north, _, _):
        turns = 0
        publisher = Publisher(north.network, Busy(), Pace(turn_s=0.05))
        registered = publisher._registered

        async def counted() -> Any:
            nonlocal turns
            turns += 1
            return await registered()

        publisher._registered = counted  # type: ignore[method-assign]
        loop = asyncio.get_running_loop()
        began = loop.time()
        running = asyncio.create_task(publisher.run())
        await asyncio.wait((running,), timeout=0.3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert 1 <= turns <= (loop.time() - began) / 0.05 + 1


async def test_the_pumps_run_by_themselves_and_survive_a_partner_that_breaks() -> None:
    async with networks() as (north, south, publisher):
        north.faults.heal()
        north.faults.break_at = 1
        add(north, "A")
        running = asyncio.create_task(publisher.run())
        async with asyncio.timeout(10):
            while await there(south) != {"A": True}:
                await publisher._bus.grown(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert len(north.faults.sent) > 1


async def test_a_store_that_cannot_be_read_for_a_while_ends_no_pump() -> None:
    async with networks() as (north, south, publisher):
        add(north, "A")
        reader, away = north.store.reader, [1, 2, 3]
        fetch = reader.fetch

        async def fails_at_first(sql: str, parameters: Any) -> Any:
            if away:
                away.pop()
                raise StoreUnavailable("no connection")
            return await fetch(sql, parameters)

        reader.fetch = fails_at_first  # type: ignore[method-assign]
        running = asyncio.create_task(publisher.run())
        async with asyncio.timeout(20):
            while await there(south) != {"A": True}:
                assert not running.done()
                await publisher._bus.grown(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert away == []


async def test_a_feed_that_fails_holds_up_neither_another_nor_its_other_direction() -> None:
    """The partner's lists answer 3000, and one hangs; what changes here arrives all the same."""
    modules = (*tokens.MODULES, *tariffs.MODULES)
    sides = [Side(party).offers(*modules) for party in ("CA*NTH", "US*STH")]
    async with connected(*sides) as (north, south):
        held = asyncio.Event()

        async def broken(request: httpx.Request) -> httpx.Response | None:
            if request.method != "GET":
                return None
            if "tariffs" in request.url.path:
                await held.wait()
            return said(3000)

        north.faults.later = broken
        pace = Pace(first_s=60, idle_s=0.01, turn_s=0.01, at_once=2)
        publisher = Publisher(north.network, LocalBus(), pace)
        running = asyncio.create_task(publisher.run())
        try:
            async with asyncio.timeout(10):
                while not any("tariffs" in r.url.path for r in north.faults.sent):
                    await publisher._bus.grown(0.01)
                for uid in "ABC":
                    add(north, uid)
                    while uid not in await there(south):
                        await publisher._bus.grown(0.01)
            assert (await noted(north, south, PULL)).failures == 1, "it is left alone for a while"
        finally:
            held.set()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_partner_is_let_go_when_its_turns_have_ended() -> None:
    """Whoever gives it to another node can wait for that."""
    async with networks() as (north, _, _):

        async def never(request: httpx.Request) -> httpx.Response | None:
            await asyncio.Event().wait()
            return None

        north.faults.later = never
        served = {"all"}
        publisher = Publisher(
            north.network, LocalBus(), Pace(idle_s=0.01, turn_s=0.01), mine=lambda _: bool(served)
        )
        running = asyncio.create_task(publisher.run())
        try:
            async with asyncio.timeout(10):
                while not north.faults.sent:
                    await publisher._bus.grown(0.01)
            (partner_id,) = await publisher.registered()
            served.clear()
            turns = publisher.drop(partner_id)
            assert turns
            assert not any(turn.done() for turn in turns)
            await asyncio.wait(turns, timeout=10)
            assert all(turn.cancelled() for turn in turns)
            assert publisher.drop(partner_id) == []
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_so_many_requests_are_under_way_and_never_two_for_one_object() -> None:
    async with networks() as (north, south, _):
        under_way: Counter[str] = Counter()
        most = 0

        async def slow(request: httpx.Request) -> None:
            nonlocal most
            under_way[request.url.path] += 1
            most = max(most, under_way.total())
            assert under_way[request.url.path] == 1
            await north.network.store.reader.journal_end()
            for _ in range(20):
                await asyncio.sleep(0)
            under_way[request.url.path] -= 1

        north.faults.later = slow
        pace = Pace(at_once=3, idle_s=0.01, turn_s=0.01)
        publisher = Publisher(north.network, LocalBus(), pace)
        running = asyncio.create_task(publisher.run())
        async with asyncio.timeout(20):
            for n in range(40):
                add(north, f"T{n}")
            for n in range(0, 40, 3):
                block(north, f"T{n}", True)
                await publisher._bus.grown(0.005)
            while sorted((await there(south)).values()) != [False] * 14 + [True] * 26:
                await publisher._bus.grown(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert 1 < most <= 3


async def test_what_failed_is_left_alone_longer_each_time() -> None:
    """Until something arrives: then what is left is tried again soon."""
    arrived, well = 0, False

    async def turn(partner: Partner) -> bool:
        return well

    job = Job("x", turn, Pace(first_s=0.01, most_s=0.04), lambda: arrived)
    partner = Partner("p", "P", "registered", NOW)
    loop = asyncio.get_running_loop()

    async def waits() -> float:
        """After one more turn, which comes no sooner than it is due."""
        began, before = loop.time(), job.wait_s
        async with asyncio.TaskGroup() as tasks:
            job.start(partner, tasks)
            while not job.running:
                await LocalBus().grown(0.001)
                job.start(partner, tasks)
        assert loop.time() - began >= before - 0.002
        return job.wait_s

    assert [await waits() for _ in range(4)] == [0.01, 0.02, 0.04, 0.04]
    well = True
    assert await waits() == 0


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, html="<h1>Bad Gateway</h1>"),
        httpx.Response(200, html="<h1>Welcome</h1>"),
        httpx.Response(307, headers={"Location": "https://elsewhere.example.com/"}),
    ],
)
async def test_an_answer_that_is_none_is_a_fault_and_nothing_is_lost(
    answer: httpx.Response,
) -> None:
    async with networks() as (north, south, publisher):
        partner = await north.partner(south)
        add(north, "A")
        north.faults.instead = lambda request: answer
        north.faults.sent.clear()
        assert not await publisher.push(partner, FEED)
        assert not await publisher.pull(partner, FEED)
        assert len(north.faults.sent) == 2, "a redirect to another host is not followed"
        for direction in (PUSH, PULL):
            row = await noted(north, south, direction)
            assert f"HTTP {answer.status_code}" in str(row.error)
        north.faults.instead = lambda request: None
        assert await publisher.push(partner, FEED)
        assert await there(south) == {"A": True}
