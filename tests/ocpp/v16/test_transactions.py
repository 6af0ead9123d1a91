"""StartTransaction and StopTransaction (OCPP 1.6 4.8, 4.10): always answered, never lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from csms.core.ids import MAX_INT32
from tests.support.ocpp import NOW, Inbound, start, stop


@pytest.fixture
def station(station16: Inbound) -> Inbound:
    station16.adds_token("04A2")
    return station16


def started(station: Inbound, **fields: Any) -> int:
    answer = station.answers("StartTransaction", start(**fields))
    number = answer["transactionId"]
    assert 0 < number <= MAX_INT32
    return number


def test_every_field_of_a_start_is_stored(station: Inbound) -> None:
    station.adds_token("G1", group_id="FLEET")
    station.later(seconds=3)
    number = started(station, connectorId=2, idTag="g1", meterStart=77, reservationId=9)
    row = station.transaction
    assert (row.id, row.wire_id, row.station_id, row.party_id) == (
        number,
        f"#{number}",
        "s1",
        "CA*NTH",
    )
    assert (row.evse, row.connector, row.open) == (2, 1, True)
    assert (row.started_at, row.received_at) == (NOW, station.now)
    assert (row.token_uid, row.token_key, row.group_id) == ("g1", "g1", "FLEET")
    assert (row.first_wh, row.energy_wh, row.reservation_id) == (77, 0, 9)
    assert (row.outcome, row.flags) == ("accepted", ())
    (fact,) = station.journal("transaction_started")
    assert (fact["transaction_id"], fact["evse"], fact["meter_start_wh"]) == (number, 2, 77)


def test_every_field_of_a_stop_is_stored(station: Inbound) -> None:
    number = started(station)
    station.later(hours=1, seconds=2)
    sampled = {"value": "2200", "context": "Transaction.End", "unit": "Wh"}
    data = [{"timestamp": "2024-05-01T13:00:00Z", "sampledValue": [sampled]}]
    answer = station.answers(
        "StopTransaction", stop(number, idTag="04A2", reason="EVDisconnected", transactionData=data)
    )
    assert answer == {"idTagInfo": {"status": "Accepted"}}
    row = station.transaction
    assert (row.open, row.end_kind, row.stop_reason) == (False, "reported", "EVDisconnected")
    assert (row.ended_at, row.end_received_at) == (NOW.replace(hour=13), station.now)
    assert (row.stop_token_uid, row.energy_wh) == ("04A2", 2_500)
    assert [reading["value"] for reading in station.readings] == ["2200"]
    (fact,) = station.journal("transaction_ended")
    assert (fact["energy_wh"], fact["stop_reason"]) == (2_500, "EVDisconnected")


def test_a_stop_without_token_and_reason(station: Inbound) -> None:
    """Quirk 64; a reason that is left out means Local (OCPP 1.6 7.36)."""
    assert station.answers("StopTransaction", stop(started(station))) == {}
    assert (station.transaction.stop_reason, station.transaction.stop_token_uid) == ("Local", None)


@pytest.mark.parametrize(("blocked", "status"), [(True, "Blocked"), (None, "Invalid")])
def test_a_start_with_a_worthless_token_is_recorded_all_the_same(
    station: Inbound, blocked: bool | None, status: str
) -> None:
    """The station may have started offline (OCPP 1.6 4.8; TC_037_3)."""
    if blocked:
        station.adds_token("BAD", blocked=True)
    answer = station.answers("StartTransaction", start(idTag="BAD"))
    assert answer["idTagInfo"] == {"status": status}
    assert answer["transactionId"] == station.transaction.id
    assert station.transaction.outcome == status.lower()


def test_the_token_that_stops_is_told_what_it_is_worth(station: Inbound) -> None:
    number = started(station)
    answer = station.answers("StopTransaction", stop(number, idTag="NOBODY"))
    assert answer == {"idTagInfo": {"status": "Invalid"}}
    assert not station.transaction.open


# -- retries, lost answers, ids --------------------------------------------------------------------


def test_the_same_start_again_gets_the_same_answer(station: Inbound) -> None:
    """Quirk 53: new message id, same id, and after the stop."""
    first = station.answers("StartTransaction", start())
    assert station.answers("StartTransaction", start()) == first
    station.answers("StopTransaction", stop(first["transactionId"]))
    assert station.answers("StartTransaction", start()) == first
    assert len(station.transactions) == 1


def test_a_start_with_an_unset_clock_is_a_retry_for_a_while(station: Inbound) -> None:
    """Quirk 38: 1970; the station's time cannot tell two starts apart."""
    epoch = {"timestamp": "1970-01-01T00:00:42Z"}
    number = started(station, **epoch)
    assert started(station, timestamp="1970-01-01T00:01:12Z") == number
    row = station.transaction
    assert (row.started_at, row.flags) == (NOW, ("clock_suspect",))
    station.later(minutes=11)
    assert started(station, **epoch) != number


