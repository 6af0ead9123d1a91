"""OCPP 1.6: facts to messages, calls to wishes.

Connectors are numbered through over all EVSEs, from 1; connector 0 is the station. The central
system names the transactions: until it has answered the start, nothing else of the transaction
is sent, since all of it goes through one queue; when the start was given up, the rest goes out
with the id -1 (1.6 errata 3.18).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ocpp.v16 import call, call_result

from chargers.clock import wire_time
from chargers.configuration import Change
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
    Trigger,
    Verdict,
)
from chargers.ledger import TransactionRecord
from chargers.profile import ChargerProfile
from chargers.wire import Caller, Handler

_STATUS = {
    ConnectorState.AVAILABLE: "Available",
    ConnectorState.AUTHORIZED: "Preparing",
    ConnectorState.PLUGGED: "Preparing",
    ConnectorState.CHARGING: "Charging",
    ConnectorState.SUSPENDED: "SuspendedEV",
    ConnectorState.FINISHING: "Finishing",
    ConnectorState.UNAVAILABLE: "Unavailable",
}

_STOP_REASONS = {
    Cause.LOCAL_STOP: "Local",
    Cause.REMOTE_STOP: "Remote",
    Cause.UNPLUGGED: "EVDisconnected",
    Cause.DEAUTHORIZED: "DeAuthorized",
    Cause.UNLOCK: "UnlockCommand",
    Cause.SOFT_RESET: "SoftReset",
    Cause.HARD_RESET: "HardReset",
    Cause.POWER_LOSS: "PowerLoss",
    Cause.LIMIT: "Local",
}

_TRIGGERS = {
    "BootNotification": Trigger.BOOT,
    "Heartbeat": Trigger.HEARTBEAT,
    "StatusNotification": Trigger.STATUS,
    "MeterValues": Trigger.METER_VALUES,
}

KEYS = {
    "AllowOfflineTxForUnknownId": "allow_offline_unknown",
    "AuthorizationKey": "password",
    "AuthorizeRemoteTxRequests": "authorize_remote_start",
    "ConnectionTimeOut": "connection_timeout_s",
    "GetConfigurationMaxKeys": "items_per_message",
    "HeartbeatInterval": "heartbeat_interval_s",
    "MeterValueSampleInterval": "meter_interval_s",
    "NumberOfConnectors": "evses",
    "StopTransactionOnInvalidId": "stop_on_invalid_token",
    "SupportedFeatureProfiles": "features",
    "TransactionMessageAttempts": "attempts",
    "TransactionMessageRetryInterval": "retry_interval_s",
}
"""Configuration key -> setting of `chargers.configuration`."""

_CHANGES = {
    Change.DONE: "Accepted",
    Change.REFUSED: "Rejected",
    Change.READ_ONLY: "Rejected",
    Change.UNKNOWN: "NotSupported",
}

_NAMES = {key.casefold(): key for key in KEYS}
"""Configuration keys are compared without regard to case."""

UNKNOWN_TRANSACTION = -1


class Dialect16:
    """`dialect.Dialect` for 1.6, for a station with `connectors_per_evse` plugs per EVSE."""

    package = "ocpp.v16"
    subprotocol = "ocpp1.6"
    readings_are_meter_values = True

    def __init__(self, connectors_per_evse: int = 1) -> None:
        self._per_evse = connectors_per_evse

    def connector_id(self, target: Target) -> int:
        """The number 1.6 has for a connector; 0 for the station."""
        if not target.evse:
            return 0
        return (target.evse - 1) * self._per_evse + max(1, target.connector)

    def target(self, connector_id: int) -> Target:
        """The other way round. May name a connector that is not there."""
        if connector_id <= 0:
            return Target(connector_id)
        evse, connector = divmod(connector_id - 1, self._per_evse)
        return Target(evse + 1, connector + 1)

    def status_word(self, target: Target, state: ConnectorState) -> str | None:
        return _STATUS[state]

    def carries(self, kind: Kind) -> bool:
        # A car that stops drawing shows in the status of its connector alone.
        return kind not in (Kind.STATE, Kind.LIMIT)

    async def boot(self, call_: Caller, profile: ChargerProfile, reason: BootReason) -> Booted:
        answer = await call_(
            call.BootNotification(
                charge_point_model=profile.model,
                charge_point_vendor=profile.vendor,
                charge_point_serial_number=profile.serial_number,
                firmware_version=profile.firmware,
            )
        )
        return Booted(str(answer.status), int(answer.interval))

    async def heartbeat(self, call_: Caller) -> None:
        await call_(call.Heartbeat())

    async def authorize(self, call_: Caller, token: Token) -> str:
        answer = await call_(call.Authorize(id_tag=token.uid))
        return str(answer.id_tag_info["status"])

    async def report_status(self, call_: Caller, target: Target, word: str, at: datetime) -> None:
        await call_(
            call.StatusNotification(
                connector_id=self.connector_id(target),
                error_code="NoError",
                status=word,
                timestamp=wire_time(at),
            )
        )

    async def meter_values(self, call_: Caller, target: Target, reading: Reading) -> None:
        value = _meter_value(reading, "Trigger")
        await call_(call.MeterValues(connector_id=self.connector_id(target), meter_value=[value]))

    async def deliver(
        self, call_: Caller, message: TransactionMessage, record: TransactionRecord
    ) -> Acknowledged:
        assert self.carries(message.kind)
        connector = self.connector_id(Target(message.evse, message.connector))
        if message.kind is Kind.STARTED:
            answer = await call_(
                call.StartTransaction(
                    connector_id=connector,
                    id_tag=record.token,
                    meter_start=message.reading.energy_wh,
                    timestamp=wire_time(message.at),
                )
            )
            status = str(answer.id_tag_info["status"])
            return Acknowledged(str(answer.transaction_id), status)
        known = record.central_id
        transaction = UNKNOWN_TRANSACTION if known is None else int(known)
        if message.kind is Kind.READING:
            context = "Trigger" if message.cause is Cause.TRIGGER else "Sample.Periodic"
            await call_(
                call.MeterValues(
                    connector_id=connector,
                    transaction_id=transaction,
                    meter_value=[_meter_value(message.reading, context)],
                )
            )
            return Acknowledged()
        await call_(
            call.StopTransaction(
                meter_stop=message.reading.energy_wh,
                timestamp=wire_time(message.at),
                transaction_id=transaction,
                reason=_STOP_REASONS[message.cause],
                id_tag=message.token.uid if message.token else None,
            )
        )
        return Acknowledged()

    def routes(self, wishes: Wishes) -> Mapping[str, Handler]:
        return Calls(self, wishes).routes()


class Calls:
    """The calls of the central system, read and answered."""

    def __init__(self, dialect: Dialect16, wishes: Wishes) -> None:
        self._dialect = dialect
        self._wishes = wishes

    def routes(self) -> Mapping[str, Handler]:
        return {
            "ChangeAvailability": self.change_availability,
            "ChangeConfiguration": self.change_configuration,
            "ClearCache": self.clear_cache,
            "DataTransfer": self.data_transfer,
            "GetConfiguration": self.get_configuration,
            "RemoteStartTransaction": self.remote_start,
            "RemoteStopTransaction": self.remote_stop,
            "Reset": self.reset,
            "TriggerMessage": self.trigger_message,
            "UnlockConnector": self.unlock,
        }

    # The parameter is `type` because the field on the wire is.
    def change_availability(self, connector_id: int, type: str, **_: Any) -> Any:  # noqa: A002
        # Connector 0 means the station and every connector of it (1.6 section 5.2).
        targets = (
            [self._dialect.target(connector_id)]
            if connector_id
            else [target for target, _ in self._wishes.states()]
        )
        verdict = self._wishes.change_availability(targets, operative=type == "Operative")
        words = {Verdict.ACCEPTED: "Accepted", Verdict.SCHEDULED: "Scheduled"}
        return call_result.ChangeAvailability(words.get(verdict, "Rejected"))

    def change_configuration(self, key: str, value: str, **_: Any) -> Any:
        setting = KEYS.get(_NAMES.get(key.casefold(), ""), "")
        change = self._wishes.configuration.change(setting, value, hex_secret=True)
        if change is Change.DONE:
            self._wishes.settings_changed()
        return call_result.ChangeConfiguration(_CHANGES[change])

    def get_configuration(self, key: list[str] | None = None, **_: Any) -> Any:
        wanted = key or list(KEYS)
        known = [name for name in wanted if name.casefold() in _NAMES]
        return call_result.GetConfiguration(
            configuration_key=[self._entry(_NAMES[name.casefold()]) for name in known],
            unknown_key=[name for name in wanted if name not in known] or None,
        )

    def _entry(self, key: str) -> dict[str, Any]:
        configuration = self._wishes.configuration
        value = configuration.text(KEYS[key])
        if key == "NumberOfConnectors":
            value = str(len(self._wishes.states()) - 1)
        # A secret has no value to show: write-only.
        return {"key": key, "readonly": configuration.read_only(KEYS[key]), "value": value}

    def clear_cache(self, **_: Any) -> Any:
        self._wishes.clear_cache()
        return call_result.ClearCache("Accepted")

    def data_transfer(self, **_: Any) -> Any:
        return call_result.DataTransfer("UnknownVendorId")

    def remote_start(self, id_tag: str, connector_id: int | None = None, **_: Any) -> Any:
        if connector_id is not None and connector_id <= 0:
            return call_result.RemoteStartTransaction("Rejected")
        evse = None if connector_id is None else self._dialect.target(connector_id).evse
        verdict = self._wishes.remote_start(Token(id_tag), evse, None)
        return call_result.RemoteStartTransaction(_accepted(verdict))

    def remote_stop(self, transaction_id: int, **_: Any) -> Any:
        verdict = self._wishes.remote_stop(str(transaction_id))
        return call_result.RemoteStopTransaction(_accepted(verdict))

    def reset(self, type: str, **_: Any) -> Any:  # noqa: A002
        verdict = self._wishes.reset(evse=None, hard=type == "Hard", when_idle=False)
        return call_result.Reset(_accepted(verdict))

    def trigger_message(
        self, requested_message: str, connector_id: int | None = None, **_: Any
    ) -> Any:
        trigger = _TRIGGERS.get(requested_message)
        if trigger is None:
            return call_result.TriggerMessage("NotImplemented")
        verdict = self._wishes.trigger(trigger, self._dialect.target(connector_id or 0))
        return call_result.TriggerMessage(_accepted(verdict))

    def unlock(self, connector_id: int, **_: Any) -> Any:
        verdict = self._wishes.unlock(self._dialect.target(connector_id), end_transaction=True)
        # An unknown connector cannot be unlocked by anyone (1.6 errata 3.87).
        word = "NotSupported" if verdict is Verdict.UNKNOWN else "Unlocked"
        return call_result.UnlockConnector(word)


def _accepted(verdict: Verdict) -> str:
    return "Accepted" if verdict is Verdict.ACCEPTED else "Rejected"


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
                "value": str(value),
                "context": context,
                "measurand": measurand,
                "unit": unit,
                "location": location,
            }
            for measurand, value, unit, location in samples
        ],
    }
