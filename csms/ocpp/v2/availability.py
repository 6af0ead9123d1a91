"""StatusNotification and NotifyEvent(AvailabilityState) (OCPP 2.0.1 G01, N07).

A station may use either; both end in the same core function.
"""

from __future__ import annotations

from csms.core import availability, locations
from csms.core.availability import UNKNOWN, ConnectorReport
from csms.core.ids import Origin
from csms.core.ports import Need, Reply, Tx
from csms.ocpp import wire
from csms.ocpp.routing import (
    OUT_OF_RANGE,
    Answer,
    Payload,
    count_refusal,
    keep_report,
    unusable,
)

STATUSES = {
    "Available": "available",
    "Occupied": "occupied",
    "Reserved": "reserved",
    "Unavailable": "unavailable",
    "Faulted": "faulted",
}


def status_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    evse = wire.integer(payload, "evseId") or 0
    connector = wire.integer(payload, "connectorId") or 0
    return (
        availability.needs(origin.station_id, evse, connector),
        locations.needs_evse(origin.station_id, evse),
    )


def status_notification(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    evse = wire.integer(payload, "evseId")
    connector = wire.integer(payload, "connectorId")
    if evse is None or evse < 0:
        return unusable(payload, "evseId")
    report = ConnectorReport(
        evse=evse,
        # An EVSE has a first connector even where a station forgets to name it.
        connector=(1 if evse else 0) if connector is None else max(0, connector),
        status=STATUSES.get(wire.text(payload, "connectorStatus") or "", UNKNOWN),
        reported_at=wire.moment(payload.get("timestamp")),
    )
    if locations.record(tx, origin, report) is None:
        count_refusal(tx, origin, OUT_OF_RANGE)
    return Reply({})


def notify_event(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    others = []
    for event in wire.items(payload, "eventData"):
        variable = wire.mapping(event, "variable").get("name")
        component = wire.mapping(event, "component")
        evse = wire.mapping(component, "evse")
        status = STATUSES.get(str(event.get("actualValue")))
        if variable != "AvailabilityState" or status is None:
            others.append(event)
            continue
        named = component.get("name") == "Connector"
        report = ConnectorReport(
            evse=max(0, wire.integer(evse, "id") or 0),
            connector=max(0, wire.integer(evse, "connectorId") or (1 if named else 0)),
            status=status,
            reported_at=wire.moment(event.get("timestamp")),
        )
        if locations.record(tx, origin, report) is None:
            count_refusal(tx, origin, OUT_OF_RANGE)
    if others:
        keep_report(tx, origin, "NotifyEvent", {"eventData": others})
    return Reply({})
