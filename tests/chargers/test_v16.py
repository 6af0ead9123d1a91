"""What only 1.6 has: numbered connectors and configuration keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chargers.car import Car
from chargers.charger import Charger
from chargers.facts import Target
from chargers.v16 import Dialect16

Make = Callable[..., Charger]


@pytest.mark.parametrize(
    ("per_evse", "target", "connector"),
    [(1, Target(), 0), (1, Target(3, 1), 3), (2, Target(1, 2), 2), (2, Target(2, 1), 3)],
)
def test_connectors_are_numbered_through(per_evse: int, target: Target, connector: int) -> None:
    dialect = Dialect16(per_evse)
    assert dialect.connector_id(target) == connector
    assert dialect.target(connector) == target


async def test_every_connector_and_the_station_report_their_status(
    central: Any, make_charger: Make
) -> None:
    async with make_charger("1.6", evses=2, connectors_per_evse=2) as charger:
        await charger.booted()
        await central.until(lambda: len(central.of("StatusNotification")) == 5)
        charger.plug_in(2, Car(), connector=2)
        await central.until(lambda: len(central.of("StatusNotification")) == 6)
    reported = [
        (seen.fields["connector_id"], seen.fields["status"])
        for seen in central.of("StatusNotification")
    ]
    assert reported[:5] == [(number, "Available") for number in range(5)]
    assert reported[5] == (4, "Preparing")


async def test_configuration_keys(central: Any, make_charger: Make) -> None:
    async with make_charger("1.6", evses=2) as charger:
        await charger.booted()
        wanted = ["heartbeatinterval", "NumberOfConnectors", "AuthorizationKey", "Colour"]
        answer = await central.call("GetConfiguration", key=wanted)
        assert answer.unknown_key == ["Colour"]
        found = {entry["key"]: entry for entry in answer.configuration_key}
        assert found["HeartbeatInterval"]["value"] == "300"
        assert found["NumberOfConnectors"] == {
            "key": "NumberOfConnectors",
            "readonly": True,
            "value": "2",
        }
        assert "value" not in found["AuthorizationKey"]
        everything = await central.call("GetConfiguration")
        assert len(everything.configuration_key) > 5
        for key, value, status in (
            ("MeterValueSampleInterval", "20", "Accepted"),
            ("MeterValueSampleInterval", "soon", "Rejected"),
            ("NumberOfConnectors", "9", "Rejected"),
            ("Colour", "red", "NotSupported"),
        ):
            answer = await central.call("ChangeConfiguration", key=key, value=value)
            assert answer.status == status


async def test_a_changed_heartbeat_interval_counts_at_once(
    central: Any, make_charger: Make
) -> None:
    async with make_charger("1.6") as charger:
        await charger.booted()
        await central.call("ChangeConfiguration", key="HeartbeatInterval", value="6")
        await central.until(lambda: len(central.of("Heartbeat")) >= 2)
