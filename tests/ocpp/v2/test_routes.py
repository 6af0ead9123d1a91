"""Everything that a 2.0.1 or 2.1 station may send has a route, and every answer is valid."""

from __future__ import annotations

import pytest

from csms.core.stations import Registration
from csms.ocpp.rpc import ErrorCode
from csms.ocpp.v2.routes import DIALECT_21, DIALECT_201
from tests.support.ocpp import Inbound, minimal_request

# OCPP 2.0.1 part 2: what a charging station sends.
FROM_STATION = {
    "Authorize",
    "BootNotification",
    "ClearedChargingLimit",
    "DataTransfer",
    "FirmwareStatusNotification",
    "Get15118EVCertificate",
    "GetCertificateStatus",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "NotifyChargingLimit",
    "NotifyCustomerInformation",
    "NotifyDisplayMessages",
    "NotifyEVChargingNeeds",
    "NotifyEVChargingSchedule",
    "NotifyEvent",
    "NotifyMonitoringReport",
    "NotifyReport",
    "PublishFirmwareStatusNotification",
    "ReportChargingProfiles",
    "ReservationStatusUpdate",
    "SecurityEventNotification",
    "SignCertificate",
    "StatusNotification",
    "TransactionEvent",
}
# OCPP 2.1 part 2, in addition.
FROM_STATION_21 = {
    "BatterySwap",
    "ClosePeriodicEventStream",
    "GetCertificateChainStatus",
    "NotifyDERAlarm",
    "NotifyDERStartStop",
    "NotifyPeriodicEventStream",
    "NotifyPriorityCharging",
    "NotifySettlement",
    "OpenPeriodicEventStream",
    "PullDynamicScheduleUpdate",
    "ReportDERControl",
    "VatNumberValidation",
}
# A SEND has no answer (OCPP-J 2.1 4.2.4).
CASES = [
    *(("ocpp2.0.1", action) for action in sorted(FROM_STATION)),
    *(
        ("ocpp2.1", action)
        for action in sorted(FROM_STATION | FROM_STATION_21 - {"NotifyPeriodicEventStream"})
    ),
]


def test_the_tables_are_the_specification() -> None:
    assert set(DIALECT_201.routes) == FROM_STATION
    assert set(DIALECT_21.routes) == FROM_STATION | FROM_STATION_21
    for dialect in (DIALECT_201, DIALECT_21):
        assert set(dialect.routes) <= dialect.schemas.actions


@pytest.mark.parametrize(("protocol", "action"), CASES)
def test_the_least_request_is_valid_and_so_is_its_answer(protocol: str, action: str) -> None:
    station = Inbound(protocol)
    schemas = station.protocol.dialect.schemas
    request = minimal_request(station.protocol.version, action)
    assert not schemas.request_faults(action, request)
    station.answers(action, request)
    assert station.violations == {}


@pytest.mark.parametrize(
    ("protocol", "action"),
    [
        *(("ocpp2.0.1", a) for a in sorted(DIALECT_201.schemas.actions - FROM_STATION)),
        *(("ocpp2.1", a) for a in sorted(DIALECT_21.schemas.actions - set(DIALECT_21.routes))),
    ],
)
def test_what_only_a_central_system_sends_is_known_but_not_supported(
    protocol: str, action: str
) -> None:
    assert Inbound(protocol).refuses(action).code is ErrorCode.NOT_SUPPORTED


@pytest.mark.parametrize("action", ["", "StartTransaction", "heartbeat"])
def test_an_unknown_action_is_not_implemented(station2: Inbound, action: str) -> None:
    assert station2.refuses(action).code is ErrorCode.NOT_IMPLEMENTED


@pytest.mark.parametrize("action", sorted(FROM_STATION_21))
def test_what_came_with_21_is_unknown_in_201(action: str) -> None:
    assert Inbound("ocpp2.0.1").refuses(action).code is ErrorCode.NOT_IMPLEMENTED


# Elsewhere than on the money path a fault is answered with an error: where, and never what.
@pytest.mark.parametrize(
    ("action", "payload", "code", "words"),
    [
        ("Heartbeat", {"pin": "0000"}, ErrorCode.FORMAT_VIOLATION, "/pin: not a field"),
        (
            "FirmwareStatusNotification",
            {"status": "SECRET"},
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
            "/status: not one of",
        ),
        (
            "SecurityEventNotification",
            {"type": 5, "timestamp": "x"},
            ErrorCode.TYPE_CONSTRAINT_VIOLATION,
            "/type: not of type string",
        ),
        (
            "SecurityEventNotification",
            {"type": "SECRET"},
            ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
            "/timestamp: is missing",
        ),
        (
            "SignCertificate",
            {"csr": "SECRET" * 2_000},
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
            "/csr: more than",
        ),
    ],
)
def test_a_fault_is_answered_with_its_place(
    station2: Inbound, action: str, payload: dict[str, object], code: ErrorCode, words: str
) -> None:
    refusal = station2.refuses(action, payload)
    assert refusal.code is code
    assert refusal.description.startswith(words)
    assert "SECRET" not in refusal.description


# -- before acceptance (OCPP 2.0.1 B01 to B03) -----------------------------------------------------

MONEY = {"TransactionEvent", "MeterValues"}
TO_DECIDE = {"BootNotification", "NotifyReport"}


@pytest.mark.parametrize("action", sorted(FROM_STATION))
def test_a_station_that_never_booted_is_refused_but_for_a_charge(action: str) -> None:
    """TC_B_30; what it tells of a charge would be lost (its queue discards after some attempts)."""
    station = Inbound("ocpp2.0.1", registration=None)
    request = minimal_request("2.0.1", action)
    if action in MONEY | TO_DECIDE:
        station.answers(action, request)
    else:
        assert station.refuses(action, request).code is ErrorCode.SECURITY_ERROR


@pytest.mark.parametrize("action", sorted(FROM_STATION))
@pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED])
def test_a_pending_or_rejected_station_may_boot_report_and_tell_of_a_charge(
    registration: Registration, action: str
) -> None:
    """B02.FR.09, B03.FR.07; what it tells of a charge would be lost."""
    station = Inbound("ocpp2.0.1", registration=registration)
    request = minimal_request("2.0.1", action)
    if action in MONEY | TO_DECIDE:
        station.answers(action, request)
    else:
        assert station.refuses(action, request).code is ErrorCode.SECURITY_ERROR
        assert station.violations == {}
