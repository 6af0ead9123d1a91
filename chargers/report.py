"""What a fleet did, as plain values for machines and as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from chargers.charger import Charger

_SUMMED = ("transactions_finished", "energy_counted_wh", "messages", "rejected")


def charger_report(charger: Charger) -> dict[str, Any]:
    """One charger: its counts, and every transaction as its ledger has it."""
    ledger = charger.ledger
    return {
        "id": charger.profile.id,
        "version": charger.profile.version,
        "transactions_started": len(ledger.transactions),
        "transactions_finished": len(ledger.finished),
        "energy_counted_wh": ledger.energy_counted_wh,
        "messages": ledger.messages,
        "rejected": ledger.rejected,
        "unanswered": ledger.unanswered,
        "unusable": ledger.unusable,
        "given_up": ledger.given_up,
        "tokens_refused": len(ledger.tokens_refused),
        "connections": ledger.connections,
        "connections_failed": ledger.connections_failed,
        "undelivered": len(charger.outbox),
        "transactions": [record.as_json() for record in ledger.transactions],
    }


def fleet_report(chargers: Sequence[Charger]) -> dict[str, Any]:
    """All chargers, and their sums by OCPP version."""
    each = [charger_report(charger) for charger in chargers]
    versions: dict[str, dict[str, int]] = {}
    for one in sorted(each, key=lambda report: str(report["version"])):
        sums = versions.setdefault(one["version"], dict.fromkeys(("stations", *_SUMMED), 0))
        sums["stations"] += 1
        for key in _SUMMED:
            sums[key] += one[key]
    return {"versions": versions, "chargers": each}


def version_table(report: dict[str, Any]) -> Table:
    """The sums by version of a `fleet_report`."""
    columns = ("stations", *_SUMMED)
    table = Table("version", *columns, title="What the chargers did")
    for version, sums in report["versions"].items():
        table.add_row(version, *(str(sums[column]) for column in columns))
    return table


def plain_lines(report: dict[str, Any]) -> list[str]:
    """The same without a terminal: one line for each version."""
    return [
        f"{version}: " + ", ".join(f"{key} {value}" for key, value in sums.items())
        for version, sums in report["versions"].items()
    ]
