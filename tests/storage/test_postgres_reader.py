"""Reads for people on PostgreSQL: bounded in number and time, back by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from csms.core.errors import Invalid, StoreUnavailable
from csms.core.quarantine import Quarantined
from csms.core.stations import Station
from csms.storage import postgres_reader
from tests.support.postgres import end_sessions
from tests.support.stores import (
    PostgresSite,
    postgres_site,
    put,
    running,
    station,
)

pytestmark = pytest.mark.postgres


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PostgresSite]:
    with postgres_site(tmp_path) as made:
        yield made


async def test_reads_go_on_after_sessions_were_ended(site: PostgresSite) -> None:
    async with site.reader() as reader:
        await asyncio.gather(*(reader.count(Station) for _ in range(20)))
        await asyncio.to_thread(end_sessions, site.url)
        assert await asyncio.gather(*(reader.count(Station) for _ in range(20))) == [0] * 20


async def test_a_read_that_takes_too_long_is_given_up_and_others_go_on(
    site: PostgresSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_reader, "ANSWER_WITHIN_S", 0.3)
    async with site.reader() as reader:
        for _ in range(postgres_reader.CONNECTIONS + 1):
            with pytest.raises(StoreUnavailable, match="does not answer"):
                await reader.fetch("SELECT pg_sleep(30)", ())
        assert await reader.count(Station) == 0
        assert reader.busy == 0


async def test_cancelled_readers_leave_no_connection_behind_that_answers_them(
    site: PostgresSite,
) -> None:
    async with running(site) as store:
        await store.transact(put, station("s1"))
        reader = store.reader
        for _ in range(5):
            tasks = [asyncio.ensure_future(reader.fetch("SELECT 7", ())) for _ in range(9)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert (await reader.get(Station, "s1")).id == "s1"


async def test_a_reader_cannot_write_and_one_that_is_closed_says_so(site: PostgresSite) -> None:
    async with site.reader() as reader:
        with pytest.raises(StoreUnavailable, match="read-only"):
            await reader.fetch("DELETE FROM stations RETURNING id", ())
    with pytest.raises(StoreUnavailable, match="stopped"):
        await reader.count(Station)


@pytest.mark.parametrize(
    "read",
    [
        lambda reader: reader.get(Quarantined, "a\0b"),
        lambda reader: reader.get(Station, "\ud800"),
        lambda reader: reader.page(Station, {"generation": 2**64}),
        lambda reader: reader.page(Quarantined, {"assigned_to": 2**63}),
        lambda reader: reader.journal(2**64, 10),
    ],
)
async def test_a_value_that_no_row_can_have_is_invalid(site: PostgresSite, read: Any) -> None:
    async with site.reader() as reader:
        with pytest.raises(Invalid):
            await read(reader)
        assert await reader.count(Station) == 0
