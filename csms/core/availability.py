"""Availability: the state of each connector as its station reports it.

OCPP 1.6 StatusNotification, 2.x StatusNotification and 2.x NotifyEvent(AvailabilityState) all end
in `record`. Reports are applied in the order of arrival: stations send them in order on one link,
and their clocks may be wrong; both times are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from csms.core import events
from csms.core.entities import entity
from csms.core.ids import Origin
from csms.core.ports import Need, Tx

UNKNOWN = "unknown"

# The union of the vocabularies of OCPP 1.6 4.9 and OCPP 2.0.1 ConnectorStatusEnumType.
STATUSES = frozenset(
    {
        UNKNOWN,
        "available",
        "preparing",
        "charging",
        "suspended_ev",
        "suspended_evse",
        "finishing",
        "occupied",
        "reserved",
        "unavailable",
        "faulted",
    }
)
# What a station may report is bounded, so that a broken or hostile one cannot fill the table.
MAX_EVSES = 64
MAX_CONNECTORS = 8


@entity("connectors", key=("station_id", "evse", "connector"), finders={"station": ("station_id",)})
class Connector(NamedTuple):
    """One connector. EVSE 0, connector 0 is the station itself; connector 0 of an EVSE is the EVSE.

    `reported_at` is the station's time, `received_at` ours.
    """

    station_id: str
    evse: int
    connector: int
    status: str
    reported_at: datetime
    received_at: datetime
    error_code: str | None = None
    info: str | None = None
    vendor_error: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectorReport:
    """A connector's status, version-neutral. `reported_at` None: no usable time was given."""

    evse: int
    connector: int
    status: str
    reported_at: datetime | None
    error_code: str | None = None
    info: str | None = None
    vendor_error: str | None = None


def needs(station_id: str, evse: int, connector: int) -> Need:
    """Declares the read of one connector row."""
    return Need(Connector, None, (station_id, evse, connector))


def record(tx: Tx, origin: Origin, report: ConnectorReport) -> Connector | None:
    """Store the state of a connector; a repeated report changes nothing. An EVSE that was not
    onboarded appears by itself (the station knows best what it has) up to `MAX_EVSES`; beyond
    that None, and nothing is stored."""
    assert report.status in STATUSES, report.status
    if not (0 <= report.evse <= MAX_EVSES and 0 <= report.connector <= MAX_CONNECTORS):
        tx.mark("connector_out_of_range")
        return None
    before = tx.get(Connector, origin.station_id, report.evse, report.connector)
    after = Connector(
        origin.station_id,
        report.evse,
        report.connector,
        report.status,
        report.reported_at or origin.at,
        origin.at,
        report.error_code,
        report.info,
        report.vendor_error,
    )
    if before is not None and _same_state(before, after):
        return before
    tx.save(after)
    tx.record(
        events.ConnectorStatusChanged(
            at=origin.at,
            station_id=origin.station_id,
            evse=after.evse,
            connector=after.connector,
            status=after.status,
            previous=before.status if before else UNKNOWN,
            error_code=after.error_code,
        )
    )
    return after


def _same_state(before: Connector, after: Connector) -> bool:
    """Equal but for the times: an unchanged status is no event and no write."""
    return before._replace(reported_at=after.reported_at, received_at=after.received_at) == after
