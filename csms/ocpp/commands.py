"""What the versions share in turning a command into a call and its answer into an outcome."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from csms.core.commands import Command, Kind, Status
from csms.core.errors import Invalid, Refused
from csms.core.quirks import DEFAULTS, Switches
from csms.ocpp.routing import Payload
from csms.ocpp.validation import Schemas

Encoded = tuple[str, dict[str, Any]]
Outcome = tuple[Status, str | None]


# All versions use these words; everything else is a refusal, with the station's word as the reason.
ACCEPTED = frozenset({"Accepted", "Unlocked", "Scheduled"})


def outcome(kind: Kind, result: Payload) -> Outcome:
    """What a station's answer means for a command of that kind, the same in every version."""
    if kind is Kind.CALL:
        return Status.ACCEPTED, None
    return by_status(result, ACCEPTED)


def by_status(result: Payload, accepted: Collection[str]) -> Outcome:
    """The outcome by the answer's `status`, which is also the reason when it is not plain yes."""
    status = str(result.get("status", ""))
    info = result.get("statusInfo")
    detail = status
    if isinstance(info, dict) and isinstance(info.get("reasonCode"), str):
        detail = f"{status}: {info['reasonCode']}"
    if status in accepted:
        return Status.ACCEPTED, None if detail == "Accepted" else detail
    return Status.REJECTED, detail or "answered without a status"


def evse_of(command: Command) -> int | None:
    """The EVSE that a command names, None for the whole station. Raises `Refused` for EVSE 0 and
    for a connector without its EVSE: a station would take either for itself."""
    evse: int | None = command.parameters.get("evse")
    if evse == 0 or (evse is None and "connector" in command.parameters):
        raise Refused("name the EVSE, counted from 1, or leave EVSE and connector out")
    return evse


def fitted(command: Command, switches: Switches) -> Command:
    """The command as this station can take it (quirks 27, 29). Raises `Refused`."""
    if command.kind != Kind.TRIGGER:
        return command
    if switches.trigger == "none":
        raise Refused("this station answers no triggers (switch trigger)")
    if command.parameters.get("message") == "boot" and not switches.trigger_boot:
        raise Refused("this station restarts when asked to boot (switch trigger_boot)")
    if switches.trigger == "global":
        whole = {k: v for k, v in command.parameters.items() if k not in ("evse", "connector")}
        return command._replace(parameters=whole)
    return command


def encode(
    command: Command,
    encoders: Mapping[Kind, Callable[[Command], Encoded]],
    schemas: Schemas,
    from_station: Collection[str],
    switches: Switches = DEFAULTS,
) -> Encoded:
    """The call for a command, valid by the schema of the station's version.

    Raises `Refused` where the version has no such command or the station's switches forbid it,
    `Invalid` for a raw call that is not valid or that only a station may send.
    """
    kind = Kind(command.kind)
    if kind is Kind.CALL:
        action, payload = command.parameters["action"], dict(command.parameters["payload"])
        only_theirs = action in from_station and action != "DataTransfer"
        if action not in schemas.actions or only_theirs:
            raise Invalid(f"{action} is not a call that a central system makes in this version")
    else:
        action, payload = encoders[kind](fitted(command, switches))
    faults = schemas.request_faults(action, payload)
    if faults:
        raise Invalid(f"{action} {faults[0].path or '/'}: {faults[0].detail}")
    return action, payload
