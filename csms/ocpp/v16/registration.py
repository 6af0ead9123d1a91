"""BootNotification, Heartbeat (OCPP 1.6 4.2, 4.6)."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

from csms.core import policies, stations
from csms.core.ids import Origin
from csms.core.ports import Need, Reply, Tx
from csms.core.quirks import make_of
from csms.core.stations import BootReport, Registration
from csms.ocpp import wire
from csms.ocpp.routing import Answer, Payload


@dataclass(frozen=True, slots=True)
class Intervals:
    """What a station is told when it boots: how often to send a heartbeat once it is accepted, and
    until then how long to wait before the next boot."""

    heartbeat_s: int = 300
    boot_retry_s: int = 60


DEFAULT_INTERVALS = Intervals()

STATUS = {
    Registration.ACCEPTED: "Accepted",
    Registration.PENDING: "Pending",
    Registration.REJECTED: "Rejected",
}


def boot_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    """What a boot reads in every version."""
    return (stations.needs(origin.station_id), policies.needs(origin.station_id))


def boot_notification(
    tx: Tx, origin: Origin, payload: Payload, intervals: Intervals = DEFAULT_INTERVALS
) -> Answer:
    report = BootReport(
        vendor=wire.text(payload, "chargePointVendor"),
        model=wire.text(payload, "chargePointModel"),
        serial=wire.name(payload, "chargePointSerialNumber")
        or wire.name(payload, "chargeBoxSerialNumber"),
        firmware=wire.text(payload, "firmwareVersion"),
    )
    return booted(tx, origin, report, intervals)


def booted(tx: Tx, origin: Origin, report: BootReport, intervals: Intervals) -> Answer:
    """A boot, the same in every version."""
    known = make_of(stations.require(tx, origin.station_id))
    registration = stations.boot(tx, origin, report)
    new_make = make_of(stations.require(tx, origin.station_id)) != known
    return Reply(boot_answer(origin, registration, intervals), new_make)


def boot_answer(origin: Origin, registration: Registration, intervals: Intervals) -> Payload:
    """What the station is told."""
    accepted = registration is Registration.ACCEPTED
    return {
        "status": STATUS[registration],
        "currentTime": wire.rfc3339(origin.at),
        "interval": intervals.heartbeat_s if accepted else _spread(origin, intervals.boot_retry_s),
    }


def _spread(origin: Origin, seconds: int) -> int:
    """Up to a fifth more or less, by station and moment: those who were told to wait together do
    not come back together. The same for the same arguments, as a function that may be run again
    has to be."""
    lot = crc32(f"{origin.station_id} {origin.at.timestamp()}".encode()) / 2**32
    return max(1, round(seconds * (0.8 + 0.4 * lot)))


def heartbeat(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    return Reply({"currentTime": wire.rfc3339(origin.at)})
