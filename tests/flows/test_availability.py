"""Telling stations what may be used, once they can be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest

from csms.core import commands, locations, stations
from csms.core.availability import ConnectorReport
from csms.core.commands import Command, Kind, Status
from csms.core.desired_availability import AGAIN, BY_ITSELF, DesiredAvailability
from csms.core.errors import Refused, StationOffline
from csms.core.stations import NewStation
from csms.flows.availability import Availability
from tests.support.charging import NOW, PARTY, Site, at, origin
from tests.support.virtual import passing, run_virtually

LATER = AGAIN.total_seconds()


class Direct:
    """A store whose functions run at once."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.reader = site.store.reader
        self.functions = 0

    async def transact(self, fn: Any, *args: Any, needs: Any = (), lane: Any = None) -> Any:
        self.functions += 1
        return self.site.run(fn, *args)


class Commander:
    """Notes what is asked; the station says yes, or nothing, is gone, or must not be asked."""

    def __init__(self, site: Site, gone: bool = False) -> None:
        self.site = site
        self.gone = gone
        self.silent = self.refused = False
        self.now = at(60)
        self.asked: list[Mapping[str, Any]] = []
        self.all_told = asyncio.Event()

    async def submit(
        self,
        station_id: str,
        kind: Kind,
        parameters: Mapping[str, Any],
        requested_by: str,
        *,
        wait_s: float = 0.0,
    ) -> Command:
        assert (station_id, kind, requested_by) == ("s1", Kind.SET_AVAILABILITY, BY_ITSELF)
        self.asked.append(parameters)
        if self.gone:
            raise StationOffline("it is gone")
        if self.refused:
            raise Refused("accept the station first")
        name = f"again {len(self.asked)}"
        command, _ = self.site.run(
            commands.submit, name, station_id, kind, parameters, requested_by, self.now
        )
        if self.silent:
            self.site.run(commands.finish, name, Status.TIMED_OUT, self.now)
        else:
            said = {"status": "Accepted"}
            self.site.run(commands.finish, name, Status.ACCEPTED, self.now, result=said)
        if len(self.asked) == 2:
            self.all_told.set()
        return command


@pytest.fixture
def away() -> Site:
    """An operator had two wishes while the station was away."""
    site = Site()
    for name, place in (("c1", {}), ("c2", {"evse": 2, "connector": 1})):
        wish = {"available": False, **place}
        site.run(commands.submit, name, "s1", Kind.SET_AVAILABILITY, wish, "me", at(0))
        site.run(commands.finish, name, Status.FAILED, at(0), detail="the station is not connected")
    return site


def flow(site: Site, commander: Commander) -> Availability:
    store: Any = Direct(site)
    return Availability(store, commander, lambda _: True, lambda: at(60), settle_s=0.01)


async def test_what_is_due_is_told_once_the_widest_first(away: Site) -> None:
    commander = Commander(away)
    availability = flow(away, commander)
    assert await availability.tell("s1") == 2
    assert commander.asked == [
        {"available": False},
        {"available": False, "evse": 2, "connector": 1},
    ]
    assert await availability.tell("s1") == 0


async def test_a_station_that_goes_meanwhile_is_told_the_next_time(away: Site) -> None:
    commander = Commander(away, gone=True)
    assert await flow(away, commander).tell("s1") == 0
    assert len(commander.asked) == 1
    assert await flow(away, Commander(away)).tell("s1") == 2


async def test_a_station_is_told_once_it_has_settled(away: Site) -> None:
    """Its link came up and its boot was answered: one look, after the later of both."""
    commander = Commander(away)
    availability = flow(away, commander)
    running = asyncio.create_task(availability.run())
    availability.reachable("nobody")
    availability.reachable("s1")
    availability.reachable("s1")
    async with asyncio.timeout(10):
        await commander.all_told.wait()
    running.cancel()
    await asyncio.wait((running,))
    assert len(commander.asked) == 2


async def test_a_fault_with_one_station_ends_nothing(away: Site) -> None:
    class Broken(Commander):
        async def submit(self, *args: Any, **more: Any) -> Command:
            raise ValueError("a mistake")

    assert await flow(away, Broken(away)).tell("s1") == 0


# -- while the link stays --------------------------------------------------------------------------


class Here:
    """A station whose link stays up, and what it is told as time goes by. `outcome`: of the wish
    that its EVSE 1 be out of use, which an operator had at 0; `time`: that of its clock, where it
    is not moved by hand."""

    def __init__(
        self, outcome: Status, time: Callable[[], float] | None = None, **said: Any
    ) -> None:
        self.site = Site()
        wish = {"available": False, "evse": 1}
        self.site.run(commands.submit, "c1", "s1", Kind.SET_AVAILABILITY, wish, "me", at(0))
        self.site.run(commands.finish, "c1", outcome, at(2), **said)
        self.commander = Commander(self.site)
        self.store = Direct(self.site)
        self.links = {"s1"}
        store: Any = self.store
        self.flow = Availability(
            store,
            self.commander,
            self.links.__contains__,
            self.clock,
            settle_s=3_600,
        )
        self.time = time

    def clock(self) -> datetime:
        if self.time is not None:
            self.commander.now = at(self.time())
        return self.commander.now

    @classmethod
    def taken(cls, time: Callable[[], float] | None = None) -> Here:
        return cls(Status.ACCEPTED, time, result={"status": "Accepted"})

    def reports(self, status: str, seconds: float, evse: int = 1) -> None:
        report = ConnectorReport(evse, 1, status, at(seconds))
        self.site.run(locations.record, origin(seconds), report)

    async def told(self, seconds: float) -> int:
        """How often it has been told, after a look at that time."""
        self.commander.now = at(seconds)
        for station_id in await self.flow.overdue():
            await self.flow.tell(station_id, back=False)
        return len(self.commander.asked)

    @property
    def state(self) -> str:
        (wish,) = self.site.rows(DesiredAvailability)
        return str(wish.state)


