"""What every store promises (`core.ports.Store`, DESIGN 2A and 4), whatever database is behind it:
results, order, limits, trouble, numbers, the journal, reads. (`test_store_batches`: neighbours.)

Nothing here may name a database: a new kind of store passes this folder unchanged.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from csms.core import events
from csms.core.errors import AlreadyExists, StoreOverloaded, StoreRefused, StoreUnavailable
from csms.core.ports import Need, Tx
from csms.core.stations import Station, UnknownStation
from csms.core.tokens import Token
from csms.storage.store import MAX_BATCH, QueuedStore
from tests.support.stores import (
    NOW,
    FaultyDatabase,
    Site,
    card,
    fail,
    held,
    journal_targets,
    knock_again,
    knocker,
    later,
    note,
    put,
    put_and_tell,
    running,
    station,
    together,
    until,
)

# -- one function --------------------------------------------------------------------------------


async def test_a_result_comes_back_and_the_row_can_be_read(store: QueuedStore) -> None:
    assert await store.transact(put, knocker("A")) == knocker("A")
    assert await store.reader.get(UnknownStation, "A") == knocker("A")


async def test_results_come_only_after_the_commit(site: Site, store: QueuedStore) -> None:
    """Rule 1: a second connection sees the data when the future completes."""
    async with site.reader() as other:
        for n in range(20):
            await store.transact(put_and_tell, knocker(f"A{n}"))
            assert await other.get(UnknownStation, f"A{n}") is not None
            assert await other.journal_end() == n + 1


async def test_every_kind_of_value_comes_back_as_it_was(store: QueuedStore) -> None:
    row = station("s1", violations={"a": 1, "ü": 2}, booted_at=later(0.000001))
    await store.transact(put, row)
    found = await store.transact(lambda tx: tx.get(Station, "s1"))
    assert found == row
    assert found.booted_at.utcoffset() is not None


async def test_a_function_that_raises_leaves_nothing(store: QueuedStore) -> None:
    with pytest.raises(AlreadyExists):
        await store.transact(fail, knocker("A"))
    assert await store.reader.get(UnknownStation, "A") is None
    assert await store.reader.journal_end() == 0


async def test_a_function_that_changes_nothing_writes_nothing(site: Site) -> None:
    database = FaultyDatabase(site.database())
    async with running(site, database) as store:
        await store.transact(put, knocker("A"))
        database.writes.clear()

        def save_the_same(tx: Tx) -> None:
            row = tx.get(UnknownStation, "A")
            assert row is not None
            tx.save(row._replace(attempts=row.attempts))

        await store.transact(save_the_same)
        await store.transact(lambda tx: tx.get(UnknownStation, "B"))
        await store.transact(lambda tx: tx.delete(UnknownStation, "B"))
        assert database.writes == []


async def test_needs_are_only_hints(store: QueuedStore) -> None:
    """A wrong or missing need costs a query, never an error."""
    await store.transact(put, card("ABC"))
    needs = [Need(Token, "uid", ("abc",)), Need(Station, None, ("nobody",))] * 2
    found = await store.transact(lambda tx: tx.find(Token, "uid", "abc"), needs=needs)
    assert found == [card("ABC")]


# -- order, limits ---------------------------------------------------------------------------------


async def test_functions_run_in_the_order_of_the_calls(store: QueuedStore) -> None:
    ran: list[int] = []
    futures = [store.transact(lambda tx, n=n: ran.append(n)) for n in range(3 * MAX_BATCH)]
    await asyncio.gather(*futures)
    assert ran == list(range(3 * MAX_BATCH))


async def test_a_full_queue_says_so_at_once(site: Site) -> None:
    async with running(site, max_queue=3) as store:
        async with held(store):
            waiting = [store.transact(knock_again, "A") for _ in range(3)]
            assert store.queued == 3
            with pytest.raises(StoreOverloaded):
                await store.transact(knock_again, "A")
        assert await asyncio.gather(*waiting) == [1, 2, 3]
        assert await store.transact(knock_again, "A") == 4


async def test_a_cancelled_caller_changes_nothing_for_the_others(store: QueuedStore) -> None:
    async with held(store):
        first = asyncio.ensure_future(store.transact(knock_again, "A"))
        second = store.transact(knock_again, "A")
        first.cancel()
    assert await second == 2


async def test_a_slow_function_holds_up_nobody_who_reads(store: QueuedStore) -> None:
    """However long a function takes, the event loop and the reads go on, and order is kept."""
    await store.transact(put, knocker("A"))
    async with held(store):
        began = time.monotonic()
        waiting = [store.transact(knock_again, "A") for _ in range(3)]
        assert await store.reader.get(UnknownStation, "A") == knocker("A")
        assert await store.reader.count(UnknownStation) == 1
        for _ in range(10):
            await asyncio.sleep(0)
        assert time.monotonic() - began < 1.0
        assert not any(future.done() for future in waiting)  # type: ignore[attr-defined]
    assert await asyncio.gather(*waiting) == [2, 3, 4]


async def test_a_function_that_takes_5_s_is_waited_for(store: QueuedStore) -> None:
    """Shorter than the grace of the store: nobody is told that it hangs, and reads do not wait."""

    def slow(tx: Tx) -> str:
        threading.Event().wait(5)
        tx.save(knocker("SLOW"))
        return "done"

    await store.transact(put, knocker("A"))
    waiting = asyncio.ensure_future(store.transact(slow))
    behind = asyncio.ensure_future(store.transact(knock_again, "A"))
    reads = 0
    while not waiting.done():
        assert await store.reader.get(UnknownStation, "A") == knocker("A")
        assert store.trouble is None
        reads += 1
        await asyncio.wait((waiting,), timeout=0.05)
    assert (await waiting, await behind) == ("done", 2)
    assert reads > 10
    assert await store.reader.get(UnknownStation, "SLOW") is not None


async def test_stop_runs_what_has_queued(site: Site) -> None:
    async with running(site) as store:
        async with held(store):
            waiting = [store.transact(knock_again, "A") for _ in range(5)]
        await store.stop()
        assert await asyncio.gather(*waiting) == [1, 2, 3, 4, 5]
        with pytest.raises(StoreUnavailable):
            await store.transact(knock_again, "A")


async def test_many_wake_ups_lose_nothing(store: QueuedStore) -> None:
    """The thread falls asleep between single calls; none of them may be overlooked."""
    async with asyncio.timeout(30):
        for n in range(300):
            assert await store.transact(knock_again, "A") == n + 1


# -- trouble -------------------------------------------------------------------------------------


async def test_a_commit_that_fails_once_is_run_again_and_stored_once(site: Site) -> None:
    database = FaultyDatabase(site.database())
    told: list[int] = []
    async with running(site, database, on_commit=told.append) as store:
        async with held(store):
            waiting = [store.transact(knock_again, "A") for _ in range(4)]
            waiting.append(store.transact(put_and_tell, knocker("B")))
            database.failing_commits = 2
        assert await asyncio.gather(*waiting) == [1, 2, 3, 4, None]
        assert await store.reader.get(UnknownStation, "A") == knocker("A", 4)
        assert await journal_targets(store) == ["B"]
        assert sum(told) == 1
        await until(lambda: store.trouble is None)


async def test_trouble_between_the_halves_of_a_refused_batch_does_nothing_twice(
    site: Site,
) -> None:
    """The first half is committed when the second meets trouble: only that one is run again."""
    database = FaultyDatabase(site.database())
    bad = knocker("bad", 2**64)
    async with running(site, database) as store:
        async with held(store):
            waiting = [
                store.transact(knock_again, "A"),
                store.transact(put_and_tell, knocker("B")),
                store.transact(put, bad),
                store.transact(knock_again, "A"),
            ]
            # From here: the held function, the first half, then the good one of the second.
            database.failing_at = {database.attempts + 3}
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert results[:2] == [1, None]
        assert isinstance(results[2], StoreRefused)
        assert results[3] == 2
        assert await store.reader.get(UnknownStation, "A") == knocker("A", 2)
        assert await journal_targets(store) == ["B"]


async def test_a_database_that_stays_away_fails_everybody_after_the_grace(site: Site) -> None:
    database = FaultyDatabase(site.database())
    marks: list[str] = []

    def with_mark(tx: Tx) -> int:
        tx.mark("told_only_when_stored")
        return knock_again(tx, "A")

    async with running(site, database, grace_s=0.05, on_mark=marks.append) as store:
        async with held(store):
            waiting = [store.transact(with_mark) for _ in range(3)]
            database.failing_commits = 10**9
        results = await asyncio.gather(*waiting[1:], return_exceptions=True)
        assert all(isinstance(result, StoreUnavailable) for result in results)
        assert store.trouble == "the commit failed"
        with pytest.raises(StoreUnavailable, match="the commit failed"):
            await store.transact(knock_again, "A")
        assert await store.reader.count(UnknownStation) == 0
        assert marks == []
        with pytest.raises(StoreUnavailable):
            await waiting[0]
        database.failing_commits = 0
        await until(lambda: store.trouble is None)
        assert await store.transact(knock_again, "A") == 1


async def test_what_waits_within_the_grace_is_done_when_the_database_returns(site: Site) -> None:
    database = FaultyDatabase(site.database())
    async with running(site, database, grace_s=30.0) as store:
        database.down = "no connection"
        waiting = [store.transact(knock_again, "A") for _ in range(3)]
        await until(lambda: store.trouble == "no connection")
        assert not any(future.done() for future in waiting)  # type: ignore[attr-defined]
        database.down = None
        assert await asyncio.gather(*waiting) == [1, 2, 3]
        await until(lambda: store.trouble is None)


async def test_stop_during_trouble_ends_and_fails_what_waits(site: Site) -> None:
    database = FaultyDatabase(site.database())
    async with asyncio.timeout(10):
        async with running(site, database, grace_s=3_600.0) as store:
            database.down = "no connection"
            waiting = store.transact(knock_again, "A")
            await until(lambda: store.trouble is not None)
        with pytest.raises(StoreUnavailable, match="no connection"):
            await waiting


async def test_a_fault_of_the_driver_during_trouble_does_not_end_the_store(site: Site) -> None:
    database = FaultyDatabase(site.database())
    async with running(site, database, grace_s=0.01) as store:
        database.down = "no connection"
        with pytest.raises(StoreUnavailable):
            await store.transact(knock_again, "A")
        working = database.probe
        failed = threading.Event()

        def probe() -> None:
            failed.set()
            raise RuntimeError("a fault of the driver")

        database.probe = probe  # type: ignore[method-assign]
        await until(failed.is_set)
        database.probe = working  # type: ignore[method-assign]
        database.down = None
        await until(lambda: store.trouble is None)
        assert await store.transact(knock_again, "A") == 1


async def test_a_listener_that_raises_keeps_no_result_back(site: Site) -> None:
    caught: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: caught.append(context))

    def broken(_: Any) -> None:
        raise ValueError("a broken listener")

    def marked(tx: Tx) -> int:
        tx.mark("something_rare")
        note(tx, "x")
        return knock_again(tx, "A")

    async with running(site, on_mark=broken, on_commit=broken) as store:
        assert await together(store, (marked,), (marked,), (knock_again, "A")) == [1, 2, 3]
        assert await store.transact(knock_again, "A") == 4
    assert len(caught) >= 3


# -- numbers, journal, marks ---------------------------------------------------------------------


def number(tx: Tx) -> int:
    return tx.next_number("transaction")


async def test_numbers_never_repeat(site: Site) -> None:
    """Over functions that raise, refused batches, failed commits, and restarts."""

    def lost(tx: Tx) -> None:
        tx.next_number("transaction")
        raise AlreadyExists("on purpose")

    def refused(tx: Tx) -> None:
        tx.next_number("transaction")
        tx.save(knocker("bad", 2**64))

    seen: list[int] = []
    for _ in range(3):
        database = FaultyDatabase(site.database())
        async with running(site, database) as store:
            for _ in range(3):
                results = await together(store, (number,), (lost,), (refused,), (number,))
                seen += [results[0], results[3]]
                database.failing_commits = 1
                seen.append(await store.transact(number))
            seen += await asyncio.gather(*(store.transact(number) for _ in range(250)))
    assert all(0 < n < 2**31 for n in seen)
    assert len(seen) == len(set(seen))


async def test_sequences_are_apart(store: QueuedStore) -> None:
    first = await store.transact(lambda tx: tx.next_number("a"))
    assert await store.transact(lambda tx: tx.next_number("b")) == 1
    assert await store.transact(lambda tx: tx.next_number("a")) == first + 1


async def test_the_journal_grows_in_commit_order_and_says_so(site: Site) -> None:
    told: list[int] = []
    async with running(site, on_commit=told.append) as store:
        await together(store, *[(note, f"a{n}") for n in range(5)])
        await together(store, (fail, knocker("x")), *[(note, f"b{n}") for n in range(5)])
        await store.transact(knock_again, "A")
        rows = await store.reader.journal(0, 100)
        assert await journal_targets(store) == [f"{x}{n}" for x in "ab" for n in range(5)]
        assert [row.seq for row in rows] == sorted({row.seq for row in rows})
        assert sum(told) == 10
        assert 0 not in told
        assert await store.reader.journal_end() == rows[-1].seq


async def test_marks_are_told_after_the_commit_only(site: Site) -> None:
    marks: list[str] = []

    def rare(tx: Tx) -> None:
        tx.mark("rare_branch")

    async with running(site, on_mark=marks.append) as store:
        results = await together(store, (rare,), (fail, knocker("A")), (rare,))
        assert isinstance(results[1], AlreadyExists)
    assert marks == ["rare_branch", "rare_branch"]


# -- reads for people ----------------------------------------------------------------------------


async def test_pages_follow_the_key_both_ways(store: QueuedStore) -> None:
    for uid in ("a", "b", "c"):
        for kind in ("app", "rfid"):
            await store.transact(put, card(uid, kind))
    keys = [(uid, kind) for uid in "abc" for kind in ("app", "rfid")]

    async def walk(newest_first: bool) -> list[tuple[str, str]]:
        seen: list[tuple[str, str]] = []
        after = None
        while True:
            page = await store.reader.page(Token, after=after, limit=4, newest_first=newest_first)
            seen += [(row.uid_key, row.kind) for row in page]
            if len(page) < 4:
                return seen
            last = page[-1]
            after = (last.party_id, last.uid_key, last.kind)

    assert await walk(False) == keys
    assert await walk(True) == keys[::-1]


async def test_pages_and_counts_by_fields(store: QueuedStore) -> None:
    await store.transact(put, station("s1", node="n1", protocol="1.6"))
    await store.transact(put, station("s2"))
    await store.transact(put, station("s3", node="n1"))
    reader = store.reader
    assert [row.id for row in await reader.page(Station, {"node": "n1"})] == ["s1", "s3"]
    assert [row.id for row in await reader.page(Station, {"node": "n1", "protocol": None})] == [
        "s3"
    ]
    assert [row.id for row in await reader.page(Station, {"node": None})] == ["s2"]
    assert await reader.count(Station) == 3
    assert await reader.count(Station, {"node": "n1"}) == 2
    assert await reader.count(Station, {"node": None, "protocol": None}) == 1
    page = await reader.page(Station, {"node": "n1"}, after=("s1",))
    assert [row.id for row in page] == ["s3"]


async def test_some_fields_of_a_page_are_what_the_entities_have(store: QueuedStore) -> None:
    for n in range(5):
        await store.transact(put, station(f"s{n}", node="n1" if n % 2 else None))
    reader, names = store.reader, ("created_at", "node", "id")
    assert await reader.fields(Station, names) == [
        (NOW, "n1" if n % 2 else None, f"s{n}") for n in range(5)
    ]
    first = await reader.fields(Station, ("id",), {"node": None}, limit=2)
    assert first == [("s0",), ("s2",)]
    assert await reader.fields(Station, ("id",), {"node": None}, after=first[-1]) == [("s4",)]


async def test_one_of_several_values_has_to_fit(store: QueuedStore) -> None:
    for n, party in enumerate(("A", "B", "A", "C", "B")):
        await store.transact(put, station(f"s{n}", party_id=party, generation=int(n == 2)))
    reader = store.reader

    async def ids(**where: Any) -> list[str]:
        return [row.id for row in await reader.page(Station, where, limit=10)]

    assert await ids(party_id=("A", "B")) == ["s0", "s1", "s2", "s4"]
    assert await ids(party_id=("C",)) == ["s3"]
    assert await ids(party_id=("A", "B"), generation=0) == ["s0", "s1", "s4"]
    assert await ids(generation=(0, 1), party_id="B") == ["s1", "s4"]
    assert await ids(party_id=()) == []
    assert await reader.count(Station, {"party_id": ("A", "C", "D")}) == 3
    first = await reader.page(Station, {"party_id": ("A", "B")}, limit=2)
    assert [row.id for row in first] == ["s0", "s1"]
    rest = await reader.page(Station, {"party_id": ("A", "B")}, after=("s1",))
    assert [row.id for row in rest] == ["s2", "s4"]


async def test_a_page_has_a_limit_whatever_is_asked(store: QueuedStore) -> None:
    for n in range(3):
        await store.transact(put_and_tell, knocker(f"A{n}"))
    for limit, length in ((-1, 0), (0, 0), (2, 2), (10**9, 3)):
        assert len(await store.reader.page(UnknownStation, limit=limit)) == length
        assert len(await store.reader.journal(0, limit)) == length


async def test_the_journal_is_read_from_a_cursor(store: QueuedStore) -> None:
    def tell(tx: Tx, station_id: str) -> None:
        tx.record(events.StationChanged(at=NOW, station_id=station_id, fields=("registration",)))

    for n in range(6):
        await store.transact(tell, f"s{n % 2}")
    rows = await store.reader.journal(0, 4)
    assert [row.station_id for row in rows] == ["s0", "s1", "s0", "s1"]
    assert rows[0].kind == "station_changed"
    assert rows[0].at == NOW
    rest = await store.reader.journal(rows[-1].seq, 100)
    assert len(rest) == 2
    assert await store.reader.journal(await store.reader.journal_end(), 10) == []


async def test_who_asks_for_some_kinds_gets_these_and_the_newest_row(store: QueuedStore) -> None:
    def happens(tx: Tx, kinds: str) -> None:
        for kind in kinds:
            if kind == "c":
                tx.record(events.StationChanged(at=NOW, station_id="s1", fields=("registration",)))
            else:
                tx.record(
                    events.StationDisconnected(at=NOW, station_id="s1", generation=1, reason="x")
                )

    await store.transact(happens, "cddcd")
    found = await store.reader.journal(0, 100, ("station_changed",))
    assert [(row.seq, row.kind) for row in found] == [
        (1, "station_changed"),
        (4, "station_changed"),
        (5, "station_disconnected"),
    ]
    # A page that is full says nothing of what comes behind it.
    assert [r.seq for r in await store.reader.journal(0, 2, ("station_changed",))] == [1, 4]
    assert await store.reader.journal(5, 100, ("station_changed",)) == []
    both = ("station_changed", "station_disconnected")
    assert [r.seq for r in await store.reader.journal(0, 100, both)] == [1, 2, 3, 4, 5]


async def test_the_journal_is_trimmed_and_its_numbers_go_on(store: QueuedStore) -> None:
    for n in range(6):
        await store.transact(note, f"a{n}")
    first, end = await store.reader.journal_start(), await store.reader.journal_end()
    await store.transact(lambda tx: tx.trim_journal(end, 4))
    assert await store.reader.journal_start() > first
    assert await journal_targets(store) == ["a4", "a5"]
    await store.transact(lambda tx: tx.trim_journal(end, 100))
    assert await journal_targets(store) == ["a5"]
    await store.transact(note, "b")
    assert await journal_targets(store) == ["a5", "b"]
    assert await store.reader.journal_end() > end


async def test_a_journal_row_gets_other_data_in_its_place(store: QueuedStore) -> None:
    """Its number, time and kind stay, and so do the rows around it."""
    for n in range(3):
        await store.transact(note, f"a{n}")
    before = await store.reader.journal(0, 10)
    row = before[1]
    other = row.data.replace("a1", "x")
    await store.transact(lambda tx: tx.rewrite_journal(row.seq, row.data, other))
    assert await store.reader.journal(0, 10) == [
        before[0],
        row._replace(data=other),
        before[2],
    ]


async def test_a_journal_row_that_says_something_else_or_is_gone_stays(store: QueuedStore) -> None:
    await store.transact(note, "a")
    (row,) = await store.reader.journal(0, 10)
    for seq, said in ((row.seq, "{}"), (row.seq + 1, row.data)):
        await store.transact(lambda tx, seq=seq, said=said: tx.rewrite_journal(seq, said, "[]"))
    assert await store.reader.journal(0, 10) == [row]


async def test_a_function_that_raises_rewrites_nothing(store: QueuedStore) -> None:
    await store.transact(note, "a")
    (row,) = await store.reader.journal(0, 10)

    def rewrite(tx: Tx) -> None:
        tx.rewrite_journal(row.seq, row.data, "{}")
        raise AlreadyExists("on purpose")

    with pytest.raises(AlreadyExists):
        await store.transact(rewrite)
    assert await store.reader.journal(0, 10) == [row]
