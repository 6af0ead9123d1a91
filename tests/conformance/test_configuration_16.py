"""OCPP 1.6: configuration keys as an operator reads and sets them, triggered messages."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.support.conformance import IDENTITY, Operator, Payload
from tests.support.conformance_16 import Station16

CONFIGURATION = f"/stations/{IDENTITY}/configuration"


def meanwhile(coming: Coroutine[Any, Any, Payload]) -> asyncio.Task[Payload]:
    """What the operator waits for while the station follows its script."""
    return asyncio.create_task(coming)


async def set_(operator: Operator, station: Station16, answer: str) -> Payload:
    """The operator sets a key, the station answers; the variable as it then stands."""
    name, value = "MeterValueSampleInterval", "60"
    change = {"values": {name: value}}
    asked = meanwhile(operator.sends("PATCH", f"{CONFIGURATION}?wait=10", change))
    await station.is_asked("ChangeConfiguration", {"key": name, "value": value}, {"status": answer})
    (variable,) = (await asked)["variables"]
    found: Payload = variable
    return found


async def test_TC_019_1_all_configuration_keys(station16: Station16, operator: Operator) -> None:
    """The operator asks for all keys, and is shown them with their values."""
    await station16.boots()
    asked = meanwhile(operator.sends("POST", f"/stations/{IDENTITY}/reports", {}))
    keys = [
        {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
        {"key": "NumberOfConnectors", "readonly": True, "value": "2"},
    ]
    await station16.is_asked("GetConfiguration", {}, {"configurationKey": keys})
    assert (await asked)["parts"] == [{"configurationKey": keys}]
    shown = (await operator.sends("GET", CONFIGURATION))["variables"]
    assert {(v["name"], v["reported"], v["mutability"]) for v in shown} == {
        ("HeartbeatInterval", "300", "read_write"),
        ("NumberOfConnectors", "2", "read_only"),
    }


async def test_TC_019_2_a_specific_key(station16: Station16, operator: Operator) -> None:
    """The operator asks for one key."""
    await station16.boots()
    name = "SupportedFeatureProfiles"
    asked = meanwhile(operator.sends("POST", f"{CONFIGURATION}/refresh", {"names": [name]}))
    found = {"configurationKey": [{"key": name, "readonly": True, "value": "Core"}]}
    await station16.is_asked("GetConfiguration", {"key": [name]}, found)
    (variable,) = (await asked)["variables"]
    assert (variable["name"], variable["reported"]) == (name, "Core")


async def test_TC_021_change_configuration(station16: Station16, operator: Operator) -> None:
    """The operator sets a key, and the station has it."""
    await station16.boots()
    variable = await set_(operator, station16, "Accepted")
    assert (variable["desired"], variable["state"]) == ("60", "applied")


async def test_TC_040_1_not_supported(station16: Station16, operator: Operator) -> None:
    """A key that the station does not have."""
    await station16.boots()
    variable = await set_(operator, station16, "NotSupported")
    assert (variable["state"], variable["reason"]) == ("unsupported", "NotSupported")


async def test_TC_040_2_configuration_rejected(station16: Station16, operator: Operator) -> None:
    """A value that the station does not take."""
    await station16.boots()
    variable = await set_(operator, station16, "Rejected")
    assert (variable["state"], variable["reason"]) == ("rejected", "Rejected")


async def test_TC_054_trigger_messages(station16: Station16, operator: Operator) -> None:
    """Each message that can be triggered is asked for, sent, and answered."""
    await station16.boots()
    accepted = {"status": "Accepted"}
    sampled = {"timestamp": station16.clock(), "sampledValue": [{"value": "10000"}]}
    for message, evse, action, sends in (
        ("meter_values", 1, "MeterValues", {"connectorId": 1, "meterValue": [sampled]}),
        ("heartbeat", None, "Heartbeat", {}),
        (
            "status",
            1,
            "StatusNotification",
            {"connectorId": 1, "status": "Available", "errorCode": "NoError"},
        ),
        ("logs", None, "DiagnosticsStatusNotification", {"status": "Idle"}),
        ("firmware", None, "FirmwareStatusNotification", {"status": "Idle"}),
        (
            "boot",
            None,
            "BootNotification",
            {"chargePointVendor": "Acme", "chargePointModel": "Post 2"},
        ),
    ):
        place = {} if evse is None else {"evse": evse}
        wish = operator.asks("trigger", message=message, **place)
        expected: Payload = {"requestedMessage": action}
        if evse is not None:
            expected["connectorId"] = evse
        await station16.is_asked("TriggerMessage", expected, accepted)
        assert await wish.outcome() == ("accepted", None)
        await station16.calls(action, sends)
