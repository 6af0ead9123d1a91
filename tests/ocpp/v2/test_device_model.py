"""Variables and reports of 2.x stations (OCPP 2.0.1 B05 to B08, E14)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from csms.core.device_model import Variable
from csms.core.inquiries import (
    Announced,
    Declined,
    Limits,
    MakeReport,
    NoAnswer,
    ReadVariables,
    Scope,
    Setting,
    Settings,
    TransactionState,
    TransactionStatus,
    TriggerReadings,
    TriggerStatus,
    Unsupported,
    Variables,
    WriteVariables,
)
from csms.ocpp.asking import Fault, Silence
from csms.ocpp.v2.device_model import address, name_of, reported
from tests.support.inquiries import Answering
from tests.support.ocpp import Inbound

INTERVAL = "OCPPCommCtrlr/HeartbeatInterval"


@pytest.fixture(params=["ocpp2.0.1", "ocpp2.1"])
def station(request: pytest.FixtureRequest) -> Answering:
    return Answering(request.param)


def report(*items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "requestId": 1,
        "generatedAt": "2024-05-01T12:00:00Z",
        "seqNo": 0,
        "reportData": list(items),
        **fields,
    }


def item(name: str, *attributes: dict[str, Any], **characteristics: Any) -> dict[str, Any]:
    made = {**address(name), "variableAttribute": list(attributes)}
    if characteristics:
        made["variableCharacteristics"] = {"supportsMonitoring": False, **characteristics}
    return made


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [INTERVAL, "EVSE@1/Power", "Connector@1.2/Available", "A[b]/C[d]", "Vendor%2FX/Y", "A[ü]/B"],
)
def test_a_name_is_the_same_there_and_back(name: str) -> None:
    assert name_of(address(name)) == name


@pytest.mark.parametrize("broken", [{}, {"component": {"name": "A"}}, {"variable": {"name": "B"}}])
def test_what_has_no_name_is_left_out(broken: dict[str, Any]) -> None:
    assert name_of(broken) is None
    assert reported({"reportData": [broken]}) == ()


# -- reports ---------------------------------------------------------------------------------------


def test_a_report_is_learnt_with_all_that_it_says(station2: Inbound) -> None:
    """B07.FR.09 to 12."""
    actual = {"value": "300", "mutability": "ReadWrite"}
    target = {"type": "Target", "value": "200"}
    limits = {"dataType": "integer", "unit": "s", "minLimit": 10, "maxLimit": 900}
    station2.answers("NotifyReport", report(item(INTERVAL, actual, target, **limits)))
    (variable,) = station2.rows(Variable)
    assert (variable.name, variable.actual, variable.target) == (INTERVAL, "300", "200")
    assert (variable.mutability, variable.data_type) == ("read_write", "integer")
    assert (variable.unit, variable.allowed) == ("s", "10..900")
    assert (variable.request_id, variable.reported_at) == (1, station2.now)


def test_a_long_report_is_learnt_whole(station2: Inbound) -> None:
    data = [item(f"Component{n}/{'V' * 50}", {"value": "\u00e9" * 100}) for n in range(130)]
    payload = report(*data)
    assert len(orjson.dumps(payload)) > 32_000
    assert station2.answers("NotifyReport", payload) == {}
    assert station2.count(Variable) == 130
    assert station2.violations == {}


def test_a_report_against_the_schema_is_learnt_all_the_same(station2: Inbound) -> None:
    """Strict out, lenient in: numbers as values, more than 2,500 characters, no characteristics."""
    data = [item("A/Number", {"value": 5}), item("A/Long", {"value": "x" * 3_000})]
    assert station2.answers("NotifyReport", report(*data)) == {}
    values = {v.name: v.actual for v in station2.rows(Variable)}
    assert values == {"A/Number": "5", "A/Long": "x" * 2_500}
    assert station2.violations != {}


def test_secrets_in_reports_are_not_stored(station2: Inbound) -> None:
    secret = item("SecurityCtrlr/BasicAuthPassword", {"value": "hunter2"})
    other = item("Vendor/Pin", {"value": "hunter2", "mutability": "WriteOnly"})
    station2.answers("NotifyReport", report(secret, other))
    assert [v.actual for v in station2.rows(Variable)] == [None, None]
    assert "hunter2" not in str(station2.journal())


def test_a_base_report_is_asked_for_by_number(station: Answering) -> None:
    station.on("GetBaseReport", {"status": "Accepted"})
    for scope in Scope:
        assert station.is_asked(MakeReport(7, scope)) == Announced()
    assert [payload for _, payload in station.heard] == [
        {"requestId": 7, "reportBase": "FullInventory"},
        {"requestId": 7, "reportBase": "ConfigurationInventory"},
        {"requestId": 7, "reportBase": "SummaryInventory"},
    ]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"status": "NotSupported"}, Unsupported("NotSupported")),
        ({"status": "Rejected"}, Declined("Rejected")),
        ({"status": "EmptyResultSet"}, Variables(())),
        (Silence("timed_out"), NoAnswer("timed_out")),
    ],
)
def test_a_station_may_have_no_report(station: Answering, said: Any, answer: object) -> None:
    station.on("GetBaseReport", said)
    assert station.is_asked(MakeReport(7, Scope.FULL)) == answer


# -- reading ---------------------------------------------------------------------------------------


def results(payload: dict[str, Any]) -> dict[str, Any]:
    found = [
        {**data, "attributeStatus": "Accepted", "attributeValue": "1"}
        for data in payload["getVariableData"]
    ]
    return {"getVariableResult": found}


def test_variables_are_read_by_component(station: Answering) -> None:
    """B06; a key of 1.6 whose meaning is known is asked for by the name of this version."""
    station.on("GetVariables", results)
    answer = station.is_asked(ReadVariables(("HeartbeatInterval", "EVSE@1/Power")))
    ((action, payload),) = station.heard
    assert (action, payload["getVariableData"]) == (
        "GetVariables",
        [
            {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}},
            {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}},
        ],
    )
    assert isinstance(answer, Variables)
    assert [(f.name, f.actual) for f in answer.found] == [(INTERVAL, "1"), ("EVSE@1/Power", "1")]


def test_no_more_items_or_bytes_go_out_than_the_station_takes(station: Answering) -> None:
    """B06.FR.05, B05.FR.11."""
    names = tuple(f"Component/Variable{n}" for n in range(7))
    station.on("GetVariables", results)
    station.is_asked(ReadVariables(names, Limits(3)))
    assert [len(p["getVariableData"]) for _, p in station.heard] == [3, 3, 1]
    station.heard.clear()
    station.is_asked(ReadVariables(names, Limits(50, 400)))
    assert all(len(orjson.dumps([2, "m" * 36, a, p])) <= 400 for a, p in station.heard)
    assert sum(len(p["getVariableData"]) for _, p in station.heard) == 7


def test_a_station_that_takes_fewer_than_it_is_trusted_with_gets_them_one_by_one(
    station: Answering,
) -> None:
    station.on("GetVariables", Fault("OccurrenceConstraintViolation", False), results)
    answer = station.is_asked(ReadVariables(("A/B", "A/C")))
    assert [len(p["getVariableData"]) for _, p in station.heard] == [2, 1, 1]
    assert isinstance(answer, Variables)
    assert len(answer.found) == 2


def test_what_the_station_does_not_know_is_told(station: Answering) -> None:
    unknown = {**address("A/B"), "attributeStatus": "UnknownVariable"}
    station.on("GetVariables", {"getVariableResult": [unknown]})
    answer = station.is_asked(ReadVariables(("A/B", "VendorKeyOf16")))
    assert isinstance(answer, Variables)
    assert set(answer.unknown) == {"A/B", "VendorKeyOf16"}


# -- writing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "setting"),
    [
        ("Accepted", Setting.APPLIED),
        ("RebootRequired", Setting.REBOOT_REQUIRED),
        ("Rejected", Setting.REJECTED),
        ("UnknownComponent", Setting.UNSUPPORTED),
        ("UnknownVariable", Setting.UNSUPPORTED),
        ("NotSupportedAttributeType", Setting.UNSUPPORTED),
    ],
)
def test_values_are_set_and_the_answers_understood(
    station: Answering, status: str, setting: Setting
) -> None:
    """B05.FR.01 to 10; the answer names the variable as this version does."""
    station.on(
        "SetVariables", {"setVariableResult": [{**address(INTERVAL), "attributeStatus": status}]}
    )
    answer = station.is_asked(WriteVariables((("HeartbeatInterval", "300"),)))
    ((_, payload),) = station.heard
    assert payload == {"setVariableData": [{"attributeValue": "300", **address(INTERVAL)}]}
    reason = None if setting in (Setting.APPLIED, Setting.REBOOT_REQUIRED) else status
    assert answer == Settings((("HeartbeatInterval", setting, reason),))


def test_the_stations_reason_is_kept(station: Answering) -> None:
    result = {
        **address("A/B"),
        "attributeStatus": "Rejected",
        "attributeStatusInfo": {"reasonCode": "OutOfRange"},
    }
    station.on("SetVariables", {"setVariableResult": [result]})
    answer = station.is_asked(WriteVariables((("A/B", "1"),)))
    assert answer == Settings((("A/B", Setting.REJECTED, "Rejected: OutOfRange"),))


def test_a_refused_message_is_tried_value_by_value(station: Answering) -> None:
    def one(payload: dict[str, Any]) -> Any:
        (data,) = payload["setVariableData"]
        if data["variable"]["name"] == "B":
            return Fault("PropertyConstraintViolation: no", unsupported=False)
        return {"setVariableResult": [{**data, "attributeStatus": "Accepted"}]}

    station.on("SetVariables", Fault("FormatViolation", False), one)
    answer = station.is_asked(WriteVariables((("A/B", "1"), ("A/C", "2"))))
    assert answer == Settings(
        (
            ("A/B", Setting.REJECTED, "PropertyConstraintViolation: no"),
            ("A/C", Setting.APPLIED, None),
        )
    )


def test_a_name_of_another_kind_of_station_is_not_sent(station: Answering) -> None:
    answer = station.is_asked(WriteVariables((("VendorKeyOf16", "1"),)))
    assert isinstance(answer, Settings)
    ((_, setting, reason),) = answer.outcomes
    assert (setting, station.heard) == (Setting.UNSUPPORTED, [])
    assert "OCPPCommCtrlr/HeartbeatInterval" in str(reason)


# -- transactions and triggers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({"ongoingIndicator": True, "messagesInQueue": True}, TransactionState(True, True)),
        ({"ongoingIndicator": False, "messagesInQueue": False}, TransactionState(False, False)),
        ({"messagesInQueue": False}, TransactionState(None, False)),
        ({}, TransactionState(None, True)),
    ],
)
def test_the_status_of_a_transaction_is_read(
    station: Answering, said: Any, state: TransactionState
) -> None:
    """E14; a station that does not say that its queue is empty may have something in it."""
    station.on("GetTransactionStatus", said)
    assert station.is_asked(TransactionStatus("tx-1")) == state
    assert station.heard == [("GetTransactionStatus", {"transactionId": "tx-1"})]


def test_a_status_is_triggered_for_one_connector(station: Answering) -> None:
    """F06.FR.13."""
    station.on("TriggerMessage", {"status": "Accepted"})
    assert station.is_asked(TriggerStatus(1, 2)) == Announced()
    assert station.is_asked(TriggerReadings(1)) == Announced()
    assert isinstance(station.is_asked(TriggerStatus()), Unsupported)
    assert [payload for _, payload in station.heard] == [
        {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 2}},
        {"requestedMessage": "MeterValues", "evse": {"id": 1}},
    ]
