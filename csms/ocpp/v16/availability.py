"""StatusNotification (OCPP 1.6 4.9)."""

from __future__ import annotations

from csms.core import availability, billing, locations
from csms.core.availability import UNKNOWN, ConnectorReport
from csms.core.ids import Origin
from csms.core.ports import Need, Reply, Tx
from csms.core.times import believed
from csms.ocpp import wire
from csms.ocpp.routing import OUT_OF_RANGE, Answer, Payload, count_refusal, unusable

STATUSES = {
    "Available": "available",
    "Preparing": "preparing",
    "Charging": "charging",
    "SuspendedEV": "suspended_ev",
    "SuspendedEVSE": "suspended_evse",
    "Finishing": "finishing",
    "Reserved": "reserved",
    "Unavailable": "unavailable",
    "Faulted": "faulted",
}


def place(connector_id: int) -> tuple[int, int]:
    """EVSE and connector of a 1.6 connector id."""
    return (connector_id, 1) if connector_id else (0, 0)


def status_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    connector_id = wire.integer(payload, "connectorId") or 0
    evse, connector = place(connector_id)
    return (
        availability.needs(origin.station_id, evse, connector),
        locations.needs_evse(origin.station_id, evse),
    )


def status_notification(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    connector_id = wire.integer(payload, "connectorId")
    if connector_id is None or connector_id < 0:
        return unusable(payload, "connectorId")
    evse, connector = place(connector_id)
    error_code = wire.text(payload, "errorCode")
    report = ConnectorReport(
        evse=evse,
        connector=connector,
        status=STATUSES.get(wire.text(payload, "status") or "", UNKNOWN),
        reported_at=wire.moment(payload.get("timestamp")),
        error_code=None if error_code == "NoError" else error_code,
        info=wire.text(payload, "info"),
        vendor_error=wire.text(payload, "vendorErrorCode"),
    )
    row = locations.record(tx, origin, report)
    if row is None:
        count_refusal(tx, origin, OUT_OF_RANGE)
    elif row.received_at == origin.at:
        at = believed(row.reported_at, origin.at)
        billing.connector_changed(tx, origin.station_id, evse, at, row.status)
    return Reply({})
