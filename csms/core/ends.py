"""Ends that their station has not reported: a later start implies one, an operator decides one, or
the station says that it is over and has nothing more to tell.

Each is an estimate: the charge lasted until its last sign of life, with the energy counted so far.
What the station reports after all takes its place.
"""

from __future__ import annotations

from datetime import datetime

from csms.core import charge_events
from csms.core.errors import NotFound, Refused
from csms.core.flags import END_MISSING, once_reported, with_flag
from csms.core.flags import SUPERSEDED as SUPERSEDED_FLAG
from csms.core.ids import Origin
from csms.core.ports import Tx
from csms.core.times import plausible
from csms.core.transactions import CLOSED, LOST, REPORTED, SUPERSEDED, Transaction


def close(tx: Tx, transaction_id: int, now: datetime) -> Transaction:
    """An operator ends a transaction whose station will not: at its last sign of life, with the
    energy counted so far. A stop that comes after all takes its place. Raises `NotFound`, and
    `Refused` when it has ended."""
    t = tx.get(Transaction, transaction_id)
    if t is None:
        raise NotFound(f"no transaction {transaction_id}")
    if not t.open:
        raise Refused(f"transaction {transaction_id} has ended already")
    t = t._replace(
        open=False,
        ended_at=max(t.started_at, t.last_at or t.started_at),
        end_received_at=now,
        end_kind=CLOSED,
        flags=once_reported(t.flags),
    )
    tx.save(t)
    charge_events.ended(tx, now, t)
    return t


def lose(tx: Tx, t: Transaction, now: datetime) -> Transaction:
    """The station says that a transaction is over and has nothing more to tell of it: it ended at
    its last sign of life, with the energy counted so far. An end that is reported after all takes
    its place."""
    assert t.open
    # Of samples the station's own time is kept, whatever its clock.
    alive = (at for at in (t.last_at, t.newest_sample_at) if at is not None and plausible(at, now))
    t = t._replace(
        open=False,
        ended_at=max((t.started_at, *(min(at, now) for at in alive))),
        end_received_at=now,
        end_kind=LOST,
        flags=with_flag(once_reported(t.flags), END_MISSING),
    )
    tx.save(t)
    tx.mark("transaction_lost")
    charge_events.ended(tx, now, t)
    return t


def supersede(tx: Tx, origin: Origin, evse: int, at: datetime | None = None) -> None:
    """A new start on an EVSE implies that the open transaction there has ended; its end is an
    estimate until the station reports it. `at`: only what began before (2.x reports may come in
    any order, those of 1.6 do not)."""
    for t in tx.find(Transaction, "open_of_station", origin.station_id, True):
        if t.evse != evse or evse == 0 or (at is not None and t.started_at > at):
            continue
        t = t._replace(
            open=False,
            ended_at=max(t.started_at, t.last_at or t.started_at),
            end_received_at=origin.at,
            end_kind=SUPERSEDED,
            flags=with_flag(t.flags, SUPERSEDED_FLAG),
        )
        tx.save(t)
        tx.mark("transaction_superseded")
        charge_events.ended(tx, origin.at, t)


def until_last_reading(t: Transaction) -> Transaction:
    """A transaction whose end is an estimate lasted until its last reading at least."""
    if t.ended_at is None or t.end_kind == REPORTED or t.last_at is None:
        return t
    return t._replace(ended_at=max(t.ended_at, t.last_at))
