"""Everything that a 1.6 station may send has a route, and every answer is valid."""

from __future__ import annotations

import pytest

from csms.core.stations import Registration
from csms.ocpp.rpc import ErrorCode
from csms.ocpp.v16.routes import DIALECT
from tests.support.ocpp import Inbound, minimal_request

# OCPP 1.6 and the security whitepaper: what a charge point sends.
FROM_STATION = {
    "Authorize",
    "BootNotification",
    "DataTransfer",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "SecurityEventNotification",
    "SignCertificate",
    "SignedFirmwareStatusNotification",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
}


def test_the_table_is_the_specification() -> None:
    assert set(DIALECT.routes) == FROM_STATION
    assert set(DIALECT.routes) <= DIALECT.schemas.actions


@pytest.mark.parametrize("action", sorted(FROM_STATION))
def test_the_least_request_is_valid_and_so_is_its_answer(station16: Inbound, action: str) -> None:
    request = minimal_request("1.6", action)
    assert not DIALECT.schemas.request_faults(action, request)
    station16.answers(action, request)
    assert station16.violations == {}


@pytest.mark.parametrize("action", sorted(DIALECT.schemas.actions - FROM_STATION))
def test_what_only_a_central_system_sends_is_known_but_not_supported(
    station16: Inbound, action: str
) -> None:
    assert station16.refuses(action).code is ErrorCode.NOT_SUPPORTED


@pytest.mark.parametrize("action", ["", "Heartbeats", "heartbeat", "TransactionEvent", "a" * 9_999])
def test_an_unknown_action_is_not_implemented(station16: Inbound, action: str) -> None:
    assert station16.refuses(action).code is ErrorCode.NOT_IMPLEMENTED


def test_what_has_no_block_of_its_own_is_kept_in_the_journal(station16: Inbound) -> None:
    payload = {"vendorId": "com.example", "messageId": "m", "data": "d"}
    assert station16.answers("DataTransfer", payload) == {"status": "UnknownVendorId"}
    (kept,) = station16.journal("station_reported")
    assert (kept["action"], kept["payload"]) == ("DataTransfer", payload)


def test_firmware_status_is_answered_with_a_result(station16: Inbound) -> None:
    """OCPP 1.6 TC_044: never a CALLERROR."""
    for action in ("FirmwareStatusNotification", "DiagnosticsStatusNotification"):
        assert station16.answers(action, status="Idle") == {}


# OCPP 1.6J errata 3.10: SecurityError before acceptance; but a 1.6 station may go on without a
# BootNotification (5.4), so one that has never booted is served. What is told of a charge is served
# in every state: an error would make the station discard it.
MONEY = {"StartTransaction", "StopTransaction", "MeterValues"}


@pytest.mark.parametrize("action", sorted(FROM_STATION))
@pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED])
def test_before_acceptance_only_a_boot_and_a_charge_are_served(
    registration: Registration, action: str
) -> None:
    station = Inbound(registration=registration)
    request = minimal_request("1.6", action)
    if action in MONEY | {"BootNotification"}:
        station.answers(action, request)
    else:
        refusal = station.refuses(action, request)
        assert refusal.code is ErrorCode.SECURITY_ERROR
        assert refusal.description == f"the station is {registration}"
        assert station.marks == ["call_before_acceptance"]


@pytest.mark.parametrize("action", sorted(FROM_STATION))
def test_a_station_that_never_booted_is_served(action: str) -> None:
    Inbound(registration=None).answers(action, minimal_request("1.6", action))
