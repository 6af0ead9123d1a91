"""OCPP 2.0.1 B and E: variables, reports, and the status of a transaction, as an operator asks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.support.conformance import IDENTITY, Operator, Payload
from tests.support.conformance_2 import Station2

CONFIGURATION = f"/stations/{IDENTITY}/configuration"
THRESHOLD, REMOTE = "OCPPCommCtrlr/OfflineThreshold", "AuthCtrlr/AuthorizeRemoteStart"


def meanwhile(coming: Coroutine[Any, Any, Payload]) -> asyncio.Task[Payload]:
    """What the operator waits for while the station follows its script."""
    return asyncio.create_task(coming)


def named(name: str) -> Payload:
    component, variable = name.split("/")
    return {"component": {"name": component}, "variable": {"name": variable}}


async def reads(station: Station2, operator: Operator, names: tuple[str, ...]) -> None:
    await station.boots()
    asked = meanwhile(operator.sends("POST", f"{CONFIGURATION}/refresh", {"names": list(names)}))
    wanted = [named(name) for name in names]
    results = [{**w, "attributeStatus": "Accepted", "attributeValue": "5"} for w in wanted]
    await station.is_asked(
        "GetVariables", {"getVariableData": wanted}, {"getVariableResult": results}
    )
    shown = {v["name"]: v["reported"] for v in (await asked)["variables"]}
    assert shown == dict.fromkeys(names, "5")


async def test_TC_B_06_get_variables_single(station: Station2, operator: Operator) -> None:
    """One variable is read, and shown."""
    await reads(station, operator, (THRESHOLD,))


async def test_TC_B_07_get_variables_multiple(station: Station2, operator: Operator) -> None:
    """Two variables are read in one message."""
    await reads(station, operator, (THRESHOLD, REMOTE))


async def sets(station: Station2, operator: Operator, values: dict[str, str]) -> None:
    await station.boots()
    asked = meanwhile(operator.sends("PATCH", f"{CONFIGURATION}?wait=10", {"values": values}))
    # In key order, as the central system keeps them; the specification allows any.
    wanted = [{**named(name), "attributeValue": values[name]} for name in sorted(values)]
    results = [{**named(name), "attributeStatus": "Accepted"} for name in sorted(values)]
    await station.is_asked(
        "SetVariables", {"setVariableData": wanted}, {"setVariableResult": results}
    )
    states = {v["name"]: v["state"] for v in (await asked)["variables"]}
    assert states == dict.fromkeys(values, "applied")


async def test_TC_B_09_set_variables_single(station: Station2, operator: Operator) -> None:
    """One variable is set."""
    await sets(station, operator, {THRESHOLD: "123"})


async def test_TC_B_10_set_variables_multiple(station: Station2, operator: Operator) -> None:
    """Two variables are set in one message."""
    await sets(station, operator, {THRESHOLD: "123", REMOTE: "false"})


async def inventories(station: Station2, operator: Operator, scope: str, base: str) -> None:
    await station.boots()
    asked = meanwhile(
        operator.sends("POST", f"/stations/{IDENTITY}/reports?wait=10", {"scope": scope})
    )
    number = 1
    accepted = {"status": "Accepted"}
    await station.is_asked("GetBaseReport", {"requestId": number, "reportBase": base}, accepted)
    for seq, name in enumerate((THRESHOLD, REMOTE)):
        data = {**named(name), "variableAttribute": [{"value": "5", "mutability": "ReadWrite"}]}
        answer = await station.calls(
            "NotifyReport",
            requestId=number,
            generatedAt=station.clock(),
            seqNo=seq,
            tbc=seq == 0,
            reportData=[data],
        )
        assert answer == {}
    report = await asked
    assert (report["state"], report["scope"], len(report["parts"])) == ("complete", scope, 2)
    shown = (await operator.sends("GET", CONFIGURATION))["variables"]
    assert {v["name"]: v["reported"] for v in shown} == {THRESHOLD: "5", REMOTE: "5"}


async def test_TC_B_12_configuration_inventory(station: Station2, operator: Operator) -> None:
    """The operator asks for the configuration, and is shown all of it."""
    await inventories(station, operator, "configuration", "ConfigurationInventory")


async def test_TC_B_13_full_inventory(station: Station2, operator: Operator) -> None:
    """The operator asks for everything, and is shown all of it."""
    await inventories(station, operator, "full", "FullInventory")


async def checks(station: Station2, operator: Operator, wire_id: str, answer: Payload) -> Payload:
    """The operator asks how the transaction stands; what he is told."""
    number = (await operator.transaction())["id"]
    asked = meanwhile(operator.sends("POST", f"/transactions/{number}/check", {}))
    await station.is_asked("GetTransactionStatus", {"transactionId": wire_id}, answer)
    return await asked


async def test_TC_E_29_ongoing_with_messages(station: Station2, operator: Operator) -> None:
    """It goes on, and something waits to be sent: which comes, and counts."""
    await station.boots()
    await station.charges()
    answer = {"ongoingIndicator": True, "messagesInQueue": True}
    told = await checks(station, operator, station.running[1].wire_id, answer)
    assert (told["ongoing"], told["messages_in_queue"]) == (True, True)
    station.energy_flows()
    value = [station.meter_value("Sample.Periodic")]
    await station.event("Updated", "MeterValuePeriodic", offline=True, meterValue=value)
    t = await operator.transaction()
    assert (t["open"], t["energy_wh"]) == (True, 5_000)


async def test_TC_E_30_ongoing_without_messages(station: Station2, operator: Operator) -> None:
    """It goes on, and nothing waits: it stays open."""
    await station.boots()
    await station.charges()
    answer = {"ongoingIndicator": True, "messagesInQueue": False}
    told = await checks(station, operator, station.running[1].wire_id, answer)
    assert (told["ongoing"], told["messages_in_queue"]) == (True, False)
    assert (await operator.transaction())["open"]


async def test_TC_E_31_ended_with_messages(station: Station2, operator: Operator) -> None:
    """It has ended, two messages are missing and wait: when they come nothing is missing."""
    await station.boots()
    await station.charges()
    charge = station.running[1]
    missing = charge.seq
    charge.seq += 2
    station.energy_flows()
    await station.ends("EVCommunicationLost", "EVDisconnected", state="Idle", offline=True)
    assert (await operator.transaction())["missing_messages"] == 2
    answer = {"ongoingIndicator": False, "messagesInQueue": True}
    told = await checks(station, operator, charge.wire_id, answer)
    assert (told["ongoing"], told["messages_in_queue"]) == (False, True)
    charge.seq = missing
    station.running[1] = charge
    await station.event("Updated", "StopAuthorized", offline=True)
    info = {"chargingState": "EVConnected"}
    await station.event("Updated", "ChargingStateChanged", info=info, offline=True)
    t = await operator.transaction()
    assert (t["missing_messages"], t["open"], t["flags"]) == (0, False, [])


async def without_id(station: Station2, operator: Operator, queued: bool) -> None:
    wish = operator.calls("GetTransactionStatus", {})
    await station.is_asked("GetTransactionStatus", {}, {"messagesInQueue": queued})
    assert (await wish.row())["payload"] == {"messagesInQueue": queued}


async def test_TC_E_33_any_message_in_queue(station: Station2, operator: Operator) -> None:
    """Whether anything waits at all: something does, and comes."""
    await station.boots()
    await station.charges()
    await without_id(station, operator, queued=True)
    value = [station.meter_value("Sample.Periodic")]
    await station.event("Updated", "MeterValuePeriodic", offline=True, meterValue=value)
    assert (await operator.transaction())["open"]


async def test_TC_E_34_no_message_in_queue(station: Station2, operator: Operator) -> None:
    """Whether anything waits at all: nothing does."""
    await station.boots()
    await without_id(station, operator, queued=False)
