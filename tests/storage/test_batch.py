"""The working set: identity map, overlays, what leaves as which statement, halving.

`test_store.py` of the contract says what callers may rely on; here is how one batch gets there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.core import events
from csms.core.availability import Connector
from csms.core.commands import Command
from csms.core.errors import NotFound, StoreRefused, StoreUnavailable
from csms.core.ports import Need, Tx
from csms.core.stations import Station, UnknownStation
from csms.core.tokens import Token
from csms.storage.batch import Job, Overlay, Runner, Sequences, WorkingSet
from csms.storage.open import in_memory
from tests.support.stores import NOW, FaultyDatabase, card, knocker, station


class Watched(FaultyDatabase):
    """A database in memory that notes its queries and writes."""

    def __init__(self) -> None:
        super().__init__(in_memory())
        self.queries: list[str] = []

    def fetch(self, sql: str, parameters: Any) -> Any:
        self.queries.append(sql)
        return super().fetch(sql, parameters)


@pytest.fixture
def database() -> Watched:
    return Watched()


def runner(database: Watched, clock: Callable[[], float] = lambda: 0.0) -> Runner:
    return Runner(database, clock, 1.0)


def job(fn: Callable[..., Any], *args: Any, needs: Any = ()) -> Job:
    return Job(fn, args, needs, lambda job: None)


def run(database: Watched, *jobs: Job) -> list[Any]:
    """Run as one batch; results or errors."""
    assert runner(database).run(jobs)[0] == len(jobs)
    return [j.error or j.result for j in jobs]


def put(tx: Tx, *entities: Any) -> None:
    for entity in entities:
        tx.save(entity)


def rows(database: Watched, kind: type[Any]) -> list[Any]:
    said = database.statements.of[kind]
    columns = ", ".join(said.shape.key)
    sql = f"SELECT * FROM {said.shape.table} ORDER BY {columns}"
    return [said.decode(row) for row in database.inner.fetch(sql, ())]


# -- reading ---------------------------------------------------------------------------------------


def test_needs_of_a_batch_are_one_query_per_table(database: Watched) -> None:
    def look(tx: Tx, n: int) -> None:
        assert tx.get(Station, f"s{n}") is None
        assert tx.find(Token, "uid", f"u{n}") == []

    run(
        database,
        *[
            job(
                look,
                n,
                needs=(Need(Station, None, (f"s{n}",)), Need(Token, "uid", (f"u{n}",))),
            )
            for n in range(200)
        ],
    )
    assert len(database.queries) == 2


def test_more_keys_than_one_statement_takes(database: Watched) -> None:
    run(database, *[job(put, knocker(f"A{n:03}")) for n in range(300)])
    needs = tuple(Need(UnknownStation, None, (f"A{n:03}",)) for n in range(300))
    database.queries.clear()
    (found,) = run(
        database,
        job(lambda tx: [tx.get(UnknownStation, f"A{n:03}") for n in range(300)], needs=needs),
    )
    assert None not in found
    assert len(database.queries) == 2


def test_a_row_is_read_once_per_batch(database: Watched) -> None:
    run(database, job(put, station("s1")))
    database.queries.clear()
    run(database, *[job(lambda tx: tx.get(Station, "s1")) for _ in range(9)])
    assert len(database.queries) == 1


def test_nothing_is_kept_from_one_batch_to_the_next(database: Watched) -> None:
    """Where there are other writers, one of them may have changed the row; `test_kept` says what is
    kept where there are none."""
    database.only_writer = False
    one = runner(database)
    one.run([job(put, station("s1")), job(lambda tx: tx.get(Station, "s1"))])
    one.run([job(lambda tx: tx.get(Station, "s1"))])
    other = job(lambda tx: tx.save(tx.get(Station, "s1")._replace(vendor="V")))
    runner(database).run([other])
    again = job(lambda tx: tx.get(Station, "s1").vendor)
    one.run([again])
    assert again.result == "V"


def test_rows_found_are_rows_got(database: Watched) -> None:
    run(database, job(put, card("X")))
    database.queries.clear()

    def look(tx: Tx) -> bool:
        (found,) = tx.find(Token, "uid", "x")
        return tx.get(Token, "CA*NTH", "x", "rfid") is found

    assert run(database, job(look)) == [True]
    assert len(database.queries) == 1


def test_a_boolean_and_a_number_are_the_same_key(database: Watched) -> None:
    """1 == True in Python and in the database: one look-up, one answer."""
    row = Command("c1", 1, "s1", "reset", {}, "queued", NOW, "me", awaiting=True)
    run(database, job(put, row))

    def look(tx: Tx) -> list[int]:
        return [len(tx.find(Command, "awaiting", "s1", yes)) for yes in (True, 1, False, 0)]

    assert run(database, job(look)) == [[1, 1, 0, 0]]


def test_a_number_and_its_text_are_not_the_same_key(database: Watched) -> None:
    """SQL would convert one to the other; the batch does not, loaded or not."""
    run(database, job(put, station("s1", "5")))

    def look(tx: Tx) -> list[int]:
        return [len(tx.find(Station, "identity", value)) for value in (5, "5", 5, 5.0)]

    assert run(database, job(look)) == [[0, 1, 0, 0]]
    assert run(database, job(lambda tx: tx.find(Station, "identity", "5")[0].id)) == ["s1"]


def test_finds_are_in_key_order_with_own_changes_among_them(database: Watched) -> None:
    run(database, job(put, Connector("s1", 2, 1, "unknown", NOW, NOW)))

    def look(tx: Tx) -> list[int]:
        put(tx, *[Connector("s1", n, 1, "unknown", NOW, NOW) for n in (3, 1)])
        put(tx, Connector("s2", 1, 1, "unknown", NOW, NOW))
        return [row.evse for row in tx.find(Connector, "station", "s1")]

    assert run(database, job(look)) == [[1, 2, 3]]


# -- writing ---------------------------------------------------------------------------------------


def test_a_batch_leaves_as_one_statement_per_table_and_change(database: Watched) -> None:
    run(database, job(put, *[station(f"s{n}") for n in range(6)], knocker("old")))
    database.writes.clear()

    def work(tx: Tx, n: int) -> None:
        row = tx.get(Station, f"s{n}")
        assert row is not None
        tx.save(row._replace(vendor=f"V{n}") if n % 2 else row._replace(model=f"M{n}"))
        tx.save(knocker(f"A{n}"))
        tx.delete(UnknownStation, "old")
        tx.record(events.AuditRecorded(at=NOW, actor="t", action="a", target=str(n)))

    run(database, *[job(work, n) for n in range(6)])
    verbs = [(sql.split()[0], count) for sql, count in database.writes]
    assert sorted(verbs) == [
        ("DELETE", 1),
        ("INSERT", 6),
        ("INSERT", 6),
        ("UPDATE", 3),
        ("UPDATE", 3),
    ]
    assert "journal" in database.writes[-1][0]


def test_only_changed_columns_are_written(database: Watched) -> None:
    run(database, job(put, station("s1")))
    database.writes.clear()
    run(database, job(lambda tx: tx.save(tx.get(Station, "s1")._replace(vendor="V"))))
    ((sql, _),) = database.writes
    assert sql.startswith("UPDATE stations SET vendor=? WHERE")


def test_a_change_taken_back_is_no_change(database: Watched) -> None:
    run(database, job(put, station("s1")))
    database.writes.clear()
    run(
        database,
        job(lambda tx: tx.save(tx.get(Station, "s1")._replace(vendor="V"))),
        job(lambda tx: tx.save(tx.get(Station, "s1")._replace(vendor=None))),
        job(lambda tx: tx.delete(Station, "s1")),
        job(put, station("s1")),
    )
    assert database.writes == []


def test_work_says_whether_it_wrote(database: Watched) -> None:
    database.begin()
    work = WorkingSet(database)
    assert work.write() is False
    overlay = Overlay(work, Sequences())
    overlay.save(knocker("A"))
    work.merge(overlay)
    assert work.write() is True
    database.rollback()


# -- a model of the whole --------------------------------------------------------------------------

KEYS = st.sampled_from("abc")
STEPS = st.tuples(
    st.sampled_from(["save", "seen", "delete", "find", "get", "raise"]),
    KEYS,
    st.sampled_from("xy"),
)


@given(st.lists(st.lists(st.lists(STEPS, max_size=4), max_size=4), max_size=3))
@settings(max_examples=120, deadline=None)
def test_a_batch_does_what_its_functions_one_by_one_would(
    batches: list[list[list[tuple[str, str, str]]]],
) -> None:
    """Against a dictionary: whatever the batch holds and loads, each function sees and leaves what
    it would if it ran alone."""

    def find(model: dict[str, str], identity: str) -> list[str]:
        return sorted(key for key, value in model.items() if value == identity)

    def expected(model: dict[str, str], steps: list[tuple[str, str, str]]) -> Any:
        mine, seen, out = dict(model), set(), []
        for what, key, value in steps:
            if what == "save":
                if key in mine and key not in seen:
                    return "refused"
                mine[key] = value
                seen.add(key)
            elif what == "seen":
                mine[key] = value
                seen.add(key)
            elif what == "delete":
                mine.pop(key, None)
                seen.add(key)
            elif what == "get":
                out.append(mine.get(key))
                seen.add(key)
            elif what == "find":
                out.append(find(mine, value))
                seen |= set(find(mine, value))
            else:
                return "raised"
        model.clear()
        model.update(mine)
        return out

    def act(tx: Tx, steps: list[tuple[str, str, str]]) -> list[Any]:
        out: list[Any] = []
        for what, key, value in steps:
            # One row per key: the uid is its value, so the finder follows it.
            row = Station(key, f"{key}{value}", value, "new", NOW)
            if what == "save":
                tx.save(row)
            elif what == "seen":
                tx.get(Station, key)
                tx.save(row)
            elif what == "delete":
                tx.delete(Station, key)
            elif what == "get":
                got = tx.get(Station, key)
                out.append(None if got is None else got.party_id)
            elif what == "find":
                found = [r for k in "abc" for r in tx.find(Station, "identity", f"{k}{value}")]
                out.append(sorted(r.id for r in found))
            else:
                raise NotFound("on purpose")
        return out

    database = Watched()
    model: dict[str, str] = {}
    for batch in batches:
        jobs = [job(act, steps) for steps in batch]
        if jobs:
            run(database, *jobs)
        for steps, done in zip(batch, jobs, strict=True):
            wanted = expected(model, steps)
            if wanted == "refused":
                # The database refuses at the end, so a fault of the function itself comes first.
                assert isinstance(done.error, StoreRefused | NotFound)
            elif wanted == "raised":
                assert isinstance(done.error, NotFound)
            else:
                assert done.error is None
                assert done.result == wanted
        assert {row.id: row.party_id for row in rows(database, Station)} == model


# -- running ---------------------------------------------------------------------------------------


def ticking(step: float) -> Callable[[], float]:
    """A clock that moves by `step` each time somebody looks."""

    def ticks() -> Iterator[float]:
        now = 0.0
        while True:
            yield now
            now += step

    return ticks().__next__


def test_what_does_not_fit_the_time_is_left_for_the_next_batch(database: Watched) -> None:
    ran: list[int] = []
    jobs = [job(lambda tx, n=n: ran.append(n)) for n in range(9)]
    done, _ = runner(database, ticking(0.4)).run(jobs)
    assert 0 < done < 9
    assert ran == list(range(done))


def test_one_function_is_done_however_long_it_takes(database: Watched) -> None:
    done, _ = runner(database, ticking(100.0)).run([job(put, knocker("A"))] * 3)
    assert done == 1
    assert rows(database, UnknownStation) == [knocker("A")]


@pytest.mark.parametrize("culprit", range(7))
def test_a_refused_batch_is_halved_until_the_culprit_stands_alone(
    database: Watched, culprit: int
) -> None:
    jobs = [job(put, knocker(f"A{n}", 2**64 if n == culprit else 1)) for n in range(7)]
    results = run(database, *jobs)
    assert isinstance(results[culprit], StoreRefused)
    assert [r for n, r in enumerate(results) if n != culprit] == [None] * 6
    assert len(rows(database, UnknownStation)) == 6


def test_every_culprit_stands_alone(database: Watched) -> None:
    results = run(database, *[job(put, knocker(f"A{n}", 2**64)) for n in range(5)])
    assert all(isinstance(result, StoreRefused) for result in results)
    assert rows(database, UnknownStation) == []


def test_trouble_leaves_nothing_done(database: Watched) -> None:
    database.failing_commits = 1
    one = runner(database)
    jobs = [job(put, knocker("A"))]
    with pytest.raises(StoreUnavailable):
        one.run(jobs)
    assert rows(database, UnknownStation) == []
    assert one.run(jobs) == (1, 0)
    assert rows(database, UnknownStation) == [knocker("A")]


def test_trouble_in_the_second_half_leaves_the_first_done(database: Watched) -> None:
    """What is committed is reported done, or it would be run a second time."""
    jobs = [job(put, knocker(f"A{n}", 2**64 if n == 3 else 1)) for n in range(4)]
    one = runner(database)
    database.failing_at = {2}
    assert one.run(jobs) == (2, 0)
    assert [j.error for j in jobs[:2]] == [None, None]
    assert [row.identity for row in rows(database, UnknownStation)] == ["A0", "A1"]
    assert one.run(jobs[2:]) == (2, 0)
    assert isinstance(jobs[3].error, StoreRefused)
    assert len(rows(database, UnknownStation)) == 3


def test_a_fault_of_a_codec_is_the_functions_alone(database: Watched) -> None:
    bad = knocker("bad")._replace(first_seen_at=5)  # type: ignore[arg-type]
    results = run(database, job(put, knocker("A")), job(put, bad), job(put, knocker("B")))
    assert isinstance(results[1], StoreRefused)
    assert len(rows(database, UnknownStation)) == 2


def test_what_no_table_holds_fails_alone(database: Watched) -> None:
    results = run(database, job(put, knocker("A")), job(lambda tx: tx.get(int, 1)))
    assert results[0] is None
    assert isinstance(results[1], Exception)
    assert rows(database, UnknownStation) == [knocker("A")]


def test_number_blocks_of_a_rolled_back_batch_are_forgotten(database: Watched) -> None:
    """The database forgot them too, so another process may be given the same."""
    one, other = runner(database), runner(database)
    taken = job(lambda tx: tx.next_number("n"))
    database.failing_commits = 1
    with pytest.raises(StoreUnavailable):
        one.run([taken])
    elsewhere = job(lambda tx: tx.next_number("n"))
    other.run([elsewhere])
    one.run([taken])
    assert taken.result != elsewhere.result


def test_numbers_go_on_over_blocks_and_start_again_at_the_end(database: Watched) -> None:
    one = runner(database)
    numbers = job(lambda tx: [tx.next_number("n") for _ in range(250)])
    one.run([numbers])
    assert numbers.result == list(range(1, 251))
    database.inner.begin()
    database.inner.write("UPDATE sequences SET next = ?", [(2**31 - 50,)])
    database.inner.commit()
    high = job(lambda tx: [tx.next_number("n") for _ in range(100)])
    runner(database).run([high])
    assert all(0 < n < 2**31 for n in high.result)


# -- claims that others have -----------------------------------------------------------------------


class Claimed(Watched):
    """`theirs`: one set for each time that something is claimed: what others have then."""

    def __init__(self, *theirs: set[str]) -> None:
        super().__init__()
        self.theirs = list(theirs)
        self.asked: list[set[str]] = []

    def claim(self, keys: Any) -> list[str]:
        self.asked.append(set(keys))
        return sorted(self.theirs.pop(0).intersection(keys)) if self.theirs else []


def about(lane: str, fn: Callable[..., Any], *args: Any) -> Job:
    return Job(fn, args, (), lambda job: None, lane=lane)


def test_what_others_have_claimed_is_put_off_and_its_neighbours_commit() -> None:
    database = Claimed({"s1"})
    jobs = [about(lane, put, knocker(f"{lane} {n}")) for n, lane in enumerate(("s1", "s2", "s1"))]
    assert runner(database).run(jobs) == (3, 0)
    assert [job.put_off for job in jobs] == [True, False, True]
    assert [row.identity for row in rows(database, UnknownStation)] == ["s2 1"]
    assert runner(database).run([jobs[0], jobs[2]]) == (2, 0)
    assert [job.put_off for job in jobs] == [False, False, False]
    assert len(rows(database, UnknownStation)) == 3


def test_a_batch_of_which_nothing_can_run_costs_no_transaction() -> None:
    database = Claimed({"s1"})
    assert runner(database).run([about("s1", put, knocker("A"))]) == (1, 0)
    assert (database.attempts, database.queries) == (0, [])


def test_what_is_put_off_is_not_overtaken_when_a_batch_is_run_in_halves() -> None:
    """Their claim has become free between the halves."""
    database = Claimed(set(), {"s1"})
    first, last = (about("s1", put, knocker(f"A{n}")) for n in range(2))
    refused = about("s3", put, knocker("C", 2**64))
    jobs = [first, about("s2", put, knocker("B")), refused, last]
    assert runner(database).run(jobs) == (4, 0)
    assert database.asked[:2] == [{"s1", "s2", "s3"}, {"s1", "s2"}]
    assert all("s1" not in asked for asked in database.asked[2:])
    assert [job.put_off for job in jobs] == [True, False, False, True]
    assert isinstance(refused.error, StoreRefused)
    assert [row.identity for row in rows(database, UnknownStation)] == ["B"]
