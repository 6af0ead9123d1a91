"""Configuration keys of 1.6 stations, as the specification and as the field have them."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.inquiries import (
    Announced,
    Declined,
    Found,
    Limits,
    MakeReport,
    NoAnswer,
    ReadVariables,
    Scope,
    Setting,
    Settings,
    TransactionStatus,
    TriggerReadings,
    TriggerStatus,
    Unsupported,
    Variables,
    WriteVariables,
)
from csms.ocpp.asking import Fault, Silence
from csms.ocpp.v16.device_model import configuration, value_text
from tests.support.inquiries import Answering


@pytest.fixture
def station() -> Answering:
    return Answering("ocpp1.6")


def listed(payload: dict[str, Any]) -> dict[str, Any]:
    """A well-behaved station's answer to GetConfiguration."""
    return {
        "configurationKey": [{"key": k, "readonly": False, "value": "1"} for k in payload["key"]]
    }


def test_keys_are_read_by_the_name_of_this_version(station: Answering) -> None:
    station.on("GetConfiguration", listed)
    answer = station.is_asked(ReadVariables(("OCPPCommCtrlr/HeartbeatInterval", "Vendor")))
    assert station.heard == [("GetConfiguration", {"key": ["HeartbeatInterval", "Vendor"]})]
    assert isinstance(answer, Variables)
    assert answer.found[0] == Found("HeartbeatInterval", "1", mutability="read_write")


def test_no_more_keys_are_asked_for_at_once_than_the_station_takes(station: Answering) -> None:
    """GetConfigurationMaxKeys (1.6 9.1.12)."""
    station.on("GetConfiguration", listed)
    answer = station.is_asked(ReadVariables(("A", "B", "C"), Limits(2)))
    assert [payload["key"] for _, payload in station.heard] == [["A", "B"], ["C"]]
    assert isinstance(answer, Variables)
    assert len(answer.found) == 3


def test_a_station_that_takes_one_key_only_gets_them_one_by_one(station: Answering) -> None:
    station.on("GetConfiguration", Fault("OccurenceConstraintViolation", False), listed)
    answer = station.is_asked(ReadVariables(("A", "B")))
    assert [payload["key"] for _, payload in station.heard] == [["A", "B"], ["A"], ["B"]]
    assert isinstance(answer, Variables)
    assert len(answer.found) == 2


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({}, []),
        ({"configurationKey": None, "unknownKey": None}, []),
        ({"configurationKey": {"key": "A"}}, []),
        ({"configurationKey": [None, {}, {"key": ""}]}, []),
        ({"configurationKey": [{"key": "A"}]}, [("A", None, "read_write")]),
        ({"configurationKey": [{"key": "A", "value": 5}]}, [("A", "5", "read_write")]),
        ({"configurationKey": [{"key": "A", "value": True}]}, [("A", "true", "read_write")]),
        ({"configurationKey": [{"key": "A", "value": ""}]}, [("A", "", "read_write")]),
        (
            {"configurationKey": [{"key": "A", "value": "x", "readonly": "true"}]},
            [("A", "x", "read_only")],
        ),
        (
            {"configurationKey": [{"key": "AuthorizationKey", "value": "hunter2"}]},
            [("AuthorizationKey", None, "read_write")],
        ),
    ],
)
def test_answers_are_read_as_stations_write_them(payload: Any, found: list[Any]) -> None:
    """Field: values of any JSON type, lists that are missing."""
    read = configuration(payload)
    assert [(f.name, f.actual, f.mutability) for f in read.found] == found
    assert "hunter2" not in str(read)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), ({}, None), (["A", "B"], "A,B"), (1.5, "1.5"), (False, "false")],
)
def test_a_value_of_any_type_is_text(value: object, text: str | None) -> None:
    assert value_text(value) == text


