"""StatusNotification and NotifyEvent(AvailabilityState) end in one row (OCPP 2.0.1 G01, N07)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.availability import Connector
from csms.ocpp.routing import MAX_STORED_REPORT_BYTES
from csms.ocpp.v2.availability import STATUSES
from tests.support.ocpp import NOW, Inbound, told_unusable


def status(**fields: Any) -> dict[str, Any]:
    return {
        "timestamp": "2024-05-01T11:59:58Z",
        "connectorStatus": "Occupied",
        "evseId": 1,
        "connectorId": 1,
        **fields,
    }


def notify(*events: dict[str, Any]) -> dict[str, Any]:
    return {"generatedAt": "2024-05-01T12:00:00Z", "seqNo": 0, "eventData": list(events)}


def state(value: str = "Occupied", component: str = "Connector", **fields: Any) -> dict[str, Any]:
    return {
        "eventId": 1,
        "timestamp": "2024-05-01T11:59:58Z",
        "trigger": "Delta",
        "actualValue": value,
        "eventNotificationType": "HardWiredNotification",
        "component": {"name": component, "evse": {"id": 1, "connectorId": 1}},
        "variable": {"name": "AvailabilityState"},
        **fields,
    }


@pytest.mark.parametrize(("wire", "stored"), sorted(STATUSES.items()))
def test_both_messages_end_in_the_same_row(protocol: str, wire: str, stored: str) -> None:
    by_status, by_event = Inbound("ocpp2.0.1"), Inbound("ocpp2.1")
    assert by_status.answers("StatusNotification", status(connectorStatus=wire)) == {}
    assert by_event.answers("NotifyEvent", notify(state(wire))) == {}
    assert by_status.connector(1) == by_event.connector(1)
    assert by_status.connector(1).status == stored


def test_the_second_way_of_saying_it_is_no_event(station2: Inbound) -> None:
    station2.answers("StatusNotification", status())
    station2.answers("NotifyEvent", notify(state()))
    assert len(station2.journal("connector_status_changed")) == 1


def test_every_field_is_stored(station2: Inbound) -> None:
    station2.later(seconds=5)
    station2.answers("StatusNotification", status(evseId=2, connectorId=3))
    assert station2.connector(2, 3) == Connector(
        "s1", 2, 3, "occupied", NOW.replace(hour=11, minute=59, second=58), station2.now
    )


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"evseId": 0, "connectorId": 0}, (0, 0)),  # quirk 50
        ({"evseId": 0}, (0, 1)),
        ({"connectorId": 0}, (1, 0)),
        ({"evseId": "2", "connectorId": 1.0}, (2, 1)),
        ({"connectorId": "x"}, (1, 1)),
        ({"connectorId": -1}, (1, 0)),
    ],
)
def test_where_it_is(station2: Inbound, fields: dict[str, Any], place: tuple[int, int]) -> None:
    station2.answers("StatusNotification", status(**fields))
    assert station2.connector(*place).status == "occupied"


def test_a_connector_that_is_not_named_is_the_first(station2: Inbound) -> None:
    payload = status()
    del payload["connectorId"]
    station2.answers("StatusNotification", payload)
    assert station2.connector(1, 1).status == "occupied"
    assert station2.violations == {"missing_field": 1}


@pytest.mark.parametrize(
    ("component", "place"),
    [
        ({"name": "ChargingStation"}, (0, 0)),
        ({"name": "EVSE", "evse": {"id": 2}}, (2, 0)),
        ({"name": "Connector", "evse": {"id": 2}}, (2, 1)),
        ({"name": "Connector", "evse": {"id": 2, "connectorId": 2}}, (2, 2)),
    ],
)
def test_the_component_says_what_it_is_about(
    station2: Inbound, component: dict[str, Any], place: tuple[int, int]
) -> None:
    station2.answers(
        "NotifyEvent",
        notify(
            state("Faulted", component=""),
        ),
    )
    station2.answers("NotifyEvent", notify({**state("Faulted"), "component": component}))
    assert station2.connector(*place).status == "faulted"


def test_other_events_are_kept_in_the_journal(station2: Inbound) -> None:
    other = {**state("true"), "variable": {"name": "Problem"}}
    station2.answers("NotifyEvent", notify(other, state()))
    (kept,) = station2.journal("station_reported")
    assert (kept["action"], kept["payload"]) == ("NotifyEvent", {"eventData": [other]})
    assert station2.connector(1).status == "occupied"


def test_every_event_of_a_message_counts(station2: Inbound) -> None:
    places = [(evse, connector) for evse in range(1, 51) for connector in range(1, 7)]
    events = [
        state(component="Connector") | {"component": {"name": "Connector", "evse": where}}
        for where in ({"id": evse, "connectorId": connector} for evse, connector in places)
    ]
    assert len(events) == 300
    assert station2.answers("NotifyEvent", notify(*events)) == {}
    assert {station2.connector(*place).status for place in places} == {"occupied"}
    assert len(station2.journal("connector_status_changed")) == 300


def test_a_flood_of_events_is_answered_and_bounded(station2: Inbound) -> None:
    """Quirk 51: what the journal keeps of one message has a limit; what it tells has none."""
    other = {**state("v" * 2_000), "variable": {"name": "Problem"}}
    count = MAX_STORED_REPORT_BYTES // 2_000 + 1
    assert station2.answers("NotifyEvent", notify(*[other] * count, state("Faulted"))) == {}
    assert station2.connector(1).status == "faulted"
    (kept,) = station2.journal("station_reported")
    assert "eventData" not in kept["payload"]
    assert station2.violations == {"report_too_large": 1}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"eventData": None},
        {"eventData": [None, 5, {}]},
        notify({"component": 5, "variable": []}),
    ],
)
def test_events_that_say_nothing_are_answered(station2: Inbound, payload: dict[str, Any]) -> None:
    assert station2.answers("NotifyEvent", payload) == {}


@pytest.mark.parametrize(("evse", "connector"), [(65, 1), (1, 9), (2**31 - 1, 2**31 - 1)])
def test_what_is_out_of_range_is_answered_and_counted(
    station2: Inbound, evse: int, connector: int
) -> None:
    station2.answers("StatusNotification", status(evseId=evse, connectorId=connector))
    component = {"name": "Connector", "evse": {"id": evse, "connectorId": connector}}
    station2.answers("NotifyEvent", notify({**state(), "component": component}))
    assert station2.violations == {"connector_out_of_range": 2}
    assert len(station2.rows(Connector)) == 2


@pytest.mark.parametrize("evse", [-1, 2**63 - 1, None, "x", {}])
def test_an_evse_that_cannot_exist_is_refused(station2: Inbound, evse: object) -> None:
    refusal = station2.refuses("StatusNotification", status(evseId=evse))
    told_unusable(refusal, "/evseId", evse)
