"""MeterValues of a 1.6 station (OCPP 1.6 4.7)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from csms.core.ids import MAX_INT32
from csms.core.metering import MeterSample
from csms.ocpp import wire
from tests.support.ocpp import NOW, Inbound, meter, start, stop


@pytest.fixture
def station(station16: Inbound) -> Inbound:
    station16.adds_token("04A2")
    return station16


def started(station: Inbound) -> int:
    return station.answers("StartTransaction", start())["transactionId"]


def test_every_field_of_a_sample_is_stored(station: Inbound) -> None:
    number = started(station)
    sampled = {
        "value": "230.1",
        "context": "Sample.Clock",
        "format": "Raw",
        "measurand": "Voltage",
        "phase": "L1-N",
        "location": "Inlet",
        "unit": "V",
    }
    assert station.answers("MeterValues", meter(sampled, transactionId=number)) == {}
    assert station.readings == [{k: v for k, v in sampled.items() if k != "format"}]
    (row,) = station.samples
    assert (row.transaction_id, row.at.isoformat()) == (number, "2024-05-01T12:10:00+00:00")


def test_a_plain_value_is_the_imported_energy_in_wh(station: Inbound) -> None:
    """OCPP 1.6 7.43: the defaults (reference 7.7: samples without unit and measurand)."""
    number = started(station)
    station.answers("MeterValues", meter({"value": "1250"}, transactionId=number))
    assert station.transaction.energy_wh == 250
    (updated,) = station.journal("transaction_updated")
    assert (updated["energy_wh"], updated["samples"]) == (250, 1)


def test_kilowatt_hours_with_float_noise(station: Inbound) -> None:
    """Reference 7.7: the samples in kWh, the meter of start and stop in Wh."""
    number = station.answers("StartTransaction", start(meterStart=0))["transactionId"]
    noisy = {"value": "0.15002000000000001", "unit": "kWh"}
    station.answers("MeterValues", meter(noisy, transactionId=number))
    assert station.transaction.energy_wh == 150
    station.answers("StopTransaction", stop(number, meterStop=469))
    assert station.transaction.energy_wh == 469


@pytest.mark.parametrize(
    "value", ["OCMF|{ é }|\\u0000", f" {'A' * 12_000} ", "A" * wire.MAX_SIGNED], ids=len
)
def test_signed_data_is_kept_byte_for_byte(station: Inbound, value: str) -> None:
    """OCPP 1.6 7.43: a value has no length of its own."""
    signed = {"value": value, "format": "SignedData"}
    station.answers("MeterValues", meter(signed, transactionId=started(station)))
    assert [reading["signed"] for reading in station.readings] == [value]
    assert station.transaction.energy_wh == 0
    assert station.violations == {}


@pytest.mark.parametrize("message", ["MeterValues", "StopTransaction"])
def test_signed_data_beyond_any_bound_is_left_out_whole_and_counted(
    station: Inbound, message: str
) -> None:
    """What is cut proves nothing."""
    number = started(station)
    signed = {"value": "A" * (wire.MAX_SIGNED + 1), "format": "SignedData"}
    values = meter(signed, {"value": "1250"}, transactionId=number)
    if message == "StopTransaction":
        values = stop(number, transactionData=values["meterValue"])
    station.answers(message, values)
    assert [reading["value"] for reading in station.readings] == ["1250"]
    assert station.violations == {"signed_data_too_large": 1}


@pytest.mark.parametrize("value", [None, {}, []])
def test_signed_data_that_is_no_text_is_none(station: Inbound, value: object) -> None:
    signed = {"value": value, "format": "SignedData"}
    station.answers("MeterValues", meter(signed, transactionId=started(station)))
    assert station.readings == []


def test_connector_0_is_the_main_meter(station: Inbound) -> None:
    """Clock-aligned values of the whole station belong to no charge."""
    started(station)
    station.answers("MeterValues", meter({"value": "999999"}, connectorId=0))
    assert station.transaction.energy_wh == 0
    (recorded,) = station.journal("samples_recorded")
    assert (recorded["evse"], recorded["samples"]) == (0, 1)


def test_without_a_transaction_id_the_running_charge_is_meant(station: Inbound) -> None:
    """Quirk 58."""
    started(station)
    station.answers("MeterValues", meter({"value": "1250"}))
    assert station.transaction.energy_wh == 250


@pytest.mark.parametrize("lost", [-1, 0, "-1"])
def test_an_id_that_stands_for_none(station: Inbound, lost: object) -> None:
    """Quirk 54."""
    started(station)
    station.answers("MeterValues", meter({"value": "1250"}, transactionId=lost))
    assert station.transaction.energy_wh == 250
    assert station.quarantined == []


@pytest.mark.parametrize("unknown", [4_711, MAX_INT32, 2**31, 2**63 - 1, 1e30, "x"])
def test_an_id_that_was_never_ours(station: Inbound, unknown: object) -> None:
    """Quirks 48, 59: kept with the connector, and not taken for the charge that is running."""
    started(station)
    assert station.answers("MeterValues", meter({"value": "1250"}, transactionId=unknown)) == {}
    assert station.transaction.energy_wh == 0
    assert [(row.evse, row.transaction_id) for row in station.samples] == [(1, 0)]
    assert station.quarantined == [("meter_values", "unknown_transaction")]


def test_late_values_are_kept_and_change_no_bill(station: Inbound) -> None:
    """Quirk 58."""
    number = started(station)
    station.answers("StopTransaction", stop(number))
    station.answers("MeterValues", meter({"value": "9999"}, transactionId=number))
    assert station.transaction.energy_wh == 2_500
    assert len(station.samples) == 1


def test_the_same_values_again_add_nothing(station: Inbound) -> None:
    number = started(station)
    for _ in range(3):
        station.answers("MeterValues", meter({"value": "1250"}, transactionId=number))
    assert len(station.samples) == 1


# -- bent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampled", "energy_wh", "violations"),
    [
        ({"value": 1250}, 250, {"number_to_text": 1}),  # quirk 40
        ({"value": 1250.4}, 250, {"number_to_text": 1}),
        ({"value": " 1250"}, 250, {}),  # quirk 41
        ({"value": "1.25e3"}, 250, {}),
        ({"value": "0001250"}, 250, {}),
        ({"value": "0" * 40 + "1250"}, 250, {}),
        ({"value": "9" * 40}, 0, {}),
        ({"value": "NaN"}, 0, {}),
        ({"value": "-Infinity"}, 0, {}),
        ({"value": ""}, 0, {}),
        ({"value": True}, 0, {"boolean_to_text": 1}),
        ({"value": None}, 0, {"wrong_type": 1}),
        ({"value": "1,250"}, 0, {}),
        ({"value": "1250", "measurand": "Request.Energy"}, 0, {"unknown_value": 1}),  # quirk 43
        ({"value": "50", "measurand": "Frequency", "unit": "Hz"}, 0, {"unknown_value": 1}),
        ({"value": "40", "measurand": "Temperature", "unit": "Celcius"}, 0, {}),
        ({"value": "40", "measurand": "Temperature", "unit": "Celsius"}, 0, {}),
        ({"value": "9", "measurand": "Current.Import", "phase": "L1-N", "unit": "A"}, 0, {}),
        ({"value": "1250", "unit": "Wh", "source": "x"}, 250, {"unknown_field_dropped": 1}),
        ({"value": "1250", "context": ""}, 250, {"empty_field_dropped": 1}),
        # What is there and cannot be read is not what it would be by default.
        ({"value": "1250", "measurand": 5}, 0, {}),
        ({"value": "1250", "measurand": "T" * 65}, 0, {"unknown_value": 1}),
        ({"value": "1250", "unit": {"unit": "kWh"}}, 0, {}),
    ],
)
def test_a_bent_sample_is_worth_what_it_says(
    station: Inbound, sampled: dict[str, Any], energy_wh: int, violations: dict[str, int]
) -> None:
    number = started(station)
    assert station.answers("MeterValues", meter(sampled, transactionId=number)) == {}
    assert station.transaction.energy_wh == energy_wh
    assert station.violations.keys() <= violations.keys() | {"wrong_type"}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"connectorId": 1, "meterValue": []},
        {"connectorId": 1, "meterValue": None},
        {"connectorId": 1, "meterValue": "x"},
        {"connectorId": 1, "meterValue": [None, 5, "x", {}, {"sampledValue": [None, {}]}]},
        {"connectorId": -1, "meterValue": [{"timestamp": "x", "sampledValue": [{"value": "1"}]}]},
        {"connectorId": 2**63 - 1, "meterValue": []},
        {"connectorId": {"a": 1}, "meterValue": {"a": 1}},
    ],
)
def test_nothing_usable_is_answered_all_the_same(station: Inbound, payload: dict[str, Any]) -> None:
    """OCPP 1.6 4.7: always answered, otherwise the station repeats it for ever."""
    assert station.answers("MeterValues", payload) == {}


def test_a_sample_without_a_usable_time_is_stored_once(station: Inbound) -> None:
    """It counts at its receipt, which is another one for every repetition."""
    number = started(station)
    for _ in range(3):
        station.later(minutes=4)
        station.answers("MeterValues", meter({"value": "1250"}, at="now", transactionId=number))
    (row,) = station.samples
    assert row.received_at == NOW + timedelta(minutes=4)
    assert station.transaction.energy_wh == 250
    assert station.transaction.last_at == NOW + timedelta(minutes=4)


def test_so_it_is_outside_of_a_charge(station: Inbound) -> None:
    for _ in range(3):
        station.later(minutes=4)
        station.answers("MeterValues", meter({"value": "1250"}, at="now"))
    assert len(station.samples) == 1
    assert len(station.journal("samples_recorded")) == 1


# -- nothing is cut --------------------------------------------------------------------------------


def a_day(count: int = 1_440) -> list[dict[str, Any]]:
    """Samples of a charge, one a minute."""
    return [
        {
            "timestamp": wire.rfc3339(NOW + timedelta(minutes=n)),
            "sampledValue": [{"value": str(1_000 + n)}],
        }
        for n in range(count)
    ]


def test_a_message_may_hold_a_whole_day(station: Inbound) -> None:
    number = started(station)
    station.later(days=1)
    payload = {"connectorId": 1, "transactionId": number, "meterValue": a_day()}
    for _ in range(2):
        assert station.answers("MeterValues", payload) == {}
        assert station.transaction.energy_wh == 1_439
        assert station.count(MeterSample) == 1_440
    assert station.violations == {}


@pytest.mark.parametrize(("meter_stop", "energy_wh"), [(3_500, 2_500), ("n/a", 1_439)])
def test_so_may_a_stop(station: Inbound, meter_stop: object, energy_wh: int) -> None:
    """Without a usable meterStop the last sample is all that tells what was charged."""
    number = started(station)
    station.later(days=1)
    stopped = stop(number, meterStop=meter_stop, transactionData=a_day())
    stopped["timestamp"] = "2024-05-02T12:00:00Z"
    for _ in range(2):
        station.answers("StopTransaction", stopped)
        row = station.transaction
        assert (row.open, row.energy_wh, row.flags) == (False, energy_wh, ())
        assert station.count(MeterSample) == 1_440
    assert station.quarantined == []


def test_a_sample_may_hold_many_readings(station: Inbound) -> None:
    number = started(station)
    sampled = [{"value": str(n), "measurand": "Voltage"} for n in range(300)]
    station.answers("MeterValues", meter(*sampled, {"value": "1250"}, transactionId=number))
    assert len(station.readings) == 301
    assert station.transaction.energy_wh == 250
