"""Everything that a 1.6 station may send, and how it is served."""

from __future__ import annotations

from csms.ocpp.routing import Before, Dialect, Route, stored
from csms.ocpp.v16 import authorization, availability, metering, registration, transactions

_STORED = {
    "DataTransfer": {"status": "UnknownVendorId"},
    "DiagnosticsStatusNotification": {},
    "FirmwareStatusNotification": {},
    "LogStatusNotification": {},
    "SecurityEventNotification": {},
    "SignedFirmwareStatusNotification": {},
    # No certificate authority is connected, so none can be issued.
    "SignCertificate": {"status": "Rejected"},
}

ROUTES = {
    "BootNotification": Route(
        registration.boot_notification, registration.boot_needs, money=True, before=Before.ALWAYS
    ),
    "Heartbeat": Route(registration.heartbeat),
    "StatusNotification": Route(
        availability.status_notification, availability.status_needs, money=True
    ),
    "Authorize": Route(authorization.authorize, authorization.token_needs, money=True),
    "StartTransaction": Route(
        transactions.start_transaction,
        transactions.start_needs,
        money=True,
        before=Before.ALWAYS,
    ),
    "StopTransaction": Route(
        transactions.stop_transaction,
        transactions.stop_needs,
        money=True,
        before=Before.ALWAYS,
    ),
    "MeterValues": Route(
        metering.meter_values, metering.meter_needs, money=True, before=Before.ALWAYS
    ),
    **{action: stored(action, answer) for action, answer in _STORED.items()},
}

# A 1.6 station may go on without a BootNotification (OCPP 1.6 5.4), so a new one is not refused.
DIALECT = Dialect("1.6", ROUTES, strict_new=False)
