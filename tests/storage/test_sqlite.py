"""The SQLite driver: durable, and clear about whose fault an error is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from csms.core.errors import StoreUnavailable
from csms.storage.batch import RefusedByDatabase
from csms.storage.schema import engine_for, upgrade
from csms.storage.sqlite import SqliteDatabase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    upgrade(engine_for(tmp_path / "store.db"))
    return tmp_path / "store.db"


INSERT = "INSERT INTO sequences (name, next) VALUES (?, ?)"


def test_a_commit_that_returned_is_on_the_disk(path: Path) -> None:
    """Rule 1: WAL with synchronous=FULL (2)."""
    database = SqliteDatabase(path)
    assert database.fetch("PRAGMA journal_mode", ()) == [("wal",)]
    assert database.fetch("PRAGMA synchronous", ()) == [(2,)]
    database.close()


@pytest.mark.parametrize(
    "row",
    [("\ud800", 1), ("a", 2**64), (object(), 1), ("a", None)],
    ids=["surrogate", "over 64 bits", "no value", "null"],
)
def test_faults_of_a_value_are_refusals(path: Path, row: tuple) -> None:
    database = SqliteDatabase(path)
    database.begin()
    with pytest.raises(RefusedByDatabase):
        database.write(INSERT, [("good", 1), row])
    database.rollback()
    assert database.fetch("SELECT * FROM sequences", ()) == []
    database.close()


def test_a_taken_key_is_a_refusal(path: Path) -> None:
    database = SqliteDatabase(path)
    database.begin()
    with pytest.raises(RefusedByDatabase, match="UNIQUE"):
        database.write(INSERT, [("a", 1), ("a", 2)])
    database.rollback()
    database.close()


def test_trouble_of_the_database_is_no_refusal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("csms.storage.sqlite.BUSY_TIMEOUT_S", 0.0)
    first, second = SqliteDatabase(path), SqliteDatabase(path)
    first.begin()
    with pytest.raises(StoreUnavailable, match="locked"):
        second.begin()
    second.rollback()
    first.rollback()
    second.probe()
    with pytest.raises(StoreUnavailable):
        second.fetch("SELECT * FROM no_such_table", ())
    first.close()
    second.close()


def test_a_full_disk_is_trouble_and_passes(path: Path) -> None:
    database = SqliteDatabase(path)
    database.fetch("PRAGMA max_page_count=1", ())
    database.begin()
    with pytest.raises(StoreUnavailable, match="full"):
        database.write(INSERT, [(f"{n}" * 200, 1) for n in range(2_000)])
    database.rollback()
    database.fetch("PRAGMA max_page_count=1000000", ())
    database.probe()
    database.close()


def test_number_blocks_do_not_overlap(path: Path) -> None:
    database = SqliteDatabase(path)
    firsts = [database.take_numbers("n", 10) for _ in range(3)]
    assert firsts == [1, 11, 21]
    assert database.take_numbers("m", 10) == 1
    database.write("UPDATE sequences SET next = ? WHERE name = 'n'", [(2**31 - 5,)])
    assert database.take_numbers("n", 10) == 1
    database.close()


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open"):
        SqliteDatabase(tmp_path / "no" / "store.db")
    (tmp_path / "text.db").write_text("nothing of the kind " * 100)
    with pytest.raises(StoreUnavailable):
        SqliteDatabase(tmp_path / "text.db")


def test_a_second_reader_sees_commits_only(path: Path) -> None:
    database = SqliteDatabase(path)
    other = sqlite3.connect(path)
    database.begin()
    database.write(INSERT, [("a", 1)])
    assert other.execute("SELECT count(*) FROM sequences").fetchone() == (0,)
    database.commit()
    assert other.execute("SELECT count(*) FROM sequences").fetchone() == (1,)
    other.close()
    database.close()
