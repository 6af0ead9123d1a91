"""What only OCPP 2.1 has: actions that a 2.0.1 station cannot send."""

from __future__ import annotations

from collections.abc import Callable

from csms.ocpp.routing import Payload, Route, stored


def _vat(payload: Payload) -> Payload:
    # No tax register is connected; the answer must name the number that was asked for.
    return {"status": "Rejected", "vatNumber": str(payload.get("vatNumber", ""))}


def _chain_status(payload: Payload) -> Payload:
    # No OCSP responder is connected, so nothing is known of any certificate (M06).
    asked = payload.get("certificateStatusRequests", [])
    return {
        "certificateStatus": [
            {
                "certificateHashData": request["certificateHashData"],
                "source": request["source"],
                "status": "Failed",
                "nextUpdate": "1970-01-01T00:00:00Z",
            }
            for request in asked
        ]
    }


_STORED: dict[str, Payload | Callable[[Payload], Payload]] = {
    "BatterySwap": {},
    "ClosePeriodicEventStream": {},
    "GetCertificateChainStatus": _chain_status,
    "NotifyDERAlarm": {},
    "NotifyDERStartStop": {},
    # A SEND: its answer is never written.
    "NotifyPeriodicEventStream": {},
    "NotifyPriorityCharging": {},
    "NotifySettlement": {},
    # What it carries is kept (N11, N14), so there is no reason to refuse one.
    "OpenPeriodicEventStream": {"status": "Accepted"},
    "PullDynamicScheduleUpdate": {"status": "Rejected"},
    "ReportDERControl": {},
    "VatNumberValidation": _vat,
}

ROUTES: dict[str, Route] = {action: stored(action, answer) for action, answer in _STORED.items()}
