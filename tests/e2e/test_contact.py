"""A station that comes back, over real sockets, with the simulated chargers as stations.

The chargers speak through the `ocpp` package; what is desired while a station is away is there when
it comes back, and a transaction whose end waits in its queue is not ended by anybody else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chargers.car import Car
from chargers.charger import Charger
from chargers.profile import ChargerProfile
from tests.support.conformance import Network, network
from tests.support.waiting import until

VERSIONS = ("1.6", "2.0.1", "2.1")
QUICK = {"port": 0, "host": "127.0.0.1", "settle_s": 0.2, "contact_again_s": 0.5}


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[Network]:
    async with network(tmp_path, ocpp=QUICK) as found:
        yield found


@asynccontextmanager
async def charger(system: Network, version: str, **fields: Any) -> AsyncIterator[Charger]:
    added = await system.operator.sends("POST", "/stations", {"identity": "CP-7"})
    profile = ChargerProfile(id="CP-7", version=version, token=added["token"], **fields)
    url = f"ws://127.0.0.1:{system.system.ocpp_port}/ocpp"
    async with Charger(profile, url) as made:
        await made.booted()
        yield made


async def variable(system: Network, name: str) -> dict[str, Any]:
    path = f"/stations/CP-7/configuration?name={name}"
    found = (await system.operator.sends("GET", path))["variables"]
    return found[0] if found else {}


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_desired_while_a_station_is_away_is_set_when_it_comes_back(
    system: Network, version: str
) -> None:
    async with charger(system, version, reconnect_min_s=0.1) as station:

        async def away() -> bool:
            return not (await system.operator.sends("GET", "/stations/CP-7"))["connected"]

        station.drop_link(stay_down=True)
        await until(away)
        change = {"values": {"MeterValueSampleInterval": "17"}}
        shown = await system.operator.sends("PATCH", "/stations/CP-7/configuration", change)
        assert shown["variables"][0]["state"] == "wanted"
        station.restore_link()

        async def applied() -> bool:
            found = await variable(system, "MeterValueSampleInterval")
            return found.get("state") == "applied"

        await until(applied)
        assert station._configuration.integer("meter_interval_s") == 17


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_inventory_is_made_on_first_contact(system: Network, version: str) -> None:
    async with charger(system, version):

        async def complete() -> bool:
            shown = await system.operator.sends("GET", "/stations/CP-7/configuration")
            return bool(shown["inventory"] == "complete" and len(shown["variables"]) > 10)

        await until(complete)


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
async def test_an_end_that_waits_in_the_queue_is_waited_for(system: Network, version: str) -> None:
    """A system that believed the first answer dropped the end: no final meter, no price."""
    await system.operator.adds(uid="DRIVER-1")
    async with charger(system, version, reconnect_min_s=0.1) as station:
        station.plug_in(1, Car(soc=0.2))
        await station.tap(1, "DRIVER-1")
        await station.until(lambda: station.ledger.transactions and not station.outbox)
        station.drop_link(stay_down=True)
        await station.until(lambda: not station.online)
        station.unplug(1)
        await station.until(lambda: bool(station.outbox))
        station.restore_link()
        await station.until(lambda: not station.outbox)

        async def reported() -> bool:
            return not (await system.operator.transaction())["open"]

        await until(reported)
        ended = await system.operator.transaction()
        assert (ended["end_kind"], ended["flags"]) == ("reported", [])
