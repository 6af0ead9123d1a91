"""Cursors: how far a feed of the journal has come.

A feed delivers every row, in order. Its cursor is moved on only after what it stands behind has
arrived, so that a crash repeats rows and loses none.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from csms.core.entities import entity
from csms.core.ports import Tx


@entity("cursors", key=("name",))
class Cursor(NamedTuple):
    """`seq`: the last row of the journal that has arrived; `moved_at`: when that was known."""

    name: str
    seq: int
    moved_at: datetime


def advance(tx: Tx, name: str, seq: int, now: datetime) -> Cursor:
    """Everything up to this row has arrived. Never back; may be repeated."""
    known = tx.get(Cursor, name)
    if known is not None and known.seq >= seq:
        return known
    moved = Cursor(name, seq, now)
    tx.save(moved)
    return moved
