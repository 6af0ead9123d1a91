"""What a TransactionEvent says beyond what a charge depends on."""

from __future__ import annotations

from typing import Any

import pytest

from csms.ocpp.v2.details import MAX_COST_BYTES, details
from tests.support.ocpp import Inbound, event

COST: dict[str, Any] = {
    "totalCost": {
        "currency": "EUR",
        "typeOfCost": "NormalCost",
        "total": {"exclTax": 3.5, "inclTax": 4.2},
    },
    "totalUsage": {"energy": 10, "chargingTime": 1_800, "idleTime": 0},
}


@pytest.fixture
def station() -> Inbound:
    return Inbound("ocpp2.1")


def kept(station: Inbound) -> dict[str, Any]:
    return {name: said for name, (_, said) in (station.transaction.details or {}).items()}


def test_what_only_2_1_says_is_kept_under_neutral_names(station: Inbound) -> None:
    answer = station.answers(
        "TransactionEvent",
        event(
            "Started",
            0,
            triggerReason="LimitSet",
            preconditioningStatus="Ready",
            evseSleep=False,
            costDetails=COST,
            numberOfPhasesUsed=3,
            cableMaxCurrent=32,
            info={
                "tariffId": "T-1",
                "operationMode": "ChargingOnly",
                "transactionLimit": {
                    "maxCost": 20.5,
                    "maxEnergy": 20_000,
                    "maxTime": 3_600,
                    "maxSoC": 80,
                },
            },
        ),
    )
    assert answer == {}
    assert kept(station) == {
        "trigger": "LimitSet",
        "preconditioning": "Ready",
        "evse_sleep": False,
        "cost": COST,
        "phases": 3,
        "cable_max_current_a": 32,
        "tariff_id": "T-1",
        "operation_mode": "ChargingOnly",
        "limit": {
            "max_cost": "20.5",
            "max_energy_wh": 20_000,
            "max_time_s": 3_600,
            "max_soc_percent": 80,
        },
    }


def test_the_latest_word_counts_in_any_order_of_arrival(station: Inbound) -> None:
    events = [
        event("Started", 0, triggerReason="CablePluggedIn", info={"operationMode": "Idle"}),
        event("Updated", 2, triggerReason="TxResumed"),
        event("Updated", 1, triggerReason="LimitSet", info={"transactionLimit": {"maxTime": 60}}),
    ]
    for one in events + events:
        station.answers("TransactionEvent", one)
    assert kept(station) == {
        "trigger": "TxResumed",
        "operation_mode": "Idle",
        "limit": {"max_time_s": 60},
    }


def test_a_periodic_reading_says_nothing_more(station: Inbound) -> None:
    station.answers("TransactionEvent", event("Started", 0, triggerReason="MeterValuePeriodic"))
    assert station.transaction.details is None


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"transactionLimit": {"maxEnergy": 2**40, "maxCost": "nan"}}, None),
        ({"transactionLimit": "x", "tariffId": 1.5, "operationMode": ["x"]}, {"tariff_id": "1.5"}),
        ({"tariffId": "x" * 300}, None),
        ({"tariffId": "\x00T\ud800"}, {"tariff_id": "T"}),
    ],
)
def test_what_cannot_be_used_is_left_out(info: Any, expected: Any) -> None:
    assert details({"triggerReason": "MeterValueClock", "transactionInfo": info}) == expected


def test_a_cost_without_end_leaves_only_its_size() -> None:
    period = {"startPeriod": "2024-05-01T12:00:00Z", "note": "x" * 100}
    said = details({"costDetails": {"chargingPeriods": [period] * 1_000}})
    assert said is not None
    assert said["cost"]["left_out_bytes"] > MAX_COST_BYTES


def test_texts_inside_a_cost_are_such_as_databases_take() -> None:
    said = details({"costDetails": {"a\x00b": ["\ud800c", {"deep": [1]}]}})
    assert said == {"cost": {"ab": ["c", {"deep": [1]}]}}
