"""What the journal is told of a charge."""

from __future__ import annotations

from datetime import datetime

from csms.core import billing, events
from csms.core.ports import Tx
from csms.core.tokens import Shown
from csms.core.transactions import REPORTED, Transaction


def started(tx: Tx, at: datetime, t: Transaction) -> None:
    """Journal that a transaction is known from now on."""
    tx.record(
        events.TransactionStarted(
            at=at,
            station_id=t.station_id,
            transaction_id=t.id,
            evse=t.evse,
            connector=t.connector,
            token_uid=Shown(t.token_uid, t.token_kind or "").told if t.token_uid else None,
            outcome=t.outcome,
            started_at=t.started_at,
            meter_start_wh=t.first_wh,
        )
    )


def updated(tx: Tx, at: datetime, t: Transaction, samples: int, trigger: str | None = None) -> None:
    """Journal that a transaction has new samples; `trigger`: why the station reported."""
    tx.record(
        events.TransactionUpdated(
            at=at,
            station_id=t.station_id,
            transaction_id=t.id,
            evse=t.evse,
            energy_wh=t.energy_wh,
            charging_state=t.charging_state,
            samples=samples,
            trigger=trigger,
        )
    )


def ended(tx: Tx, at: datetime, t: Transaction) -> None:
    """Journal the end of a transaction, or another one than was known; its price is due."""
    billing.due(tx, t.id)
    tx.record(
        events.TransactionEnded(
            at=at,
            station_id=t.station_id,
            transaction_id=t.id,
            evse=t.evse,
            ended_at=t.ended_at or at,
            energy_wh=t.energy_wh,
            stop_reason=t.stop_reason,
            end_kind=t.end_kind or REPORTED,
            flags=t.flags,
        )
    )
