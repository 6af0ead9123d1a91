"""Lost links and what is published: a station that is silent for longer than the grace makes its
EVSEs unknown, one that is back makes them known again.

Stations report what changes; that a link is gone nobody reports. A round looks at all stations, a
page at a time, and writes only where a station began or ceased to be heard, so that a restart of
everything within the grace is told to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from csms.core import locations
from csms.core.errors import CsmsError
from csms.core.ports import Store
from csms.core.stations import Station

log = structlog.get_logger("flows.places")

PAGE = 500
# Together in the batches of the store, and few enough to hold up no station.
AT_ONCE = 100


class Watch:
    """Follows which stations are heard. `run` until cancelled."""

    def __init__(self, store: Store, grace_s: float, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._grace = timedelta(seconds=grace_s)
        self._every_s = min(30.0, max(1.0, grace_s / 5))
        self._clock = clock
        self._heard: dict[str, bool] = {}

    async def run(self) -> None:
        """Rounds until cancelled; a store that is away is tried again with the next one."""
        while True:
            try:
                await self.round()
            except CsmsError as error:
                log.warning("places_not_watched", error=error.detail)
            except Exception:
                # Nothing that goes wrong here may end the system.
                log.exception("places_not_watched")
            await asyncio.sleep(self._every_s)

    async def round(self) -> int:
        """Look at all stations once; how many EVSEs changed. The first round of a process looks at
        each of them closely."""
        changed = 0
        after: tuple[str] | None = None
        while True:
            page = await self._store.reader.page(Station, after=after, limit=PAGE)
            now = self._clock()
            close = [
                (station.id, heard)
                for station in page
                if self._heard.get(station.id)
                is not (heard := locations.is_heard(station, now, self._grace))
            ]
            for first in range(0, len(close), AT_ONCE):
                some = close[first : first + AT_ONCE]
                changed += sum(await asyncio.gather(*(self._refresh(*one, now) for one in some)))
            if len(page) < PAGE:
                return changed
            after = (page[-1].id,)

    async def _refresh(self, station_id: str, heard: bool, now: datetime) -> int:
        needs = locations.refresh_needs(station_id)
        changed = await self._store.transact(
            locations.refresh, station_id, now, self._grace, needs=needs, lane=station_id
        )
        self._heard[station_id] = heard
        return changed