async def test_what_a_station_forgot_soon_after_it_was_told_is_told_again() -> None:
    """It is reset within ten minutes and reports as free what it had taken out of use (OCPP 2.0.1
    G03.FR.05, 1.6 5.2: it should have kept it)."""
    station = Here.taken()
    station.reports("available", 300)
    assert await station.told(330) == 0
    assert await station.told(LATER) == 1
    assert station.commander.asked == [{"available": False, "evse": 1}]
    # It says yes and goes on as before.
    assert await station.told(LATER + 300) == 1
    assert await station.told(2 * LATER) == 2
    station.reports("unavailable", 2 * LATER + 1)
    assert await station.told(4 * LATER) == 2


async def test_what_a_station_did_not_answer_is_told_again_and_again_but_seldom() -> None:
    station = Here(Status.TIMED_OUT)
    station.commander.silent = True
    assert await station.told(60) == 0
    assert await station.told(LATER) == 1
    assert await station.told(LATER + 60) == 1
    assert await station.told(2 * LATER) == 2
    station.commander.silent = False
    assert await station.told(3 * LATER) == 3
    assert station.state == "taken"
    assert await station.told(9 * LATER) == 3


async def test_what_cannot_be_told_is_tried_as_seldom() -> None:
    """A station that is rejected is sent nothing (OCPP 2.0.1 B03.FR.03)."""
    station = Here(Status.TIMED_OUT)
    station.commander.refused = True
    assert await station.told(LATER) == 1
    assert await station.told(LATER + 60) == 1
    assert await station.told(2 * LATER) == 2


async def test_only_what_is_due_costs_the_store_anything() -> None:
    """A look reads the wishes, and asks nothing of the stations that are as they should be."""
    station = Here.taken()
    station.reports("unavailable", 10)
    station.reports("available", 10, evse=2)
    assert await station.told(5 * LATER) == 0
    station.reports("available", 5 * LATER)
    station.links.clear()
    assert await station.told(6 * LATER) == 0
    assert station.store.functions == 0
    station.links.add("s1")
    assert await station.told(6 * LATER) == 1


async def test_a_station_that_has_just_come_is_left_to_settle() -> None:
    station = Here(Status.TIMED_OUT)
    station.flow.reachable("s1")
    assert await station.told(LATER) == 0


def test_it_is_looked_at_for_as_long_as_the_process_lives() -> None:
    """A station that says yes and never does it is told every ten minutes, and at no other time."""
    told: list[int] = []

    async def life() -> None:
        station = Here.taken(asyncio.get_running_loop().time)
        station.reports("available", 300)
        running = asyncio.create_task(station.flow.run())
        await passing(1)
        for minute in range(1, 61):
            await passing(60)
            told.extend([minute] * (len(station.commander.asked) - len(told)))
        running.cancel()
        await asyncio.wait((running,))

    run_virtually(life())
    assert told == [10, 20, 30, 40, 50, 60]


async def test_of_many_stations_those_are_found_that_something_is_due_for() -> None:
    """More of them than one read gives, and more wishes than stations."""
    station = Here.taken()
    site, numbers = station.site, range(300)
    for n in numbers:
        site.run(stations.onboard, f"t{n:03}", NewStation(f"CS-t{n}", PARTY, evses=2), NOW)
        for evse in (1, 2):
            name, wish = f"t{n} {evse}", {"available": False, "evse": evse}
            who = f"t{n:03}"
            site.run(commands.submit, name, who, Kind.SET_AVAILABILITY, wish, "me", at(0))
            said = {"result": {"status": "Accepted"}} if n % 3 else {}
            status = Status.ACCEPTED if n % 3 else Status.TIMED_OUT
            site.run(commands.finish, name, status, at(1), **said)
        if n % 3 == 1:
            report = ConnectorReport(2, 1, "available", at(2))
            site.run(locations.record, origin(2, f"t{n:03}"), report)
    station.links |= {f"t{n:03}" for n in numbers if n % 2}
    station.commander.now = at(LATER)
    found = await station.flow.overdue()
    assert found == [f"t{n:03}" for n in numbers if n % 2 and n % 3 != 2]
    assert station.store.functions == 0


def test_a_station_that_boots_while_it_is_told_is_told_the_rest_later(away: Site) -> None:
    """One conversation at a time: it is due again long before it has answered."""
    told: list[tuple[float, float]] = []

    class Slow(Commander):
        async def submit(self, *args: Any, **more: Any) -> Command:
            loop = asyncio.get_running_loop()
            began = loop.time()
            if not told:
                availability.reachable("s1")
            await passing(20)
            told.append((began, loop.time()))
            return await super().submit(*args, **more)

    commander = Slow(away)
    availability = flow(away, commander)

    async def life() -> None:
        running = asyncio.create_task(availability.run())
        availability.reachable("s1")
        await passing(120)
        running.cancel()
        await asyncio.wait((running,))

    run_virtually(life())
    assert len(told) == 2
    assert told[0][1] <= told[1][0]
