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
from csms.core.locations import LocationEvse
from csms.core.occupancy import Status
from csms.core.ports import Store
from csms.core.stations import Station

log = structlog.get_logger("flows.places")

PAGE = 500
WATCHED = ("id", "node", "disconnected_at")
PUBLISHED = ("party_id", "uid_key", "station_id", "status")
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
        """Look at all stations once; how many EVSEs changed. The first round of a process looks
        closely at those whose EVSEs are published otherwise than they should be."""
        changed = 0
        shown = None if self._heard else await self._shown()
        after: tuple[str] | None = None
        while True:
            page = await self._store.reader.fields(Station, WATCHED, after=after, limit=PAGE)
            now = self._clock()
            close = []
            for station_id, node, disconnected_at in page:
                heard = locations.is_heard(node, disconnected_at, now, self._grace)
                known = self._heard.get(station_id)
                if known is None and shown is not None and _fits(shown.get(station_id), heard):
                    self._heard[station_id] = heard
                elif known is not heard:
                    close.append((station_id, heard))
            for first in range(0, len(close), AT_ONCE):
                some = close[first : first + AT_ONCE]
                changed += sum(await asyncio.gather(*(self._refresh(*one, now) for one in some)))
            if len(page) < PAGE:
                return changed
            after = (page[-1][0],)

    async def _shown(self) -> dict[str, set[str]]:
        """What is published of the EVSEs of each station."""
        found: dict[str, set[str]] = {}
        after: tuple[str, str] | None = None
        while True:
            page = await self._store.reader.fields(LocationEvse, PUBLISHED, after=after, limit=PAGE)
            for _, _, station_id, status in page:
                if station_id is not None:
                    found.setdefault(station_id, set()).add(status)
            if len(page) < PAGE:
                return found
            after = (page[-1][0], page[-1][1])

    async def _refresh(self, station_id: str, heard: bool, now: datetime) -> int:
        needs = locations.refresh_needs(station_id)
        changed = await self._store.transact(
            locations.refresh, station_id, now, self._grace, needs=needs, lane=station_id
        )
        self._heard[station_id] = heard
        return changed


def _fits(statuses: set[str] | None, heard: bool) -> bool:
    """Whether that may be what is published of a station that is heard, or is not."""
    if not statuses:
        return True
    return Status.UNKNOWN not in statuses if heard else statuses == {Status.UNKNOWN}
