"""Doubts: transactions about which their station has to be asked.

A row exists only while something is unclear: an open transaction of which nothing was heard after a
reconnect, or an end whose sequence numbers leave a gap. `core.reconciliation` decides what the
answers mean.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from csms.core.entities import entity
from csms.core.ports import Need, Tx
from csms.core.transactions import Transaction, lacking, with_flag, without

SEQUENCE_GAP = "sequence_gap"


@entity("doubts", key=("station_id", "transaction_id"), finders={"station": ("station_id",)})
class Doubt(NamedTuple):
    """`asked_at` and `answer`: of the last inquiry (`queued`, `ongoing`, `gone`, `silent`)."""

    station_id: str
    transaction_id: int
    since: datetime
    asked_at: datetime | None = None
    answer: str | None = None


def needs(station_id: str) -> Need:
    """Declares the read of a station's doubts."""
    return Need(Doubt, "station", (station_id,))


def judge_gap(tx: Tx, t: Transaction, now: datetime) -> Transaction:
    """An ended transaction with or without the mark for missing messages; a new gap is a reason to
    ask the station. May be repeated."""
    if t.open:
        return t
    gap = lacking(t) > 0
    if gap is (SEQUENCE_GAP in t.flags):
        return t
    if not gap:
        tx.delete(Doubt, t.station_id, t.id)
        return t._replace(flags=without(t.flags, SEQUENCE_GAP))
    if tx.get(Doubt, t.station_id, t.id) is None:
        tx.save(Doubt(t.station_id, t.id, now))
    return t._replace(flags=with_flag(t.flags, SEQUENCE_GAP))
