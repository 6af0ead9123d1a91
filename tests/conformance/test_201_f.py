"""OCPP 2.0.1 block F, remote control: start, unlock, trigger."""

from __future__ import annotations

from unittest.mock import ANY

import pytest

from tests.support.conformance import VALID, Operator, Payload
from tests.support.conformance_2 import Station2, rfid

ACCEPTED = {"status": "Accepted"}


async def remote_start(
    station: Station2, operator: Operator, token: str = VALID, **answer: str
) -> tuple[int, Payload]:
    """The operator starts a charge at EVSE 1: its remote start id and the idToken that came."""
    asked = operator.asks("start_charging", token=token, evse=1)
    call = await station.is_asked(
        "RequestStartTransaction",
        {"idToken": ANY, "remoteStartId": ANY, "evseId": 1},
        {**ACCEPTED, **answer},
    )
    assert await asked.outcome() == ("accepted", None)
    return call["remoteStartId"], call["idToken"]


async def is_of_the_command(operator: Operator) -> None:
    """The only transaction is tied to the start that asked for it, and knows its driver."""
    found = await operator.transaction()
    command = await operator.sends("GET", f"/commands/{found['command_id']}")
    assert (command["kind"], command["transaction_id"]) == ("start_charging", found["id"])
    assert found["token_uid"] == VALID


async def test_TC_F_01_remote_start_cable_first(station: Station2, operator: Operator) -> None:
    """Started from afar where a car waits: the running transaction is the one."""
    await station.boots()
    await station.plugs_in()
    number, token = await remote_start(station, operator, transactionId=station.running[1].wire_id)
    assert token == rfid(VALID)
    await station.event("Updated", "RemoteStart", info={"remoteStartId": number})
    await station.charges()
    await is_of_the_command(operator)


async def test_TC_F_02_remote_start_first(station: Station2, operator: Operator) -> None:
    """Started from afar at a station that asks whether the card may: it may, and charges."""
    await station.boots()
    number, token = await remote_start(station, operator)
    assert (await station.authorizes(token))["status"] == "Accepted"
    await station.event("Started", "RemoteStart", info={"remoteStartId": number}, token=token)
    await station.plugs_in()
    await station.charges()
    await is_of_the_command(operator)


async def test_TC_F_03_remote_start_without_asking(station: Station2, operator: Operator) -> None:
    """Started from afar at a station that does not ask: the transaction names only the start."""
    await station.boots()
    number, _ = await remote_start(station, operator)
    await station.event("Started", "RemoteStart", info={"remoteStartId": number})
    await station.plugs_in()
    await station.charges()
    await is_of_the_command(operator)


async def test_TC_F_04_remote_start_and_no_cable(station: Station2, operator: Operator) -> None:
    """Started from afar and nobody plugs in: the transaction says so, with nothing charged."""
    await station.boots()
    number, _ = await remote_start(station, operator)
    await station.event("Started", "RemoteStart", info={"remoteStartId": number})
    assert await station.event("Updated", "EVConnectTimeout") == {}
    await is_of_the_command(operator)
    assert (await operator.transaction())["energy_wh"] == 0


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ({"uid": "E004015012", "technology": "iso15693"}, "ISO15693"),
        ({"uid": "APP-1", "kind": "app"}, "Central"),
    ],
)
async def test_TC_F_01_the_type_of_the_token(
    station: Station2, operator: Operator, token: Payload, told: str
) -> None:
    """A start from afar names the token by value and by its own type."""
    await operator.adds(**token)
    await station.boots()
    await station.plugs_in()
    _, shown = await remote_start(station, operator, token["uid"])
    assert shown == {"idToken": token["uid"], "type": told}


async def test_TC_F_06_unlock(station: Station2, operator: Operator) -> None:
    """A connector without a charge is unlocked."""
    await station.boots()
    asked = operator.asks("unlock", evse=2, connector=1)
    place = {"evseId": 2, "connectorId": 1}
    await station.is_asked("UnlockConnector", place, {"status": "Unlocked"})
    assert await asked.outcome() == ("accepted", "Unlocked")


# -- trigger -----------------------------------------------------------------------------------


async def trigger(
    station: Station2, operator: Operator, message: str, expected: Payload, **place: int
) -> None:
    """The operator asks for a message, and the station will send it."""
    asked = operator.asks("trigger", message=message, **place)
    await station.is_asked("TriggerMessage", expected, ACCEPTED)
    assert await asked.outcome() == ("accepted", None)


