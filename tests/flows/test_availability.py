"""Telling stations what may be used, once they can be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from csms.core import commands
from csms.core.commands import Command, Kind, Status
from csms.core.desired_availability import BY_ITSELF
from csms.core.errors import StationOffline
from csms.flows.availability import Availability
from tests.support.charging import Site, at


class Direct:
    """A store whose functions run at once."""

    def __init__(self, site: Site) -> None:
        self.site = site

    async def transact(self, fn: Any, *args: Any, needs: Any = (), lane: Any = None) -> Any:
        return self.site.run(fn, *args)


class Commander:
    """Notes what is asked; the station says yes, or is gone."""

    def __init__(self, site: Site, gone: bool = False) -> None:
        self.site = site
        self.gone = gone
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
        name = f"again {len(self.asked)}"
        command, _ = self.site.run(
            commands.submit, name, station_id, kind, parameters, requested_by, at(60)
        )
        self.site.run(commands.finish, name, Status.ACCEPTED, at(61), result={"status": "Accepted"})
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
    return Availability(store, commander, lambda: at(60), settle_s=0.01)


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
