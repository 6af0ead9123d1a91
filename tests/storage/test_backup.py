"""A copy of a database that is in use."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from csms.core.errors import AlreadyExists, StoreUnavailable
from csms.storage.backup import back_up
from csms.storage.batch import Job, Runner
from csms.storage.open import upgrade_schema
from csms.storage.sqlite import SqliteDatabase
from tests.support.stores import put, station


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    upgrade_schema(f"sqlite:///{tmp_path}/csms.db")
    return tmp_path


def stations(file: Path) -> list[str]:
    database = SqliteDatabase(file)
    try:
        return [key for (key,) in database.fetch("SELECT id FROM stations ORDER BY id", ())]
    finally:
        database.close()


def test_a_copy_has_what_the_log_beside_the_database_holds(folder: Path) -> None:
    writer = SqliteDatabase(folder / "csms.db")
    runner = Runner(writer, lambda: 0.0, 1.0)
    before = (folder / "csms.db").read_bytes()
    runner.run([Job(put, (station("s1"),), (), lambda job: None)])
    assert (folder / "csms.db").read_bytes() == before, "it is in the log alone"
    size = back_up(folder / "csms.db", folder / "copy.db")
    runner.run([Job(put, (station("s2"),), (), lambda job: None)])
    writer.close()
    assert size == (folder / "copy.db").stat().st_size
    assert stat.S_IMODE((folder / "copy.db").stat().st_mode) == 0o600
    assert stations(folder / "copy.db") == ["s1"]
    assert stations(folder / "csms.db") == ["s1", "s2"]


def test_it_takes_the_place_of_nothing(folder: Path) -> None:
    (folder / "copy.db").write_text("mine")
    with pytest.raises(AlreadyExists):
        back_up(folder / "csms.db", folder / "copy.db")
    assert (folder / "copy.db").read_text() == "mine"


def test_what_cannot_be_copied_leaves_nothing(folder: Path) -> None:
    (folder / "broken.db").write_bytes(b"no database" * 1_000)
    tried = {"none.db": "copy.db", "broken.db": "copy.db", "csms.db": "no/copy.db"}
    for source, copy in tried.items():
        with pytest.raises(StoreUnavailable):
            back_up(folder / source, folder / copy)
    assert [path.name for path in folder.iterdir() if "copy" in path.name] == []
