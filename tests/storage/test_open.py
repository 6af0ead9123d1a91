"""Opening a store from its address."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from csms.core import tokens
from csms.core.errors import Invalid, StoreUnavailable
from csms.core.stations import UnknownStation
from csms.core.tokens import Token
from csms.storage.open import (
    open_inline,
    open_store,
    sqlite_path,
    state_of,
    upgrade_schema,
)
from csms.storage.open import shown as address_for_people
from csms.storage.schema import engine_for, revisions
from tests.support.postgres import bare_database
from tests.support.stores import NOW, knocker
from tests.support.system import free_port


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("sqlite:///store.db", Path("store.db")),
        ("sqlite:////var/lib/csms/store.db", Path("/var/lib/csms/store.db")),
        ("sqlite:///~/store.db", Path.home() / "store.db"),
        ("sqlite:///a?b#c.db", Path("a?b#c.db")),
    ],
)
def test_addresses(address: str, path: Path) -> None:
    assert sqlite_path(address) == path


@pytest.mark.parametrize("address", ["", "sqlite:///", "sqlite://x", "store.db", "mysql://h/db"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(Invalid, match="sqlite:///PATH"):
        sqlite_path(address)


async def test_a_store_makes_its_folder_and_schema_and_keeps_its_rows(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/new/folder/a?b%20c.db"
    told: list[str] = []
    async with open_store(address, on_mark=told.append) as store:
        await store.transact(lambda tx: (tx.save(knocker("A")), tx.mark("opened"))[0])
    assert told == ["opened"]
    async with open_store(address) as store:
        assert await store.reader.get(UnknownStation, "A") == knocker("A")
    left = {p.name for p in (tmp_path / "new" / "folder").iterdir()}
    assert left == {"a?b%20c.db", "a?b%20c.db-owner"}


async def test_a_database_has_one_process_at_a_time(tmp_path: Path) -> None:
    """A second one would take the links and commands of the first for those of a dead process."""
    address = f"sqlite:///{tmp_path}/store.db"
    async with open_store(address) as store:
        with pytest.raises(
            StoreUnavailable, match=rf"in use by another process \(pid {os.getpid()}"
        ):
            async with open_store(address):
                pass
        assert await store.transact(lambda tx: "still works") == "still works"
    async with open_store(address) as store:
        assert await store.transact(lambda tx: "free again") == "free again"


async def test_what_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("nothing of the kind " * 100)
    with pytest.raises(StoreUnavailable):
        async with open_store(f"sqlite:///{tmp_path}/text.db"):
            pass


async def test_a_failure_inside_closes_the_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="on purpose"):
        async with open_store(f"sqlite:///{tmp_path}/store.db") as store:
            raise ValueError("on purpose")
    with pytest.raises(StoreUnavailable):
        store.transact(lambda tx: None)


def test_stores_in_memory_are_apart() -> None:
    one, other = open_inline(), open_inline()
    one.run(lambda tx: tx.save(knocker("A")))
    assert other.run(lambda tx: tx.get(UnknownStation, "A")) is None


def test_a_store_in_memory_tells_of_what_the_journal_got() -> None:
    store, told = open_inline(), list[int]()
    store.on_commit = told.append
    store.run(lambda tx: tx.save(knocker("A")))
    assert told == [], "nobody waits for a row without an event"
    store.run(tokens.add, Token("CA*NTH", "", "rfid", "A", NOW), NOW)
    assert told == [1]


async def test_the_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds cards and hashes; whatever the process leaves open for others."""
    before = os.umask(0)
    try:
        async with open_store(f"sqlite:///{tmp_path}/new/store.db") as store:
            await store.transact(lambda tx: tx.save(knocker("A")))
            files = list((tmp_path / "new").iterdir())
            assert len(files) > 1, "the write-ahead log holds the same"
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(before)


async def test_a_mode_that_the_owner_has_set_stays(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/store.db"):
        pass
    (tmp_path / "store.db").chmod(0o640)
    async with open_store(f"sqlite:///{tmp_path}/store.db"):
        assert stat.S_IMODE((tmp_path / "store.db").stat().st_mode) == 0o640


@pytest.mark.parametrize("shown", ["sqlite:///a/b.db", "postgresql://u@h/d"])
def test_what_people_are_told_of_an_address(shown: str) -> None:
    told = address_for_people(shown.replace("u@", "u:s3cret@"))
    assert told == shown.removeprefix("sqlite:///")


@pytest.mark.postgres
async def test_a_server_takes_several_processes_and_makes_its_schema() -> None:
    with bare_database() as url:
        assert state_of(url) == (None, revisions(engine_for(":memory:"))[1])
        async with open_store(url, lanes=2) as one, open_store(url, lanes=2) as other:
            await one.transact(lambda tx: tx.save(knocker("A")))
            assert await other.reader.get(UnknownStation, "A") == knocker("A")
        with pytest.raises(StoreUnavailable, match="stopping"):
            one.transact(lambda tx: None)
        with pytest.raises(StoreUnavailable, match="stopped"):
            await one.reader.count(UnknownStation)


async def test_a_server_that_is_not_there_is_said_at_once() -> None:
    url = f"postgresql://u:s3cret@127.0.0.1:{free_port()}/d"
    for attempt in (state_of, upgrade_schema):
        with pytest.raises(StoreUnavailable, match="start PostgreSQL"):
            attempt(url)
    with pytest.raises(StoreUnavailable, match="start PostgreSQL"):
        async with open_store(url):
            pass
