"""A process that stands still in the middle of a transaction costs nobody else the store."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from csms.core import nodes
from csms.core.errors import StoreUnavailable
from csms.core.nodes import Node
from csms.core.ports import FIRST
from csms.flows.membership import Membership, Pulse
from csms.storage.fencing import Fencing
from csms.storage.open import open_store
from csms.storage.postgres import JOURNAL_LOCK
from csms.storage.server import WRITER, server_of
from tests.support.stores import (
    NOW,
    PostgresSite,
    journal_targets,
    note,
    postgres_site,
    until,
)

pytestmark = pytest.mark.postgres

RUN = "0191d3a5c2f07b3d8e4f00000000000a"
PULSE = Pulse(beat_s=0.1, lost_after_s=1.0)
# Stands still with the journal's lock: what is sent together has no end yet.
STANDS_STILL = """
import os, signal, sys
from csms.storage.fencing import Fencing
from csms.storage.postgres import JOURNAL_LOCK, PostgresDatabase
from csms.storage.server import server_of

server = server_of(sys.argv[1])
fencing = Fencing(server)
fencing.run = sys.argv[2]
connection = PostgresDatabase(server, fencing).connect()
print("there", flush=True)
sys.stdin.readline()
with connection.pipeline():
    connection.execute("BEGIN")
    connection.execute(JOURNAL_LOCK).fetchone()
    os.kill(os.getpid(), signal.SIGSTOP)
"""
LOCKED = """SELECT a.state FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()"""
NAMES = """SELECT application_name FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PostgresSite]:
    with postgres_site(tmp_path) as made:
        yield made


def asked(site: PostgresSite, sql: str) -> list[Any]:
    with psycopg.connect(site.url) as connection:
        return [value for (value,) in connection.execute(sql).fetchall()]


def node(name: str, run: str) -> Node:
    return Node(name, run, f"{name}/1", "up", 0, 0, "1", "", NOW, NOW)


def member(store: Any, name: str) -> Membership:
    run = f"0191d3a5c2f07b3d8e4f00000000000{name}"
    return Membership(store, name, lambda: NOW, lambda: run, pulse=PULSE, place=f"{name}/1")


@asynccontextmanager
async def living(made: Membership) -> AsyncIterator[None]:
    await made.join()
    task = asyncio.create_task(made.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def state(store: Any, name: str) -> str:
    row = await store.reader.get(Node, name)
    assert row is not None
    return str(row.state)


@contextmanager
def stands_still(site: PostgresSite, run: str) -> Iterator[psycopg.Connection[Any]]:
    """A session of that life in the middle of what is sent together, with the journal's lock."""
    options = server_of(site.url).options(WRITER, run)
    connection = psycopg.connect(**options, autocommit=True)
    try:
        with suppress(psycopg.Error), connection.pipeline():
            connection.execute("BEGIN")
            connection.execute(JOURNAL_LOCK).fetchone()
            yield connection
    finally:
        connection.pgconn.finish()


async def test_a_process_that_is_stopped_in_a_transaction_is_lost_and_holds_up_nobody(
    site: PostgresSite,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STANDS_STILL, site.url, RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await asyncio.to_thread(process.stdout.readline)
        async with open_store(site.url, grace_s=30.0) as store:
            await store.transact(nodes.join, node("a", RUN))
            async with living(member(store, "b")):
                process.stdin.write(b"\n")
                process.stdin.flush()
                while "T" not in Path(f"/proc/{process.pid}/stat").read_text().split()[2]:
                    await store.transact(nodes.beat, "a", RUN, 0, NOW, lane=FIRST)
                # No time-out of the server is about that.
                assert asked(site, LOCKED) == ["active"]
                waiting = [store.transact(note, f"{n}", lane=f"s{n}") for n in range(5)]
                async with asyncio.timeout(15):
                    await asyncio.gather(*waiting)
                await until(lambda: state_is(store, "a", "lost"))
                assert store.trouble is None
                rows = await store.reader.journal(0, 100)
                assert [row.kind for row in rows].count("audit_recorded") == 5
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


async def state_is(store: Any, name: str, wanted: str) -> bool:
    return await state(store, name) == wanted


async def test_one_that_begins_is_not_held_up_by_one_that_stands_still(site: PostgresSite) -> None:
    """The only other node, so that nobody else could have found it lost."""
    async with open_store(site.url, grace_s=0.5) as store:
        await store.transact(nodes.join, node("a", RUN))
        with stands_still(site, RUN):
            async with asyncio.timeout(15), living(member(store, "b")):
                await until(lambda: state_is(store, "a", "lost"))


async def test_a_name_is_taken_from_one_that_stands_still(site: PostgresSite) -> None:
    async with open_store(site.url, grace_s=30.0) as store:
        await store.transact(nodes.join, node("b", RUN)._replace(place="elsewhere/1"))
        with stands_still(site, RUN):
            async with asyncio.timeout(15), living(member(store, "b")):
                assert await state(store, "b") == "up"


async def test_sessions_of_other_lives_go_on(site: PostgresSite) -> None:
    async with open_store(site.url) as store:
        store.live_as("one")
        await store.transact(note, "A")
        assert sorted(asked(site, NAMES)) == ["csms", "csms one"]
        await store.fence("another")
        await store.fence("")
        assert sorted(asked(site, NAMES)) == ["csms", "csms one"]
        # A new life: what is ended in the name of the one before is not its own.
        store.live_as("two")
        await store.transact(note, "B")
        assert sorted(asked(site, NAMES)) == ["csms", "csms two"]
        await store.fence("two")
        await until(lambda: asked(site, NAMES) == ["csms"])
        # Who was thought lost and is not begins again by itself.
        await store.transact(note, "C")
        assert await journal_targets(store) == ["A", "B", "C"]


async def test_a_server_that_is_away_is_trouble() -> None:
    fencing = Fencing(server_of("postgresql://u:s3cret@127.0.0.1:1/d"))
    with pytest.raises(StoreUnavailable, match="cannot end the sessions of a node") as raised:
        await fencing.fence(RUN)
    assert "s3cret" not in raised.value.detail


@pytest.mark.parametrize("given", ["operations", "ö" * 80])
def test_a_session_is_known_by_its_life_whatever_else_it_is_called(
    site: PostgresSite, given: str
) -> None:
    server = server_of(f"{site.url}?application_name={given}")
    with psycopg.connect(**server.options(WRITER, RUN)) as connection:
        ((name,),) = connection.execute("SHOW application_name").fetchall()
    assert name.endswith(f" {RUN}")
    assert name[:4] == given.encode("ascii", "replace").decode()[:4]
