"""A station that is pending or rejected tells of a charge: recorded, and nobody is let in.

An error would make the station discard what it has to say (OCPP 1.6 4.2, 4.8; 2.0.1 B02.FR.09,
B03.FR.07); a start that was accepted would let anybody charge there.
"""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.stations import Registration
from csms.ocpp.rpc import ErrorCode
from tests.support.ocpp import Inbound, event, meter, rfid, start, stop

HELD_BACK = pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED])


def held_back(registration: Registration, protocol: str) -> Inbound:
    station = Inbound(protocol, registration=registration)
    station.adds_token("04A2")
    return station


@HELD_BACK
def test_a_charge_of_a_1_6_station_is_recorded(registration: Registration) -> None:
    station = held_back(registration, "ocpp1.6")
    answer = station.answers("StartTransaction", start())
    number = answer["transactionId"]
    assert answer["idTagInfo"]["status"] == "Invalid"
    station.answers("MeterValues", meter({"value": "1250"}, transactionId=number))
    assert (station.transaction.open, station.transaction.energy_wh) == (True, 250)
    station.answers("StopTransaction", stop(number))
    row = station.transaction
    assert (row.open, row.energy_wh, row.outcome) == (False, 2_500, "invalid")
    assert (row.token_uid, row.flags) == ("04A2", ())
    assert len(station.samples) == 1
    assert station.quarantined == []
    assert station.marks == []


@HELD_BACK
@pytest.mark.parametrize("protocol", ["ocpp2.0.1", "ocpp2.1"])
def test_a_charge_of_a_2_x_station_is_recorded(registration: Registration, protocol: str) -> None:
    station = held_back(registration, protocol)
    token = {"idToken": rfid("04A2"), "evse": {"id": 1}}
    answer = station.answers("TransactionEvent", event("Started", 0, wh=1_000, **token))
    assert answer["idTokenInfo"]["status"] == "Invalid"
    assert station.answers("TransactionEvent", event("Updated", 1, wh=1_250)) == {}
    assert station.answers("TransactionEvent", event("Ended", 2, wh=3_500)) == {}
    row = station.transaction
    assert (row.open, row.energy_wh, row.outcome) == (False, 2_500, "invalid")
    values = {"timestamp": "2024-05-01T13:00:00Z", "sampledValue": [{"value": 9_000}]}
    assert station.answers("MeterValues", evseId=1, meterValue=[values]) == {}
    assert len(station.samples) == 4
    assert station.marks == []


@HELD_BACK
def test_a_token_that_is_shown_later_is_no_better(registration: Registration) -> None:
    station = held_back(registration, "ocpp2.0.1")
    assert station.answers("TransactionEvent", event("Started", 0)) == {}
    answer = station.answers("TransactionEvent", event("Updated", 1, idToken=rfid("04A2")))
    assert answer["idTokenInfo"]["status"] == "Invalid"
    assert station.transaction.outcome == "invalid"


@HELD_BACK
def test_a_start_that_is_repeated_gets_the_same_answer(registration: Registration) -> None:
    station = held_back(registration, "ocpp1.6")
    first = station.answers("StartTransaction", start())
    assert station.answers("StartTransaction", start()) == first


def test_the_end_of_a_charge_that_began_before_is_its_end(station16: Inbound) -> None:
    """A station that was accepted when the charge began."""
    station16.adds_token("04A2")
    number = station16.answers("StartTransaction", start())["transactionId"]
    station16.registers(Registration.REJECTED)
    station16.answers("StopTransaction", stop(number))
    row = station16.transaction
    assert (row.open, row.energy_wh, row.outcome) == (False, 2_500, "accepted")


@HELD_BACK
@pytest.mark.parametrize(
    ("protocol", "action", "payload"),
    [
        ("ocpp1.6", "Authorize", {"idTag": "04A2"}),
        ("ocpp1.6", "Heartbeat", {}),
        ("ocpp2.0.1", "Authorize", {"idToken": rfid("04A2")}),
        ("ocpp2.1", "Heartbeat", {}),
    ],
)
def test_anything_else_is_a_security_error(
    registration: Registration, protocol: str, action: str, payload: dict[str, Any]
) -> None:
    refusal = held_back(registration, protocol).refuses(action, payload)
    assert refusal.code is ErrorCode.SECURITY_ERROR
