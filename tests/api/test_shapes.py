"""What the API gives is what is stored, under names that stay."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from csms.api.shapes import SampleOut, StationNew, StationOut, TransactionOut
from csms.core.metering import MeterSample
from csms.core.stations import Station
from csms.core.transactions import Transaction

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STATION = Station("s", "CP-1", "CA*NTH", "accepted", NOW, last_seen_at=NOW.replace(hour=1))


def test_an_offline_station_was_last_seen_when_its_link_ended() -> None:
    shown = StationOut.of(STATION, [])
    assert (shown.connected, shown.last_seen_at) == (False, STATION.last_seen_at)


def test_of_a_connected_station_the_link_knows_better() -> None:
    seen_at = NOW.replace(hour=2)
    shown = StationOut.of(STATION._replace(node="n", connected_at=NOW), [], seen_at)
    assert (shown.connected, shown.last_seen_at) == (True, seen_at)


def test_a_transaction_says_how_many_messages_are_missing() -> None:
    row = Transaction(1, "s", "CA*NTH", "t", 1, 1, True, NOW, NOW, "accepted", seen="0-2,5")
    shown = TransactionOut.of(row._replace(first_wh=5, last_wh=9), "CP-1")
    assert (shown.station, shown.missing_messages) == ("CP-1", 2)
    assert (shown.meter_start_wh, shown.meter_last_wh) == (5, 9)


def test_readings_are_objects() -> None:
    row = MeterSample("s", 0, 1, NOW, "d", NOW, '[{"value":"5","measurand":"Voltage"}]')
    assert SampleOut.of(row).readings == [{"value": "5", "measurand": "Voltage"}]


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError):
        StationNew.model_validate({"identity": "CP-1", "evse": 1})
