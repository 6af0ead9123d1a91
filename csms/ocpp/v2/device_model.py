"""Variables and reports (OCPP 2.0.1 B05 to B08), the status of a transaction (E14), and what else
is asked of a 2.x station by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csms.core import device_model, reports, stations, variables
from csms.core.errors import Invalid
from csms.core.ids import Origin
from csms.core.inquiries import (
    Found,
    MakeReport,
    ReadVariables,
    Scope,
    Setting,
    Settings,
    TransactionState,
    TransactionStatus,
    TriggerReadings,
    TriggerStatus,
    Unsupported,
    Variables,
    WriteVariables,
)
from csms.core.ports import Need, Reply, Tx
from csms.core.security import without_secrets
from csms.core.variables import Path
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
from csms.ocpp.routing import Answer, Payload, count_refusal
from csms.ocpp.v2 import login

_SCOPES = {
    Scope.FULL: "FullInventory",
    Scope.CONFIGURATION: "ConfigurationInventory",
    Scope.SUMMARY: "SummaryInventory",
}
_MUTABILITIES = {"ReadOnly": "read_only", "WriteOnly": "write_only", "ReadWrite": "read_write"}
_ATTRIBUTES = {"Actual": "actual", "Target": "target", "MinSet": "min_set", "MaxSet": "max_set"}
_SETTINGS = {
    "Accepted": Setting.APPLIED,
    "RebootRequired": Setting.REBOOT_REQUIRED,
    "Rejected": Setting.REJECTED,
    "UnknownComponent": Setting.UNSUPPORTED,
    "UnknownVariable": Setting.UNSUPPORTED,
    "NotSupportedAttributeType": Setting.UNSUPPORTED,
}
TOO_MANY = "too_many_variables"


# -- names -----------------------------------------------------------------------------------------


def address(name: str) -> dict[str, Any]:
    """Component and variable of a name, as the wire has them. Raises `Invalid`."""
    path = variables.parse(name)
    component: dict[str, Any] = {"name": path.component}
    variable: dict[str, Any] = {"name": path.variable}
    if path.component_instance is not None:
        component["instance"] = path.component_instance
    if path.evse is not None:
        component["evse"] = {"id": path.evse}
        if path.connector is not None:
            component["evse"]["connectorId"] = path.connector
    if path.variable_instance is not None:
        variable["instance"] = path.variable_instance
    return {"component": component, "variable": variable}


def name_of(item: Payload) -> str | None:
    """The name that a component and a variable make, None when either has none."""
    component, variable = wire.mapping(item, "component"), wire.mapping(item, "variable")
    component_name, variable_name = wire.name(component, "name"), wire.name(variable, "name")
    if component_name is None or variable_name is None:
        return None
    evse = wire.mapping(component, "evse")
    number = wire.integer(evse, "id")
    connector = wire.integer(evse, "connectorId")
    placed = number is not None and number >= 0
    path = Path(
        component_name,
        variable_name,
        wire.name(component, "instance"),
        number if placed else None,
        connector if placed and connector is not None and connector >= 0 else None,
        wire.name(variable, "instance"),
    )
    return str(path)


# -- reports ---------------------------------------------------------------------------------------


def reported(payload: Payload, name: str = "reportData") -> tuple[Found, ...]:
    """The variables of a report; what has no name is left out."""
    found = (_reported(item) for item in wire.items(payload, name))
    return tuple(one for one in found if one is not None)


def _reported(item: Payload) -> Found | None:
    name = name_of(item)
    if name is None:
        return None
    characteristics = wire.mapping(item, "variableCharacteristics")
    values: dict[str, str | None] = {}
    mutability = None
    for attribute in wire.items(item, "variableAttribute"):
        kind = _ATTRIBUTES.get(str(attribute.get("type") or "Actual"))
        if kind is None:
            continue
        values[kind] = _value(attribute.get("value"))
        if kind == "actual":
            mutability = _MUTABILITIES.get(str(attribute.get("mutability")))
    if variables.is_secret(name) or mutability == "write_only":
        values = {}
    return Found(
        name,
        **values,
        mutability=mutability,
        data_type=wire.text(characteristics, "dataType", wire.MAX_WORD),
        unit=wire.text(characteristics, "unit", wire.MAX_WORD),
        allowed=_allowed(characteristics),
    )


def _value(value: object) -> str | None:
    """A value as text; numbers and booleans too, which stations send against the schema."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        return None
    return wire.text({"": value}, "", variables.MAX_VALUE) or ""


def _allowed(characteristics: Payload) -> str | None:
    listed = wire.text(characteristics, "valuesList", 1_000)
    if listed is not None:
        return listed
    low, high = (wire.number_text(characteristics.get(limit)) for limit in ("minLimit", "maxLimit"))
    return None if low is None and high is None else f"{low or ''}..{high or ''}"


def report_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    request_id = wire.integer(payload, "requestId")
    names = [name for item in wire.items(payload, "reportData") if (name := name_of(item))]
    return (
        stations.needs(origin.station_id),
        *device_model.needs(origin.station_id),
        *(reports.needs(origin.station_id, request_id) if request_id is not None else ()),
        *device_model.needs_variables(origin.station_id, names),
    )


