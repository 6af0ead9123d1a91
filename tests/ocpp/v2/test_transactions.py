"""TransactionEvent (OCPP 2.0.1 E01 to E15)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.support.ocpp import NOW, Inbound, event, rfid, start, stop, told_unusable


@pytest.fixture
def station(station2: Inbound) -> Inbound:
    station2.adds_token("04A2")
    return station2


def tells(station: Inbound, *events: dict[str, Any]) -> list[Any]:
    return [station.answers("TransactionEvent", one) for one in events]


def test_every_field_of_an_event_is_stored(station: Inbound) -> None:
    station.later(seconds=3)
    started = event(
        "Started",
        0,
        wh=1_000,
        idToken=rfid("04A2"),
        evse={"id": 2, "connectorId": 1},
        reservationId=9,
        offline=True,
        info={"chargingState": "EVConnected", "remoteStartId": 5},
    )
    (answer,) = tells(station, started)
    assert answer == {"idTokenInfo": {"status": "Accepted"}}
    row = station.transaction
    assert (row.wire_id, row.party_id, row.evse, row.connector) == ("tx-1", "CA*NTH", 2, 1)
    assert (row.started_at, row.received_at, row.open) == (NOW, station.now, True)
    assert (row.token_uid, row.token_kind, row.outcome) == ("04A2", "rfid", "accepted")
    assert (row.charging_state, row.remote_start_id) == ("EVConnected", 5)
    assert (row.reservation_id, row.offline, row.first_wh, row.seen) == (9, True, 1_000, "0")
    assert row.flags == ()


def test_fields_are_said_once_and_stay(station: Inbound) -> None:
    """E01.FR.16; reference 7.6: Ended without evse, idToken and meterValue."""
    tells(
        station,
        event("Started", 0, wh=1_000, idToken=rfid("04A2"), evse={"id": 1}),
        event("Updated", 1, wh=1_500, info={"chargingState": "Charging"}),
        event("Ended", 2, info={"stoppedReason": "EVDisconnected"}),
    )
    row = station.transaction
    assert (row.open, row.evse, row.token_uid, row.energy_wh) == (False, 1, "04A2", 500)
    assert (row.charging_state, row.stop_reason) == ("Charging", "EVDisconnected")
    assert (row.ended_at, row.seen) == (NOW.replace(minute=2), "0-2")


def test_an_event_without_a_token_has_an_empty_answer(station: Inbound) -> None:
    """E01.FR.11: idTokenInfo only where an idToken was shown."""
    assert tells(station, event("Started", 0), event("Updated", 1)) == [{}, {}]


@pytest.mark.parametrize(("blocked", "status"), [(True, "Blocked"), (False, "Invalid")])
def test_a_worthless_token_is_told_and_recorded(
    station: Inbound, blocked: bool, status: str
) -> None:
    """TC_E_16, TC_C_20: re-checked, whatever the cache of the station said."""
    if blocked:
        station.adds_token("BAD", blocked=True)
    (answer,) = tells(station, event("Started", 0, idToken=rfid("BAD")))
    assert answer == {"idTokenInfo": {"status": status}}
    assert station.transaction.outcome == status.lower()


def test_the_token_that_ends_a_charge_is_told_what_it_is_worth(station: Inbound) -> None:
    """E05.FR.01; a master pass is another token (reference 2d)."""
    station.adds_token("MASTER")
    answers = tells(
        station,
        event("Started", 0, idToken=rfid("04A2")),
        event("Ended", 1, idToken=rfid("MASTER")),
    )
    assert answers[1] == {"idTokenInfo": {"status": "Accepted"}}
    row = station.transaction
    assert (row.token_uid, row.stop_token_uid) == ("04A2", "MASTER")


def test_the_order_of_arrival_does_not_matter() -> None:
    """Reference 4b.3."""
    events = [
        event("Started", 0, wh=1_000, idToken=rfid("04A2"), evse={"id": 1}),
        event("Updated", 1, wh=1_600, info={"chargingState": "Charging"}),
        event("Ended", 2, wh=2_500, info={"stoppedReason": "Local"}),
    ]
    results = set()
    for order in itertools.permutations([*events, events[1]]):
        station = Inbound("ocpp2.0.1")
        station.adds_token("04A2")
        tells(station, *order)
        row = station.transaction
        results.add((row.open, row.energy_wh, row.started_at, row.ended_at, row.seen, row.evse))
    assert results == {(False, 1_500, NOW, NOW.replace(minute=2), "0-2", 1)}


def test_a_repeated_event_adds_nothing_and_is_answered_the_same(station: Inbound) -> None:
    one = event("Started", 0, wh=1_000, idToken=rfid("04A2"), evse={"id": 1})
    assert len({str(answer) for answer in tells(station, one, one, one)}) == 1
    assert (len(station.transactions), len(station.samples)) == (1, 1)


def test_a_sequence_number_that_sticks_at_0(station: Inbound) -> None:
    """Reference 7.6."""
    tells(
        station,
        event("Started", 0, wh=0),
        event("Updated", 0, wh=150, timestamp="2024-05-01T12:05:00Z"),
        event("Updated", 0, wh=300, timestamp="2024-05-01T12:10:00Z"),
        event("Ended", 0, wh=470, timestamp="2024-05-01T12:15:00Z"),
    )
    assert (station.transaction.open, station.transaction.energy_wh) == (False, 470)


def test_two_ids_with_one_beginning_stay_two(station: Inbound) -> None:
    """Reference 7.9: ids of any form; one that is too long is never cut."""
    for end in "ab":
        tells(station, event("Started", 0, info={"transactionId": "t" * 60 + end}))
    assert sorted(row.wire_id[-1] for row in station.transactions) == ["a", "b"]
    refusal = station.refuses(
        "TransactionEvent", event("Started", 0, info={"transactionId": "t" * 256})
    )
    assert refusal.description == "/transactionInfo/transactionId: not usable"


def test_a_new_charge_on_the_evse_ends_the_one_before(station: Inbound) -> None:
    tells(station, event("Started", 0, evse={"id": 1}))
    later = event(
        "Started",
        0,
        evse={"id": 1},
        timestamp="2024-05-01T12:30:00Z",
        info={"transactionId": "tx-2"},
    )
    tells(station, later)
    assert {row.wire_id: row.end_kind for row in station.transactions} == {
        "tx-1": "superseded",
        "tx-2": None,
    }


# -- bent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({"seqNo": "1"}, {"text_to_number": 1}),
        ({"seqNo": 1.0}, {"float_to_integer": 1}),
        ({"seqNo": None}, {"wrong_type": 1}),
        ({"seqNo": -1}, {"out_of_range": 1}),
        ({"triggerReason": "Whim"}, {"unknown_value": 1}),  # reference 4b.8
        ({"triggerReason": ""}, {"unknown_value": 1}),
        ({"offline": "false"}, {"text_to_boolean": 1}),
        ({"reservationId": 0}, {}),
        ({"x": 1, "y": 2}, {"unknown_field_dropped": 1}),
        ({"timestamp": "2024-05-01T12:01:00"}, {}),
        ({"evse": {"id": "1"}}, {"text_to_number": 1}),
        ({"evse": {"id": -1}}, {"out_of_range": 1}),
        ({"evse": {"id": 2**63 - 1, "connectorId": 2**63 - 1}}, {}),
        ({"evse": None}, {"empty_field_dropped": 1}),
        ({"meterValue": []}, {"empty_field_dropped": 1}),
        ({"idToken": {"idToken": "04A2\x00", "type": "Rfid"}}, {"unknown_value": 1}),
        ({"numberOfPhasesUsed": 7}, {"out_of_range": 1}),
        ({"cableMaxCurrent": 32.0}, {"float_to_integer": 1}),
    ],
)
def test_a_bent_event_is_recorded(
    station: Inbound, fields: dict[str, Any], violations: dict[str, int]
) -> None:
    tells(station, event("Started", 0, wh=1_000, evse={"id": 1}))
    updated = event("Updated", 1, wh=1_500)
    tells(station, {**updated, **fields})
    tells(station, event("Ended", 2, wh=2_000))
    row = station.transaction
    assert (row.open, row.energy_wh, row.evse) == (False, 1_000, 1)
    # One version enumerates or bounds what the other leaves open.
    assert station.violations in (violations, {})


def test_an_unset_clock_is_replaced_by_ours_and_flagged(station: Inbound) -> None:
    tells(station, event("Started", 0, timestamp="1970-01-01T00:00:07Z"))
    assert (station.transaction.started_at, station.transaction.flags) == (NOW, ("clock_suspect",))


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({}, "/transactionInfo/transactionId"),
        (event("Updated", 1, info={"transactionId": ""}), "/transactionInfo/transactionId"),
        ({**event("Updated", 1), "transactionInfo": "tx"}, "/transactionInfo/transactionId"),
        (event("Paused", 1), "/eventType"),
    ],
)
def test_what_does_not_name_its_transaction_is_refused(
    station: Inbound, payload: dict[str, Any], path: str
) -> None:
    refusal = station.refuses("TransactionEvent", payload)
    value: Any = payload
    for name in path[1:].split("/"):
        value = value.get(name) if isinstance(value, dict) else None
    told_unusable(refusal, path, value)


def test_an_id_that_was_ours_before_an_upgrade(station16: Inbound) -> None:
    """A station that spoke 1.6 may begin its own numbers at 1."""
    station16.adds_token("04A2")
    old = station16.answers("StartTransaction", start())["transactionId"]
    station16.answers("StopTransaction", stop(old))
    station16.upgrades("ocpp2.0.1")
    info = {"transactionId": str(old)}
    station16.answers("TransactionEvent", event("Started", 0, info=info, wh=9_000))
    station16.answers("TransactionEvent", event("Ended", 1, info=info, wh=9_700))
    first, second = sorted(station16.transactions)
    assert (first.id, first.energy_wh) == (old, 2_500)
    assert (second.wire_id, second.energy_wh) == (str(old), 700)
