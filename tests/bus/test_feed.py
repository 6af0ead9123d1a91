"""The feed of events to a real MQTT broker: all of them, in order, whatever happens to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from csms.bus.broker import broker_of
from csms.bus.feed import CURSOR, Feed, FeedLimits
from csms.bus.local import LocalBus
from csms.core import events, retention, stations
from csms.core.cursors import Cursor
from csms.core.ports import Tx
from csms.core.stations import NewStation
from csms.storage.open import open_inline
from csms.storage.store import InlineStore
from tests.support.mosquitto import Mosquitto, mosquitto, subscribed
from tests.support.waiting import until

NOW = datetime(2031, 5, 1, 10, tzinfo=UTC)
QUICK = FeedLimits(answer_s=2.0, first_s=0.05, most_s=0.1, pause_s=0.0, idle_s=0.1)


class Source:
    """A journal that grows, and the feed of it."""

    def __init__(self, url: str, store: InlineStore | None = None) -> None:
        self.store = store or open_inline()
        self.bus = LocalBus()
        self.url = url
        self.made = 0

    def feed(self, **limits: Any) -> Feed:
        where = broker_of(self.url)
        return Feed(self.store, self.bus, where, "/csms/CA*NTH", "csms", lambda: NOW, QUICK)

    def happens(self, count: int = 1, station_id: str | None = "s1") -> None:
        for _ in range(count):
            self.made += 1
            event = events.StationDisconnected(
                at=NOW, station_id=station_id, generation=self.made, reason="x"
            )
            self.store.run(lambda tx, event=event: tx.record(event))
        self.bus.wake()

    async def cursor(self) -> int:
        row = await self.store.reader.get(Cursor, CURSOR)
        return row.seq if row else -1

    async def until_caught_up(self) -> None:
        async def arrived() -> bool:
            return await self.cursor() >= await self.store.reader.journal_end()

        await until(arrived)


@asynccontextmanager
async def fed(feed: Feed) -> AsyncIterator[Feed]:
    running = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        running.cancel()
        await asyncio.wait((running,))


async def until_well(feed: Feed) -> None:
    await until(lambda: feed.trouble is None)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path) as made:
        yield made


@pytest.mark.mosquitto
async def test_every_event_comes_in_order_as_a_cloud_event(broker: Mosquitto) -> None:
    source = Source(broker.url)
    async with subscribed(broker) as subscriber, fed(source.feed()) as feed:
        await until_well(feed)
        source.happens(500)
        source.happens(1, station_id=None)
        heard = await subscriber.hears(501)
        assert [e["data"]["generation"] for _, e in heard] == list(range(1, 502))
        assert heard[0][0] == "csms/events/s1/station_disconnected"
        assert heard[-1][0] == "csms/events/-/station_disconnected"
        assert len({e["id"] for _, e in heard}) == 501
        await source.until_caught_up()
        assert (feed.published, feed.behind_s) == (501, 0.0)


@pytest.mark.mosquitto
async def test_what_was_before_the_feed_is_not_in_it(broker: Mosquitto) -> None:
    source = Source(broker.url)
    source.happens(3)
    async with subscribed(broker) as subscriber, fed(source.feed()) as feed:
        await until_well(feed)
        source.happens(1)
        ((_, event),) = await subscriber.hears(1)
        assert event["data"]["generation"] == 4


@pytest.mark.mosquitto
async def test_a_feed_goes_on_where_the_last_one_was(broker: Mosquitto) -> None:
    """Also over what happened while nobody fed."""
    source = Source(broker.url)
    async with subscribed(broker) as subscriber:
        async with fed(source.feed()) as feed:
            await until_well(feed)
            source.happens(2)
            await source.until_caught_up()
        source.happens(3)
        async with fed(source.feed()):
            heard = await subscriber.hears(5)
        assert [e["data"]["generation"] for _, e in heard] == [1, 2, 3, 4, 5]


@pytest.mark.mosquitto
async def test_a_broker_that_was_away_is_caught_up_with(broker: Mosquitto) -> None:
    source = Source(broker.url)
    async with fed(source.feed()) as feed:
        await until_well(feed)
        await broker.kill()
        source.happens(700)
        assert "127.0.0.1" in await until(lambda: feed.trouble)
        await broker.start()
        async with subscribed(broker) as subscriber:
            # One may have gone out before the subscription was there: what counts is the rest.
            source.happens(300)
            last = str(await source.store.reader.journal_end())
            heard = await subscriber.hears_up_to(last)
        await source.until_caught_up()
    numbers = [event["data"]["generation"] for event in heard]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 1_000
    assert feed.trouble is None


class Wire:
    """The way from the feed to the broker, which breaks after so many bytes each time."""

    def __init__(self, broker: Mosquitto, budget: int) -> None:
        self._broker = broker
        self.budget: int | None = budget
        self.breaks = 0
        self._server: asyncio.Server

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection("127.0.0.1", self._broker.port)
        answers = asyncio.create_task(self._pass(far, back, None))
        try:
            await self._pass(near, forth, self.budget)
        finally:
            answers.cancel()
            back.transport.abort()
            forth.transport.abort()

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, budget: int | None
    ) -> None:
        carried = 0
        while data := await source.read(1_000):
            carried += len(data)
            if budget is not None and carried > budget:
                self.breaks += 1
                return
            sink.write(data)


@pytest.mark.mosquitto
async def test_a_connection_that_breaks_in_the_middle_skips_nothing(broker: Mosquitto) -> None:
    """At least once: each time the order begins again, at most one batch earlier."""
    async with Wire(broker, budget=30_000) as wire, subscribed(broker) as subscriber:
        source = Source(wire.url)
        source.store.run(lambda tx: tx.save(Cursor(CURSOR, 0, NOW)))
        source.happens(1_000)
        async with fed(source.feed()):
            await until(lambda: wire.breaks >= 3)
            wire.budget = None
            await subscriber.hears_up_to("1000")
            await source.until_caught_up()
    heard = [event["data"]["generation"] for _, event in subscriber.heard]
    assert set(heard) == set(range(1, 1_001))
    for before, after in pairwise(heard):
        assert after == before + 1 or before - after < QUICK.at_once


@pytest.mark.mosquitto
async def test_a_wrong_password_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    async with mosquitto(tmp_path, password="right") as broker:
        source = Source(broker.url.replace("right", "wrong"))
        async with fed(source.feed()) as feed:
            await until(lambda: "uthori" in (feed.trouble or ""))
            assert "wrong" not in (feed.trouble or "")
            source.happens(2)
            assert await source.cursor() == 0
        source.url = broker.url
        async with fed(source.feed()) as feed:
            await source.until_caught_up()
            assert feed.published == 2


async def test_a_broker_that_says_nothing_is_given_up_after_its_time() -> None:
    """Half-open: it takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        source = Source(f"mqtt://127.0.0.1:{mute.getsockname()[1]}")
        source.happens(1)
        feed = Feed(
            source.store,
            source.bus,
            broker_of(source.url),
            "/csms/CA*NTH",
            "csms",
            lambda: NOW + timedelta(seconds=90),
            FeedLimits(answer_s=0.1, first_s=0.05, most_s=0.1),
        )
        source.store.run(lambda tx: tx.save(Cursor(CURSOR, 0, NOW)))
        async with fed(feed):
            await until(lambda: feed.behind_s)
        assert feed.behind_s == 90
        assert feed.trouble is not None


