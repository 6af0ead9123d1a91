"""Telling stations what may be used: wishes that were made while they were away, or that they lost.

A station that came up or booted is left alone until it has settled and has reported its
connectors; then it is told what is due, each wish as a command of its own, so that the ledger shows
it: one at a time, the widest first. While its link stays up nobody says that a wish became due, so
every node looks through the wishes (never through the stations) for those of its own that are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar

import structlog

from csms.core import desired_availability
from csms.core.availability import Connector
from csms.core.commands import Command, Kind
from csms.core.desired_availability import (
    AGAIN,
    BY_ITSELF,
    DesiredAvailability,
    Place,
    State,
    due_of,
    may_be_due,
)
from csms.core.errors import CsmsError
from csms.core.ports import Store

log = structlog.get_logger("flows.availability")
AT_ONCE = 20
PAGE = 500
# Stations that are read about together.
TOGETHER = 100
# What may become due: what a station did not answer, and what it is to keep out of use.
OPEN: tuple[Mapping[str, Any], ...] = (
    {"state": State.WANTED.value},
    {"state": State.TAKEN.value, "available": False},
)
Row = TypeVar("Row", DesiredAvailability, Connector)


class Submitting(Protocol):
    """See `flows.commands.Commander.submit`."""

    async def submit(
        self,
        station_id: str,
        kind: Kind,
        parameters: Mapping[str, Any],
        requested_by: str,
        *,
        wait_s: float = 0.0,
    ) -> Command: ...


class Availability:
    """Say `reachable` of stations, and `run` it; at most `AT_ONCE` are told at the same time.

    `holds`: whether this node holds a station's link. `settle_s`: from a link or a boot until a
    station is told. `wait_s`: how long one is waited for. `look_s`: from one look through the
    wishes to the next.
    """

    def __init__(
        self,
        store: Store,
        commander: Submitting,
        holds: Callable[[str], bool],
        clock: Callable[[], datetime],
        settle_s: float = 10.0,
        wait_s: float = 30.0,
        look_s: float = 30.0,
    ) -> None:
        self._store = store
        self._commander = commander
        self._holds = holds
        self._clock = clock
        self._settle_s = settle_s
        self._wait_s = wait_s
        self._look_s = look_s
        # Station -> when it is due. The delay is the same for all, so that the order is that of
        # the times; one that boots meanwhile goes to the end.
        self._due: dict[str, float] = {}
        self._telling: set[str] = set()
        # What was told within `AGAIN`: the row of a wish that got no answer does not say so.
        self._tried: dict[str, dict[Place, datetime]] = {}
        self._more = asyncio.Event()

    def reachable(self, station_id: str) -> None:
        """A station came up, or its boot was answered."""
        self._due.pop(station_id, None)
        self._due[station_id] = asyncio.get_running_loop().time() + self._settle_s
        self._more.set()

    async def run(self) -> None:
        """Tell stations as they fall due, for as long as the process lives."""
        room = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(tasks, room), name="look through the wishes")
            while True:
                await room.acquire()
                self._begin(tasks, room, await self._next(), back=True)

    def _begin(
        self, tasks: asyncio.TaskGroup, room: asyncio.Semaphore, station_id: str, *, back: bool
    ) -> None:
        def told(_: object) -> None:
            self._telling.discard(station_id)
            room.release()

        self._telling.add(station_id)
        telling = tasks.create_task(self.tell(station_id, back=back), name=f"tell {station_id}")
        telling.add_done_callback(told)

    async def _next(self) -> str:
        """The station that is due first, when it is."""
        loop = asyncio.get_running_loop()
        while True:
            self._more.clear()
            if not self._due:
                await self._more.wait()
                continue
            station_id, at = next(iter(self._due.items()))
            if at > loop.time():
                await asyncio.sleep(at - loop.time())
            elif station_id in self._telling:
                self.reachable(station_id)
            else:
                del self._due[station_id]
                return station_id

    async def _watch(self, tasks: asyncio.TaskGroup, room: asyncio.Semaphore) -> None:
        """Tell what became due while links stayed up; a store that is away is asked again."""
        while True:
            await asyncio.sleep(self._look_s)
            try:
                for station_id in await self.overdue():
                    await room.acquire()
                    if self._stays(station_id):
                        self._begin(tasks, room, station_id, back=False)
                    else:
                        room.release()
            except CsmsError as error:
                log.warning("wishes_not_looked_through", why=error.detail or error.code)
            except Exception:
                # Nothing that goes wrong here may end the system.
                log.exception("wishes_not_looked_through")

    def _stays(self, station_id: str) -> bool:
        """Whether its link is here, and nobody tells it or is about to."""
        busy = station_id in self._due or station_id in self._telling
        return self._holds(station_id) and not busy

    async def overdue(self) -> list[str]:
        """The stations of this node that something is due for though their links stayed up."""
        now = self._clock()
        self._forget(now)
        found: set[str] = set()
        for where in OPEN:
            async for wish in self._rows(DesiredAvailability, where):
                who = wish.station_id
                if self._stays(who) and may_be_due(wish, now, self._tried.get(who, {})):
                    found.add(who)
        stations = sorted(found)
        parts = [stations[n : n + TOGETHER] for n in range(0, len(stations), TOGETHER)]
        return [who for part in parts for who in await self._due_among(part, now)]

    async def _due_among(self, stations: list[str], now: datetime) -> list[str]:
        about: dict[str, Any] = {"station_id": tuple(stations)}
        wishes: dict[str, list[DesiredAvailability]] = {who: [] for who in stations}
        free: dict[str, list[Connector]] = {who: [] for who in stations}
        async for wish in self._rows(DesiredAvailability, about):
            wishes[wish.station_id].append(wish)
        async for connector in self._rows(Connector, {**about, "status": "available"}):
            free[connector.station_id].append(connector)
        return [
            who for who in stations if due_of(wishes[who], free[who], now, self._tried.get(who, {}))
        ]

    async def _rows(self, kind: type[Row], where: Mapping[str, Any]) -> AsyncIterator[Row]:
        after: tuple[str, int, int] | None = None
        while True:
            page = await self._store.reader.page(kind, where, after=after, limit=PAGE)
            for row in page:
                yield row
            if len(page) < PAGE:
                return
            after = (page[-1].station_id, page[-1].evse, page[-1].connector)

    async def tell(self, station_id: str, *, back: bool = True) -> int:
        """Tell what is due; how many wishes were told. `back`: it has just come, and is told at
        once what did not reach it. Nothing that goes wrong with one station is raised: what was not
        told is due again when the station comes back, or after `AGAIN`."""
        told = 0
        try:
            for wish in await self._wishes(station_id, back):
                tried = self._tried.setdefault(station_id, {})
                tried[wish.evse, wish.connector] = self._clock()
                await self._commander.submit(
                    station_id,
                    Kind.SET_AVAILABILITY,
                    _parameters(wish),
                    BY_ITSELF,
                    wait_s=self._wait_s,
                )
                told += 1
        except CsmsError as error:
            log.info("availability_not_told", station=station_id, why=error.code)
        except Exception:
            log.exception("availability_not_told", station=station_id)
        return told

    async def _wishes(self, station_id: str, back: bool) -> tuple[DesiredAvailability, ...]:
        return await self._store.transact(
            desired_availability.due,
            station_id,
            self._clock(),
            None if back else dict(self._tried.get(station_id, {})),
            needs=desired_availability.needs(station_id),
            lane=station_id,
        )

    def _forget(self, now: datetime) -> None:
        """What was told so long ago that it may be told again."""
        self._tried = {
            who: tried
            for who, tried in self._tried.items()
            if any(now - at < AGAIN for at in tried.values())
        }


def _parameters(wish: DesiredAvailability) -> dict[str, Any]:
    place = {"evse": wish.evse, "connector": wish.connector}
    return {"available": wish.available, **{name: n for name, n in place.items() if n}}
