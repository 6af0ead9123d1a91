"""How a station is treated: what is known of its make and what its operator has set, together.

Asked when a link opens, after a boot (before the first one the make is unknown), and when an
operator changes a switch.
"""

from __future__ import annotations

from csms.core.policies import Policy
from csms.core.ports import Store
from csms.core.quirks import Catalogue, Make, Switches
from csms.core.stations import Station


class Treatments:
    """Reads what decides about a station and works out its switches."""

    def __init__(self, store: Store, catalogue: Catalogue = Catalogue()) -> None:  # noqa: B008
        self._store = store
        self._catalogue = catalogue

    async def of(self, station: Station) -> Switches:
        """How that station is treated now. Raises `StoreUnavailable`."""
        policy = await self._store.reader.get(Policy, station.id)
        make = Make(station.vendor, station.model, station.firmware)
        return self._catalogue.switches(make, policy.switches if policy else {})

    async def now(self, station_id: str) -> Switches | None:
        """The same by id; None when the station is gone. Raises `StoreUnavailable`."""
        station = await self._store.reader.get(Station, station_id)
        return None if station is None else await self.of(station)
