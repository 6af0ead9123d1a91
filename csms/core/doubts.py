"""Doubts: transactions about which their station has to be asked.

A row exists only while something is unclear: an open transaction of which nothing was heard after a
reconnect, or whose EVSE has begun a later one, or an end whose sequence numbers leave a gap.
`core.reconciliation` decides what the answers mean.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from csms.core.entities import entity
from csms.core.flags import SEQUENCE_GAP, SEQUENCE_REPEATED, with_flag, without
from csms.core.ports import Need, Tx
from csms.core.transactions import Transaction, has_seen, lacking


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


def judge_overtaken(tx: Tx, t: Transaction, now: datetime) -> None:
    """A transaction of OCPP 2.x whose first message comes after the start of a later one on its
    EVSE has ended, as far as its station's clock can be believed. It is not closed on the word of a
    clock: the station is asked. May be repeated."""
    if not t.open or not t.evse:
        return
    running = tx.find(Transaction, "open_of_station", t.station_id, True)
    overtaken = any(o.evse == t.evse and o.started_at > t.started_at for o in running)
    if overtaken and tx.get(Doubt, t.station_id, t.id) is None:
        tx.save(Doubt(t.station_id, t.id, now))
        tx.mark("transaction_overtaken")


def judge_repeated(before: Transaction | None, t: Transaction, seq: int, added: int) -> Transaction:
    """The transaction after a report, marked where that brought something new under a sequence
    number that had come before: a retry brings nothing new. `added`: its new samples."""
    if before is None or not has_seen(before.seen, seq):
        return t
    if not added and t._replace(heard_at=before.heard_at) == before:
        return t
    return t._replace(flags=with_flag(t.flags, SEQUENCE_REPEATED))


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