def notify_report(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    """NotifyReport (B07.FR.09 to 13, B08): one part."""
    request_id, seq = wire.integer(payload, "requestId"), wire.integer(payload, "seqNo")
    part = reports.Part(
        request_id,
        max(0, seq or 0),
        payload.get("tbc") is True,
        reported(payload),
        _shown(payload),
    )
    if not reports.receive(tx, origin, part):
        count_refusal(tx, origin, TOO_MANY)
    return Reply({})


def _shown(payload: Payload) -> Mapping[str, Any]:
    """The payload without secrets, also those that are nested beside their name."""
    items = []
    for item in wire.items(payload, "reportData"):
        name = name_of(item)
        if name is not None and variables.is_secret(name):
            item = {**item, "variableAttribute": []}
        items.append(item)
    shown: Mapping[str, Any] = without_secrets({**payload, "reportData": items})
    return shown


def report(inquiry: MakeReport) -> Exchange:
    """GetBaseReport (B07)."""
    payload = {"requestId": inquiry.request_id, "reportBase": _SCOPES[inquiry.scope]}
    answered = yield "GetBaseReport", payload
    if not isinstance(answered, Fault | Silence) and answered.get("status") == "EmptyResultSet":
        return Variables(())
    return by_status(answered)


# -- reading and writing ---------------------------------------------------------------------------


def read(inquiry: ReadVariables) -> Exchange:
    """GetVariables (B06), no more items and bytes in a call than the station takes (B06.FR.05)."""
    found: list[Found] = []
    unknown: list[str] = []
    asked: list[dict[str, Any]] = []
    for name in inquiry.names:
        try:
            asked.append(address(name))
        except Invalid:
            unknown.append(name)
    chunks = in_messages(asked, inquiry.limits, dict)
    answered: Heard | None = None
    while chunks:
        chunk = chunks.pop(0)
        answered = yield "GetVariables", {"getVariableData": chunk}
        if isinstance(answered, Fault | Silence):
            if isinstance(answered, Fault) and len(chunk) > 1 and not answered.unsupported:
                chunks = [[item] for item in chunk] + chunks
                continue
            break
        for result in wire.items(answered, "getVariableResult"):
            called = name_of(result)
            if called is None:
                continue
            if result.get("attributeStatus") == "Accepted":
                secret = variables.is_secret(called)
                value = None if secret else _value(result.get("attributeValue"))
                found.append(Found(called, value))
            else:
                unknown.append(called)
    if isinstance(answered, Fault | Silence) and not found and not unknown:
        return of_silence_or_fault(answered)
    return Variables(tuple(found), tuple(unknown))


def write(inquiry: WriteVariables) -> Exchange:
    """SetVariables (B05), within the station's limits (B05.FR.11), no variable twice in a call
    (B05.FR.13)."""
    outcomes: list[tuple[str, Setting, str | None]] = []
    asked: list[dict[str, Any]] = []
    given: dict[str, str] = {}
    for name, value in inquiry.values:
        try:
            item = {"attributeValue": value, **address(name)}
        except Invalid as error:
            outcomes.append((name, Setting.UNSUPPORTED, error.detail))
            continue
        given[variables.key_of(name)] = name
        asked.append(item)
    chunks = in_messages(asked, inquiry.limits, dict)
    answered: Heard | None = None
    while chunks:
        chunk = chunks.pop(0)
        answered = yield "SetVariables", {"setVariableData": chunk}
        if isinstance(answered, Fault) and not answered.unsupported:
            if len(chunk) > 1:
                chunks = [[item] for item in chunk] + chunks
            else:
                called = given[variables.key_of(name_of(chunk[0]) or "")]
                outcomes.append((called, Setting.REJECTED, answered.words))
            continue
        if isinstance(answered, Fault | Silence):
            break
        for result in wire.items(answered, "setVariableResult"):
            key = variables.key_of(name_of(result) or "")
            if key in given:
                outcomes.append((given[key], *_setting(result)))
    if isinstance(answered, Fault | Silence) and not outcomes:
        return of_silence_or_fault(answered)
    return Settings(tuple(outcomes))


def _setting(result: Payload) -> tuple[Setting, str | None]:
    status = str(result.get("attributeStatus", ""))
    setting = _SETTINGS.get(status, Setting.REJECTED)
    if status in ("Accepted", "RebootRequired"):
        return setting, None
    reason = wire.text(wire.mapping(result, "attributeStatusInfo"), "reasonCode")
    return setting, f"{status}: {reason}" if reason else status or "answered without a status"


# -- transactions and triggers ---------------------------------------------------------------------


def transaction_status(inquiry: TransactionStatus) -> Exchange:
    """GetTransactionStatus of one transaction (E14.FR.01 to 05)."""
    answered = yield "GetTransactionStatus", {"transactionId": inquiry.wire_id}
    if isinstance(answered, Fault | Silence):
        return of_silence_or_fault(answered)
    ongoing = answered.get("ongoingIndicator")
    return TransactionState(
        ongoing if isinstance(ongoing, bool) else None,
        answered.get("messagesInQueue") is not False,
    )


def trigger_status(inquiry: TriggerStatus) -> Exchange:
    """A status cannot be triggered without naming the connector (F06.FR.13)."""
    if inquiry.evse is None:
        return Unsupported("a 2.x station reports one connector at a time")
    place = {"id": inquiry.evse, "connectorId": inquiry.connector or 1}
    answered = yield "TriggerMessage", {"requestedMessage": "StatusNotification", "evse": place}
    return by_status(answered)


def trigger_readings(inquiry: TriggerReadings) -> Exchange:
    payload: dict[str, Any] = {"requestedMessage": "MeterValues"}
    if inquiry.evse is not None:
        payload["evse"] = {"id": inquiry.evse}
    return by_status((yield "TriggerMessage", payload))


ASKERS: Askers = {
    ReadVariables: read,
    WriteVariables: write,
    MakeReport: report,
    TransactionStatus: transaction_status,
    TriggerStatus: trigger_status,
    TriggerReadings: trigger_readings,
    **login.ASKERS,
}
ASKERS_21: Askers = {**ASKERS, **login.ASKERS_21}
