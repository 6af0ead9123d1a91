"""The calls of a 2.0.1 or 2.1 central system, read and answered."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from chargers.clock import wire_time
from chargers.configuration import SETTINGS, Change
from chargers.dialect import Wishes
from chargers.facts import ConnectorState, Target, Token, Trigger, Verdict
from chargers.wire import Caller, Handler

REPORT_ITEMS_PER_MESSAGE = 20

STATUS = {
    # Reading a token occupies nothing: only a cable does (2.0.1 G01).
    ConnectorState.AUTHORIZED: "Available",
    ConnectorState.AVAILABLE: "Available",
    ConnectorState.PLUGGED: "Occupied",
    ConnectorState.CHARGING: "Occupied",
    ConnectorState.SUSPENDED: "Occupied",
    ConnectorState.FINISHING: "Occupied",
    ConnectorState.UNAVAILABLE: "Unavailable",
}

# Component, variable, instance of the variable -> setting of `chargers.configuration`.
VARIABLES = {
    ("AuthCtrlr", "AuthorizeRemoteStart", None): "authorize_remote_start",
    ("AuthCtrlr", "OfflineTxForUnknownIdEnabled", None): "allow_offline_unknown",
    ("DeviceDataCtrlr", "ItemsPerMessage", "GetVariables"): "items_per_message",
    ("DeviceDataCtrlr", "ItemsPerMessage", "SetVariables"): "items_per_message",
    ("OCPPCommCtrlr", "HeartbeatInterval", None): "heartbeat_interval_s",
    ("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent"): "retry_interval_s",
    ("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent"): "attempts",
    ("SampledDataCtrlr", "TxUpdatedInterval", None): "meter_interval_s",
    ("SecurityCtrlr", "BasicAuthPassword", None): "password",
    ("TxCtrlr", "EVConnectionTimeOut", None): "connection_timeout_s",
    ("TxCtrlr", "StopTxOnInvalidId", None): "stop_on_invalid_token",
}

_COMPONENTS = {component.casefold() for component, _, _ in VARIABLES}
_FOLDED = {
    (component.casefold(), variable.casefold(), instance and instance.casefold()): name
    for (component, variable, instance), name in VARIABLES.items()
}

_TRIGGERS = {
    "BootNotification": Trigger.BOOT,
    "Heartbeat": Trigger.HEARTBEAT,
    "StatusNotification": Trigger.STATUS,
    "MeterValues": Trigger.METER_VALUES,
    "TransactionEvent": Trigger.TRANSACTION,
}

_CHANGES = {
    Change.DONE: "Accepted",
    Change.REFUSED: "Rejected",
    Change.READ_ONLY: "Rejected",
    Change.UNKNOWN: "UnknownVariable",
}

_DATA_TYPES = {"secret": "string"}


class Calls:
    """Handlers for one charger; `package` is the version's module of the `ocpp` package."""

    def __init__(self, package: str, wishes: Wishes) -> None:
        self._call: Any = importlib.import_module(f"{package}.call")
        self._result: Any = importlib.import_module(f"{package}.call_result")
        self._wishes = wishes

    def routes(self) -> Mapping[str, Handler]:
        return {
            "ChangeAvailability": self.change_availability,
            "ClearCache": self.clear_cache,
            "DataTransfer": self.data_transfer,
            "GetBaseReport": self.get_base_report,
            "GetTransactionStatus": self.get_transaction_status,
            "GetVariables": self.get_variables,
            "RequestStartTransaction": self.request_start,
            "RequestStopTransaction": self.request_stop,
            "Reset": self.reset,
            "SetVariables": self.set_variables,
            "TriggerMessage": self.trigger_message,
            "UnlockConnector": self.unlock,
        }

    def change_availability(
        self, operational_status: str, evse: dict[str, Any] | None = None, **_: Any
    ) -> Any:
        verdict = self._wishes.change_availability(
            [_target(evse)], operative=operational_status == "Operative"
        )
        words = {Verdict.ACCEPTED: "Accepted", Verdict.SCHEDULED: "Scheduled"}
        return self._result.ChangeAvailability(status=words.get(verdict, "Rejected"))

    def clear_cache(self, **_: Any) -> Any:
        self._wishes.clear_cache()
        return self._result.ClearCache(status="Accepted")

    def get_transaction_status(self, transaction_id: str | None = None, **_: Any) -> Any:
        ongoing, queued = self._wishes.transaction_status(transaction_id)
        return self._result.GetTransactionStatus(
            messages_in_queue=queued, ongoing_indicator=ongoing
        )

    def data_transfer(self, **_: Any) -> Any:
        return self._result.DataTransfer(status="UnknownVendorId")

    def request_start(
        self,
        id_token: dict[str, Any],
        remote_start_id: int,
        evse_id: int | None = None,
        **_: Any,
    ) -> Any:
        token = Token(str(id_token["id_token"]), str(id_token["type"]))
        verdict = self._wishes.remote_start(token, evse_id, remote_start_id)
        return self._result.RequestStartTransaction(status=_accepted(verdict))

    def request_stop(self, transaction_id: str, **_: Any) -> Any:
        verdict = self._wishes.remote_stop(transaction_id)
        return self._result.RequestStopTransaction(status=_accepted(verdict))

    # The parameter is `type` because the field on the wire is.
    def reset(self, type: str, evse_id: int | None = None, **_: Any) -> Any:  # noqa: A002
        verdict = self._wishes.reset(
            evse=evse_id or None,
            hard=type != "OnIdle",
            when_idle=type == "OnIdle",
            # A word that only 2.1 has (B11).
            resume=type == "ImmediateAndResume",
        )
        scheduled = verdict is Verdict.SCHEDULED
        return self._result.Reset(status="Scheduled" if scheduled else _accepted(verdict))

    def trigger_message(
        self, requested_message: str, evse: dict[str, Any] | None = None, **_: Any
    ) -> Any:
        trigger = _TRIGGERS.get(requested_message)
        if trigger is None:
            return self._result.TriggerMessage(status="NotImplemented")
        verdict = self._wishes.trigger(trigger, _target(evse))
        return self._result.TriggerMessage(status=_accepted(verdict))

    def unlock(self, evse_id: int, connector_id: int, **_: Any) -> Any:
        verdict = self._wishes.unlock(Target(evse_id, connector_id), end_transaction=False)
        words = {
            Verdict.ACCEPTED: "Unlocked",
            Verdict.BUSY: "OngoingAuthorizedTransaction",
            Verdict.UNKNOWN: "UnknownConnector",
        }
        return self._result.UnlockConnector(status=words[verdict])

    def get_variables(self, get_variable_data: list[dict[str, Any]], **_: Any) -> Any:
        return self._result.GetVariables(
            get_variable_result=[self._value_of(wanted) for wanted in get_variable_data]
        )

    def _value_of(self, wanted: dict[str, Any]) -> dict[str, Any]:
        answer = _addressed(wanted)
        setting = _setting(wanted)
        if not _is_actual(wanted):
            answer["attribute_status"] = "NotSupportedAttributeType"
        elif setting is None:
            answer["attribute_status"] = _unknown(wanted)
        else:
            value = self._wishes.configuration.text(setting)
            # A secret can be written, never read.
            answer["attribute_status"] = "Rejected" if value is None else "Accepted"
            answer["attribute_value"] = value
        return answer

    def set_variables(self, set_variable_data: list[dict[str, Any]], **_: Any) -> Any:
        results = [self._set(wanted) for wanted in set_variable_data]
        self._wishes.settings_changed()
        return self._result.SetVariables(set_variable_result=results)

    def _set(self, wanted: dict[str, Any]) -> dict[str, Any]:
        answer = _addressed(wanted)
        setting = _setting(wanted)
        if not _is_actual(wanted):
            answer["attribute_status"] = "NotSupportedAttributeType"
        elif setting is None:
            answer["attribute_status"] = _unknown(wanted)
        else:
            change = self._wishes.configuration.change(setting, str(wanted["attribute_value"]))
            answer["attribute_status"] = _CHANGES[change]
        return answer

    def get_base_report(self, request_id: int, report_base: str, **_: Any) -> Any:
        if report_base not in ("FullInventory", "ConfigurationInventory"):
            return self._result.GetBaseReport(status="NotSupported")
        items = self._settings_report()
        if report_base == "FullInventory":
            items += self._hardware_report()
        self._wishes.send_later(
            "base report", partial(self._send_report, request_id=request_id, items=items)
        )
        return self._result.GetBaseReport(status="Accepted")

    async def _send_report(
        self, call: Caller, request_id: int, items: list[dict[str, Any]]
    ) -> None:
        starts = range(0, len(items), REPORT_ITEMS_PER_MESSAGE)
        for number, start in enumerate(starts):
            part = items[start : start + REPORT_ITEMS_PER_MESSAGE]
            await call(
                self._call.NotifyReport(
                    request_id=request_id,
                    generated_at=wire_time(self._wishes.now()),
                    seq_no=number,
                    report_data=part,
                    tbc=start + len(part) < len(items),
                )
            )

    def _settings_report(self) -> list[dict[str, Any]]:
        configuration = self._wishes.configuration
        found = []
        for (component, variable, instance), name in VARIABLES.items():
            setting = SETTINGS[name]
            mutability = "ReadOnly" if setting.read_only else "ReadWrite"
            if setting.kind == "secret":
                mutability = "WriteOnly"
            found.append(
                _reported(
                    {"name": component},
                    {"name": variable, "instance": instance},
                    configuration.text(name),
                    mutability,
                    _DATA_TYPES.get(setting.kind, setting.kind),
                )
            )
        return found

    def _hardware_report(self) -> list[dict[str, Any]]:
        profile = self._wishes.profile
        station: dict[str, Any] = {"name": "ChargingStation"}
        found = [
            _reported(station, {"name": name}, value, "ReadOnly", "string")
            for name, value in (
                ("VendorName", profile.vendor),
                ("Model", profile.model),
                ("SerialNumber", profile.serial_number),
                ("FirmwareVersion", profile.firmware),
            )
        ]
        for evse in range(1, profile.evses + 1):
            place = {"name": "EVSE", "evse": {"id": evse}}
            power = str(profile.power_w)
            found.append(_reported(place, {"name": "Power"}, power, "ReadOnly", "decimal"))
        for target, state in self._wishes.states():
            if target.evse:
                where = {"id": target.evse, "connector_id": target.connector}
                place = {"name": "Connector", "evse": where}
                found.append(
                    _reported(
                        place,
                        {"name": "AvailabilityState"},
                        STATUS[state],
                        "ReadOnly",
                        "OptionList",
                    )
                )
        return found


