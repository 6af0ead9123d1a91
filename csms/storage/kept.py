"""Rows as the last batches left them, so that the next ones need not read them again.

Only for a database that nobody else writes. What stations say is about the same few rows again and
again (a charge is reported every minute), and to read and convert one costs as much as to decide
about it. Only entities that are asked for `often` are kept: others may be large. A row is known by
its key, and by the unique values that it was last looked up by; that there is no such row is never
known. A row enters after the commit that it was part of; whatever goes wrong empties it all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from csms.core.entities import SHAPES
from csms.core.ports import Need

Ref = tuple[type[Any], tuple[Any, ...]]

# Rows: some 2 KB each.
MOST = 8_000


class Kept:
    """At most `most` rows, of which those not used for the longest time go first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._rows: OrderedDict[Ref, Any] = OrderedDict()
        # One way to each row at most.
        self._found: dict[Need, Ref] = {}
        self._way: dict[Ref, Need] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, ref: Ref) -> Any:
        """The row as the database holds it; None when that is not known here."""
        row = self._rows.get(ref)
        if row is not None:
            self._rows.move_to_end(ref)
        return row

    def find(self, need: Need) -> Ref | None:
        """The one row with these values of a unique finder; None when that is not known here."""
        ref = self._found.get(need)
        if ref is None or need.finder is None:
            return None
        # Its values may have changed since.
        same = SHAPES[need.kind].found_by[need.finder](self._rows[ref]) == need.values
        return ref if same else None

    def committed(
        self, read: Mapping[Ref, Need | None], changed: Iterable[Ref], now: Mapping[Ref, Any]
    ) -> None:
        """A batch is on the disk. `read`: what it looked up, by key or by those unique values;
        `changed`: what it may have changed; `now`: every row that it knew, None for one that is not
        there."""
        rows = self._rows
        for ref in changed:
            if ref in rows:
                if now[ref] is None:
                    self._forget(ref)
                else:
                    rows[ref] = now[ref]
        for ref, way in read.items():
            row = now[ref]
            if row is not None:
                rows[ref] = row
                if way is not None:
                    self._found.pop(self._way.get(ref, way), None)
                    self._found[way], self._way[ref] = ref, way
        while len(rows) > self._most:
            self._forget(next(iter(rows)))

    def _forget(self, ref: Ref) -> None:
        del self._rows[ref]
        way = self._way.pop(ref, None)
        if way is not None and self._found.get(way) == ref:
            del self._found[way]

    def clear(self) -> None:
        """It is not certain any more what the database holds."""
        self._rows.clear()
        self._found.clear()
        self._way.clear()
