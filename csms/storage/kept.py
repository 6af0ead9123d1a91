"""Rows as the last batches left them, so that the next ones need not read them again.

Only for a database that nobody else writes. What stations say is about the same few rows again and
again (a charge is reported every minute), and to read and convert one costs as much as to decide
about it. Only entities that are asked for `often` are kept: others may be large. A row enters after
the commit that it was part of; whatever goes wrong empties it all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

Ref = tuple[type[Any], tuple[Any, ...]]

# Rows: some 2 KB each.
MOST = 8_000


class Kept:
    """At most `most` rows, of which those not used for the longest time go first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._rows: OrderedDict[Ref, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, ref: Ref) -> Any:
        """The row as the database holds it; None when that is not known here."""
        row = self._rows.get(ref)
        if row is not None:
            self._rows.move_to_end(ref)
        return row

    def committed(
        self, read: Iterable[Ref], changed: Iterable[Ref], now: Mapping[Ref, Any]
    ) -> None:
        """A batch is on the disk. `read`: what it looked up by key; `changed`: what it may have
        changed; `now`: every row that it knew, None for one that is not there."""
        rows = self._rows
        for ref in changed:
            if ref in rows:
                if now[ref] is None:
                    del rows[ref]
                else:
                    rows[ref] = now[ref]
        for ref in read:
            row = now[ref]
            if row is not None:
                rows[ref] = row
        while len(rows) > self._most:
            rows.popitem(last=False)

    def clear(self) -> None:
        """It is not certain any more what the database holds."""
        self._rows.clear()
