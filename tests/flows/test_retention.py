"""Old rows go, a little at a time; what is kept stays whole (rule 13)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from csms.core import charging, stations
from csms.core.audit import AuditEntry
from csms.core.charging import StartReport, StopReport
from csms.core.errors import StoreUnavailable
from csms.core.messages import IN, Message
from csms.core.metering import MeterSample, Sample
from csms.core.stations import UnknownStation
from csms.core.tokens import Shown
from csms.core.transactions import Transaction
from csms.core.writes import RememberedWrite
from csms.flows.retention import CHUNK, Retention
from tests.support.charging import NOW, Site, at, origin, wh

DAY = timedelta(days=1)


@pytest.fixture
def site() -> Site:
    """A network in memory."""
    return Site()


def sweeper(site: Site, days: float = 20, **keep: Any) -> Retention:
    """As if `days` had passed."""
    ages = {name: None if value is None else value * DAY for name, value in keep.items()}
    return Retention(site.store, ages, lambda: NOW + days * DAY, pause_s=0)


def save(site: Site, rows: list[Any]) -> None:
    def all_of_them(tx: Any) -> None:
        for row in rows:
            tx.save(row)

    site.run(all_of_them)


async def left(site: Site, kind: type[Any]) -> list[Any]:
    return await site.store.reader.page(kind, limit=1_000)


def messages(station: str, *moments: datetime) -> list[Message]:
    return [Message(station, m, n, IN, "call", None, "", 0) for n, m in enumerate(moments)]


async def test_nothing_ends_without_an_age(site: Site) -> None:
    save(site, messages("s1", NOW))
    assert await sweeper(site, 10_000, messages_hours=None).sweep() == {}
    assert len(await left(site, Message)) == 1


async def test_many_rows_of_many_stations(site: Site) -> None:
    for station in range(30):
        moments = [at(n) for n in range(station * 3)] + [NOW + 19.5 * DAY, NOW + 20 * DAY]
        save(site, messages(f"s{station:02}", *moments))
    told: list[tuple[str, int]] = []
    retention = sweeper(site, messages_hours=1)
    retention._on_purged = lambda table, rows: told.append((table, rows))
    purged = await retention.sweep()
    assert purged == {"messages": sum(range(30)) * 3}
    kept = await left(site, Message)
    assert len(kept) == 60
    assert min(row.at for row in kept) == NOW + 19.5 * DAY
    assert max(rows for _, rows in told) <= CHUNK
    assert sum(rows for _, rows in told) == purged["messages"]
    assert await retention.sweep() == {}


async def test_samples_go_with_the_end_of_their_transaction(site: Site) -> None:
    """The middle one is still open: it is neither cut nor does it hide those behind it."""
    numbers = []
    for n in range(3):
        number = site.start(n * 100, 0, evse=1 + n % 2).transaction_id
        samples: list[Sample] = [wh(m * 10, n * 100 + m) for m in range(5)]
        site.meter(samples, number, seconds=n * 100 + 50)
        numbers.append(number)
    evse_only = [wh(1, 5), wh(2, 6)]
    site.run(charging.meter, origin(5, "s2"), charging.MeterReport(2, tuple(evse_only)))
    late = at(15 * DAY.total_seconds())
    open_one = numbers[1]
    for number in (numbers[0], numbers[2]):
        site.stop(number, 400, 100)
    # Stopped lately, although it began long ago.
    other = site.start(10, 0, station="s2").transaction_id
    site.meter([wh(1, 20)], other, station="s2")
    report = StopReport(other, late, 500)
    site.run(charging.stop, origin(15 * DAY.total_seconds(), "s2"), report)
    purged = await sweeper(site, samples_days=10).sweep()
    kept = {row.transaction_id for row in await left(site, MeterSample)}
    assert kept == {open_one, other}
    assert purged == {"meter_samples": 12}
    assert site.transaction(open_one).open


async def test_transactions_go_when_they_have_ended(site: Site) -> None:
    ended = site.start(0, 0, evse=1).transaction_id
    site.stop(ended, 10, 5)
    running = site.start(20, 0, evse=2).transaction_id
    purged = await sweeper(site, transactions_days=10, samples_days=10).sweep()
    assert purged == {"transactions": 1}
    assert [row.id for row in await left(site, Transaction)] == [running]


async def test_rows_in_no_order_of_time(site: Site) -> None:
    rows = [
        RememberedWrite(f"k{n:04}", "r", {}, NOW + (n % 20) * DAY) for n in range(2 * CHUNK + 20)
    ]
    save(site, rows)
    purged = await sweeper(site, remembered_writes_hours=5).sweep()
    assert purged["remembered_writes"] == sum(row.at < NOW + 15 * DAY for row in rows)


async def test_the_audit_trail_ends_in_order(site: Site) -> None:
    rows = [
        AuditEntry(n, NOW + n * DAY, "k", "", "a", "t", None, None, {}, None) for n in range(1, 20)
    ]
    save(site, rows)
    assert await sweeper(site, audit_days=5).sweep() == {"audit": 14}
    assert [row.number for row in await left(site, AuditEntry)] == [15, 16, 17, 18, 19]


async def test_strangers_are_forgotten(site: Site) -> None:
    for identity in ("A", "B"):
        site.run(stations.knock, identity, "192.0.2.1", NOW, 10)
    site.run(stations.knock, "B", "192.0.2.1", NOW + 19 * DAY, 10)
    assert await sweeper(site, unknown_stations_days=5).sweep() == {"unknown_stations": 1}
    assert [row.identity for row in await left(site, UnknownStation)] == ["B"]


async def test_the_journal_ends_by_age_and_keeps_its_newest_row(site: Site) -> None:
    for n in range(2 * CHUNK):
        site.run(charging.start, origin(n), StartReport(1, Shown("CARD"), at(n), n))
    reader = site.store.reader
    end = await reader.journal_end()
    half = (await reader.journal(end // 2, 1))[0]
    age = (NOW + 20 * DAY - half.at) / DAY
    await sweeper(site, journal_days=age).sweep()
    assert (await reader.journal(await reader.journal_start() - 1, 1))[0].at >= half.at
    await sweeper(site, journal_days=1).sweep()
    assert await reader.journal_start() == await reader.journal_end() == end
    assert await sweeper(site, journal_days=1).sweep() == {}


async def test_a_sweep_that_fails_is_made_up_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(site, messages("s1", NOW))
    retention = sweeper(site, messages_hours=1)
    transact, failures = site.store.transact, [StoreUnavailable("the disk is full")]

    async def failing(fn: Callable[..., Any], *args: Any, **more: Any) -> Any:
        if failures:
            raise failures.pop()
        return await transact(fn, *args, **more)

    monkeypatch.setattr(site.store, "transact", failing)
    running = asyncio.create_task(retention.run(0))
    async with asyncio.timeout(10):
        while await left(site, Message):
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert failures == []
