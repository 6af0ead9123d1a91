"""Commands as OCPP 2.0.1 and 2.1 calls, and what the answers mean."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.commands import TRIGGERS, Command, Kind, Status
from csms.core.errors import Invalid, Refused
from csms.ocpp.commands import outcome
from csms.ocpp.v2.commands import ENCODERS
from csms.ocpp.versions import PROTOCOLS
from tests.support.ocpp import NOW


@pytest.fixture(params=["ocpp2.0.1", "ocpp2.1"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def encode(name: str, kind: Kind, **parameters: Any) -> tuple[str, dict[str, Any]]:
    command = Command("c1", 7, "s1", kind.value, parameters, "sent", NOW, "test")
    return PROTOCOLS[name].encode(command)


@pytest.mark.parametrize(
    ("kind", "parameters", "action", "payload"),
    [
        (
            Kind.START_CHARGING,
            {"token": "04A2"},
            "RequestStartTransaction",
            {"idToken": {"idToken": "04A2", "type": "ISO14443"}, "remoteStartId": 7},
        ),
        (
            # The type is part of what a station compares (C01.FR.09).
            Kind.START_CHARGING,
            {"token": "04A2", "token_kind": "iso15693"},
            "RequestStartTransaction",
            {"idToken": {"idToken": "04A2", "type": "ISO15693"}, "remoteStartId": 7},
        ),
        (
            Kind.START_CHARGING,
            {"token": "04A2", "token_kind": "app"},
            "RequestStartTransaction",
            {"idToken": {"idToken": "04A2", "type": "Central"}, "remoteStartId": 7},
        ),
        (
            Kind.START_CHARGING,
            {"token": "04A2", "evse": 2},
            "RequestStartTransaction",
            {"idToken": {"idToken": "04A2", "type": "ISO14443"}, "remoteStartId": 7, "evseId": 2},
        ),
        (
            Kind.STOP_CHARGING,
            {"transaction_id": 12, "wire_id": "tx-1"},
            "RequestStopTransaction",
            {"transactionId": "tx-1"},
        ),
        (Kind.RESET, {}, "Reset", {"type": "OnIdle"}),
        (Kind.RESET, {"immediate": True, "evse": 2}, "Reset", {"type": "Immediate", "evseId": 2}),
        (Kind.UNLOCK, {"evse": 2}, "UnlockConnector", {"evseId": 2, "connectorId": 1}),
        (
            Kind.UNLOCK,
            {"evse": 2, "connector": 3},
            "UnlockConnector",
            {"evseId": 2, "connectorId": 3},
        ),
        (
            Kind.SET_AVAILABILITY,
            {"available": False},
            "ChangeAvailability",
            {"operationalStatus": "Inoperative"},
        ),
        (
            Kind.SET_AVAILABILITY,
            {"available": True, "evse": 2, "connector": 1},
            "ChangeAvailability",
            {"operationalStatus": "Operative", "evse": {"id": 2, "connectorId": 1}},
        ),
        (
            Kind.TRIGGER,
            {"message": "boot"},
            "TriggerMessage",
            {"requestedMessage": "BootNotification"},
        ),
        (
            Kind.TRIGGER,
            {"message": "meter_values", "evse": 1},
            "TriggerMessage",
            {"requestedMessage": "MeterValues", "evse": {"id": 1}},
        ),
        (
            # F06.FR.13: a status is that of a connector.
            Kind.TRIGGER,
            {"message": "status", "evse": 1},
            "TriggerMessage",
            {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}},
        ),
        (Kind.CLEAR_CACHE, {}, "ClearCache", {}),
        (
            Kind.CALL,
            {"action": "GetBaseReport", "payload": {"requestId": 1, "reportBase": "FullInventory"}},
            "GetBaseReport",
            {"requestId": 1, "reportBase": "FullInventory"},
        ),
    ],
)
def test_how_a_command_is_said(
    name: str, kind: Kind, parameters: dict[str, Any], action: str, payload: dict[str, Any]
) -> None:
    assert encode(name, kind, **parameters) == (action, payload)
    assert not PROTOCOLS[name].dialect.schemas.request_faults(action, payload)


def test_every_kind_has_an_encoder() -> None:
    assert set(ENCODERS) == set(Kind) - {Kind.CALL}


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        (Kind.START_CHARGING, {"token": "T" * 37}, "at most 36 characters"),
        (Kind.START_CHARGING, {"token": "04A2", "evse": 0}, "EVSE"),
        (Kind.STOP_CHARGING, {"transaction_id": 1, "wire_id": "t" * 40}, "/transactionId"),
        (Kind.RESET, {"evse": 0}, "EVSE"),
        (Kind.UNLOCK, {"evse": 0}, "EVSE"),
        (Kind.SET_AVAILABILITY, {"available": False, "connector": 1}, "EVSE"),
        (Kind.TRIGGER, {"message": "status"}, "EVSE"),
    ],
)
def test_what_the_version_cannot_say(
    name: str, kind: Kind, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises((Refused, Invalid), match=words):
        encode(name, kind, **parameters)


@pytest.mark.parametrize("message", TRIGGERS)
def test_every_message_can_be_triggered(name: str, message: str) -> None:
    encode(name, Kind.TRIGGER, message=message, evse=1)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"status": "Accepted", "transactionId": "t"}, (Status.ACCEPTED, None)),
        ({"status": "Scheduled"}, (Status.ACCEPTED, "Scheduled")),
        ({"status": "Unlocked"}, (Status.ACCEPTED, "Unlocked")),
        (
            {"status": "OngoingAuthorizedTransaction"},
            (Status.REJECTED, "OngoingAuthorizedTransaction"),
        ),
        (
            {"status": "Rejected", "statusInfo": {"reasonCode": "TxInProgress"}},
            (Status.REJECTED, "Rejected: TxInProgress"),
        ),
        (
            {"status": "Accepted", "statusInfo": {"reasonCode": "NoError"}},
            (Status.ACCEPTED, "Accepted: NoError"),
        ),
        ({"status": "Rejected", "statusInfo": "x"}, (Status.REJECTED, "Rejected")),
    ],
)
def test_what_an_answer_means(result: dict[str, Any], expected: tuple[Status, str | None]) -> None:
    assert outcome(Kind.RESET, result) == expected


def test_any_answer_to_a_raw_call_is_an_answer() -> None:
    assert outcome(Kind.CALL, {"status": "Rejected"}) == (Status.ACCEPTED, None)


def test_only_2_1_resumes_charges_after_a_reset(name: str) -> None:
    """OCPP 2.1 B11: ImmediateAndResume; no other version has the word."""
    if name == "ocpp2.1":
        assert encode(name, Kind.RESET, resume=True) == ("Reset", {"type": "ImmediateAndResume"})
        assert encode(name, Kind.RESET, resume=True, evse=2)[1]["evseId"] == 2
        assert encode(name, Kind.RESET, resume=False)[1] == {"type": "OnIdle"}
    else:
        with pytest.raises(Refused, match=r"only OCPP 2\.1 can"):
            encode(name, Kind.RESET, resume=True)
