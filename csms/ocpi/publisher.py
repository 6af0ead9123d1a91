"""Pumps: what changed here reaches every partner, and what their lists hold reaches us.

One pump per registered partner, on one node at a time. Each feed is pushed (`pushes`) and pulled
(`pulls`) by itself: one that fails is left alone for a while, longer each time, and neither the
other direction nor another module waits for it. Of all that a pump asks of its partner only so
many requests are under way at once, and only one of them reads a list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from csms.core.errors import CsmsError
from csms.core.partners import PULL, PUSH, Partner, State
from csms.ocpi.feeds import FEEDS, Feed, note
from csms.ocpi.network import SENDER, Network
from csms.ocpi.pulls import Intervals, Pulls
from csms.ocpi.pushes import Pushes

log = structlog.get_logger("ocpi.publisher")


class Wakeups(Protocol):
    """Tells when the journal grew."""

    async def grown(self, within_s: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """`at_once`: requests in flight to one partner. `first_s` to `most_s`: how long what failed is
    left alone. A turn comes after at most `idle_s`, and never sooner than `turn_s` after the one
    before, however busy the journal is. `pulls`: when their lists are read."""

    at_once: int = 4
    first_s: float = 1.0
    most_s: float = 300.0
    idle_s: float = 1.0
    turn_s: float = 0.25
    pulls: Intervals = field(default_factory=Intervals)


class Job:
    """One direction of one feed: a turn at a time, with its own waiting after a failure. `turn`
    tells whether all went well, `arrived` how much has gone well so far. `wait_s`: how long it was
    left alone after its last turn."""

    def __init__(
        self,
        name: str,
        turn: Callable[[Partner], Awaitable[bool]],
        pace: Pace,
        arrived: Callable[[], int] = lambda: 0,
    ) -> None:
        self.name = name
        self._turn = turn
        self._pace = pace
        self._arrived = arrived
        self._task: asyncio.Task[None] | None = None
        self.wait_s = 0.0
        self._due = 0.0

    @property
    def running(self) -> bool:
        """Whether a turn is under way."""
        return self._task is not None and not self._task.done()

    def stop(self) -> list[asyncio.Task[None]]:
        """Cut a turn short: what it has not done, whoever comes next will do. The turn, where it
        has still to end."""
        if self._task is None or self._task.done():
            return []
        self._task.cancel()
        return [self._task]

    def start(self, partner: Partner, tasks: asyncio.TaskGroup) -> None:
        """Begin a turn, unless one is under way or has failed just now."""
        if not self.running and asyncio.get_running_loop().time() >= self._due:
            name = f"partner {partner.name} {self.name}"
            self._task = tasks.create_task(self._work(partner), name=name)

    async def _work(self, partner: Partner) -> None:
        """What goes wrong here ends nothing else."""
        before = self._arrived()
        try:
            well = await self._turn(partner)
        except Exception:
            log.exception("partner_pump_failed", partner=partner.name, job=self.name)
            well = False
        pace = self._pace
        if well:
            self.wait_s = 0.0
        elif self._arrived() > before:
            # They are there: what is left is tried again soon.
            self.wait_s = pace.first_s
        else:
            self.wait_s = min(max(self.wait_s * 2, pace.first_s), pace.most_s)
        self._due = asyncio.get_running_loop().time() + self.wait_s


class Pump:
    """All that goes on with one partner by itself."""

    def __init__(self, network: Network, pace: Pace) -> None:
        self.name = ""
        client = network.client.limited(pace.at_once)
        self._network = replace(network, client=client)
        # A list that is long or slow takes one of the requests, and leaves the others to pushes.
        reading = replace(network, client=client.limited(1))
        self._pushes = {feed.name: Pushes(self._network, feed, pace.at_once) for feed in FEEDS}
        self._pulls = {feed.name: Pulls(reading, feed, pace.pulls) for feed in FEEDS}
        self._jobs: list[Job] = []
        for feed in FEEDS:
            self._jobs += self._jobs_of(feed, pace)

    def _jobs_of(self, feed: Feed, pace: Pace) -> list[Job]:
        pushes = self._pushes[feed.name]

        async def push(partner: Partner) -> bool:
            well = await self.push(partner, feed)
            return await self.settle(partner, feed) and well

        return [
            Job(f"{feed.name} {PUSH}", push, pace, lambda: pushes.arrived),
            Job(f"{feed.name} {PULL}", self._pulls[feed.name].turn, pace),
        ]

    @property
    def running(self) -> bool:
        """Whether anything is under way."""
        return any(job.running for job in self._jobs)

    def behind(self) -> dict[str, float]:
        """Module -> for how many seconds something has waited."""
        return {name: pushes.behind_s for name, pushes in self._pushes.items()}

    def start(self, partner: Partner, tasks: asyncio.TaskGroup) -> None:
        """A turn of everything that is due."""
        for job in self._jobs:
            job.start(partner, tasks)

    def stop(self) -> list[asyncio.Task[None]]:
        """Cut everything short that is under way; the turns that have still to end."""
        return [turn for job in self._jobs for turn in job.stop()]

    async def push(self, partner: Partner, feed: Feed) -> bool:
        """Send what changed; False when something did not arrive."""
        return await self._pushes[feed.name].turn(partner)

    async def settle(self, partner: Partner, feed: Feed) -> bool:
        """Send what waits in the outbox of a module; False when the partner did not settle it."""
        fault = await feed.settle(self._network, partner) if feed.settle else None
        if fault is not None:
            await note(self._network, partner, feed, PUSH, fault)
        return fault is None

    async def pull(self, partner: Partner, feed: Feed, *, full: bool = False) -> bool:
        """Take in their list; False when it failed."""
        return await self._pulls[feed.name].pull(partner, full=full)


class Publisher:
    """Runs the pumps until it is cancelled. `mine(partner id)`: whether this node serves that one;
    of a partner that others serve nothing is kept in mind."""

    def __init__(
        self,
        network: Network,
        bus: Wakeups,
        pace: Pace | None = None,
        mine: Callable[[str], bool] = lambda partner_id: True,
    ) -> None:
        self._network = network
        self._bus = bus
        self._pace = pace or Pace()
        self._mine = mine
        self._pumps: dict[str, Pump] = {}

    def pump(self, partner: Partner) -> Pump:
        """The pump of a partner."""
        found = self._pumps.get(partner.id)
        if found is None:
            found = self._pumps[partner.id] = Pump(self._network, self._pace)
        found.name = partner.name
        return found

    def drop(self, partner_id: str) -> list[asyncio.Task[None]]:
        """Another node serves that partner from now on: as soon as these turns have ended."""
        pump = self._pumps.pop(partner_id, None)
        return [] if pump is None else pump.stop()

    async def registered(self) -> list[str]:
        """The partners that there is something to do for, by id."""
        return [partner.id for partner in await self._registered()]

    async def run(self) -> None:
        """Everything that is due, again and again; one partner does not hold up the others, and a
        store that is away for a while ends nothing."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    connected = [p for p in await self._registered() if self._mine(p.id)]
                except CsmsError as error:
                    log.warning("partners_not_read", error=error.detail)
                    await asyncio.sleep(self._pace.idle_s)
                    continue
                for partner in connected:
                    self.pump(partner).start(partner, tasks)
                known = {partner.id for partner in connected}
                for gone in [i for i, p in self._pumps.items() if i not in known and not p.running]:
                    del self._pumps[gone]
                if not connected:
                    # Nobody to tell: that the journal grows is no reason to look.
                    await asyncio.sleep(self._pace.idle_s)
                    continue
                # Listening begins before the pause, so that nothing that happens in it is missed.
                listening = tasks.create_task(
                    self._bus.grown(self._pace.idle_s), name="listen to the journal"
                )
                await asyncio.sleep(self._pace.turn_s)
                await listening

    def behind(self) -> dict[tuple[str, ...], float]:
        """By partner and module: for how many seconds something has waited to reach it."""
        return {
            (pump.name, feed): seconds
            for pump in self._pumps.values()
            for feed, seconds in pump.behind().items()
        }

    async def _registered(self) -> list[Partner]:
        found: list[Partner] = []
        async for partner in self._network.every(Partner, {"state": State.REGISTERED}):
            found.append(partner)
        return found

    async def push(self, partner: Partner, feed: Feed) -> bool:
        """A turn of one feed by hand; False when something did not arrive."""
        return await self.pump(partner).push(partner, feed)

    async def settle(self, partner: Partner, feed: Feed) -> bool:
        """Send what waits in an outbox; False when the partner did not settle it."""
        return await self.pump(partner).settle(partner, feed)

    async def pull(self, partner: Partner, feed: Feed, *, full: bool = False) -> bool:
        """Take in a list of theirs; False when that failed."""
        return await self.pump(partner).pull(partner, feed, full=full)

    async def pull_all(self, partner: Partner) -> list[str]:
        """Read every list of a partner in full; what became of it, in words."""
        steps = []
        for feed in FEEDS:
            if partner.endpoint(feed.name, SENDER) is None or not feed.ways(self._network, partner):
                continue
            well = await self.pull(partner, feed, full=True)
            steps.append(f"{feed.name}: read in full" if well else f"{feed.name}: failed")
        return steps
