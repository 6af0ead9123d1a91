"""Commands as OCPP 1.6 calls, and what the answers mean."""

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
    "firmware": "FirmwareStatusNotification",
    "logs": "DiagnosticsStatusNotification",
}
_MAX_ID_TAG = 20


def _start(command: Command) -> Encoded:
    token = str(command.parameters.get("alias") or command.parameters["token"])
    if len(token) > _MAX_ID_TAG:
        raise Refused(f"an OCPP 1.6 station takes tokens of at most {_MAX_ID_TAG} characters")
    payload: dict[str, Any] = {"idTag": token}
    connector_id = _connector_id(command)
    if connector_id is not None:
        payload["connectorId"] = connector_id
    return "RemoteStartTransaction", payload


def _stop(command: Command) -> Encoded:
    return "RemoteStopTransaction", {"transactionId": command.parameters["transaction_id"]}


def _reset(command: Command) -> Encoded:
    if "evse" in command.parameters:
        raise Refused("an OCPP 1.6 station resets as a whole: leave the EVSE out")
    if command.parameters.get("resume"):
        raise Refused("an OCPP 1.6 station cannot resume charges after a reset: only OCPP 2.1 can")
    return "Reset", {"type": "Hard" if command.parameters.get("immediate") else "Soft"}


def _unlock(command: Command) -> Encoded:
    return "UnlockConnector", {"connectorId": _connector_id(command)}


def _availability(command: Command) -> Encoded:
    available = command.parameters["available"]
    return "ChangeAvailability", {
        "connectorId": _connector_id(command) or 0,
        "type": "Operative" if available else "Inoperative",
    }


def _trigger(command: Command) -> Encoded:
    message = _TRIGGERS.get(command.parameters["message"])
    if message is None:
        raise Refused(
            f"OCPP 1.6 cannot trigger {command.parameters['message']}: use {', '.join(_TRIGGERS)}"
        )
    payload: dict[str, Any] = {"requestedMessage": message}
    connector_id = _connector_id(command)
    if connector_id is not None:
        payload["connectorId"] = connector_id
    return "TriggerMessage", payload


def _connector_id(command: Command) -> int | None:
    """The connector for a command: EVSE N, whose only connector is its first."""
    if command.parameters.get("connector", 1) != 1:
        raise Refused("an EVSE of an OCPP 1.6 station has one connector, its first")
    return evse_of(command)


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
