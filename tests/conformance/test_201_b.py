"""OCPP 2.0.1 block B, provisioning: boot, registration, reset, network profiles."""

from __future__ import annotations

import pytest

from tests.support.conformance import IDENTITY, Network, Operator, Refused
from tests.support.conformance_2 import CHARGED_WH, Station2

ACCEPTED = {"status": "Accepted"}


async def test_TC_B_01_cold_boot(station: Station2, operator: Operator) -> None:
    """A registered station boots, is accepted with a time and an interval, and reports itself."""
    answer = await station.boots()
    assert answer["status"] == "Accepted"
    assert answer["interval"] > 0
    assert answer["currentTime"].endswith("Z")
    seen = await operator.station()
    assert (seen["vendor"], seen["model"], seen["serial"]) == ("Acme", "Post 2", "SN-1")
    assert [await operator.status(evse) for evse in (1, 2)] == ["available", "available"]


async def test_TC_B_02_boot_pending(station: Station2, operator: Operator) -> None:
    """An operator holds a station back: its boot is pending, and accepted once he lets it in."""
    await operator.registers("pending")
    first = await station.boot()
    assert (first["status"], first["interval"] > 0) == ("Pending", True)
    await operator.registers("accepted")
    assert (await station.boots())["status"] == "Accepted"
    assert await operator.status() == "available"


@pytest.mark.parametrize("registration", ["pending", "rejected"])
async def test_TC_B_30_before_acceptance(
    station: Station2, operator: Operator, registration: str
) -> None:
    """A station that is not accepted gets SecurityError for its reports; nothing is changed."""
    await operator.registers(registration)
    assert (await station.boot())["status"] == registration.capitalize()
    with pytest.raises(Refused) as refused:
        await station.reports("Available")
    assert refused.value.code == "SecurityError"
    assert await operator.status() == "unknown"


async def test_TC_B_31_boot_triggered_before_acceptance(
    station: Station2, operator: Operator
) -> None:
    """A pending station is asked to boot again, before its interval is over, and is accepted."""
    await operator.registers("pending")
    assert (await station.boot())["status"] == "Pending"
    asked = operator.asks("trigger", message="boot")
    await station.is_asked("TriggerMessage", {"requestedMessage": "BootNotification"}, ACCEPTED)
    assert await asked.outcome() == ("accepted", None)
    await operator.registers("accepted")
    assert (await station.boots("Triggered"))["status"] == "Accepted"


async def test_TC_B_20_reset_when_idle(station: Station2, operator: Operator) -> None:
    """A restart in good order of an idle station; it boots again and is accepted."""
    await station.boots()
    asked = operator.asks("reset")
    await station.is_asked("Reset", {"type": "OnIdle"}, ACCEPTED)
    assert await asked.outcome() == ("accepted", None)
    assert (await station.boots("RemoteReset"))["status"] == "Accepted"


async def test_TC_B_21_reset_after_the_charge(station: Station2, operator: Operator) -> None:
    """A restart that waits for the charge: scheduled, then the charge ends, then the boot."""
    await station.boots()
    await station.charges()
    asked = operator.asks("reset")
    await station.is_asked("Reset", {"type": "OnIdle"}, {"status": "Scheduled"})
    assert await asked.outcome() == ("accepted", "Scheduled")
    await station.leaves()
    assert (await station.boots("ScheduledReset"))["status"] == "Accepted"
    assert (await operator.transaction())["energy_wh"] == CHARGED_WH


async def test_TC_B_22_reset_at_once(station: Station2, operator: Operator) -> None:
    """A restart at once ends the charge: the end says why, and the energy until then counts."""
    await station.boots()
    await station.charges()
    asked = operator.asks("reset", immediate=True)
    await station.is_asked("Reset", {"type": "Immediate"}, ACCEPTED)
    assert await asked.outcome() == ("accepted", None)
    station.energy_flows()
    assert await station.ends("ResetCommand", "ImmediateReset", state="EVConnected") == {}
    assert (await station.boots("RemoteReset"))["status"] == "Accepted"
    await station.reports("Occupied")
    ended = await operator.transaction()
    assert (ended["open"], ended["stop_reason"]) == (False, "ImmediateReset")
    assert ended["energy_wh"] == CHARGED_WH


async def test_TC_B_25_reset_an_evse(station: Station2, operator: Operator) -> None:
    """One idle EVSE restarts; the other is not touched."""
    await station.boots()
    asked = operator.asks("reset", evse=1)
    await station.is_asked("Reset", {"type": "OnIdle", "evseId": 1}, ACCEPTED)
    assert await asked.outcome() == ("accepted", None)


async def test_TC_B_26_reset_an_evse_after_its_charge(
    station: Station2, operator: Operator
) -> None:
    """One EVSE restarts once its charge has ended."""
    await station.boots()
    await station.charges()
    asked = operator.asks("reset", evse=1)
    await station.is_asked("Reset", {"type": "OnIdle", "evseId": 1}, {"status": "Scheduled"})
    assert await asked.outcome() == ("accepted", "Scheduled")
    await station.leaves()
    assert not (await operator.transaction())["open"]


async def test_TC_B_27_reset_an_evse_at_once(station: Station2, operator: Operator) -> None:
    """One EVSE restarts at once and its charge ends; a charge at the other goes on."""
    await station.boots()
    await station.charges()
    asked = operator.asks("reset", evse=1, immediate=True)
    await station.is_asked("Reset", {"type": "Immediate", "evseId": 1}, ACCEPTED)
    assert await asked.outcome() == ("accepted", None)
    assert await station.ends("ResetCommand", "ImmediateReset", state="EVConnected") == {}
    assert (await operator.transaction())["stop_reason"] == "ImmediateReset"


PROFILE = {
    "configurationSlot": 2,
    "connectionData": {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": "wss://csms.example.com/ocpp",
        "messageTimeout": 30,
        "securityProfile": 2,
        "ocppInterface": "Wired0",
    },
}


async def test_TC_B_42_network_profile_set(station: Station2, operator: Operator) -> None:
    """Where a station shall connect to is written into one of its slots."""
    await station.boots()
    asked = operator.calls("SetNetworkProfile", PROFILE)
    await station.is_asked("SetNetworkProfile", PROFILE, ACCEPTED)
    row = await asked.row()
    assert (row["outcome"], row["payload"]) == ("result", ACCEPTED)


async def test_TC_B_44_network_profile_failed(station: Station2, operator: Operator) -> None:
    """The station cannot store the profile: the operator sees its own word."""
    await station.boots()
    asked = operator.calls("SetNetworkProfile", PROFILE)
    await station.is_asked("SetNetworkProfile", PROFILE, {"status": "Failed"})
    assert (await asked.row())["payload"] == {"status": "Failed"}


async def test_TC_B_58_the_station_prefers(network: Network) -> None:
    """Of what a station offers, the first that is spoken here is taken."""
    for offered, taken in (
        (("ocpp2.0.1", "ocpp1.6"), "ocpp2.0.1"),
        (("ocpp1.6", "ocpp2.0.1"), "ocpp1.6"),
        (("ocpp0.1", "ocpp2.0.1"), "ocpp2.0.1"),
    ):
        link = await network.connect(*offered)
        assert link.subprotocol == taken
        await link.close()


async def test_TC_B_58_nothing_in_common(network: Network, operator: Operator) -> None:
    """Nothing that is offered is spoken here: the handshake names none and the link is closed."""
    link = await network.connect("ocpp0.1")
    assert link.subprotocol is None
    await link.wait_closed()
    assert not (await operator.sends("GET", f"/stations/{IDENTITY}"))["connected"]
