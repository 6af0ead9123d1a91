"""OCPP 2.0.1 and 2.1: facts to messages, calls to wishes.

The two versions are the same to a charger but for the module of the `ocpp` package. The
charger names its transactions itself; a transaction begins when power may flow
(TxStartPoint PowerPathClosed), which is what makes it the same thing as in 1.6.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chargers.clock import wire_time
from chargers.dialect import Wishes
from chargers.facts import (
    Acknowledged,
    Booted,
    BootReason,
    Cause,
    ConnectorState,
    Kind,
    Reading,
    Target,
    Token,
    TransactionMessage,
)
from chargers.ledger import TransactionRecord
from chargers.profile import ChargerProfile
from chargers.v2_calls import STATUS, Calls
from chargers.wire import Caller, Handler

_TRIGGER_REASONS = {
    Cause.AUTHORIZED: "Authorized",
    Cause.PLUGGED_IN: "CablePluggedIn",
    Cause.REMOTE_START: "RemoteStart",
    Cause.PERIOD: "MeterValuePeriodic",
    Cause.TRIGGER: "Trigger",
    Cause.CAR: "ChargingStateChanged",
    Cause.LOCAL_STOP: "StopAuthorized",
    Cause.REMOTE_STOP: "RemoteStop",
    Cause.UNPLUGGED: "EVDeparted",
    Cause.DEAUTHORIZED: "Deauthorized",
    Cause.UNLOCK: "UnlockCommand",
    Cause.SOFT_RESET: "ResetCommand",
    Cause.HARD_RESET: "ResetCommand",
    Cause.POWER_LOSS: "AbnormalCondition",
    Cause.LIMIT_SET: "LimitSet",
    Cause.LIMIT: "EnergyLimitReached",
    Cause.RESUMED: "TxResumed",
}

_STOP_REASONS = {
    Cause.LOCAL_STOP: "Local",
    Cause.REMOTE_STOP: "Remote",
    Cause.UNPLUGGED: "EVDisconnected",
    Cause.DEAUTHORIZED: "DeAuthorized",
    Cause.UNLOCK: "Other",
    Cause.SOFT_RESET: "ImmediateReset",
    Cause.HARD_RESET: "ImmediateReset",
    Cause.POWER_LOSS: "PowerLoss",
    Cause.LIMIT: "EnergyLimitReached",
}

_BOOT_REASONS = {
    BootReason.POWER_UP: "PowerUp",
    BootReason.REMOTE_RESET: "RemoteReset",
    BootReason.TRIGGERED: "Triggered",
    BootReason.RECONNECTED: "Unknown",
}

_EVENT_TYPES = {Kind.STARTED: "Started", Kind.STOPPED: "Ended"}

_CONTEXTS = {Kind.STARTED: "Transaction.Begin", Kind.STOPPED: "Transaction.End"}


class Dialect2:
    """`dialect.Dialect` for 2.0.1 and 2.1."""

    readings_are_meter_values = False

    def __init__(self, version: str) -> None:
        self.package = "ocpp.v" + version.replace(".", "")
        self.subprotocol = f"ocpp{version}"
        self._call: Any = importlib.import_module(f"{self.package}.call")

    def status_word(self, target: Target, state: ConnectorState) -> str | None:
        return STATUS[state] if target.evse else None

    def carries(self, kind: Kind) -> bool:
        # Only 2.1 has words for a limit (E16).
        return kind is not Kind.LIMIT or self.package == "ocpp.v21"

    async def boot(self, call: Caller, profile: ChargerProfile, reason: BootReason) -> Booted:
        answer = await call(
            self._call.BootNotification(
                charging_station={
                    "model": profile.model,
                    "vendor_name": profile.vendor,
                    "serial_number": profile.serial_number,
                    "firmware_version": profile.firmware,
                },
                reason=_BOOT_REASONS[reason],
            )
        )
        return Booted(str(answer.status), int(answer.interval))

    async def heartbeat(self, call: Caller) -> None:
        await call(self._call.Heartbeat())

    async def authorize(self, call: Caller, token: Token) -> str:
        answer = await call(self._call.Authorize(id_token=_id_token(token)))
        return str(answer.id_token_info["status"])

    async def report_status(self, call: Caller, target: Target, word: str, at: datetime) -> None:
        await call(
            self._call.StatusNotification(
                timestamp=wire_time(at),
                connector_status=word,
                evse_id=target.evse,
                connector_id=target.connector,
            )
        )

    async def meter_values(self, call: Caller, target: Target, reading: Reading) -> None:
        await call(
            self._call.MeterValues(
                evse_id=target.evse, meter_value=[_meter_value(reading, "Trigger")]
            )
        )

    async def deliver(
        self, call: Caller, message: TransactionMessage, record: TransactionRecord
    ) -> Acknowledged:
        info: dict[str, Any] = {"transaction_id": message.transaction}
        if message.kind is Kind.STOPPED:
            info["stopped_reason"] = _STOP_REASONS[message.cause]
            # The cable is still in, unless pulling it was what ended the transaction.
            left = message.cause is Cause.UNPLUGGED
            info["charging_state"] = "Idle" if left else "EVConnected"
        else:
            info["charging_state"] = "Charging" if message.charging else "SuspendedEV"
        if message.limit_wh is not None:
            info["transaction_limit"] = {"max_energy": message.limit_wh}
        if message.kind is Kind.STARTED and message.remote_start_id is not None:
            info["remote_start_id"] = message.remote_start_id
        answer = await call(
            self._call.TransactionEvent(
                event_type=_EVENT_TYPES.get(message.kind, "Updated"),
                timestamp=wire_time(message.at),
                trigger_reason=_TRIGGER_REASONS[message.cause],
                seq_no=message.number,
                transaction_info=info,
                evse={"id": message.evse, "connector_id": message.connector},
                id_token=_id_token(message.token) if message.token else None,
                meter_value=[_meter_value(message.reading, _context(message))],
                offline=message.offline,
            )
        )
        status = (answer.id_token_info or {}).get("status")
        return Acknowledged(message.transaction, None if status is None else str(status))

    def routes(self, wishes: Wishes) -> Mapping[str, Handler]:
        return Calls(self.package, wishes).routes()


def _id_token(token: Token) -> dict[str, str]:
    # A token that 1.6-style callers gave without a kind came from the central system.
    return {"id_token": token.uid, "type": token.kind or "Central"}


def _context(message: TransactionMessage) -> str:
    if message.cause is Cause.TRIGGER:
        return "Trigger"
    if message.kind in (Kind.STATE, Kind.LIMIT):
        return "Other"
    return _CONTEXTS.get(message.kind, "Sample.Periodic")


def _meter_value(reading: Reading, context: str) -> dict[str, Any]:
    samples = [
        ("Energy.Active.Import.Register", reading.energy_wh, "Wh", "Outlet"),
        ("Power.Active.Import", reading.power_w, "W", "Outlet"),
    ]
    if reading.soc_percent is not None:
        samples.append(("SoC", reading.soc_percent, "Percent", "EV"))
    return {
        "timestamp": wire_time(reading.at),
        "sampled_value": [
            {
                "value": value,
                "context": context,
                "measurand": measurand,
                "location": location,
                "unit_of_measure": {"unit": unit},
            }
            for measurand, value, unit, location in samples
        ],
    }
