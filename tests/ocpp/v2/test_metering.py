"""MeterValues and the samples inside TransactionEvent (OCPP 2.0.1 J01, J02)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.metering import MeterSample
from csms.ocpp import wire
from tests.support.ocpp import Inbound, event


def running(station: Inbound) -> None:
    station.answers("TransactionEvent", event("Started", 0, wh=1_000, evse={"id": 1}))


def values(*sampled: Any, at: str = "2024-05-01T12:10:00Z", evse: object = 1) -> dict[str, Any]:
    return {"evseId": evse, "meterValue": [{"timestamp": at, "sampledValue": list(sampled)}]}


def test_every_field_of_a_sample_is_stored(station2: Inbound) -> None:
    signed = {
        "signedMeterData": "T0NNRg==",
        "signingMethod": "",
        "encodingMethod": "OCMF",
        "publicKey": "",
    }
    sampled = {
        "value": 16.5,
        "context": "Sample.Clock",
        "measurand": "Current.Import",
        "phase": "L1",
        "location": "Outlet",
        "signedMeterValue": signed,
        "unitOfMeasure": {"unit": "A", "multiplier": 0},
    }
    running(station2)
    assert station2.answers("MeterValues", values(sampled)) == {}
    reading = station2.readings[-1]
    assert reading == {
        "value": "16.5",
        "context": "Sample.Clock",
        "measurand": "Current.Import",
        "phase": "L1",
        "location": "Outlet",
        "unit": "A",
        "signed": signed,
    }


def signed(data: str, **fields: str) -> dict[str, Any]:
    """A SignedMeterValueType."""
    others = {"signingMethod": "", "encodingMethod": "OCMF", "publicKey": "K" * 2_500}
    return {"signedMeterData": data, **others, **fields}


def spaced(length: int) -> str:
    """Signed data of that length, spaces around it included: a signature is over every byte."""
    return f" {'A' * (length - 2)} "


# The longest signedMeterData of SignedMeterValueType, and what is longer and still kept.
KEPT = [("ocpp2.0.1", 2_500, {}), ("ocpp2.0.1", 3_000, {"too_long": 1})]
KEPT += [("ocpp2.0.1", 32_768, {"too_long": 1})]
KEPT += [("ocpp2.1", 10_001, {}), ("ocpp2.1", 32_768, {}), ("ocpp2.1", 33_000, {"too_long": 1})]


@pytest.mark.parametrize(("protocol", "length", "violations"), KEPT)
@pytest.mark.parametrize("by_itself", [True, False])
def test_signed_data_is_kept_byte_for_byte(
    protocol: str, length: int, violations: dict[str, int], by_itself: bool
) -> None:
    """J01, J02: what is cut proves nothing, so what is too long for the version stays whole."""
    station = Inbound(protocol)
    sent = signed(spaced(length))
    moments = values({"value": 1_000.0, "signedMeterValue": sent})
    if by_itself:
        station.answers("MeterValues", moments)
    else:
        station.answers("TransactionEvent", event("Started", 0, meterValue=moments["meterValue"]))
    assert [reading["signed"] for reading in station.readings] == [sent]
    assert station.violations == violations


def test_a_key_that_is_too_long_is_kept_whole(station2: Inbound) -> None:
    """publicKey has 2,500 characters in both versions."""
    sent = signed("T0NNRg==", publicKey="K" * 3_000)
    station2.answers("MeterValues", values({"value": 1.0, "signedMeterValue": sent}))
    assert [reading["signed"] for reading in station2.readings] == [sent]
    assert station2.violations == {"too_long": 1}


def test_signed_data_beyond_any_bound_is_left_out_whole_and_counted(station2: Inbound) -> None:
    running(station2)
    sent = signed("A" * wire.MAX_SIGNED)
    assert station2.answers("MeterValues", values({"value": 1_500, "signedMeterValue": sent})) == {}
    assert "signed" not in station2.readings[-1]
    assert station2.transaction.energy_wh == 500
    assert station2.violations == {"too_long": 1, "signed_data_too_large": 1}


def test_values_by_themselves_count_for_the_running_charge(station2: Inbound) -> None:
    """Reference 7.6: stand-alone MeterValues while the transaction runs."""
    running(station2)
    station2.answers("MeterValues", values({"value": 1_500}))
    assert station2.transaction.energy_wh == 500


def test_evse_0_is_the_main_meter(station2: Inbound) -> None:
    running(station2)
    station2.answers("MeterValues", values({"value": 999_999}, evse=0))
    assert station2.transaction.energy_wh == 0


@pytest.mark.parametrize(
    ("sampled", "energy_wh"),
    [
        ({"value": 1.5, "unitOfMeasure": {"unit": "kWh"}}, 500),
        ({"value": 1.5, "unitOfMeasure": {"unit": "Wh", "multiplier": 3}}, 500),
        ({"value": 1.5, "unitOfMeasure": {"multiplier": 3}}, 500),
        ({"value": 1500000, "unitOfMeasure": {"unit": "kWh", "multiplier": -6}}, 500),
        ({"value": 1.1500200000000001, "unitOfMeasure": {"unit": "kWh"}}, 150),
        ({"value": "1500"}, 500),
        ({"value": " 1500 "}, 500),
        ({"value": 1500, "unitOfMeasure": {"unit": "kWh", "multiplier": 99}}, 0),
        ({"value": 1500, "unitOfMeasure": {"unit": 5}}, 0),
        ({"value": 1500, "unitOfMeasure": None}, 500),
        ({"value": 1500, "measurand": "Request.Energy"}, 0),
        ({"value": 1500, "measurand": {}}, 0),
        ({"value": 1500, "location": "Inlet"}, 0),
        ({"value": 1500, "signedMeterValue": {"signedMeterData": "x" * 50_000}}, 500),
        ({"value": 1e300}, 0),
        ({"value": None}, 0),
        ({"value": []}, 0),
        ({}, 0),
    ],
)
def test_a_value_is_worth_what_it_says(
    station2: Inbound, sampled: dict[str, Any], energy_wh: int
) -> None:
    running(station2)
    assert station2.answers("MeterValues", values(sampled)) == {}
    assert station2.transaction.energy_wh == energy_wh


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"evseId": -1, "meterValue": []},
        {"evseId": 2**63 - 1, "meterValue": None},
        {"evseId": "x", "meterValue": [None, {}, {"sampledValue": 5}]},
        values({"value": 1}, at="yesterday", evse=1_000),
    ],
)
def test_nothing_usable_is_answered_all_the_same(
    station2: Inbound, payload: dict[str, Any]
) -> None:
    """J01.FR.18."""
    assert station2.answers("MeterValues", payload) == {}
    assert station2.quarantined == []


@pytest.mark.parametrize("charging", [True, False])
def test_a_sample_without_a_usable_time_is_stored_once(station2: Inbound, charging: bool) -> None:
    """It counts at its receipt, which is another one for every repetition."""
    if charging:
        running(station2)
    before = len(station2.samples)
    for _ in range(3):
        station2.later(minutes=4)
        station2.answers("MeterValues", values({"value": 1_250}, at="now"))
    assert len(station2.samples) == before + 1
    if charging:
        assert station2.transaction.energy_wh == 250


def test_so_it_is_inside_an_event(station2: Inbound) -> None:
    running(station2)
    moments = [{"timestamp": "now", "sampledValue": [{"value": 1_250}]}]
    for _ in range(3):
        station2.later(minutes=4)
        station2.answers("TransactionEvent", event("Updated", 1, meterValue=moments))
    assert len(station2.samples) == 2
    assert station2.transaction.energy_wh == 250


def test_an_event_may_hold_any_number_of_samples(station2: Inbound) -> None:
    moments = [
        {
            "timestamp": f"2024-05-01T12:{n // 60:02}:{n % 60:02}Z",
            "sampledValue": [{"value": 1_000 + n}],
        }
        for n in range(1_440)
    ]
    for _ in range(2):
        station2.answers("TransactionEvent", event("Started", 0, meterValue=moments))
        assert station2.transaction.energy_wh == 1_439
        assert station2.count(MeterSample) == 1_440
