"""BootNotification, Heartbeat (OCPP 1.6 4.2, 4.6)."""

from __future__ import annotations

from csms.core import policies, stations
from csms.core.ids import Origin
from csms.core.ports import Need, Reply, Tx
from csms.core.stations import BootReport, Registration
from csms.ocpp import wire
from csms.ocpp.routing import Answer, Payload

# Heartbeat while accepted; otherwise how long to wait before the next BootNotification.
HEARTBEAT_INTERVAL_S = 300
RETRY_BOOT_INTERVAL_S = 60

STATUS = {
    Registration.ACCEPTED: "Accepted",
    Registration.PENDING: "Pending",
    Registration.REJECTED: "Rejected",
}


def boot_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    """What a boot reads in every version."""
    return (stations.needs(origin.station_id), policies.needs(origin.station_id))


def boot_notification(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    report = BootReport(
        vendor=wire.text(payload, "chargePointVendor"),
        model=wire.text(payload, "chargePointModel"),
        serial=wire.name(payload, "chargePointSerialNumber")
        or wire.name(payload, "chargeBoxSerialNumber"),
        firmware=wire.text(payload, "firmwareVersion"),
    )
    registration = stations.boot(tx, origin, report)
    return Reply(boot_answer(origin, registration))


def boot_answer(origin: Origin, registration: Registration) -> Payload:
    """The answer to a boot, the same in every version."""
    accepted = registration is Registration.ACCEPTED
    return {
        "status": STATUS[registration],
        "currentTime": wire.rfc3339(origin.at),
        "interval": HEARTBEAT_INTERVAL_S if accepted else RETRY_BOOT_INTERVAL_S,
    }


def heartbeat(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    return Reply({"currentTime": wire.rfc3339(origin.at)})
