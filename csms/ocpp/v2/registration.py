"""BootNotification, Heartbeat (OCPP 2.0.1 B01 to B03, G02)."""

from __future__ import annotations

from csms.core.ids import Origin
from csms.core.ports import Tx
from csms.core.stations import BootReport
from csms.ocpp import wire
from csms.ocpp.routing import Answer, Payload
from csms.ocpp.v16.registration import (
    DEFAULT_INTERVALS,
    Intervals,
    boot_needs,
    booted,
    heartbeat,
)

__all__ = ["boot_needs", "boot_notification", "heartbeat"]


def boot_notification(
    tx: Tx, origin: Origin, payload: Payload, intervals: Intervals = DEFAULT_INTERVALS
) -> Answer:
    station = wire.mapping(payload, "chargingStation")
    report = BootReport(
        vendor=wire.text(station, "vendorName"),
        model=wire.text(station, "model"),
        serial=wire.name(station, "serialNumber"),
        firmware=wire.text(station, "firmwareVersion"),
        reason=wire.text(payload, "reason"),
    )
    return booted(tx, origin, report, intervals)
