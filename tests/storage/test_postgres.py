"""The PostgreSQL driver: clear about whose fault an error is, and back by itself when it was cut
off. (Several writers: `test_writers`.)"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from csms.core.errors import StoreUnavailable
from csms.core.quarantine import Quarantined
from csms.core.stations import UnknownStation
from csms.storage import postgres as driver
from csms.storage.batch import Conflict, Job, RefusedByDatabase, Runner
from csms.storage.postgres import STATEMENTS, PostgresDatabase
from tests.support.postgres import end_sessions
from tests.support.stores import (
    PostgresSite,
    journal_targets,
    kept,
    knock_again,
    knocker,
    note,
    postgres_site,
    put,
    running,
    until,
)

pytestmark = pytest.mark.postgres

SAID = STATEMENTS.of[UnknownStation]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PostgresSite]:
    with postgres_site(tmp_path) as made:
        yield made


@pytest.fixture
def database(site: PostgresSite) -> Iterator[PostgresDatabase]:
    made = site.database()
    yield made
    made.close()


# -- whose fault -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        ["a\0b", "2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z", 1, "x"],
        ["\ud800", "2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z", 1, "x"],
        ["a", "2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z", 2**63, "x"],
        ["a", "2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z", 2**64, "x"],
        ["a", "2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z", 1.5, "x"],
        ["a", "2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z", True, "x"],
        ["a", "soon", "2024-05-01T12:00:00Z", 1, "x"],
        ["a", "2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z", 1, None],
        ["a", "2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z", 1, object()],
    ],
    ids=["nul", "surrogate", "63 bits", "64 bits", "float", "bool", "no time", "null", "object"],
)
def test_faults_of_a_value_are_refusals(database: PostgresDatabase, row: list[Any]) -> None:
    database.begin()
    database.write(SAID.insert, [SAID.encode_row(knocker("good")), row])
    with pytest.raises(RefusedByDatabase):
        database.commit()
    database.rollback()
    assert database.fetch("SELECT * FROM unknown_stations", ()) == []


def test_a_key_longer_than_an_index_takes_is_a_refusal(database: PostgresDatabase) -> None:
    name = "".join(random.Random(1).choices("abcdefghijklmnop", k=9_000))
    database.begin()
    database.write(SAID.insert, [SAID.encode_row(knocker(name))])
    with pytest.raises(RefusedByDatabase, match="index"):
        database.commit()
    database.rollback()


def test_a_taken_key_is_a_conflict_that_says_which(database: PostgresDatabase) -> None:
    database.begin()
    database.write(SAID.insert, [SAID.encode_row(knocker("A"))] * 2)
    with pytest.raises(Conflict) as raised:
        database.commit()
    assert raised.value.taken is not None
    assert "(identity)=(A)" in raised.value.taken
    database.rollback()


def test_trouble_of_the_database_is_no_refusal(database: PostgresDatabase) -> None:
    with pytest.raises(StoreUnavailable, match="no_such_table"):
        database.fetch("SELECT * FROM no_such_table", ())
    assert database.fetch("SELECT 1", ()) == [(1,)]


async def test_what_a_station_really_sent_comes_back_as_it_was(site: PostgresSite) -> None:
    """`json`, not `jsonb`: a NUL in a text, order, numbers as they were written."""
    payload = {"b": "\0", "a": 1.0, "n": 1e22, "big": 2**63, "ü": [True, None, 0.1]}
    async with running(site) as store:
        await store.transact(put, kept("q", payload=payload))
        for row in (
            await store.reader.get(Quarantined, "q"),
            await store.transact(lambda tx: tx.get(Quarantined, "q")),
        ):
            assert row.payload == payload
            assert list(row.payload) == list(payload)
            assert isinstance(row.payload["a"], float)


# -- cut off -----------------------------------------------------------------------------------


async def test_what_waits_when_sessions_are_ended_is_done_once(site: PostgresSite) -> None:
    async with running(site) as store:
        for n in range(5):
            await store.transact(knock_again, "A")
            await asyncio.to_thread(end_sessions, site.url)
            assert await store.transact(knock_again, "A") == 2 * n + 2
            assert (await store.reader.get(UnknownStation, "A")).attempts == 2 * n + 2
        await until(lambda: store.trouble is None)


async def test_sessions_that_end_under_load_lose_and_double_nothing(site: PostgresSite) -> None:
    site.lanes = 3
    done = 0

    async def write(store: Any, lane: str) -> None:
        nonlocal done
        for n in range(40):
            await store.transact(note, f"{lane}-{n}", lane=lane)
            done += 1

    async with running(site) as store, asyncio.TaskGroup() as tasks:
        for n in range(10):
            tasks.create_task(write(store, f"s{n}"))
        for part in range(1, 5):
            await until(lambda part=part: done > part * 70, 60)
            await asyncio.to_thread(end_sessions, site.url)
    async with running(site) as store:
        targets = await journal_targets(store)
    assert len(targets) == len(set(targets)) == 400


def test_a_commit_whose_answer_was_lost_is_looked_up(
    site: PostgresSite, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has committed and the connection is gone: nothing is done twice."""
    job = Job(knock_again, ("A",), (), lambda job: None)
    runner = Runner(database, time.monotonic, 1.0)
    connection = database.connect()
    execute = connection.execute

    def lost(sql: Any, *args: Any, **more: Any) -> Any:
        found = execute(sql, *args, **more)
        if sql == "COMMIT":
            raise psycopg.OperationalError("the connection is lost")
        return found

    monkeypatch.setattr(connection, "execute", lost)
    runner.run([job])
    assert job.result == 1
    assert database.connect() is not connection
    assert database.fetch("SELECT attempts FROM unknown_stations", ()) == [(1,)]


