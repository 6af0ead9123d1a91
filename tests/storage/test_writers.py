"""Several writers of one PostgreSQL database: lanes of a process, nodes of a system.

Nothing is overwritten unseen, nobody waits for ever, and a reader of the journal skips nothing.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from csms.core.errors import StoreRefused, StoreUnavailable
from csms.core.ports import Tx
from csms.core.stations import UnknownStation
from csms.storage import server
from csms.storage.batch import Job, Runner
from csms.storage.postgres import JOURNAL_LOCK, PostgresDatabase
from csms.storage.server import server_of
from tests.support.stores import (
    PostgresSite,
    journal_targets,
    knock_again,
    knocker,
    note,
    postgres_lanes,
    put,
    running,
    station,
)

pytestmark = pytest.mark.postgres

# Of this database alone: the server has those of other tests, too.
ADVISORY = """SELECT 1 FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
    WHERE l.locktype = 'advisory' AND d.datname = current_database()"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PostgresSite]:
    with postgres_lanes(tmp_path) as made:
        yield made


@asynccontextmanager
async def nodes(site: PostgresSite, count: int = 2) -> AsyncIterator[list[Any]]:
    """Stores of so many lanes each on one database, as different processes have them."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(site)) for _ in range(count)]


def deadlocks(site: PostgresSite) -> int:
    database = site.database()
    ((found,),) = database.fetch(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()", ()
    )
    database.close()
    return int(found)


def touch(tx: Tx, names: list[str]) -> None:
    """Rows that others touch as well, in an order of its own."""
    for name in names:
        row = tx.get(UnknownStation, name)
        assert row is not None
        tx.save(row._replace(attempts=row.attempts + 1))


async def test_writers_of_the_same_rows_lose_nothing_and_never_deadlock(
    site: PostgresSite,
) -> None:
    names = [f"A{n}" for n in range(150)]
    rng = random.Random(7)
    expected: Counter[str] = Counter()
    async with nodes(site) as stores:
        for name in names:
            await stores[0].transact(put, knocker(name, 0))
        async with asyncio.timeout(120):
            for _ in range(4):
                calls = []
                for n in range(20):
                    chosen = rng.sample(names, 40)
                    expected.update(chosen)
                    calls.append(stores[n % 2].transact(touch, chosen, lane=f"lane {n % 7}"))
                await asyncio.gather(*calls)
        rows = await stores[0].reader.page(UnknownStation, limit=1_000)
        assert {row.identity: row.attempts for row in rows} == expected
    assert deadlocks(site) == 0


def test_rows_are_locked_in_key_order_whatever_order_they_were_changed_in(
    site: PostgresSite,
) -> None:
    """Or two that have each what the other wants would wait for each other."""
    names = ["A", "M", "Z"]
    first, second, third = site.database(), site.database(), site.database()
    for name in names:
        Runner(first, time.monotonic, 10.0).run([_job(put, knocker(name))])
    lock = "SELECT identity FROM unknown_stations {} FOR UPDATE SKIP LOCKED"
    first.begin()
    first.fetch(lock.format("WHERE identity = 'M'"), ())
    run = Runner(second, time.monotonic, 10.0).run
    writing = threading.Thread(target=run, args=([_job(touch, ["Z", "M", "A"])],))
    writing.start()
    third.begin()
    while (free := third.fetch(lock.format(""), ())) != [("Z",)]:
        assert ("M",) not in free
        third.rollback()
        third.begin()
    third.rollback()
    first.rollback()
    writing.join(10)
    assert {row[0] for row in third.fetch("SELECT attempts FROM unknown_stations", ())} == {2}
    for database in (first, second, third):
        database.close()


def _job(fn: Any, *args: Any) -> Job:
    return Job(fn, args, (), lambda job: None)


async def test_of_two_that_add_the_same_row_the_second_sees_the_first(site: PostgresSite) -> None:
    async with nodes(site) as stores:
        results = await asyncio.gather(
            *(stores[n % 2].transact(knock_again, f"A{n // 4}", lane=str(n)) for n in range(80))
        )
        for row in range(20):
            assert sorted(results[4 * row : 4 * row + 4]) == [1, 2, 3, 4]


async def test_a_row_added_by_another_in_the_same_moment_is_no_refusal(site: PostgresSite) -> None:
    """Step by step: both look, both add; the first commits."""
    first, second = site.database(), site.database()
    first.begin()
    looked, go = threading.Event(), threading.Event()

    def look_and_add(tx: Tx) -> int:
        seen = tx.get(UnknownStation, "A")
        looked.set()
        assert go.wait(10)
        tx.save(knocker("A") if seen is None else seen._replace(attempts=seen.attempts + 1))
        return 1 if seen is None else seen.attempts + 1

    job = _job(look_and_add)
    runner = Runner(second, time.monotonic, 10.0)
    thread = threading.Thread(target=runner.run, args=([job],))
    thread.start()
    assert looked.wait(10)
    said = first.statements.of[UnknownStation]
    first.write(said.insert, [said.encode_row(knocker("A"))])
    first.commit()
    go.set()
    thread.join(10)
    assert job.error is None
    assert job.result == 2
    assert runner.conflicts == 1
    first.close()
    second.close()


async def test_who_does_not_look_is_refused_and_not_run_for_ever(site: PostgresSite) -> None:
    async with nodes(site) as (one, other):
        await one.transact(put, station("s1", "SAME"))
        with pytest.raises(StoreRefused, match="identity"):
            await other.transact(put, station("s2", "SAME"))
        assert other.conflicts <= 3


def open_one(tx: Tx, station_id: str, name: str, meeting: threading.Barrier) -> bool:
    """A decision on what is not there: at most one row of a station."""
    for n in range(8):
        if tx.get(UnknownStation, f"{station_id}-{n}") is not None:
            return False
    with suppress(threading.BrokenBarrierError):
        # Were another at the same place, both would go on.
        meeting.wait(0.1)
    tx.save(knocker(f"{station_id}-{name}"))
    return True


async def test_decisions_about_one_station_are_made_one_after_the_other(
    site: PostgresSite,
) -> None:
    """Also where no row tells that two were made at once (write skew): they share a lane."""
    async with nodes(site) as stores:
        for round_ in range(5):
            station_id, meeting = f"s{round_}", threading.Barrier(2)
            made = await asyncio.gather(
                *(
                    stores[n % 2].transact(open_one, station_id, f"{n}", meeting, lane=station_id)
                    for n in range(8)
                )
            )
            assert sum(made) == 1
        assert await stores[0].reader.count(UnknownStation) == 5


# -- the journal, numbers ----------------------------------------------------------------------


async def test_no_reader_of_the_journal_skips_a_row_of_a_slow_commit(site: PostgresSite) -> None:
    """A has written its rows and takes its time to commit; B is quick."""
    slow, quick = site.database(), site.database()

    def write(database: PostgresDatabase, target: str) -> None:
        runner = Runner(database, time.monotonic, 10.0)
        runner.run([_job(note, target)])

    async with site.reader() as reader:
        slow.begin()
        insert = slow.statements.journal_insert
        slow.write(insert, [("2024-05-01T12:00:00.000000Z", "audit_recorded", None, "{}")])
        slow._send()
        waiting = asyncio.ensure_future(asyncio.to_thread(write, quick, "B"))
        while not await reader.fetch(f"{ADVISORY} AND NOT l.granted", ()):
            assert not waiting.done()
        assert await reader.journal(0, 10) == []
        slow.commit()
        await waiting
        assert len(await reader.journal(0, 10)) == 2
    slow.close()
    quick.close()


async def test_a_cursor_sees_every_row_once_however_commits_race(site: PostgresSite) -> None:
    seen: list[int] = []
    done = asyncio.Event()

    async def follow(reader: Any) -> None:
        cursor = 0
        while True:
            ended = done.is_set()
            rows = await reader.journal(cursor, 50)
            seen.extend(row.seq for row in rows)
            cursor = seen[-1] if seen else 0
            if ended and not rows:
                return

    async with nodes(site) as stores:
        following = asyncio.ensure_future(follow(stores[1].reader))
        for n in range(20):
            await asyncio.gather(
                *(stores[m % 2].transact(note, f"{n}-{m}", lane=f"{m}") for m in range(20))
            )
        done.set()
        await following
        rows = [row.seq for row in await stores[0].reader.journal(0, 1_000)]
        assert seen == rows
        assert len(await journal_targets(stores[0])) == 400


async def test_numbers_of_several_processes_never_repeat(site: PostgresSite) -> None:
    def number(tx: Tx) -> int:
        return tx.next_number("transaction")

    async with nodes(site, 3) as stores:
        numbers = await asyncio.gather(
            *(stores[n % 3].transact(number, lane=str(n)) for n in range(900))
        )
    assert len(set(numbers)) == 900


def test_numbers_start_again_at_the_end(site: PostgresSite) -> None:
    database = site.database()
    assert database.take_numbers("n", 100) == 1
    database.fetch("UPDATE sequences SET next = $1 WHERE name = 'n' RETURNING 1", (2**31 - 50,))
    assert database.take_numbers("n", 100) == 1
    assert database.take_numbers("n", 100) == 101
    database.close()


def test_a_claim_is_kept_from_others_until_the_end(site: PostgresSite) -> None:
    one, other = PostgresDatabase(server_of(site.url)), site.database()
    assert list(one.claim({"s1", "s2"})) == []
    one.begin()
    # Nobody waits for it, and gets what else there is.
    assert list(other.claim({"s2", "s3"})) == ["s2"]
    other.rollback()
    one.rollback()
    assert list(other.claim({"s2", "s3"})) == []
    other.begin()
    other.commit()
    assert other.fetch(ADVISORY, ()) == []
    one.close()
    other.close()


# -- another process that does not end what it has begun -------------------------------------------


def shares_a_lane(count: int) -> list[str]:
    """Names whose functions have one queue, thread and connection of the three."""
    names = [f"s{n}" for n in range(10 * count)]
    return [name for name in names if hash(name) % 3 == hash(names[0]) % 3][:count]


async def test_what_another_process_works_on_holds_up_nothing_else(site: PostgresSite) -> None:
    ran: list[int] = []
    contended, *others = shares_a_lane(4)
    working = site.database()
    working.claim({contended})
    async with running(site, grace_s=30.0) as store:
        waiting = [store.transact(lambda tx, n=n: ran.append(n), lane=contended) for n in range(3)]
        async with asyncio.timeout(5):
            for n in range(30):
                await store.transact(note, f"{n}", lane=others[n % 3])
        waiting.append(store.transact(lambda tx: ran.append(3), lane=contended))
        assert store.trouble is None
        assert (ran, store.queued) == ([], 4)
        working.rollback()
        await asyncio.gather(*waiting)
        assert (ran, store.queued) == ([0, 1, 2, 3], 0)
    working.close()


async def test_what_another_process_works_on_for_too_long_fails_alone(site: PostgresSite) -> None:
    contended, other = shares_a_lane(2)
    working = site.database()
    working.claim({contended})
    async with running(site, grace_s=0.5) as store:
        began = time.monotonic()
        waiting = asyncio.gather(
            *(store.transact(note, "late", lane=contended) for _ in range(3)),
            return_exceptions=True,
        )
        while not waiting.done():
            await store.transact(note, "others", lane=other)
            assert store.trouble is None
        assert 0.5 <= time.monotonic() - began < 3
        for error in await waiting:
            assert isinstance(error, StoreUnavailable)
            assert error.detail == f"another process works on {contended} and does not end"
        working.rollback()
        await store.transact(note, "again", lane=contended)
        assert "late" not in await journal_targets(store)
    working.close()


async def test_a_store_is_stopped_when_what_was_put_off_is_done_or_has_failed(
    site: PostgresSite,
) -> None:
    working = site.database()
    working.claim({"s1"})
    async with running(site, grace_s=0.5) as store:
        waiting = store.transact(note, "A", lane="s1")
    with pytest.raises(StoreUnavailable):
        await waiting
    working.close()


async def test_order_is_kept_however_processes_take_turns(site: PostgresSite) -> None:
    ran: dict[tuple[int, str], list[int]] = {}

    def run(tx: Tx, node: int, lane: str, n: int) -> None:
        ran.setdefault((node, lane), []).append(n)
        note(tx, f"{node} {lane} {n}")

    async with nodes(site) as stores:
        calls = [
            stores[node].transact(run, node, f"s{n % 5}", n, lane=f"s{n % 5}")
            for n in range(500)
            for node in range(2)
        ]
        await asyncio.gather(*calls)
        targets = await journal_targets(stores[0])
    assert len(targets) == 1_000
    for node in range(2):
        for lane in range(5):
            assert ran[node, f"s{lane}"] == list(range(lane, 500, 5))
            mine = [int(t.split()[2]) for t in targets if t.startswith(f"{node} s{lane} ")]
            assert mine == list(range(lane, 500, 5))


async def test_nobody_waits_longer_than_the_grace_for_what_all_need(
    site: PostgresSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again within the grace, which begins with the first attempt."""
    monkeypatch.setitem(server._SESSION, "lock_timeout", "1200ms")
    working = site.database()
    working.begin()
    working.fetch(JOURNAL_LOCK, ())
    async with running(site, grace_s=2.0) as store:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.transact(note, "A", lane="s1")
        assert 2.0 <= time.monotonic() - began < 3.2
        assert "lock timeout" in store.trouble
        working.rollback()
    working.close()