@pytest.mark.mosquitto
async def test_what_retention_has_deleted_is_said_to_be_lost(broker: Mosquitto) -> None:
    source = Source(broker.url)
    source.happens(5)

    def forgotten(tx: Tx) -> None:
        tx.save(Cursor(CURSOR, 1, NOW))
        retention.trim(tx, 3, 100)

    source.store.run(forgotten)
    async with subscribed(broker) as subscriber, fed(source.feed()):
        heard = await subscriber.hears(2)
    assert [event["id"] for _, event in heard] == ["4", "5"]


@pytest.mark.mosquitto
async def test_what_stations_are_called_is_asked_for_all_of_a_page_at_once(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(broker.url)
    for number in range(80):
        new = NewStation(f"CS-{number:03}", "CA*NTH", 1)
        source.store.run(stations.onboard, f"s{number}", new, NOW)
    asked: list[int] = []
    fields = source.store.reader.fields

    async def counted(kind: Any, names: Any, where: Any, **more: Any) -> Any:
        asked.append(len(set(where["id"])))
        return await fields(kind, names, where, **more)

    monkeypatch.setattr(source.store.reader, "fields", counted)
    async with subscribed(broker) as subscriber, fed(source.feed()) as feed:
        await until_well(feed)
        event = [
            events.StationDisconnected(at=NOW, station_id=f"s{n % 81}", generation=n, reason="x")
            for n in range(100)
        ]
        source.store.run(lambda tx: [tx.record(one) for one in event])
        source.bus.wake()
        heard = await subscriber.hears(100)
        assert [e["station"] for _, e in heard[:80]] == [f"CS-{n:03}" for n in range(80)]
        # One that nobody knows is called by its id.
        assert heard[80][1]["station"] == "s80"
        source.happens(1, station_id="s7")
        await subscriber.hears(1)
    assert asked == [81]
