"""How a station is treated: what is known of its make and what its operator has set, together.

Asked when a link opens, after a boot (before the first one the make is unknown), and when an
operator changes a switch.
"""

from __future__ import annotations

from csms.core import policies, stations
from csms.core.policies import Policy
from csms.core.ports import Store, Tx
from csms.core.quirks import Catalogue, Make, Switches, make_of
from csms.core.stations import Station

MOST_MAKES = 1_000


class Treatments:
    """Reads what decides about a station and works out its switches."""

    def __init__(self, store: Store, catalogue: Catalogue = Catalogue()) -> None:  # noqa: B008
        self._store = store
        self._catalogue = catalogue
        # There are few makes, and all their stations may come at once.
        self._of_make: dict[Make, Switches] = {}

    def of(self, station: Station, policy: Policy) -> Switches:
        """How a station is treated that is known to be so."""
        make = make_of(station)
        if policy.switches:
            return self._catalogue.switches(make, policy.switches)
        known = self._of_make.get(make)
        if known is None:
            if len(self._of_make) >= MOST_MAKES:
                self._of_make.clear()
            known = self._of_make[make] = self._catalogue.switches(make, {})
        return known

    async def now(self, station_id: str) -> Switches | None:
        """How it is treated as it is now; None when the station is gone. Raises
        `StoreUnavailable`."""
        needs = (stations.needs(station_id), policies.needs(station_id))
        found = await self._store.transact(_decisive, station_id, needs=needs, lane=station_id)
        return None if found is None else self.of(*found)


def _decisive(tx: Tx, station_id: str) -> tuple[Station, Policy] | None:
    station = tx.get(Station, station_id)
    return None if station is None else (station, policies.of(tx, station_id))
