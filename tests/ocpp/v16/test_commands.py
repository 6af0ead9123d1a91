"""Commands as OCPP 1.6 calls, and what the answers mean."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.commands import TRIGGERS, Command, Kind, Status
from csms.core.errors import Invalid, Refused
from csms.ocpp.commands import outcome
from csms.ocpp.v16.commands import ENCODERS
from csms.ocpp.versions import PROTOCOLS
from tests.support.ocpp import NOW

PROTOCOL = PROTOCOLS["ocpp1.6"]


def encode(kind: Kind, **parameters: Any) -> tuple[str, dict[str, Any]]:
    command = Command("c1", 7, "s1", kind.value, parameters, "sent", NOW, "test")
    return PROTOCOL.encode(command)


@pytest.mark.parametrize(
    ("kind", "parameters", "action", "payload"),
    [
        (Kind.START_CHARGING, {"token": "04A2"}, "RemoteStartTransaction", {"idTag": "04A2"}),
        (
            Kind.START_CHARGING,
            {"token": "04A2", "evse": 2},
            "RemoteStartTransaction",
            {"idTag": "04A2", "connectorId": 2},
        ),
        (
            Kind.STOP_CHARGING,
            {"transaction_id": 12, "wire_id": "#12"},
            "RemoteStopTransaction",
            {"transactionId": 12},
        ),
        (Kind.RESET, {}, "Reset", {"type": "Soft"}),
        (Kind.RESET, {"immediate": True}, "Reset", {"type": "Hard"}),
        (Kind.UNLOCK, {"evse": 2}, "UnlockConnector", {"connectorId": 2}),
        (Kind.UNLOCK, {"evse": 2, "connector": 1}, "UnlockConnector", {"connectorId": 2}),
        (
            Kind.SET_AVAILABILITY,
            {"available": False},
            "ChangeAvailability",
            {"connectorId": 0, "type": "Inoperative"},
        ),
        (
            Kind.SET_AVAILABILITY,
            {"available": True, "evse": 2},
            "ChangeAvailability",
            {"connectorId": 2, "type": "Operative"},
        ),
        (
            Kind.TRIGGER,
            {"message": "boot"},
            "TriggerMessage",
            {"requestedMessage": "BootNotification"},
        ),
        (
            Kind.TRIGGER,
            {"message": "status", "evse": 1},
            "TriggerMessage",
            {"requestedMessage": "StatusNotification", "connectorId": 1},
        ),
        (
            Kind.CALL,
            {"action": "GetConfiguration", "payload": {"key": ["a"]}},
            "GetConfiguration",
            {"key": ["a"]},
        ),
        (
            Kind.CALL,
            {"action": "DataTransfer", "payload": {"vendorId": "v"}},
            "DataTransfer",
            {"vendorId": "v"},
        ),
    ],
)
def test_how_a_command_is_said(
    kind: Kind, parameters: dict[str, Any], action: str, payload: dict[str, Any]
) -> None:
    assert encode(kind, **parameters) == (action, payload)
    assert not PROTOCOL.dialect.schemas.request_faults(action, payload)


def test_every_kind_has_an_encoder() -> None:
    assert set(ENCODERS) == set(Kind) - {Kind.CALL}


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        (Kind.START_CHARGING, {"token": "T" * 21}, "at most 20 characters"),
        (Kind.START_CHARGING, {"token": "04A2", "evse": 0}, "EVSE"),
        (Kind.RESET, {"evse": 1}, "as a whole"),
        (Kind.UNLOCK, {"evse": 0}, "EVSE"),
        (Kind.UNLOCK, {"evse": 1, "connector": 2}, "one connector"),
        (Kind.SET_AVAILABILITY, {"available": False, "connector": 1}, "EVSE"),
        (Kind.SET_AVAILABILITY, {"available": False, "evse": 1, "connector": 2}, "one connector"),
        (Kind.TRIGGER, {"message": "transaction"}, "use boot, heartbeat"),
    ],
)
def test_what_the_version_cannot_say(kind: Kind, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises((Refused, Invalid), match=words):
        encode(kind, **parameters)


def test_only_2_1_resumes_charges_after_a_reset() -> None:
    with pytest.raises(Refused, match=r"only OCPP 2\.1 can"):
        encode(Kind.RESET, resume=True)


@pytest.mark.parametrize("message", [m for m in TRIGGERS if m != "transaction"])
def test_every_other_message_can_be_triggered(message: str) -> None:
    encode(Kind.TRIGGER, message=message)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"status": "Accepted"}, (Status.ACCEPTED, None)),
        ({"status": "Scheduled"}, (Status.ACCEPTED, "Scheduled")),
        ({"status": "Unlocked"}, (Status.ACCEPTED, "Unlocked")),
        ({"status": "Rejected"}, (Status.REJECTED, "Rejected")),
        ({"status": "UnlockFailed"}, (Status.REJECTED, "UnlockFailed")),
        ({"status": "NotSupported"}, (Status.REJECTED, "NotSupported")),
        ({"status": "NotImplemented"}, (Status.REJECTED, "NotImplemented")),
        ({}, (Status.REJECTED, "answered without a status")),
        ({"status": None}, (Status.REJECTED, "None")),
    ],
)
def test_what_an_answer_means(result: dict[str, Any], expected: tuple[Status, str | None]) -> None:
    assert outcome(Kind.RESET, result) == expected


def test_any_answer_to_a_raw_call_is_an_answer() -> None:
    assert outcome(Kind.CALL, {"status": "Rejected"}) == (Status.ACCEPTED, None)
