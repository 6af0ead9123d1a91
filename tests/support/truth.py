"""What chargers know against what the central system recorded: the check of "nothing lost, nothing
twice"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson

from chargers.charger import Charger
from chargers.ledger import TransactionRecord
from tests.support.system import System


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    # Chargers say milliseconds.
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


class Recorded:
    """Everything of one station, as it stands in the database."""

    def __init__(self, system: System, identity: str) -> None:
        ((station_id,),) = system.query("SELECT id FROM stations WHERE identity = ?", identity)
        columns = "id, wire_id, open, energy_wh, started_at, ended_at, flags, end_kind"
        rows = system.query(
            f"SELECT {columns} FROM transactions WHERE station_id = ? ORDER BY id", station_id
        )
        names = columns.split(", ")
        self.transactions = [dict(zip(names, row, strict=True)) for row in rows]
        self.samples: Counter[tuple[int, datetime, int]] = Counter()
        for transaction_id, at, readings in system.query(
            "SELECT transaction_id, at, readings FROM meter_samples WHERE station_id = ?",
            station_id,
        ):
            for reading in orjson.loads(readings):
                if reading["measurand"] == "Energy.Active.Import.Register":
                    context = reading.get("context", "Sample.Periodic")
                    if context == "Sample.Periodic":
                        wh = round(float(reading["value"]))
                        self.samples[transaction_id, _moment(at), wh] += 1
        self.quarantined = system.query(
            "SELECT kind, reason FROM quarantine WHERE station_id = ?", station_id
        )


def compare(system: System, chargers: Iterable[Charger]) -> dict[str, int]:
    """Assert that every acknowledged transaction and meter value is there exactly once, and no
    other; how much was compared."""
    sums: Counter[str] = Counter()
    for charger in chargers:
        recorded = Recorded(system, charger.profile.id)
        lived = charger.ledger.transactions
        where = f"{charger.profile.id} (OCPP {charger.profile.version})"
        assert not recorded.quarantined, (where, recorded.quarantined)
        assert len(recorded.transactions) == len(lived), (where, recorded.transactions, lived)
        by_id = {row["wire_id"]: row for row in recorded.transactions}
        # The ids that we gave to 1.6 charges are kept apart from those that stations make up.
        ours = "#" if charger.profile.version == "1.6" else ""
        for record in lived:
            sums["transactions"] += 1
            row = by_id[f"{ours}{record.central_id}"]
            sums["readings"] += _compare_one(where, record, row, recorded)
    return dict(sums)


def _compare_one(
    where: str, record: TransactionRecord, row: dict[str, Any], recorded: Recorded
) -> int:
    assert record.start_acknowledged, (where, record)
    assert record.stop_acknowledged, (where, record)
    assert not row["open"], (where, row)
    assert row["end_kind"] == "reported", (where, row)
    assert row["energy_wh"] == record.energy_wh, (where, row, record)
    assert row["flags"] == "", (where, row)
    for reading in record.readings:
        found = recorded.samples[row["id"], _milliseconds(reading.at), reading.energy_wh]
        assert found == 1, (where, found, reading)
    if record.acknowledged:
        # Not only what was acknowledged: no other reading, and none twice.
        stored = sum(n for key, n in recorded.samples.items() if key[0] == row["id"])
        assert stored == record.readings_made, (where, stored, record)
    return len(record.readings)


def _milliseconds(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
