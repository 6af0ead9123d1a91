"""Configuration keys (OCPP 1.6 5.4, 5.8) and what else is asked of a 1.6 station by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csms.core import variables
from csms.core.inquiries import (
    Found,
    MakeReport,
    ReadVariables,
    Scope,
    Setting,
    Settings,
    TriggerReadings,
    TriggerStatus,
    Unsupported,
    Variables,
    WriteVariables,
)
from csms.core.security import without_secrets
from csms.ocpp import wire
from csms.ocpp.asking import (
    Askers,
    Exchange,
    Fault,
    Heard,
    Silence,
    by_status,
    in_messages,
    of_silence_or_fault,
)
from csms.ocpp.routing import Payload
from csms.ocpp.v16 import login

MAX_KEY = 50
MAX_VALUE = 500
_SETTINGS = {
    "Accepted": Setting.APPLIED,
    "RebootRequired": Setting.REBOOT_REQUIRED,
    "Rejected": Setting.REJECTED,
    "NotSupported": Setting.UNSUPPORTED,
}


def read(inquiry: ReadVariables) -> Exchange:
    """GetConfiguration of some keys, at most GetConfigurationMaxKeys in a call. A station that
    ignores the filter answers with all: they are as true."""
    keys = [variables.plain(name) for name in inquiry.names]
    usable = [key for key in keys if len(key) <= MAX_KEY]
    found: list[Found] = []
    unknown = [key for key in keys if len(key) > MAX_KEY]
    raw: list[Mapping[str, Any]] = []
    chunks = in_messages(usable, inquiry.limits, str)
    answered: Heard | None = None
    while chunks:
        chunk = chunks.pop(0)
        answered = yield "GetConfiguration", {"key": chunk}
        if isinstance(answered, Fault | Silence):
            if isinstance(answered, Fault) and len(chunk) > 1 and not answered.unsupported:
                chunks = [[key] for key in chunk] + chunks
                continue
            break
        part = configuration(answered)
        found += part.found
        unknown += part.unknown
        raw += part.raw
    if isinstance(answered, Fault | Silence) and not found and not unknown:
        return of_silence_or_fault(answered)
    return Variables(tuple(found), tuple(unknown), tuple(raw))


def report(inquiry: MakeReport) -> Exchange:
    """GetConfiguration without keys: the answer holds everything there is."""
    if inquiry.scope is Scope.SUMMARY:
        return Unsupported("a 1.6 station has no summary: ask for the full report")
    answered = yield "GetConfiguration", {}
    if isinstance(answered, Fault | Silence):
        return of_silence_or_fault(answered)
    return configuration(answered)


def configuration(payload: Payload) -> Variables:
    """What a GetConfiguration result says; values of any JSON type, lists that are missing."""
    found = []
    for entry in wire.items(payload, "configurationKey"):
        name = wire.name(entry, "key")
        if name is None:
            continue
        readonly = entry.get("readonly")
        if isinstance(readonly, str):
            readonly = readonly.strip().lower() == "true"
        found.append(
            Found(
                name,
                None if variables.is_secret(name) else value_text(entry.get("value")),
                mutability="read_only" if readonly is True else "read_write",
            )
        )
    listed = payload.get("unknownKey")
    unknown = tuple(str(key) for key in listed) if isinstance(listed, list) else ()
    return Variables(tuple(found), unknown, (without_secrets(payload),))


def value_text(value: object) -> str | None:
    """A value as text, whatever its JSON type; None for none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(value_text(item) or "" for item in value)
    if not isinstance(value, str | int | float):
        return None
    # Not `wire.text`: an empty value is a value.
    return wire.text({"": value}, "", variables.MAX_VALUE) or ""


def write(inquiry: WriteVariables) -> Exchange:
    """ChangeConfiguration, one key a call."""
    outcomes: list[tuple[str, Setting, str | None]] = []
    answered: Heard | None = None
    for name, value in inquiry.values:
        key = variables.plain(name)
        if len(key) > MAX_KEY or len(value) > MAX_VALUE:
            limit = f"a key has at most {MAX_KEY} characters, a value {MAX_VALUE}"
            outcomes.append((name, Setting.UNSUPPORTED, limit))
            continue
        answered = yield "ChangeConfiguration", {"key": key, "value": value}
        if isinstance(answered, Silence) or (isinstance(answered, Fault) and answered.unsupported):
            break
        outcomes.append((name, *_setting(answered)))
    if isinstance(answered, Fault | Silence) and not outcomes:
        return of_silence_or_fault(answered)
    return Settings(tuple(outcomes))


def _setting(answered: Payload | Fault) -> tuple[Setting, str | None]:
    if isinstance(answered, Fault):
        return Setting.REJECTED, answered.words
    status = str(answered.get("status", ""))
    setting = _SETTINGS.get(status, Setting.REJECTED)
    known = status in ("Accepted", "RebootRequired")
    return setting, None if known else status or "answered without a status"


def trigger_status(inquiry: TriggerStatus) -> Exchange:
    return _trigger("StatusNotification", inquiry.evse)


def trigger_readings(inquiry: TriggerReadings) -> Exchange:
    return _trigger("MeterValues", inquiry.evse)


def _trigger(message: str, connector_id: int | None) -> Exchange:
    payload: dict[str, Any] = {"requestedMessage": message}
    if connector_id is not None:
        payload["connectorId"] = connector_id
    return by_status((yield "TriggerMessage", payload))


ASKERS: Askers = {
    ReadVariables: read,
    WriteVariables: write,
    MakeReport: report,
    TriggerStatus: trigger_status,
    TriggerReadings: trigger_readings,
    **login.ASKERS,
}
