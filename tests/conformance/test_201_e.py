"""OCPP 2.0.1 block E, transactions: where they begin and where they end is the station's choice."""

from __future__ import annotations

from typing import Any

from tests.support.conformance import INVALID, VALID, Operator
from tests.support.conformance_2 import CHARGED_WH, Station2

SIGNED = {
    "signedMeterData": "T0NNRnx7fXx7fQ==",
    "signingMethod": "ECDSA-secp256r1-SHA256",
    "encodingMethod": "OCMF",
    "publicKey": "b2N1",
}


async def begun(operator: Operator, **expected: Any) -> None:
    """The only transaction is open, and as expected."""
    found = await operator.transaction()
    assert found["open"]
    assert {name: found[name] for name in expected} == expected


async def ended(operator: Operator, reason: str, **expected: Any) -> None:
    """The only transaction has ended for that reason, by the station's own word."""
    found = await operator.transaction()
    assert (found["open"], found["end_kind"], found["stop_reason"]) == (False, "reported", reason)
    assert {name: found[name] for name in expected} == expected


# -- where it begins ---------------------------------------------------------------------------


async def test_TC_E_01_starts_with_the_power_path(station: Station2, operator: Operator) -> None:
    """Card, cable, and the transaction begins when the power path closes."""
    await station.boots()
    assert (await station.authorizes())["status"] == "Accepted"
    await station.reports("Occupied")
    suspended = {"chargingState": "SuspendedEVSE"}
    answer = await station.event(
        "Started", "ChargingStateChanged", token=VALID, place=True, info=suspended
    )
    assert answer["idTokenInfo"]["status"] == "Accepted"
    await station.goes("Charging")
    await begun(operator, token_uid=VALID, evse=1, charging_state="Charging")


async def test_TC_E_02_starts_with_energy(station: Station2, operator: Operator) -> None:
    """Card, cable, and the transaction begins when energy flows."""
    await station.boots()
    assert (await station.authorizes())["status"] == "Accepted"
    await station.reports("Occupied")
    answer = await station.event(
        "Started",
        "ChargingStateChanged",
        token=VALID,
        place=True,
        info={"chargingState": "Charging"},
    )
    assert answer["idTokenInfo"]["status"] == "Accepted"
    await begun(operator, token_uid=VALID, charging_state="Charging")


async def test_TC_E_03_cable_plugin_first(station: Station2, operator: Operator) -> None:
    """Cable, then card: one transaction, whose driver comes with its second event."""
    await station.boots()
    await station.plugs_in()
    await begun(operator, token_uid=None, evse=1)
    await station.is_authorized()
    await station.charges()
    await begun(operator, token_uid=VALID, charging_state="Charging")


async def test_TC_E_04_authorization_first(station: Station2, operator: Operator) -> None:
    """Card, then cable: one transaction, whose EVSE comes with its second event."""
    await station.boots()
    await station.is_authorized()
    await begun(operator, token_uid=VALID, evse=0)
    await station.plugs_in()
    await station.charges()
    await begun(operator, evse=1, connector=1, charging_state="Charging")


async def test_TC_E_09_starts_with_the_cable(station: Station2, operator: Operator) -> None:
    """The transaction begins with the cable, without a driver; nothing is said of a token."""
    await station.boots()
    assert await station.plugs_in() == {}
    await begun(operator, token_uid=None, charging_state="EVConnected")


async def test_TC_E_10_starts_with_the_card(station: Station2, operator: Operator) -> None:
    """The transaction begins with the card; asked twice for it, the answer is the same."""
    await station.boots()
    await station.is_authorized()
    await begun(operator, token_uid=VALID)


async def test_TC_E_11_starts_with_signed_data(station: Station2, operator: Operator) -> None:
    """The transaction begins with a signed reading, which is kept as it came."""
    await station.boots()
    assert (await station.authorizes())["status"] == "Accepted"
    await station.reports("Occupied")
    value = station.meter_value("Transaction.Begin", signedMeterValue=SIGNED)
    answer = await station.event(
        "Started", "SignedDataReceived", token=VALID, place=True, meterValue=[value]
    )
    assert answer["idTokenInfo"]["status"] == "Accepted"
    await station.goes("Charging")
    (reading,) = await operator.readings((await operator.transaction())["id"])
    assert reading["signed"] == SIGNED
    await begun(operator, token_uid=VALID)


async def test_TC_E_12_starts_with_the_parking_bay(station: Station2, operator: Operator) -> None:
    """The transaction begins when a car is detected, before any cable or card."""
    await station.boots()
    assert await station.event("Started", "EVDetected") == {}
    await begun(operator, token_uid=None, evse=0)


async def test_TC_E_38_car_not_ready(station: Station2, operator: Operator) -> None:
    """Card and cable, and the car does not want yet: the operator sees it suspended by the car."""
    await station.boots()
    await station.is_authorized()
    await station.plugs_in()
    assert await station.goes("SuspendedEV") == {}
    await begun(operator, charging_state="SuspendedEV", energy_wh=0)


async def test_TC_E_53_numbers_begin_again(station: Station2, operator: Operator) -> None:
    """Each transaction counts its events from 0; two in a row are two, with nothing missing."""
    await station.boots()
    for _ in range(2):
        await station.charges()
        await station.leaves()
    first, second = await operator.transactions()
    assert first["wire_id"] != second["wire_id"]
    for found in (first, second):
        assert (found["energy_wh"], found["missing_messages"]) == (CHARGED_WH, 0)


# -- where it ends -----------------------------------------------------------------------------


