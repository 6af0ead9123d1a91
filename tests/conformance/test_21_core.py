"""OCPP 2.1 Core: what 2.0.1 does not have. Limits that a station sets, charges that go on after an
interruption, network profiles with credentials, event streams."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.conformance import Network, Operator, Payload
from tests.support.conformance_2 import CHARGED_WH, Station2

ACCEPTED = {"status": "Accepted"}
PASSWORD = "a-password-of-the-new-slot"


@pytest.fixture
async def station21(network: Network) -> AsyncIterator[Station2]:
    """A 2.1 station that is connected and has not booted."""
    async with network.link("ocpp2.1") as wire:
        yield Station2(wire)


async def limited(station: Station2, operator: Operator, limit: Payload, reason: str) -> Payload:
    """A charge to which the station sets a limit, and which ends there; what is recorded of it."""
    await station.boots()
    await station.charges()
    info = {"transactionLimit": limit}
    assert await station.event("Updated", "LimitSet", info=info) == {}
    station.energy_flows()
    assert await station.ends(reason, reason, state="EVConnected") == {}
    return await operator.transaction()


@pytest.mark.parametrize(
    ("case", "limit", "reason", "kept"),
    [
        ("TC_E_106", {"maxEnergy": 5_000}, "EnergyLimitReached", {"max_energy_wh": 5_000}),
        ("TC_E_107", {"maxTime": 1_800}, "TimeLimitReached", {"max_time_s": 1_800}),
        ("TC_E_108", {"maxCost": 12.5}, "CostLimitReached", {"max_cost": "12.5"}),
    ],
)
async def test_TC_E_106_107_108_a_limit_that_the_station_sets(
    station21: Station2, operator: Operator, case: str, limit: Payload, reason: str, kept: Any
) -> None:
    """A limit that the driver chose at the station: kept and shown, and so is why it ended."""
    if case == "TC_E_108":
        # There is a trigger for it, but the reason to stop is the general one.
        recorded = await _cost_limited(station21, operator, limit)
    else:
        recorded = await limited(station21, operator, limit, reason)
        assert recorded["stop_reason"] == reason
    assert recorded["details"]["limit"] == kept
    assert recorded["details"]["trigger"] == reason
    assert (recorded["open"], recorded["energy_wh"]) == (False, CHARGED_WH)


async def _cost_limited(station: Station2, operator: Operator, limit: Payload) -> Payload:
    await station.boots()
    await station.charges()
    await station.event("Updated", "LimitSet", info={"transactionLimit": limit})
    station.energy_flows()
    await station.ends("CostLimitReached", "Local", state="EVConnected")
    return await operator.transaction()


async def test_TC_E_113_a_charge_that_goes_on_after_an_interruption(
    network: Network, operator: Operator
) -> None:
    """The power goes in the middle of a charge; the station says that it resumed: the same
    transaction, with all of its energy."""
    async with network.link("ocpp2.1") as wire:
        station = Station2(wire)
        await station.boots()
        await station.charges()
        station.energy_flows()
        running = await operator.transaction()
    async with network.link("ocpp2.1") as wire:
        station.wire, station.calls = wire, wire.calls
        await station.boot("PowerUp")
        await station.reports("Occupied")
        answer = await station.event(
            "Updated",
            "TxResumed",
            info={"chargingState": "Charging"},
            meterValue=[station.meter_value("Sample.Periodic")],
        )
        assert answer == {}
        resumed = await operator.transaction()
        assert (resumed["id"], resumed["open"]) == (running["id"], True)
        assert resumed["details"]["trigger"] == "TxResumed"
        station.energy_flows()
        await station.unplugs()
    ended = await operator.transaction()
    assert (ended["id"], ended["energy_wh"]) == (running["id"], 2 * CHARGED_WH)
    assert (ended["flags"], ended["missing_messages"]) == ([], 0)


@pytest.mark.parametrize("case", ["TC_B_103", "TC_B_104"])
async def test_TC_B_103_104_reset_at_once_and_resume(
    network: Network, operator: Operator, case: str
) -> None:
    """An operator resets a station that goes on afterwards, with and without a transaction."""
    async with network.link("ocpp2.1") as wire:
        station = Station2(wire)
        await station.boots()
        if case == "TC_B_103":
            await station.charges()
        asked = operator.asks("reset", resume=True)
        await station.is_asked("Reset", {"type": "ImmediateAndResume"}, ACCEPTED)
        assert await asked.outcome() == ("accepted", None)
    async with network.link("ocpp2.1") as wire:
        station.wire, station.calls = wire, wire.calls
        assert (await station.boot("RemoteReset"))["status"] == "Accepted"
        if case == "TC_B_103":
            await station.event("Updated", "TxResumed", info={"chargingState": "Charging"})
            station.energy_flows()
            await station.unplugs()
            assert (await operator.transaction())["energy_wh"] == CHARGED_WH
        else:
            assert await operator.transactions() == []


async def test_only_a_2_1_station_is_asked_to_resume(station: Station2, operator: Operator) -> None:
    """What the version of a station cannot do is refused in clear words, and nothing is sent."""
    asked = operator.asks("reset", resume=True)
    if station.wire.version == "2.1":
        await station.is_asked("Reset", {"type": "ImmediateAndResume"}, ACCEPTED)
        assert await asked.outcome() == ("accepted", None)
        return
    status, detail = await asked.outcome()
    assert status == "rejected"
    assert detail is not None
    assert "only OCPP 2.1 can" in detail


async def test_TC_B_100_a_network_profile_with_identity_and_password(
    station21: Station2, operator: Operator, network: Network
) -> None:
    """The profile goes out whole, and its password is written down nowhere."""
    await station21.boots()
    profile: Payload = {
        "configurationSlot": 2,
        "connectionData": {
            "ocppInterface": "Wired0",
            "ocppTransport": "JSON",
            "messageTimeout": 30,
            "ocppCsmsUrl": "wss://csms.example/ocpp",
            "securityProfile": 2,
            "identity": "CP-1",
            "basicAuthPassword": PASSWORD,
        },
    }
    asked = operator.calls("SetNetworkProfile", profile)
    await station21.is_asked("SetNetworkProfile", profile, ACCEPTED)
    row = await asked.row()
    assert row["payload"] == ACCEPTED
    command = await operator.sends("GET", f"/commands/{row['command_id']}")
    assert PASSWORD not in json.dumps(command)
    data = command["parameters"]["payload"]["connectionData"]
    assert data["identity"] == "CP-1"
    journal = await network.system.store.reader.journal(0, 1_000)
    assert not [entry for entry in journal if PASSWORD in entry.data]


async def test_TC_B_105_network_configuration_by_variables(
    station21: Station2, operator: Operator
) -> None:
    """The slots of 2.1 are components with variables."""
    await station21.boots()
    component = {"name": "NetworkConfiguration", "instance": "2"}
    url = {
        "component": component,
        "variable": {"name": "OcppCsmsUrl"},
        "attributeValue": "wss://csms.example/ocpp",
    }
    password = {
        "component": component,
        "variable": {"name": "BasicAuthPassword"},
        "attributeValue": PASSWORD,
    }
    wish: Payload = {"setVariableData": [url, password]}
    asked = operator.calls("SetVariables", wish)
    results = [
        {"attributeStatus": "Accepted", "component": v["component"], "variable": v["variable"]}
        for v in (url, password)
    ]
    await station21.is_asked("SetVariables", wish, {"setVariableResult": results})
    row = await asked.row()
    assert [r["attributeStatus"] for r in row["payload"]["setVariableResult"]] == ["Accepted"] * 2
    command = await operator.sends("GET", f"/commands/{row['command_id']}")
    assert PASSWORD not in json.dumps(command)


async def test_TC_N_105_an_event_stream_is_opened_kept_and_closed(
    station21: Station2, network: Network
) -> None:
    """What a stream carries comes as SEND, which is never answered, and is kept."""
    await station21.boots()
    stream: Payload = {"id": 1, "params": {"interval": 60, "values": 10}, "variableMonitoringId": 5}
    assert await station21.calls("OpenPeriodicEventStream", constantStreamData=stream) == ACCEPTED
    data = {"id": 1, "pending": 0, "basetime": station21.clock(), "data": [{"t": 0, "v": "1.5"}]}
    await station21.wire.connection.send(json.dumps([6, "s1", "NotifyPeriodicEventStream", data]))
    # Calls are answered in order: an answer to the SEND would come before this one.
    assert await station21.calls("ClosePeriodicEventStream", id=1) == {}
    kept = [
        json.loads(entry.data)
        for entry in await network.system.store.reader.journal(0, 1_000)
        if entry.kind == "station_reported"
    ]
    (stored,) = (e["payload"] for e in kept if e["action"] == "NotifyPeriodicEventStream")
    assert stored == data
