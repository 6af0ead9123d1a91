"""Telling stations what may be used: wishes that were made while they were away, or that they lost.

A station that came up or booted is left alone until it has settled and has reported its
connectors; then it is told what is due, each wish as a command of its own, so that the ledger shows
it: one at a time, the widest first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import structlog

from csms.core import desired_availability
from csms.core.commands import Command, Kind
from csms.core.desired_availability import BY_ITSELF, DesiredAvailability
from csms.core.errors import CsmsError
from csms.core.ports import Store

log = structlog.get_logger("flows.availability")
AT_ONCE = 20


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

    `settle_s`: from a link or a boot until a station is told. `wait_s`: how long one is waited for.
    """

    def __init__(
        self,
        store: Store,
        commander: Submitting,
        clock: Callable[[], datetime],
        settle_s: float = 10.0,
        wait_s: float = 30.0,
    ) -> None:
        self._store = store
        self._commander = commander
        self._clock = clock
        self._settle_s = settle_s
        self._wait_s = wait_s
        # Station -> when it is due. The delay is the same for all, so that the order is that of
        # the times; one that boots meanwhile goes to the end.
        self._due: dict[str, float] = {}
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
            while True:
                await room.acquire()
                station_id = await self._next()
                telling = tasks.create_task(self.tell(station_id), name=f"tell {station_id}")
                telling.add_done_callback(lambda _: room.release())

    async def _next(self) -> str:
        """The station that is due first, when it is."""
        loop = asyncio.get_running_loop()
        while True:
            self._more.clear()
            if not self._due:
                await self._more.wait()
                continue
            station_id, at = next(iter(self._due.items()))
            if at <= loop.time():
                del self._due[station_id]
                return station_id
            await asyncio.sleep(at - loop.time())

    async def tell(self, station_id: str) -> int:
        """Tell what is due; how many wishes were told. Nothing that goes wrong with one station is
        raised: what was not told is due again when the station comes back."""
        told = 0
        try:
            for wish in await self._wishes(station_id):
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

    async def _wishes(self, station_id: str) -> tuple[DesiredAvailability, ...]:
        return await self._store.transact(
            desired_availability.due,
            station_id,
            self._clock(),
            needs=desired_availability.needs(station_id),
            lane=station_id,
        )


def _parameters(wish: DesiredAvailability) -> dict[str, Any]:
    place = {"evse": wish.evse, "connector": wish.connector}
    return {"available": wish.available, **{name: n for name, n in place.items() if n}}