def test_the_same_stop_again_changes_nothing(station: Inbound) -> None:
    number = started(station)
    for _ in range(3):
        assert station.answers("StopTransaction", stop(number)) == {}
    assert station.transaction.energy_wh == 2_500
    assert (len(station.journal("transaction_ended")), station.quarantined) == (1, [])


def test_of_two_different_stops_the_first_counts_and_the_other_is_evidence(
    station: Inbound,
) -> None:
    """Quirk 56."""
    number = started(station)
    station.answers("StopTransaction", stop(number))
    assert station.answers("StopTransaction", stop(number, meterStop=9_999)) == {}
    assert station.transaction.energy_wh == 2_500
    assert station.quarantined == [("stop", "differs_from_first_stop")]


def test_a_second_start_on_a_connector_ends_the_first(station: Inbound) -> None:
    """Quirk 60; the estimate gives way to the stop that comes after all."""
    first = started(station)
    second = started(station, timestamp="2024-05-01T12:30:00Z", meterStart=2_000)
    rows = {row.id: row for row in station.transactions}
    assert (rows[first].open, rows[first].end_kind) == (False, "superseded")
    assert rows[second].open
    station.answers("StopTransaction", stop(first))
    row = {row.id: row for row in station.transactions}[first]
    assert (row.end_kind, row.energy_wh, row.flags) == ("reported", 2_500, ())


@pytest.mark.parametrize("unknown", [4_711, MAX_INT32, MAX_INT32 + 1, 2**63 - 1, 1e30, "9" * 30])
def test_a_stop_of_a_transaction_that_was_never_ours(station: Inbound, unknown: object) -> None:
    """Quirks 48, 55: answered, kept, and not taken for the one that is running."""
    started(station)
    assert station.answers("StopTransaction", stop(unknown)) == {}
    assert station.answers("StopTransaction", stop(unknown)) == {}
    assert station.quarantined == [("stop", "unknown_transaction")]
    assert station.transaction.open


@pytest.mark.parametrize("lost", [-1, 0, -77, "-1"])
def test_a_stop_whose_start_was_never_answered(station: Inbound, lost: object) -> None:
    """Quirk 54; OCPP 1.6 errata 3.18: answered as if valid; the only running one is meant."""
    started(station)
    assert station.answers("StopTransaction", stop(lost)) == {}
    row = station.transaction
    assert (row.open, row.energy_wh) == (False, 2_500)
    assert station.answers("StopTransaction", stop(lost)) == {}
    assert station.quarantined == [("stop", "placed_without_id")]


def test_a_stop_without_its_start(station: Inbound) -> None:
    """Quirk 57: the start was lost over a reboot."""
    assert station.answers("StopTransaction", stop(-1)) == {}
    assert station.transactions == []
    assert station.quarantined == [("stop", "unknown_transaction")]


def test_the_transaction_of_another_station_is_not_touched(station: Inbound) -> None:
    number = started(station)
    other = Inbound(store=station.store, station_id="s2")
    assert other.answers("StopTransaction", stop(number)) == {}
    assert station.transaction.open


# -- bent on the money path ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({"meterStart": "1000"}, {"text_to_number": 1}),
        ({"meterStart": " 1000 "}, {"text_to_number": 1}),
        ({"meterStart": 1000.0}, {"float_to_integer": 1}),
        ({"connectorId": "1"}, {"text_to_number": 1}),
        ({"idTag": 1234}, {"number_to_text": 1}),
        ({"evseId": 1, "x": {}}, {"unknown_field_dropped": 1}),  # quirk 46
        ({"reservationId": 0}, {}),  # quirk 47
        ({"reservationId": None}, {"empty_field_dropped": 1}),
        ({"timestamp": "2024-05-01T12:00:00"}, {}),  # quirk 37: UTC is meant
        ({"timestamp": "2024-05-01T14:00:00+02"}, {}),
        ({"timestamp": "2024-05-01T22:00:00+1000"}, {}),
        ({"timestamp": "2024-05-01T12:00:00.123456789Z"}, {}),
        ({"idTag": "\x10\x0eF6CA0CC5-F6CA0CC5-AB"}, {"too_long": 1}),  # quirk 44
    ],
)
def test_a_bent_start_is_recorded_as_it_was_meant(
    station: Inbound, fields: dict[str, Any], violations: dict[str, int]
) -> None:
    number = started(station, **fields)
    row = station.transaction
    assert (row.id, row.evse, row.first_wh, row.reservation_id) == (number, 1, 1_000, None)
    assert row.started_at.replace(microsecond=0) == NOW
    assert station.violations == violations


