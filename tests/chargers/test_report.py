"""What a report adds up."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from chargers.charger import Charger
from chargers.ledger import TransactionRecord
from chargers.profile import ChargerProfile
from chargers.report import fleet_report, plain_lines, version_table

AT = datetime(2024, 1, 1, tzinfo=UTC)


def charger(name: str, version: str, *energies: int) -> Charger:
    made = Charger(ChargerProfile(id=name, version=version), "ws://127.0.0.1:1")
    for number, energy in enumerate(energies):
        made.ledger.transactions.append(
            TransactionRecord(
                1, 1, "T", f"tx-{number}", AT, 1000, ended_at=AT, meter_stop_wh=1000 + energy
            )
        )
    made.ledger.transactions.append(TransactionRecord(1, 1, "T", "running", AT, 5000))
    made.ledger.messages = 10
    return made


async def test_sums_are_by_version_and_of_finished_transactions() -> None:
    report = fleet_report(
        [charger("A", "2.1", 5), charger("B", "1.6", 100, 20), charger("C", "1.6", 3)]
    )
    assert list(report["versions"]) == ["1.6", "2.1"]
    assert report["versions"]["1.6"] == {
        "stations": 2,
        "transactions_finished": 3,
        "energy_counted_wh": 123,
        "messages": 20,
        "rejected": 0,
    }
    assert [one["id"] for one in report["chargers"]] == ["A", "B", "C"]
    assert report["chargers"][1]["transactions_started"] == 3
    json.dumps(report)


async def test_the_same_for_people() -> None:
    report = fleet_report([charger("A", "2.1", 5)])
    assert plain_lines(report) == [
        "2.1: stations 1, transactions_finished 1, energy_counted_wh 5, messages 10, rejected 0"
    ]
    assert version_table(report).row_count == 1
