"""Where a server is, what its errors mean, and that no password is shown."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from csms.core.errors import Invalid, StoreUnavailable
from csms.core.stations import UnknownStation
from csms.storage.open import open_store
from csms.storage.postgres import PostgresDatabase
from csms.storage.server import READER, UPGRADE, WRITER, examine, fault_of, server_of
from tests.support.postgres import Cluster
from tests.support.stores import knock_again
from tests.support.system import free_port


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (
            "postgresql://u:s3cret@db.example.com:5433/csms",
            "postgresql://u@db.example.com:5433/csms",
        ),
        ("postgres://u@h/d?sslmode=require&password=s3cret", "postgres://u@h/d"),
        ("postgresql:///d?host=/run/postgresql&user=u&password=s3cret", "postgresql://u@/d"),
        ("postgresql://u:a%2Fs3cret%40@[::1]/d", "postgresql://u@[::1]/d"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    server = server_of(address)
    assert server.shown == shown
    assert "s3cret" not in repr(server)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:s3cret/x@h/d",
        "postgresql://u:s3cret@h:port/d",
        "postgresql://u@h/d?s3cret=1",
        "mysql://u:s3cret@h/d",
        "postgresql://[::1/s3cret",
    ],
)
def test_what_is_no_address_is_not_repeated(address: str) -> None:
    try:
        server = server_of(address)
    except Invalid as error:
        text = error.detail
        assert "postgresql://USER@HOST/DATABASE" in text
    else:
        # It reads as an address of some other place.
        database = PostgresDatabase(server)
        with pytest.raises(StoreUnavailable) as raised:
            database.connect()
        text = raised.value.detail
    assert "s3cret" not in text


def test_a_password_is_cut_out_of_what_a_server_says() -> None:
    server = server_of("postgresql://u:s3cret@h/d")
    said = server.trouble(psycopg.OperationalError("no user s3cret\nhere")).detail
    assert said == "PostgreSQL: no user *** here"
    assert "s3cret" not in str(fault_of(psycopg.OperationalError("s3cret"), server))


def test_an_old_server_and_a_wrong_encoding_are_named() -> None:
    class Info:
        server_version, encoding = 130_011, "UTF8"

        def parameter_status(self, name: str) -> str:
            return self.encoding

    class Connection:
        info = Info()

    server = server_of("postgresql://u:s3cret@h/d")
    with pytest.raises(StoreUnavailable, match=r"u@h/d is PostgreSQL 13: 14 or newer"):
        examine(server, Connection())  # type: ignore[arg-type]
    Info.server_version, Info.encoding = 150_000, "SQL_ASCII"
    with pytest.raises(StoreUnavailable, match="createdb --encoding UTF8"):
        examine(server, Connection())  # type: ignore[arg-type]


# -- several servers, one of which takes writes ----------------------------------------------------


@pytest.mark.parametrize(
    ("given", "writes", "reads"),
    [
        ("", "primary", "primary"),
        ("?target_session_attrs=primary", "primary", "primary"),
        # A session that is set to only read is none of these.
        ("?target_session_attrs=read-write", "read-write", "primary"),
        ("?target_session_attrs=any", "any", "any"),
    ],
)
def test_all_look_for_the_server_that_takes_writes(given: str, writes: str, reads: str) -> None:
    server = server_of(f"postgresql://csms@one,other:5433/csms{given}")
    for settings, sought in ((WRITER, writes), (UPGRADE, writes), (READER, reads)):
        assert server.options(settings)["target_session_attrs"] == sought


@pytest.fixture
def pair() -> Iterator[tuple[Cluster, Cluster]]:
    """A server, and another that follows it and takes no writes."""
    folder = Path(tempfile.mkdtemp(prefix="csms-pair-"))
    # The servers may run as another user.
    folder.chmod(0o755)
    primary, standby = (Cluster(folder / name, free_port()) for name in ("primary", "standby"))
    try:
        primary.make()
        primary.start()
        with psycopg.connect(primary.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE csms")
        standby.follow(primary)
        standby.start()
        yield primary, standby
    finally:
        for cluster in (primary, standby):
            cluster.stop(signal.SIGQUIT)
            cluster.remove()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.postgres
async def test_the_server_that_takes_writes_is_found_also_when_it_becomes_another(
    pair: tuple[Cluster, Cluster],
) -> None:
    primary, standby = pair
    with pytest.raises(StoreUnavailable, match="name the server that takes writes"):
        async with open_store(standby.url("csms")):
            pass
    for given in ("", "?target_session_attrs=read-write"):
        url = f"postgresql://csms@127.0.0.1:{standby.port},127.0.0.1:{primary.port}/csms{given}"
        async with open_store(url) as store:
            first = await store.transact(knock_again, "A")
            assert await store.reader.count(UnknownStation) == 1
    async with open_store(url, grace_s=30.0) as store:
        with psycopg.connect(primary.url("csms"), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
        assert await store.transact(knock_again, "A") == first + 1
        await asyncio.to_thread(primary.stop)
        await asyncio.to_thread(standby.promote)
        assert await store.transact(knock_again, "A") == first + 2
        row = await store.reader.get(UnknownStation, "A")
        assert row is not None
        assert row.attempts == first + 2