def test_a_start_with_a_fraction_of_a_watt_hour_keeps_its_meter(station: Inbound) -> None:
    started(station, meterStart=1000.4)
    assert station.transaction.first_wh == 1_000
    assert station.violations == {"wrong_type": 1}


@pytest.mark.parametrize("fields", [{}, {"idTag": ""}, {"idTag": None}])
def test_free_vending_without_a_token(station16: Inbound, fields: dict[str, Any]) -> None:
    """Quirks 45, 61: recorded, by nobody; not accepted, because nobody said it is free."""
    payload = {k: v for k, v in start().items() if k != "idTag"}
    answer = station16.answers("StartTransaction", payload, **fields)
    assert answer["idTagInfo"] == {"status": "Invalid"}
    station16.answers("StopTransaction", stop(answer["transactionId"]))
    assert (station16.transaction.token_uid, station16.transaction.energy_wh) == ("", 2_500)


@pytest.mark.parametrize("missing", ["connectorId", "meterStart", "timestamp"])
def test_a_start_without_a_field_is_a_start(station: Inbound, missing: str) -> None:
    answer = station.answers("StartTransaction", {k: v for k, v in start().items() if k != missing})
    assert answer["idTagInfo"]["status"] == "Accepted"
    assert station.transaction.id == answer["transactionId"]
    assert station.violations == {"missing_field": 1}


def test_a_start_that_says_nothing_at_all(station: Inbound) -> None:
    answer = station.answers("StartTransaction", {})
    assert station.transaction.id == answer["transactionId"]


@pytest.mark.parametrize(
    "evse", [-1, 0, 65, 70_000, MAX_INT32, 2**63 - 1, -(2**63), 1e300, "x", [], True]
)
def test_a_start_on_a_connector_that_cannot_exist(station: Inbound, evse: object) -> None:
    number = started(station, connectorId=evse)
    station.answers("StopTransaction", stop(number))
    assert station.transaction.energy_wh == 2_500


@pytest.mark.parametrize(
    ("fields", "energy_wh", "violations"),
    [
        ({"meterStop": "3500"}, 2_500, {"text_to_number": 1}),
        ({"meterStop": 3500.4}, 2_500, {"wrong_type": 1}),
        ({"meterStop": -1}, 0, {}),  # quirk 62
        ({"meterStop": 900}, 0, {}),  # quirk 62: lower than the start
        ({"meterStop": 10**18}, 0, {}),
        ({"transactionData": []}, 2_500, {}),  # quirk 47
        ({"transactionData": None}, 2_500, {"empty_field_dropped": 1}),
        ({"connectorId": 1, "disconnectReason": "x"}, 2_500, {"unknown_field_dropped": 1}),
        ({"reason": "Boredom"}, 2_500, {"unknown_value": 1}),
        ({"idTag": "F6CA0CC5\x10" * 3}, 2_500, {"too_long": 1}),  # quirk 44
        ({"timestamp": "1970-01-01T00:00:00Z"}, 2_500, {}),
        ({"timestamp": "0001-01-01T00:00:00Z"}, 2_500, {}),
        ({"timestamp": ""}, 2_500, {}),
    ],
)
def test_a_bent_stop_ends_the_charge(
    station: Inbound, fields: dict[str, Any], energy_wh: int, violations: dict[str, int]
) -> None:
    number = started(station)
    station.later(hours=1)
    station.answers("StopTransaction", stop(number, **fields))
    row = station.transaction
    assert (row.open, row.end_kind, row.energy_wh) == (False, "reported", energy_wh)
    assert station.violations == violations


def test_the_samples_stand_in_for_a_meter_stop_that_cannot_be(station: Inbound) -> None:
    """Quirk 62 with reference 4a.8."""
    number = started(station)
    data = [{"timestamp": "2024-05-01T12:59:00Z", "sampledValue": [{"value": "3400"}]}]
    station.answers("StopTransaction", stop(number, meterStop=-1, transactionData=data))
    assert station.transaction.energy_wh == 2_400


def test_a_whole_offline_charge_keeps_its_times(station: Inbound) -> None:
    """TC_039: replayed a day later."""
    station.later(hours=23)
    number = started(station)
    station.answers("StopTransaction", stop(number))
    row = station.transaction
    assert (row.started_at, row.ended_at) == (NOW, datetime(2024, 5, 1, 13, tzinfo=UTC))


def test_two_tokens_with_one_beginning_stay_two(station: Inbound) -> None:
    first = started(station, idTag="A" * 20 + "1")
    second = started(station, idTag="A" * 20 + "2")
    assert first != second
    assert {row.token_uid for row in station.transactions} == {"A" * 20 + "1", "A" * 20 + "2"}