async def test_TC_E_07_ends_with_the_power_path(station: Station2, operator: Operator) -> None:
    """The driver stops and the transaction ends with the power path."""
    await station.boots()
    await station.charges()
    station.energy_flows()
    assert await station.ends("StopAuthorized", "Local") == {}
    await ended(operator, "Local", energy_wh=CHARGED_WH)


async def test_TC_E_08_ends_with_the_energy(station: Station2, operator: Operator) -> None:
    """The driver shows a card to stop, the energy stops, and with it the transaction."""
    await station.boots()
    await station.charges()
    assert (await station.stop_is_authorized())["status"] == "Accepted"
    await station.ends("ChargingStateChanged", "Local", state="EVConnected")
    await ended(operator, "Local", energy_wh=CHARGED_WH)


async def test_TC_E_14_ends_when_unplugged_at_the_station(
    station: Station2, operator: Operator
) -> None:
    """Stopped by card, then unplugged: the transaction ends with the cable."""
    await station.boots()
    await station.charges()
    await station.leaves()
    await ended(operator, "EVDisconnected", energy_wh=CHARGED_WH)
    assert await operator.status() == "available"


async def test_TC_E_15_ends_with_the_card(station: Station2, operator: Operator) -> None:
    """The transaction ends with the card that stops it."""
    await station.boots()
    await station.charges()
    station.energy_flows()
    answer = await station.ends(
        "StopAuthorized", "Local", token={"idToken": VALID, "type": "ISO14443"}
    )
    assert answer["idTokenInfo"]["status"] == "Accepted"
    await ended(operator, "Local", stop_token_uid=VALID, energy_wh=CHARGED_WH)


async def test_TC_E_16_ends_deauthorized(station: Station2, operator: Operator) -> None:
    """Begun with a card that is not valid: told at once, and ended by the station for it."""
    await station.boots()
    answer = await station.event("Started", "Authorized", token=INVALID)
    assert answer["idTokenInfo"]["status"] == "Invalid"
    await station.ends("Deauthorized", "DeAuthorized")
    await ended(operator, "DeAuthorized", outcome="invalid", energy_wh=0)


async def test_TC_E_17_ends_when_unplugged_at_the_car(
    station: Station2, operator: Operator
) -> None:
    """Unplugged at the car while it is suspended: the transaction ends without a card."""
    await station.boots()
    await station.charges()
    station.energy_flows()
    await station.goes("SuspendedEV")
    await station.ends("EVCommunicationLost", "EVDisconnected", state="Idle")
    await ended(operator, "EVDisconnected", stop_token_uid=None, energy_wh=CHARGED_WH)


async def test_TC_E_19_ends_when_the_bay_is_left(station: Station2, operator: Operator) -> None:
    """The transaction outlives the cable and ends when the car has left."""
    await station.boots()
    await station.charges()
    await station.stop_is_authorized()
    await station.goes("EVConnected")
    await station.reports("Available")
    await station.event("Updated", "EVCommunicationLost", info={"chargingState": "Idle"})
    await begun(operator, charging_state="Idle")
    await station.ends("EVDeparted", "Local")
    await ended(operator, "Local", energy_wh=CHARGED_WH)


async def test_TC_E_20_ends_with_the_cable_at_the_car(
    station: Station2, operator: Operator
) -> None:
    """Suspended by the car and unplugged: connector and transaction are free again."""
    await station.boots()
    await station.charges()
    station.energy_flows()
    await station.goes("SuspendedEV")
    await station.unplugs()
    await ended(operator, "EVDisconnected")
    assert await operator.status() == "available"


async def test_TC_E_21_ends_from_afar(station: Station2, operator: Operator) -> None:
    """A charge ended by the operator, by the id that the station gave it."""
    await station.boots()
    await station.charges()
    asked = operator.asks("stop_charging", evse=1)
    wire_id = {"transactionId": station.running[1].wire_id}
    await station.is_asked("RequestStopTransaction", wire_id, {"status": "Accepted"})
    assert await asked.outcome() == ("accepted", None)
    station.energy_flows()
    await station.ends("RemoteStop", "Remote")
    await ended(operator, "Remote", energy_wh=CHARGED_WH)


async def test_TC_E_22_ends_with_a_full_car(station: Station2, operator: Operator) -> None:
    """The car takes no more, and the transaction ends with it."""
    await station.boots()
    await station.charges()
    station.energy_flows()
    await station.ends("ChargingStateChanged", "StoppedByEV", state="SuspendedEV")
    await ended(operator, "StoppedByEV", charging_state="SuspendedEV", energy_wh=CHARGED_WH)


async def test_TC_E_26_suspended_when_unplugged(station: Station2, operator: Operator) -> None:
    """Unplugged at the car and plugged in again: the same transaction goes on."""
    await station.boots()
    await station.charges()
    await station.goes("SuspendedEV")
    idle = {"chargingState": "Idle"}
    await station.event("Updated", "EVCommunicationLost", info=idle)
    await station.reports("Available")
    await begun(operator, charging_state="Idle")
    connected = {"chargingState": "EVConnected"}
    await station.event("Updated", "CablePluggedIn", info=connected)
    await station.goes("Charging")
    await begun(operator, charging_state="Charging", token_uid=VALID)


async def test_TC_E_39_ends_without_a_cable(station: Station2, operator: Operator) -> None:
    """Card and no cable in time: the transaction ends with nothing charged."""
    await station.boots()
    await station.is_authorized()
    await station.ends("EVConnectTimeout", "Timeout")
    await ended(operator, "Timeout", energy_wh=0)
