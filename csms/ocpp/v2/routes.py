"""Everything that a 2.0.1 or 2.1 station may send, and how it is served."""

from __future__ import annotations

from csms.ocpp.routing import Before, Dialect, Route, stored
from csms.ocpp.v2 import (
    authorization,
    availability,
    device_model,
    metering,
    only21,
    registration,
    transactions,
)
from csms.ocpp.v16.routes import DIALECT as DIALECT_16

_STORED = {
    "ClearedChargingLimit": {},
    "DataTransfer": {"status": "UnknownVendorId"},
    "FirmwareStatusNotification": {},
    # No certificate authority or OCSP responder is connected.
    "Get15118EVCertificate": {"status": "Failed", "exiResponse": ""},
    "GetCertificateStatus": {"status": "Failed"},
    "SignCertificate": {"status": "Rejected"},
    "LogStatusNotification": {},
    "NotifyChargingLimit": {},
    "NotifyCustomerInformation": {},
    "NotifyDisplayMessages": {},
    "NotifyEVChargingNeeds": {"status": "Rejected"},
    "NotifyEVChargingSchedule": {"status": "Accepted"},
    "NotifyMonitoringReport": {},
    "PublishFirmwareStatusNotification": {},
    "ReportChargingProfiles": {},
    "ReservationStatusUpdate": {},
    "SecurityEventNotification": {},
}

ROUTES = {
    "BootNotification": Route(
        registration.boot_notification, registration.boot_needs, money=True, before=Before.ALWAYS
    ),
    "Heartbeat": Route(registration.heartbeat),
    "StatusNotification": Route(
        availability.status_notification, availability.status_needs, money=True
    ),
    "NotifyEvent": Route(availability.notify_event, money=True),
    "Authorize": Route(authorization.authorize, authorization.token_needs, money=True),
    "TransactionEvent": Route(
        transactions.transaction_event,
        transactions.event_needs,
        money=True,
        before=Before.ALWAYS,
    ),
    "MeterValues": Route(
        metering.meter_values, metering.meter_needs, money=True, before=Before.ALWAYS
    ),
    # Asked for before acceptance, to decide about it (B02.FR.02).
    "NotifyReport": Route(
        device_model.notify_report, device_model.report_needs, money=True, before=Before.ALWAYS
    ),
    **{action: stored(action, answer) for action, answer in _STORED.items()},
}

DIALECT_201 = Dialect("2.0.1", ROUTES, strict_new=True, foreign=DIALECT_16)
DIALECT_21 = Dialect("2.1", {**ROUTES, **only21.ROUTES}, strict_new=True, foreign=DIALECT_16)
