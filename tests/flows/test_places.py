"""Lost links and what is published of the EVSEs behind them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from csms.core import locations, stations
from csms.core.availability import ConnectorReport
from csms.core.ids import Origin
from csms.core.locations import LocationEvse
from csms.core.occupancy import Status
from csms.core.stations import NewStation
from csms.flows.places import Watch
from tests.core.test_locations import EVSE, HERE
from tests.support.charging import NOW, PARTY, Site, at, origin


class Street:
    """A station that stands somewhere, and the watch over its link."""

    def __init__(self) -> None:
        self.site = Site()
        self.now = at(0)
        self.site.run(locations.put, HERE, [EVSE], NOW)
        self.watch = Watch(self.site.store, 300, self.clock)
        self.generation = 0

    def clock(self) -> datetime:
        return self.now

    def up(self, seconds: float) -> None:
        opened: Any = self.site.run(stations.link_opened, origin(seconds), "node", "192.0.2.1")
        self.generation = opened.generation

    def down(self, seconds: float) -> None:
        gone = (self.generation, at(seconds), at(seconds), "lost")
        self.site.run(stations.link_closed, "s1", *gone)

    async def look(self, seconds: float) -> tuple[str, int]:
        """What is published after a round at that time, and how many EVSEs changed in it."""
        self.now = at(seconds)
        changed = await self.watch.round()
        evse: LocationEvse = self.site.get(LocationEvse, PARTY, "e-1")
        return evse.status, changed


async def test_a_link_that_is_lost_counts_after_the_grace_and_until_it_is_back() -> None:
    street = Street()
    street.up(0)
    street.site.run(locations.record, origin(1), ConnectorReport(1, 1, "available", at(1)))
    assert await street.look(2) == (Status.AVAILABLE, 0)
    street.down(10)
    assert await street.look(309) == (Status.AVAILABLE, 0)
    assert await street.look(310) == (Status.UNKNOWN, 1)
    assert await street.look(400) == (Status.UNKNOWN, 0)
    street.up(500)
    # Nothing has changed at the station, so it reports nothing new.
    assert await street.look(501) == (Status.AVAILABLE, 1)


async def test_a_restart_within_the_grace_is_told_to_nobody() -> None:
    street = Street()
    street.up(0)
    street.site.run(locations.record, origin(1), ConnectorReport(1, 1, "available", at(1)))
    street.down(10)
    before = street.site.journal().count("location_changed")
    again = Watch(street.site.store, 300, street.clock)
    street.now = at(20)
    assert await again.round() == 0
    street.up(100)
    assert await again.round() == 0
    assert street.site.journal().count("location_changed") == before


async def test_a_process_that_was_away_catches_up_with_its_first_round() -> None:
    street = Street()
    street.up(0)
    street.site.run(locations.record, origin(1), ConnectorReport(1, 1, "available", at(1)))
    street.down(10)
    again = Watch(street.site.store, 300, street.clock)
    street.now = at(10_000)
    assert await again.round() == 1


async def test_all_stations_of_a_page_are_looked_at_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One after the other, on a server that takes milliseconds for each, takes minutes."""
    street = Street()
    for number in range(120):
        street.site.run(stations.onboard, f"n{number}", NewStation(f"N-{number}", PARTY, 1), NOW)
    await street.watch.round()
    for number in range(120):
        here = Origin(f"n{number}", f"N-{number}", "1.6", NOW)
        street.site.run(stations.link_opened, here, "node", "192.0.2.1")
    under_way, most = 0, 0
    inner = street.site.store.transact

    async def slow(fn: Any, *args: Any, **more: Any) -> Any:
        nonlocal under_way, most
        assert more["needs"]
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return await inner(fn, *args, **more)

    monkeypatch.setattr(street.site.store, "transact", slow)
    await street.watch.round()
    assert most == 100


async def test_a_process_that_begins_looks_at_those_only_whose_evses_do_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = Street()
    street.up(0)
    street.site.run(locations.record, origin(1), ConnectorReport(1, 1, "available", at(1)))
    # It stands nowhere, so nothing is published of it.
    street.site.run(stations.onboard, "n1", NewStation("N-1", PARTY, 1), NOW)
    looked: list[str] = []
    inner = locations.refresh

    def refresh(tx: Any, station_id: str, *args: Any, **more: Any) -> int:
        looked.append(station_id)
        return inner(tx, station_id, *args, **more)

    monkeypatch.setattr(locations, "refresh", refresh)
    assert await street.look(2) == (Status.AVAILABLE, 0)
    street.down(10)
    assert await street.look(20) == (Status.AVAILABLE, 0)
    assert looked == []
    # What it has seen at its first round it goes on from; a new process sees that it does not fit.
    assert await street.look(400) == (Status.UNKNOWN, 1)
    street.up(500)
    street.watch = Watch(street.site.store, 300, street.clock)
    assert await street.look(501) == (Status.AVAILABLE, 1)
    assert await street.look(502) == (Status.AVAILABLE, 0)
    assert looked == ["s1", "s1"]
