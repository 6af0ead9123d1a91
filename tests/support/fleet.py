"""Chargers with drivers against a system: onboarding, running, draining."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from chargers.charger import Charger
from chargers.clock import ScaledClock
from chargers.driver import Driver, Habits
from chargers.profile import ChargerProfile
from tests.support.system import System

VERSIONS = ("1.6", "2.0.1", "2.1")
HABITS = Habits(gap_s=(5, 60), stay_s=(60, 300), linger_s=(2, 10))
PROGRESS_WITHIN_S = 30.0


def drivers(identity: str) -> list[str]:
    """The drivers of a charger; they come to no other, so none charges at two places at once."""
    return [f"{identity}-A", f"{identity}-B"]


async def onboard(
    system: System,
    count: int,
    of: Callable[[int], dict[str, Any]] = lambda number: {},
    **profile: Any,
) -> list[ChargerProfile]:
    """Stations here and their chargers, of all versions in turn; some boot on every reconnect,
    most do not, as in the field. `of`: what is particular to one of them, by its number."""
    profiles = []
    async with system.client() as client:
        for number in range(count):
            identity = f"CP-{number:02}"
            answer = await client.post("/stations", json={"identity": identity})
            assert answer.status_code == 201, answer.text
            for driver in drivers(identity):
                assert (await client.post("/tokens", json={"uid": driver})).status_code == 201
            usual = {"version": VERSIONS[number % 3], "boot_on_reconnect": number % 3 == 0}
            made = {**usual, **profile, **of(number)}
            profiles.append(ChargerProfile(id=identity, token=answer.json()["token"], **made))
    return profiles


class Fleet:
    """Running chargers with their drivers."""

    def __init__(self, system: System, profiles: list[ChargerProfile], seed: int, speed: float):
        self.clock = ScaledClock(speed)
        self.chargers = [
            Charger(p, system.station_url, clock=self.clock, rng=random.Random(seed + n))
            for n, p in enumerate(profiles)
        ]
        self.drivers = [
            Driver(c, drivers(c.profile.id), random.Random(seed * 2 + n), HABITS)
            for n, c in enumerate(self.chargers)
        ]

    @property
    def messages(self) -> int:
        """Calls sent and answered so far."""
        return sum(charger.ledger.messages for charger in self.chargers)

    async def until_messages(self, count: int, within_s: float = 60.0) -> None:
        """Wait until so many calls have been answered."""
        async with asyncio.timeout(within_s):
            while self.messages < count:
                await self.clock.sleep(1)

    async def drain(self) -> None:
        """Nobody arrives any more, transactions end, everything is delivered; asserts that."""
        for driver in self.drivers:
            driver.stop_arriving()
        waiting = self.chargers
        while waiting:
            # How much there is to say depends on how long the system was away, and how fast it is
            # heard on the machine: so what is asked for is progress, not an end by a given time.
            before = self.messages
            drained = await asyncio.gather(
                *(charger.drain(PROGRESS_WITHIN_S, for_good=True) for charger in waiting)
            )
            waiting = [c for c, done in zip(waiting, drained, strict=True) if not done]
            assert not waiting or self.messages > before, [len(c.outbox) for c in waiting]


@asynccontextmanager
async def running_fleet(
    system: System, profiles: list[ChargerProfile], seed: int, speed: float
) -> AsyncIterator[Fleet]:
    """A fleet that runs inside the block."""
    fleet = Fleet(system, profiles, seed, speed)
    async with asyncio.TaskGroup() as tasks:
        for charger in fleet.chargers:
            tasks.create_task(charger.run(), name=charger.profile.id)
        for driver in fleet.drivers:
            tasks.create_task(driver.run())
        try:
            yield fleet
        finally:
            for driver in fleet.drivers:
                driver.stop_arriving()
            for charger in fleet.chargers:
                charger.stop()