def test_a_commit_that_never_came_to_be_is_trouble(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(knock_again, ("A",), (), lambda job: None)
    runner = Runner(database, time.monotonic, 1.0)
    connection = database.connect()
    execute = connection.execute

    def lost(sql: Any, *args: Any, **more: Any) -> Any:
        if sql == "COMMIT":
            connection.pgconn.finish()
            raise psycopg.OperationalError("the connection is lost")
        return execute(sql, *args, **more)

    monkeypatch.setattr(connection, "execute", lost)
    with pytest.raises(StoreUnavailable, match="is lost"):
        runner.run([job])
    runner.run([job])
    assert job.result == 1
    assert database.fetch("SELECT attempts FROM unknown_stations", ()) == [(1,)]


def test_the_rest_of_a_batch_never_runs_on_another_connection(database: PostgresDatabase) -> None:
    """It would be no transaction there."""
    insert = [SAID.encode_row(knocker("A"))]
    for lost in (lambda: database.connect().close(), database._drop):
        for go_on in (database.commit, lambda: database.fetch("SELECT 1", ())):
            database.begin()
            lost()
            database.write(SAID.insert, insert)
            with pytest.raises(StoreUnavailable, match="lost"):
                go_on()
            database.rollback()
            assert database.fetch("SELECT * FROM unknown_stations", ()) == []


def test_a_server_that_never_answers_is_given_up(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "ANSWER_WITHIN_S", 0.3)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        database.fetch("SELECT pg_sleep(30)", ())
    assert time.monotonic() - began < 5
    assert database.fetch("SELECT 1", ()) == [(1,)]


def test_a_lock_that_is_kept_too_long_is_trouble(
    site: PostgresSite, database: PostgresDatabase
) -> None:
    other = site.database()
    other.begin()
    other.fetch(driver.JOURNAL_LOCK, ())
    database.fetch("SELECT set_config('lock_timeout', '200ms', false)", ())
    job = Job(note, ("A",), (), lambda job: None)
    runner = Runner(database, time.monotonic, 1.0)
    with pytest.raises(StoreUnavailable, match="lock timeout"):
        runner.run([job])
    other.rollback()
    runner.run([job])
    assert job.error is None
    other.close()


def test_claims_that_were_lost_with_their_connection_are_none(database: PostgresDatabase) -> None:
    assert list(database.claim({"s1"})) == []
    database.connect().close()
    with pytest.raises(StoreUnavailable, match="lost"):
        database.begin()


def test_threads_of_a_store_do_not_share_a_connection(site: PostgresSite) -> None:
    """Each lane has its own; a rolled back batch gives its claims back."""
    database = site.database()
    database.claim({"s1"})
    database.begin()
    database.rollback()
    other, got = site.database(), threading.Event()
    other.claim({"s1"})
    other.begin()
    got.set()
    other.rollback()
    assert got.is_set()
    database.close()
    other.close()
