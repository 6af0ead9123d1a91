"""Contact: what the central system has to ask of a station that has just come, decided in one look.

The order is that of what a charge depends on: transactions, connectors, what the station is, what
it should be. The flow asks (`flows.contact`), one call at a time, and looks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from csms.core import device_model, reconciliation, reports, stations, templates
from csms.core.availability import UNKNOWN, Connector
from csms.core.device_model import Desired, DeviceModel, State
from csms.core.inquiries import NO_LIMITS, Limits
from csms.core.ports import Need, Tx
from csms.core.reconciliation import Question
from csms.core.stations import Registration, Station, require

# A status from before so long an absence is worth asking for again.
LONG_AWAY = timedelta(minutes=15)
# Desired values are compared with what the station has after a boot, and so often.
VERIFY_EVERY = timedelta(hours=1)
MAX_CONNECTORS_ASKED = 32


@dataclass(frozen=True, slots=True)
class Todo:
    """What to ask now. `lacks`: inquiries that the station cannot answer; `settles_s`: how long to
    leave it alone first; `pending`: there will be something to ask later."""

    transactions: tuple[Question, ...] = ()
    connectors: tuple[tuple[int, int], ...] = ()
    inventory: bool = False
    verify: tuple[str, ...] = ()
    write: tuple[tuple[str, str], ...] = ()
    read_limits: Limits = NO_LIMITS
    write_limits: Limits = NO_LIMITS
    lacks: frozenset[str] = frozenset()
    settles_s: float = 0.0
    pending: bool = False


def needs(station_id: str) -> tuple[Need, ...]:
    """Declares the reads of `look`."""
    return (
        stations.needs(station_id),
        *device_model.needs(station_id),
        *reconciliation.needs(station_id),
        *device_model.needs_limits(station_id),
    )


def look(
    tx: Tx, station_id: str, now: datetime, settle: timedelta, again: timedelta
) -> Todo | None:
    """What there is to ask; None when the station must not be asked anything: it is not accepted,
    or not connected (OCPP 2.0.1 B02, B03.FR.03). `settle`: how long it is left alone after a boot;
    `again`: how often it may be asked about one transaction."""
    station = require(tx, station_id)
    if station.registration != Registration.ACCEPTED or station.node is None:
        return None
    if station.booted_at is not None and station.booted_at + settle > now:
        left = (station.booted_at + settle - now).total_seconds()
        return Todo(settles_s=left, pending=True)
    known = device_model.for_firmware(tx, station_id, _about(station))
    if not known.templated and station.booted_at is not None:
        templates.apply(tx, station_id, now)
        known = device_model.model(tx, station_id)._replace(templated=True)
        tx.save(known)
    reconciliation.judge(tx, station_id, now)
    asked, later = reconciliation.questions(tx, station, now, again)
    lacks = frozenset(known.lacks)
    inventory = "make_report" not in lacks and reports.inventory_due(tx, known, now)
    coming = device_model.model(tx, station_id).inventory == reports.Progress.REQUESTED
    desired = tx.find(Desired, "station", station_id)
    return Todo(
        transactions=tuple(asked),
        connectors=() if "trigger_status" in lacks else _unknown(tx, station),
        inventory=inventory,
        verify=_to_verify(station, known, desired, now),
        write=tuple((d.name, d.value) for d in desired if d.state == State.WANTED),
        read_limits=device_model.limits(tx, station_id, "GetVariables"),
        write_limits=device_model.limits(tx, station_id, "SetVariables"),
        lacks=lacks,
        pending=later or coming,
    )


def _about(station: Station) -> str:
    """What a device model is about: the same hardware is another station to us with another
    firmware, or when it speaks another version."""
    return f"{station.protocol} {station.firmware or ''}".strip()


def _unknown(tx: Tx, station: Station) -> tuple[tuple[int, int], ...]:
    """Connectors whose state nobody knows: never reported, or from before a long absence."""
    up = station.connected_at
    away = (
        up is not None
        and station.last_seen_at is not None
        and up - station.last_seen_at >= LONG_AWAY
    )
    found = [
        (c.evse, c.connector)
        for c in tx.find(Connector, "station", station.id)
        if c.evse
        and c.connector
        and (c.status == UNKNOWN or (away and up is not None and c.received_at < up))
    ]
    return tuple(found[:MAX_CONNECTORS_ASKED])


def _to_verify(
    station: Station, known: DeviceModel, desired: Sequence[Desired], now: datetime
) -> tuple[str, ...]:
    """The desired values that the station is believed to have, when it is time to compare."""
    at = known.verified_at
    booted = at is not None and station.booted_at is not None and station.booted_at > at
    if at is not None and not booted and now - at < VERIFY_EVERY:
        return ()
    held = (State.APPLIED, State.REBOOT_REQUIRED)
    return tuple(d.name for d in desired if d.state in held)
