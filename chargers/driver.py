"""Drivers: people who arrive, plug in, tap, wait and leave, at random.

They use nothing but the surface of a charger that a person has: cable, reader, and their eyes.
All times are virtual seconds.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from chargers.car import Car
from chargers.charger import Charger
from chargers.charging import Tap
from chargers.clock import sleep_unless
from chargers.evse import Evse

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Habits:
    """How drivers behave; each pair is the shortest and the longest time."""

    gap_s: tuple[float, float] = (5.0, 60.0)
    """From one car's leaving an EVSE to the next one's arriving."""
    stay_s: tuple[float, float] = (120.0, 900.0)
    linger_s: tuple[float, float] = (5.0, 30.0)
    """Between stopping and pulling the cable, and other small delays."""
    unplug_share: float = 0.2
    """How many stop by pulling the cable instead of tapping."""


class Driver:
    """All the drivers that come to one charger, with `tokens` to choose from; without any, a car
    comes only when a start was asked for from afar.

    `run` ends when `stop_arriving` was called and cancels nothing: a car that charges is left
    charging, for `Charger.drain` to stop.
    """

    def __init__(
        self,
        charger: Charger,
        tokens: Sequence[str],
        rng: random.Random,
        habits: Habits | None = None,
    ) -> None:
        self._charger = charger
        self._tokens = list(tokens)
        self._rng = rng
        self._habits = habits or Habits()
        self._gone = asyncio.Event()
        self._wanted = {evse.number: asyncio.Event() for evse in charger.evses}
        charger.on_plug_wanted(lambda number: self._wanted[number].set())

    def stop_arriving(self) -> None:
        self._gone.set()

    async def run(self) -> None:
        """Send drivers to every EVSE. The charger must be running."""
        async with asyncio.TaskGroup() as tasks:
            visits = [
                tasks.create_task(
                    self._visits(evse), name=f"{self._charger.profile.id} driver {evse.number}"
                )
                for evse in self._charger.evses
            ]
            await self._gone.wait()
            for visit in visits:
                visit.cancel()

    async def _visits(self, evse: Evse) -> None:
        wanted = self._wanted[evse.number]
        while True:
            if self._tokens:
                gap_s = self._some(self._habits.gap_s)
                called = await sleep_unless(self._charger.clock, gap_s, wanted)
            else:
                called = await wanted.wait()
            wanted.clear()
            if not self._charger.online and not self._knows_tokens():
                continue
            if called and evse.car is None:
                await self._pause()
                self._plug_in(evse)
            elif evse.car is None and not await self._begin(evse) and evse.running is None:
                # Refused, and nobody has started the charge from afar meanwhile.
                self._charger.unplug(evse.number)
                continue
            await self._charge_and_leave(evse)

    async def _begin(self, evse: Evse) -> bool:
        """Plug in and tap, in either order; whether it was worth it."""
        token = self._rng.choice(self._tokens)
        if self._rng.random() < 0.7:
            self._plug_in(evse)
            await self._pause()
            return await self._charger.tap(evse.number, token) is Tap.ACCEPTED
        if await self._charger.tap(evse.number, token) is not Tap.ACCEPTED:
            return False
        await self._pause()
        if evse.car is None:
            self._plug_in(evse)
        return evse.running is not None

    async def _charge_and_leave(self, evse: Evse) -> None:
        await self._charger.clock.sleep(self._some(self._habits.stay_s))
        if evse.running is not None and self._rng.random() >= self._habits.unplug_share:
            await self._charger.tap(evse.number, evse.running.token.uid)
            await self._pause()
        self._charger.unplug(evse.number)

    def _plug_in(self, evse: Evse) -> None:
        battery_wh = self._rng.randrange(35_000, 100_001, 1_000)
        soc = self._rng.uniform(0.1, 0.7)
        self._charger.plug_in(evse.number, Car(battery_wh, soc))

    def _knows_tokens(self) -> bool:
        """Whether some driver has been accepted before, and could charge without a link."""
        return bool(self._charger.ledger.transactions)

    async def _pause(self) -> None:
        await self._charger.clock.sleep(self._some(self._habits.linger_s))

    def _some(self, between: tuple[float, float]) -> float:
        return self._rng.uniform(*between)
