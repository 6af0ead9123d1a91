"""Commands as OCPP 2.0.1 and 2.1 calls, and what the answers mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from csms.core.commands import Command, Kind
from csms.core.errors import Refused
from csms.ocpp.commands import Encoded, evse_of

_TRIGGERS = {
    "boot": "BootNotification",
    "heartbeat": "Heartbeat",
    "status": "StatusNotification",
    "meter_values": "MeterValues",
    "transaction": "TransactionEvent",
    "firmware": "FirmwareStatusNotification",
    "logs": "LogStatusNotification",
}
_MAX_ID_TOKEN = 36
# What stations compare is value and type; the kinds of tokens and how cards are read, as types.
_TYPES = {
    "rfid": "ISO14443",
    "iso14443": "ISO14443",
    "iso15693": "ISO15693",
    "app": "Central",
    "other": "Central",
}


def _start(command: Command) -> Encoded:
    token = str(command.parameters["token"])
    if len(token) > _MAX_ID_TOKEN:
        raise Refused(f"an OCPP 2.x station takes tokens of at most {_MAX_ID_TOKEN} characters")
    payload: dict[str, Any] = {
        "idToken": {
            "idToken": token,
            "type": _TYPES[command.parameters.get("token_kind", "rfid")],
        },
        "remoteStartId": command.number,
    }
    evse = evse_of(command)
    if evse is not None:
        payload["evseId"] = evse
    return "RequestStartTransaction", payload


def _stop(command: Command) -> Encoded:
    return "RequestStopTransaction", {"transactionId": command.parameters["wire_id"]}


def _reset(command: Command) -> Encoded:
    if command.parameters.get("resume"):
        raise Refused("this station cannot resume charges after a reset: only OCPP 2.1 can")
    return _reset_as("Immediate" if command.parameters.get("immediate") else "OnIdle", command)


def _reset_21(command: Command) -> Encoded:
    """Only 2.1 can go on with what was charging (OCPP 2.1 B11, B12): it then resets at once."""
    if command.parameters.get("resume"):
        return _reset_as("ImmediateAndResume", command)
    return _reset(command)


def _reset_as(kind: str, command: Command) -> Encoded:
    payload: dict[str, Any] = {"type": kind}
    evse = evse_of(command)
    if evse is not None:
        payload["evseId"] = evse
    return "Reset", payload


def _unlock(command: Command) -> Encoded:
    return "UnlockConnector", {
        "evseId": evse_of(command),
        "connectorId": command.parameters.get("connector", 1),
    }


def _availability(command: Command) -> Encoded:
    available = command.parameters["available"]
    payload: dict[str, Any] = {"operationalStatus": "Operative" if available else "Inoperative"}
    evse = _evse(command)
    if evse is not None:
        payload["evse"] = evse
    return "ChangeAvailability", payload


def _trigger(command: Command) -> Encoded:
    payload: dict[str, Any] = {"requestedMessage": _TRIGGERS[command.parameters["message"]]}
    evse = _evse(command)
    if command.parameters["message"] == "status":
        # A status cannot be triggered without naming the connector (F06.FR.13).
        if evse is None:
            raise Refused("an OCPP 2.x station reports one connector's status: name the EVSE")
        evse.setdefault("connectorId", 1)
    if evse is not None:
        payload["evse"] = evse
    return "TriggerMessage", payload


def _evse(command: Command) -> dict[str, int] | None:
    evse = evse_of(command)
    if evse is None:
        return None
    if "connector" in command.parameters:
        return {"id": evse, "connectorId": command.parameters["connector"]}
    return {"id": evse}


def _clear_cache(command: Command) -> Encoded:
    return "ClearCache", {}


ENCODERS: Mapping[Kind, Callable[[Command], Encoded]] = {
    Kind.START_CHARGING: _start,
    Kind.STOP_CHARGING: _stop,
    Kind.RESET: _reset,
    Kind.UNLOCK: _unlock,
    Kind.SET_AVAILABILITY: _availability,
    Kind.TRIGGER: _trigger,
    Kind.CLEAR_CACHE: _clear_cache,
}

ENCODERS_21: Mapping[Kind, Callable[[Command], Encoded]] = {**ENCODERS, Kind.RESET: _reset_21}
