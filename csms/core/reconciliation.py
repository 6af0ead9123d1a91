"""Reconciliation: what became of the transactions of a station that was away.

Never a guess: a transaction is ended here only when its station has said twice, some time apart,
that it does not go on and that nothing about it waits to be sent; an end that comes after all takes
its place (OCPP 2.0.1 E14; in the field an end in the queue was dropped because the answer was
believed too soon). Where a station cannot be asked, doubtful transactions are marked for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from csms.core import doubts, ends
from csms.core.availability import Connector
from csms.core.doubts import Doubt
from csms.core.flags import END_MISSING_PERHAPS, HARMLESS, with_flag, without
from csms.core.inquiries import TransactionState
from csms.core.ports import Need, Tx
from csms.core.stations import Station
from csms.core.transactions import SUPERSEDED, Transaction, heard

QUEUED, ONGOING, GONE, SILENT = "queued", "ongoing", "gone", "silent"
# An open transaction of which nothing was heard for so long is asked about also without a
# reconnect; and a connector has been free for so long before it tells against a transaction.
SILENT_AFTER = timedelta(hours=1)
FREE_AFTER = timedelta(minutes=5)
# Open transactions that have been silent for so long are listed for people.
FORGOTTEN_AFTER = timedelta(hours=24)
MAX_QUESTIONS = 32


@dataclass(frozen=True, slots=True)
class Question:
    """A transaction to ask about; `open` False: about messages that are missing of it."""

    transaction_id: int
    wire_id: str
    evse: int
    open: bool


def needs(station_id: str) -> tuple[Need, ...]:
    """Declares the reads of a station's open transactions and doubts."""
    return (
        Need(Transaction, "open_of_station", (station_id, True)),
        Need(Connector, "station", (station_id,)),
        doubts.needs(station_id),
    )


def questions(
    tx: Tx, station: Station, now: datetime, again: timedelta
) -> tuple[list[Question], bool]:
    """What to ask a station about now, and whether there is anything to ask later. `again`: not
    more often than that about one transaction."""
    known = {doubt.transaction_id: doubt for doubt in tx.find(Doubt, "station", station.id)}
    running = tx.find(Transaction, "open_of_station", station.id, True)
    ended = [tx.get(Transaction, n) for n in known if n not in {t.id for t in running}]
    asked, later = [], bool(running)
    for t in (*running, *ended):
        if t is None:
            continue
        doubt = known.get(t.id)
        if doubt is None and not _worth_asking(t, station, now):
            continue
        later = True
        if doubt is not None and doubt.asked_at is not None and now - doubt.asked_at < again:
            continue
        asked.append(Question(t.id, t.wire_id, t.evse, t.open))
    return asked[:MAX_QUESTIONS], later


def _worth_asking(t: Transaction, station: Station, now: datetime) -> bool:
    """Nothing was heard of it on this link, or for a long time."""
    heard = last_heard(t)
    away = station.connected_at is not None and heard < station.connected_at
    return away or now - heard >= SILENT_AFTER


def last_heard(t: Transaction) -> datetime:
    """When a station last said anything about a transaction."""
    return t.heard_at or t.received_at


def answered(
    tx: Tx,
    station_id: str,
    transaction_id: int,
    state: TransactionState,
    now: datetime,
    again: timedelta,
) -> None:
    """What a station said of a transaction. The same answer twice ends it, see above."""
    t = tx.get(Transaction, transaction_id)
    doubt = tx.get(Doubt, station_id, transaction_id)
    if t is None or t.station_id != station_id:
        return
    if state.queued:
        _note(tx, doubt, t, QUEUED, now)
    elif not t.open:
        # Nothing more will come: what is missing stays missing, and is marked.
        tx.delete(Doubt, station_id, transaction_id)
    elif state.ongoing is False:
        confirmed = (
            doubt is not None
            and doubt.answer == GONE
            and doubt.asked_at is not None
            and now - doubt.asked_at >= again
            and last_heard(t) < doubt.asked_at
        )
        if confirmed:
            tx.delete(Doubt, station_id, transaction_id)
            ends.lose(tx, t, now)
        else:
            _note(tx, doubt, t, GONE, now)
    elif state.ongoing:
        tx.delete(Doubt, station_id, transaction_id)
        flags = without(t.flags, END_MISSING_PERHAPS)
        tx.save(t._replace(heard_at=heard(t, now), flags=flags))


def not_answered(tx: Tx, station_id: str, transaction_id: int, now: datetime) -> None:
    """The station cannot say; it was asked for readings and statuses instead."""
    t = tx.get(Transaction, transaction_id)
    if t is None:
        return
    doubt = tx.get(Doubt, station_id, transaction_id)
    if t.open:
        _note(tx, doubt, t, SILENT, now)
    elif doubt is not None:
        tx.delete(Doubt, station_id, transaction_id)


def _note(tx: Tx, doubt: Doubt | None, t: Transaction, answer: str, now: datetime) -> None:
    doubt = doubt or Doubt(t.station_id, t.id, now)
    tx.save(doubt._replace(asked_at=now, answer=answer))


def judge(tx: Tx, station_id: str, now: datetime) -> None:
    """Mark the open transactions whose connector has become free and stayed so while nothing was
    heard of them; take the mark from those that do go on. May be repeated."""
    connectors = tx.find(Connector, "station", station_id)
    for t in tx.find(Transaction, "open_of_station", station_id, True):
        doubtful = _is_free(t, connectors, now)
        if doubtful is not (END_MISSING_PERHAPS in t.flags):
            flags = (with_flag if doubtful else without)(t.flags, END_MISSING_PERHAPS)
            tx.save(t._replace(flags=flags))
            tx.mark("end_doubted" if doubtful else "end_no_longer_doubted")
        doubt = tx.get(Doubt, station_id, t.id)
        if doubt is not None and doubt.asked_at is not None and last_heard(t) > doubt.asked_at:
            tx.delete(Doubt, station_id, t.id)


def _is_free(t: Transaction, connectors: Sequence[Connector], now: datetime) -> bool:
    here = [
        c
        for c in connectors
        if c.evse == t.evse and c.connector and t.connector in (None, c.connector)
    ]
    heard = last_heard(t)
    return bool(here) and all(
        c.status == "available" and c.received_at >= heard and now - c.received_at >= FREE_AFTER
        for c in here
    )


def is_doubtful(t: Transaction, now: datetime) -> bool:
    """Whether people should look at a transaction: how it began or ended is not known, or not
    likely, or what it counted is not, or it has been silent for very long."""
    marked = any(flag not in HARMLESS for flag in t.flags) or t.end_kind == SUPERSEDED
    return marked or (t.open and now - last_heard(t) >= FORGOTTEN_AFTER)
