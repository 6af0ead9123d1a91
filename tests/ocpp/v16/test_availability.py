"""StatusNotification of a 1.6 station (OCPP 1.6 4.9)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.availability import Connector
from csms.ocpp.rpc import ErrorCode
from csms.ocpp.v16.availability import STATUSES
from tests.support.ocpp import NOW, Inbound, told_unusable


def status(**fields: Any) -> dict[str, Any]:
    return {"connectorId": 1, "errorCode": "NoError", "status": "Available", **fields}


@pytest.mark.parametrize(("wire", "stored"), sorted(STATUSES.items()))
def test_each_status_is_stored(station16: Inbound, wire: str, stored: str) -> None:
    assert station16.answers("StatusNotification", status(status=wire)) == {}
    assert station16.connector(1).status == stored


def test_every_field_is_stored(station16: Inbound) -> None:
    station16.later(seconds=5)
    station16.answers(
        "StatusNotification",
        connectorId=2,
        status="Faulted",
        errorCode="GroundFailure",
        info="hot",
        vendorId="com.example",
        vendorErrorCode="E7",
        timestamp="2024-05-01T11:59:58Z",
    )
    assert station16.connector(2) == Connector(
        "s1",
        2,
        1,
        "faulted",
        NOW.replace(hour=11, minute=59, second=58),
        station16.now,
        "GroundFailure",
        "hot",
        "E7",
    )
    (changed,) = station16.journal("connector_status_changed")
    assert (changed["evse"], changed["status"], changed["previous"]) == (2, "faulted", "unknown")


def test_connector_0_is_the_station(station16: Inbound) -> None:
    station16.answers("StatusNotification", status(connectorId=0))
    assert station16.connector(0, 0).status == "available"


def test_without_a_time_that_of_receipt_counts(station16: Inbound) -> None:
    """Reference 7.7: StatusNotification without timestamp."""
    station16.answers("StatusNotification", status())
    assert station16.connector(1).reported_at == NOW


def test_a_repeated_status_is_no_event(station16: Inbound) -> None:
    for _ in range(3):
        station16.answers("StatusNotification", status())
        station16.later(minutes=1)
    assert len(station16.journal("connector_status_changed")) == 1


def test_a_connector_that_was_not_onboarded_appears_by_itself(station16: Inbound) -> None:
    station16.answers("StatusNotification", status(connectorId=7))
    assert station16.connector(7).status == "available"


# -- bent, and answered normally -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({"connectorId": "1"}, {"text_to_number": 1}),
        ({"connectorId": 1.0}, {"float_to_integer": 1}),
        ({"info": "i" * 60}, {"truncated": 1}),  # quirk 44
        ({"vendorErrorCode": 17}, {"number_to_text": 1}),
        ({"evseId": 1}, {"unknown_field_dropped": 1}),
        ({"timestamp": "2024-05-01T12:00:00"}, {}),  # quirk 37: no zone
        ({"timestamp": "soon"}, {}),
        ({"timestamp": "1970-01-01T00:00:07Z"}, {}),  # quirk 38
        ({"info": "", "vendorId": "", "timestamp": None}, {"empty_field_dropped": 1}),
    ],
)
def test_a_bent_report_is_understood(
    station16: Inbound, fields: dict[str, Any], violations: dict[str, int]
) -> None:
    assert station16.answers("StatusNotification", status(**fields)) == {}
    assert station16.connector(1).status == "available"
    assert station16.violations == violations


@pytest.mark.parametrize(
    ("said", "stored"),
    [("available", "available"), ("SUSPENDEDEV", "suspended_ev"), (" charging ", "charging")],
)
def test_a_status_in_other_capitals_is_that_status(
    station16: Inbound, said: str, stored: str
) -> None:
    assert station16.answers("StatusNotification", status(status=said, errorCode="noerror")) == {}
    found = station16.connector(1)
    assert (found.status, found.error_code) == (stored, None)
    assert station16.violations == {"respelled": 1}


def test_an_unknown_status_is_stored_as_unknown(station16: Inbound) -> None:
    station16.answers("StatusNotification", status())
    station16.answers("StatusNotification", status(status="Sleeping"))
    assert station16.connector(1).status == "unknown"
    assert station16.violations == {"unknown_value": 1}


def test_an_unknown_error_code_is_kept(station16: Inbound) -> None:
    station16.answers("StatusNotification", status(errorCode="Lightning"))
    assert station16.connector(1).error_code == "Lightning"


@pytest.mark.parametrize("connector_id", [65, 70_000, 2**31 - 1])
def test_a_connector_out_of_range_is_answered_and_counted(
    station16: Inbound, connector_id: int
) -> None:
    assert station16.answers("StatusNotification", status(connectorId=connector_id)) == {}
    assert station16.violations == {"connector_out_of_range": 1}
    assert {row.evse for row in station16.rows(Connector)} == {1, 2}


@pytest.mark.parametrize("connector_id", [-1, 2**63 - 1, "x", None, [], {"a": 1}])
def test_a_connector_that_cannot_exist_is_refused_without_an_echo(
    station16: Inbound, connector_id: object
) -> None:
    refusal = station16.refuses("StatusNotification", status(connectorId=connector_id))
    told_unusable(refusal, "/connectorId", connector_id)


def test_in_strict_mode_nothing_is_bent() -> None:
    station = Inbound(strict=True)
    refusal = station.refuses("StatusNotification", status(connectorId="1"))
    assert refusal.code is ErrorCode.TYPE_CONSTRAINT_VIOLATION
    assert refusal.description == "/connectorId: not of type integer"