async def test_TC_F_11_trigger_meter_values_of_an_evse(
    station: Station2, operator: Operator
) -> None:
    """The readings of one EVSE, asked for and taken."""
    await station.boots()
    expected = {"requestedMessage": "MeterValues", "evse": {"id": 1}}
    await trigger(station, operator, "meter_values", expected, evse=1)
    value = station.meter_value("Trigger")
    assert await station.calls("MeterValues", evseId=1, meterValue=[value]) == {}


async def test_TC_F_12_trigger_meter_values_of_all(station: Station2, operator: Operator) -> None:
    """The readings of every EVSE, asked for at once and taken one by one."""
    await station.boots()
    await trigger(station, operator, "meter_values", {"requestedMessage": "MeterValues"})
    for evse in (1, 2):
        value = station.meter_value("Trigger", evse)
        assert await station.calls("MeterValues", evseId=evse, meterValue=[value]) == {}


async def test_TC_F_13_trigger_the_transaction_of_an_evse(
    station: Station2, operator: Operator
) -> None:
    """The present state of a charge, asked for by its EVSE: its reading counts."""
    await station.boots()
    await station.charges()
    expected = {"requestedMessage": "TransactionEvent", "evse": {"id": 1}}
    await trigger(station, operator, "transaction", expected, evse=1)
    await triggered_reading(station, operator)


async def test_TC_F_14_trigger_all_transactions(station: Station2, operator: Operator) -> None:
    """The present state of all charges, asked for at once."""
    await station.boots()
    await station.charges()
    await trigger(station, operator, "transaction", {"requestedMessage": "TransactionEvent"})
    await triggered_reading(station, operator)


async def triggered_reading(station: Station2, operator: Operator) -> None:
    station.energy_flows()
    answer = await station.event(
        "Updated",
        "Trigger",
        info={"chargingState": "Charging"},
        meterValue=[station.meter_value("Trigger")],
    )
    assert answer == {}
    assert (await operator.transaction())["energy_wh"] == 5_000


async def test_TC_F_15_trigger_log_status(station: Station2, operator: Operator) -> None:
    """The state of an upload of logs, asked for while there is none."""
    await station.boots()
    await trigger(station, operator, "logs", {"requestedMessage": "LogStatusNotification"})
    assert await station.calls("LogStatusNotification", status="Idle") == {}


async def test_TC_F_18_trigger_firmware_status(station: Station2, operator: Operator) -> None:
    """The state of an update, asked for while there is none."""
    await station.boots()
    expected = {"requestedMessage": "FirmwareStatusNotification"}
    await trigger(station, operator, "firmware", expected)
    assert await station.calls("FirmwareStatusNotification", status="Idle") == {}


async def test_TC_F_20_trigger_heartbeat(station: Station2, operator: Operator) -> None:
    """A heartbeat, asked for and answered with the time."""
    await station.boots()
    await trigger(station, operator, "heartbeat", {"requestedMessage": "Heartbeat"})
    assert (await station.calls("Heartbeat"))["currentTime"].endswith("Z")


async def triggered_status(station: Station2, operator: Operator, status: str) -> None:
    place = {"id": 1, "connectorId": 1}
    expected = {"requestedMessage": "StatusNotification", "evse": place}
    await trigger(station, operator, "status", expected, evse=1)
    await station.reports(status)
    assert await operator.status() == status.lower()


async def test_TC_F_23_trigger_the_status_available(station: Station2, operator: Operator) -> None:
    """The state of a free connector, asked for by EVSE and connector."""
    await station.boots()
    await triggered_status(station, operator, "Available")


async def test_TC_F_24_trigger_the_status_occupied(station: Station2, operator: Operator) -> None:
    """The state of a connector in use, asked for by EVSE and connector."""
    await station.boots()
    await station.reports("Occupied")
    await triggered_status(station, operator, "Occupied")


async def test_TC_F_27_trigger_not_implemented(station: Station2, operator: Operator) -> None:
    """The station does not know such a message: the operator sees its word."""
    await station.boots()
    asked = operator.asks("trigger", message="firmware")
    expected = {"requestedMessage": "FirmwareStatusNotification"}
    await station.is_asked("TriggerMessage", expected, {"status": "NotImplemented"})
    assert await asked.outcome() == ("rejected", "NotImplemented")