def _accepted(verdict: Verdict) -> str:
    return "Accepted" if verdict is Verdict.ACCEPTED else "Rejected"


def _target(evse: dict[str, Any] | None) -> Target:
    if evse is None:
        return Target()
    return Target(int(evse["id"]), int(evse.get("connector_id") or 0))


def _addressed(wanted: dict[str, Any]) -> dict[str, Any]:
    """What an answer repeats of the question, so that the two can be matched."""
    return {
        "component": wanted["component"],
        "variable": wanted["variable"],
        "attribute_type": wanted.get("attribute_type"),
    }


def _setting(wanted: dict[str, Any]) -> str | None:
    instance = wanted["variable"].get("instance")
    return _FOLDED.get(
        (
            str(wanted["component"]["name"]).casefold(),
            str(wanted["variable"]["name"]).casefold(),
            instance and str(instance).casefold(),
        )
    )


def _unknown(wanted: dict[str, Any]) -> str:
    known = str(wanted["component"]["name"]).casefold() in _COMPONENTS
    return "UnknownVariable" if known else "UnknownComponent"


def _is_actual(wanted: dict[str, Any]) -> bool:
    return wanted.get("attribute_type") in (None, "Actual")


def _reported(
    component: dict[str, Any],
    variable: dict[str, Any],
    value: str | None,
    mutability: str,
    data_type: str,
) -> dict[str, Any]:
    return {
        "component": component,
        "variable": variable,
        "variable_attribute": [{"value": value, "mutability": mutability}],
        "variable_characteristics": {"data_type": data_type, "supports_monitoring": False},
    }