def test_a_station_that_ignores_the_filter_tells_more_than_it_was_asked(station: Answering) -> None:
    station.on("GetConfiguration", lambda _: listed({"key": ["A", "B", "C"]}))
    answer = station.is_asked(ReadVariables(("A",)))
    assert isinstance(answer, Variables)
    assert [f.name for f in answer.found] == ["A", "B", "C"]


def test_unknown_keys_are_told(station: Answering) -> None:
    station.on("GetConfiguration", {"unknownKey": ["X"]})
    answer = station.is_asked(ReadVariables(("X", "y" * 51)))
    assert isinstance(answer, Variables)
    assert set(answer.unknown) == {"X", "y" * 51}


def test_a_report_asks_for_everything_without_a_list(station: Answering) -> None:
    """Field: an empty list is taken for "none"."""
    station.on("GetConfiguration", listed({"key": ["A"]}))
    answer = station.is_asked(MakeReport(1, Scope.FULL))
    assert station.heard == [("GetConfiguration", {})]
    assert isinstance(answer, Variables)
    assert answer.raw == (listed({"key": ["A"]}),)
    assert isinstance(station.is_asked(MakeReport(1, Scope.SUMMARY)), Unsupported)


@pytest.mark.parametrize(
    ("said", "setting", "reason"),
    [
        ({"status": "Accepted"}, Setting.APPLIED, None),
        ({"status": "RebootRequired"}, Setting.REBOOT_REQUIRED, None),
        ({"status": "Rejected"}, Setting.REJECTED, "Rejected"),
        ({"status": "NotSupported"}, Setting.UNSUPPORTED, "NotSupported"),
        ({}, Setting.REJECTED, "answered without a status"),
        (
            Fault("PropertyConstraintViolation", False),
            Setting.REJECTED,
            "PropertyConstraintViolation",
        ),
    ],
)
def test_a_value_is_set_and_the_answer_is_understood(
    station: Answering, said: Any, setting: Setting, reason: str | None
) -> None:
    station.on("ChangeConfiguration", said)
    answer = station.is_asked(WriteVariables((("OCPPCommCtrlr/HeartbeatInterval", "300"),)))
    assert station.heard == [("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "300"})]
    assert answer == Settings((("OCPPCommCtrlr/HeartbeatInterval", setting, reason),))


def test_what_was_answered_before_a_silence_counts(station: Answering) -> None:
    station.on("ChangeConfiguration", {"status": "Accepted"}, Silence("timed_out"))
    answer = station.is_asked(WriteVariables((("A", "1"), ("B", "2"), ("C", "3"))))
    assert answer == Settings((("A", Setting.APPLIED, None),))
    assert len(station.heard) == 2
    station.on("ChangeConfiguration", Silence("closed"))
    assert station.is_asked(WriteVariables((("A", "1"),))) == NoAnswer("closed")


def test_a_value_too_long_for_the_version_is_not_sent(station: Answering) -> None:
    answer = station.is_asked(WriteVariables((("A", "x" * 501), ("k" * 51, "1"))))
    assert isinstance(answer, Settings)
    assert [setting for _, setting, _ in answer.outcomes] == [Setting.UNSUPPORTED] * 2


def test_triggers_name_the_connector_unless_all_are_meant(station: Answering) -> None:
    station.on(
        "TriggerMessage",
        {"status": "Accepted"},
        {"status": "NotImplemented"},
        {"status": "Rejected"},
    )
    assert station.is_asked(TriggerStatus(2, 1)) == Announced()
    assert station.is_asked(TriggerStatus()) == Unsupported("NotImplemented")
    assert station.is_asked(TriggerReadings(1)) == Declined("Rejected")
    assert [payload for _, payload in station.heard] == [
        {"requestedMessage": "StatusNotification", "connectorId": 2},
        {"requestedMessage": "StatusNotification"},
        {"requestedMessage": "MeterValues", "connectorId": 1},
    ]


def test_there_is_no_inquiry_about_a_transaction(station: Answering) -> None:
    assert isinstance(station.is_asked(TransactionStatus("#1")), Unsupported)
