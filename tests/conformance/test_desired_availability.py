"""What an operator takes out of use stays so: for stations that are away, and that forget.

OCPP 2.0.1 G03 (and its states, which persist over a restart), OCPP 1.6 5.2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.conformance import Network, Operator
from tests.support.conformance import network as network_in
from tests.support.conformance_2 import Station2
from tests.support.conformance_16 import Station16

ACCEPTED = {"status": "Accepted"}
# What else is asked by itself of a station that came back; these know none of it.
ELSE = dict.fromkeys(("GetBaseReport", "GetVariables", "GetConfiguration", "TriggerMessage"))
AT_ONCE = {"port": 0, "host": "127.0.0.1", "settle_s": 0.1}


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    """A system that leaves its stations alone for a moment only."""
    async with network_in(tmp_path, ocpp=AT_ONCE) as found:
        yield found


async def told_while_away(operator: Operator, **place: int) -> None:
    asked = operator.asks("set_availability", available=False, **place)
    assert await asked.refusal() == ("the station is not connected; it is told when it comes back")


async def taken(operator: Operator) -> bool:
    """The only wish is what the station does by its own word."""
    (wish,) = (await operator.station())["desired_availability"]
    return bool(wish["state"] == "taken")


async def test_TC_G_03_told_when_it_comes_back(network: Network) -> None:
    """Taken out of use while the station is away: it is told as soon as it is back."""
    await told_while_away(network.operator, evse=1)
    async with network.link("ocpp2.0.1") as wire:
        wire.background |= ELSE
        station = Station2(wire)
        await station.boots()
        expected = {"operationalStatus": "Inoperative", "evse": {"id": 1}}
        await station.is_asked("ChangeAvailability", expected, ACCEPTED)
        await station.reports("Unavailable")
        assert await network.operator.status() == "unavailable"


async def test_a_1_6_station_is_told_when_it_comes_back(network: Network) -> None:
    """Also one that does not boot, as most that only lost their link."""
    await told_while_away(network.operator, evse=2)
    async with network.link("ocpp1.6") as wire:
        wire.background |= ELSE
        station = Station16(wire)
        expected = {"connectorId": 2, "type": "Inoperative"}
        await station.is_asked("ChangeAvailability", expected, ACCEPTED)
        await station.reports("Unavailable", 2)
        assert await network.operator.status(2) == "unavailable"


async def test_a_refusal_is_shown_and_not_repeated(network: Network) -> None:
    await told_while_away(network.operator)
    async with network.link("ocpp2.0.1") as wire:
        wire.background |= ELSE
        station = Station2(wire)
        await station.boots()
        expected = {"operationalStatus": "Inoperative"}
        await station.is_asked("ChangeAvailability", expected, {"status": "Rejected"})
        rows = (await network.operator.sends("GET", "/commands"))["items"]
        assert len(rows) == 2
    async with network.link("ocpp2.0.1") as wire:
        wire.background |= ELSE
        await Station2(wire).boots()
        (wish,) = (await network.operator.station())["desired_availability"]
        assert (wish["state"], wish["detail"]) == ("refused", "Rejected")
