"""Rows that stay known from one batch to the next, on a database with one writer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.core.errors import AlreadyExists, StoreUnavailable
from csms.core.ports import Need, Tx
from csms.core.stations import Station, UnknownStation
from csms.storage.batch import Job, Runner
from csms.storage.kept import Kept
from csms.storage.open import in_memory
from tests.support.stores import FaultyDatabase, knocker, station


class Counting(FaultyDatabase):
    """A database in memory that counts its queries."""

    def __init__(self) -> None:
        super().__init__(in_memory())
        self.queries = 0

    def fetch(self, sql: str, parameters: Any) -> Any:
        self.queries += 1
        return super().fetch(sql, parameters)

    def stored(self) -> dict[str, Station]:
        said = self.statements.of[Station]
        found = [said.decode(row) for row in self.inner.fetch("SELECT * FROM stations", ())]
        return {row.id: row for row in found}


def job(fn: Any, *args: Any) -> Job:
    return Job(fn, args, (), lambda job: None)


def put(tx: Tx, row: Any) -> None:
    tx.save(row)


def read(tx: Tx, station_id: str) -> Station | None:
    return tx.get(Station, station_id)


def name(tx: Tx, station_id: str, vendor: str) -> None:
    row = tx.get(Station, station_id)
    tx.save(station(station_id) if row is None else row._replace(vendor=vendor))


def seek(tx: Tx, identity: str) -> list[str]:
    return [row.id for row in tx.find(Station, "identity", identity)]


def rename(tx: Tx, station_id: str, identity: str) -> None:
    row = tx.get(Station, station_id)
    if row is not None:
        tx.save(row._replace(identity=identity))


def drop(tx: Tx, station_id: str) -> None:
    tx.delete(Station, station_id)


def fail(tx: Tx, station_id: str) -> None:
    name(tx, station_id, "never")
    raise AlreadyExists("on purpose")


@pytest.fixture
def database() -> Counting:
    return Counting()


@pytest.fixture
def runner(database: Counting) -> Runner:
    made = Runner(database, lambda: 0.0, 1.0)
    made.run([job(put, station("s1"))])
    made.run([job(read, "s1")])
    database.queries = 0
    return made


def result(runner: Runner, *call: Any) -> Any:
    asked = job(*call)
    runner.run([asked])
    if asked.error is not None:
        raise asked.error
    return asked.result


def test_a_row_is_read_once(database: Counting, runner: Runner) -> None:
    assert all(result(runner, read, "s1") == station("s1") for _ in range(9))
    assert database.queries == 0


def test_what_changes_is_what_the_next_batch_sees(database: Counting, runner: Runner) -> None:
    result(runner, name, "s1", "V")
    assert result(runner, read, "s1").vendor == "V"
    assert database.stored()["s1"].vendor == "V"
    assert database.queries == 0


def test_a_row_is_known_by_the_unique_values_that_it_was_found_by(
    database: Counting, runner: Runner
) -> None:
    assert all(result(runner, seek, "CS-s1") == ["s1"] for _ in range(9))
    assert database.queries == 1
    assert result(runner, name, "s1", "V") is None
    assert result(runner, seek, "CS-s1") == ["s1"]
    assert database.queries == 1


def test_values_that_are_another_rows_by_now_find_that_row(
    database: Counting, runner: Runner
) -> None:
    assert result(runner, seek, "CS-s1") == ["s1"]
    result(runner, rename, "s1", "CS-s9")
    assert result(runner, seek, "CS-s1") == []
    result(runner, put, station("s2", "CS-s1"))
    assert result(runner, seek, "CS-s1") == ["s2"]
    assert result(runner, seek, "CS-s9") == ["s1"]


def test_a_row_that_an_earlier_function_renamed_is_not_found_by_its_old_values(
    database: Counting, runner: Runner
) -> None:
    assert result(runner, seek, "CS-s1") == ["s1"]
    calls = [job(rename, "s1", "CS-s9"), job(seek, "CS-s1"), job(seek, "CS-s9")]
    runner.run(calls)
    assert [call.result for call in calls] == [None, [], ["s1"]]


def test_a_row_that_is_gone_is_gone(database: Counting, runner: Runner) -> None:
    result(runner, drop, "s1")
    assert result(runner, read, "s1") is None
    result(runner, put, station("s1", vendor="again"))
    assert result(runner, read, "s1").vendor == "again"


def test_a_function_that_fails_leaves_what_was(database: Counting, runner: Runner) -> None:
    with pytest.raises(AlreadyExists):
        result(runner, fail, "s1")
    assert result(runner, read, "s1") == station("s1")


def test_a_commit_that_fails_leaves_nothing_known(database: Counting, runner: Runner) -> None:
    """It may be on the disk or not: only the database knows."""
    database.failing_commits = 1
    with pytest.raises(StoreUnavailable):
        runner.run([job(name, "s1", "V")])
    assert result(runner, read, "s1") == database.stored()["s1"]
    assert database.queries == 1


def test_a_value_that_is_refused_leaves_nothing_wrong(database: Counting, runner: Runner) -> None:
    refused = job(name, "s1", "\ud800")
    runner.run([job(name, "s1", "V"), refused])
    assert refused.error is not None
    assert result(runner, read, "s1") == database.stored()["s1"]
    assert database.stored()["s1"].vendor == "V"


def test_what_is_not_asked_for_often_is_read_again(database: Counting, runner: Runner) -> None:
    """It may be large: the device model of a station is."""
    runner.run([job(put, knocker("K"))])
    for _ in range(2):
        assert result(runner, lambda tx: tx.get(UnknownStation, "K")) == knocker("K")
    assert database.queries == 2


def test_those_not_used_for_the_longest_time_go_first() -> None:
    kept = Kept(most=2)
    rows = {(Station, (key,)): station(key) for key in "abc"}
    a, b, c = rows
    kept.committed({a: None, b: None}, [], rows)
    assert kept.get(a) == station("a")
    kept.committed({c: None}, [], rows)
    assert len(kept) == 2
    assert kept.get(b) is None
    assert kept.get(a) is not None
    way = Need(Station, "identity", ("CS-c",))
    kept.committed({c: way}, [], rows)
    assert kept.find(way) == c
    kept.committed({a: None, b: None}, [], rows)
    assert kept.find(way) is None


NAMES = st.sampled_from(["CS-s1", "CS-s2", "CS-s3"])
IDS = st.sampled_from(["s1", "s2", "s3"])
CALLS = st.one_of(
    st.tuples(st.just(read), IDS),
    st.tuples(st.just(name), IDS, st.sampled_from(["V", "W", "\ud800"])),
    st.tuples(st.just(drop), IDS),
    st.tuples(st.just(fail), IDS),
    st.tuples(st.just(seek), NAMES),
    st.tuples(st.just(rename), IDS, NAMES),
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.lists(CALLS, min_size=1, max_size=4)), max_size=8))
def test_what_is_kept_is_what_the_database_holds(
    batches: list[tuple[bool, list[tuple[Any, ...]]]],
) -> None:
    """Whatever is run, refused, or fails to commit."""
    database = Counting()
    runner = Runner(database, lambda: 0.0, 1.0)
    for fails, calls in batches:
        database.failing_commits = int(fails)
        try:
            runner.run([job(*call) for call in calls])
        except StoreUnavailable:
            assert fails
        database.failing_commits = 0
        stored = database.stored()
        assert runner._kept is not None
        for key in ("s1", "s2", "s3"):
            known = runner._kept.get((Station, (key,)))
            assert known is None or known == stored[key]
            assert result(runner, read, key) == stored.get(key)
        for identity in ("CS-s1", "CS-s2", "CS-s3"):
            has_it = [row.id for row in stored.values() if row.identity == identity]
            assert result(runner, seek, identity) == has_it
