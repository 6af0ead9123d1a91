"""Quirks 34, 35: stations and their own configuration, at a whole central system that asks and sets
by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from csms.core.device_model import MAX_ATTEMPTS
from tests.support.conformance import IDENTITY, Network, Payload, network
from tests.support.conformance_16 import CHARGED_WH, Station16
from tests.support.waiting import until

CONFIGURATION = f"/stations/{IDENTITY}/configuration"
AT_ONCE = {"port": 0, "host": "127.0.0.1", "settle_s": 0.02, "contact_again_s": 0.05}
SAMPLED = "MeterValuesSampledData"
MANY = "Current.Import,Energy.Active.Import.Register,Power.Active.Import,SoC,Temperature,Voltage"


@pytest.fixture
async def central(tmp_path: Path) -> AsyncIterator[Network]:
    async with network(tmp_path, ocpp=AT_ONCE) as found:
        yield found


@asynccontextmanager
async def booted(central: Network, **keys: str) -> AsyncIterator[Station16]:
    """A 1.6 station that has these keys, says them when it is asked, and has booted."""
    entries = [{"key": key, "readonly": False, "value": value} for key, value in keys.items()]
    async with central.link("ocpp1.6") as wire:
        wire.background = {
            "GetConfiguration": {"configurationKey": entries},
            "TriggerMessage": {"status": "NotImplemented"},
        }
        station = Station16(wire)
        assert (await station.boots())["status"] == "Accepted"
        yield station


async def variable(central: Network, name: str) -> Payload:
    shown = await central.operator.sends("GET", f"{CONFIGURATION}?name={name}")
    return next(iter(shown["variables"]), {})


async def inventory(central: Network) -> None:
    """The station has been asked for everything that it has."""

    async def complete() -> bool:
        shown: Any = await central.operator.sends("GET", CONFIGURATION)
        return bool(shown["inventory"] == "complete")

    await until(complete)


async def test_quirk_34_nothing_is_set_that_no_operator_desires(central: Network) -> None:
    async with booted(central, **{SAMPLED: MANY}) as station:
        await station.charges()
        await inventory(central)
        await station.stops()
        assert "ChangeConfiguration" not in station.wire._asked
    found = await central.operator.transaction()
    assert (found["open"], found["energy_wh"]) == (False, CHARGED_WH)


async def test_quirk_34_a_station_that_reboots_over_many_measurands(central: Network) -> None:
    """It accepts the list, reboots over it and has its old one again: what was desired is given
    up and shown, and the charge that went on meanwhile ends as its meter says."""
    few = {SAMPLED: "Energy.Active.Import.Register"}
    async with booted(central, **few) as station:
        await station.charges()
        await inventory(central)
        await central.operator.sends("PATCH", CONFIGURATION, {"values": {SAMPLED: MANY}})
    for _ in range(MAX_ATTEMPTS):
        async with booted(central, **few) as again:
            asked = {"key": SAMPLED, "value": MANY}
            await again.is_asked("ChangeConfiguration", asked, {"status": "Accepted"})

            async def settled() -> bool:
                return bool((await variable(central, SAMPLED))["state"] == "applied")

            await until(settled)
    async with booted(central, **few) as last:

        async def given_up() -> bool:
            return bool((await variable(central, SAMPLED))["state"] == "not_kept")

        await until(given_up)
        last.transactions, last.meter = station.transactions, station.meter
        await last.stops()
        assert "ChangeConfiguration" not in last.wire._asked
    found = await central.operator.transaction()
    assert (found["open"], found["energy_wh"]) == (False, CHARGED_WH)


@pytest.mark.parametrize("units", ["A", "W", "A,W", "Current,Power"])
async def test_quirk_35_rate_units_in_either_words(central: Network, units: str) -> None:
    """Errata 3.88: the words are `Current` and `Power`, and most stations say `A` and `W`. What is
    said is kept; nothing is made of it, and the station charges."""
    name = "ChargingScheduleAllowedChargingRateUnit"
    async with booted(central, **{name: units}) as station:
        await inventory(central)
        await station.charges()
        await station.stops()
    assert (await variable(central, name))["reported"] == units
    found = await central.operator.transaction()
    assert (found["open"], found["energy_wh"]) == (False, CHARGED_WH)
