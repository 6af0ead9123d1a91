"""How a value of each kind is kept: as text, number, time, JSON or words.

Times are RFC 3339 UTC text on SQLite (readable, sortable) and timestamptz on PostgreSQL;
structured values are JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

Columns = Mapping[type[Any], list[sa.Column[Any]]]
"""Entity -> its columns, in the order of its fields."""


class Codec(NamedTuple):
    """How a value goes into SQLite and comes back; None is never passed."""

    to_db: Callable[[Any], Any]
    from_db: Callable[[Any], Any]


class _Moments:
    """Times as text of fixed width, so that text order is time order.

    One message's time goes into several rows, so the last few are remembered by object: writing a
    time out costs more than anything else about a row.
    """

    REMEMBERED = 1_024

    def __init__(self) -> None:
        self._recent: dict[int, tuple[datetime, str]] = {}

    def to_text(self, at: datetime) -> str:
        known = self._recent.get(id(at))
        if known is not None and known[0] is at:
            return known[1]
        utc = at
        if at.tzinfo is not UTC:
            if at.utcoffset() is None:
                raise ValueError(f"a time without a zone: {at}")
            utc = at.astimezone(UTC)
        text = utc.isoformat(timespec="microseconds")[:26] + "Z"
        if len(self._recent) >= self.REMEMBERED:
            self._recent.clear()
        # The time is kept beside its text, so that no other object can get its id meanwhile.
        self._recent[id(at)] = (at, text)
        return text


def _json_text(value: Any) -> str:
    return orjson.dumps(value).decode()


MOMENT = Codec(_Moments().to_text, datetime.fromisoformat)
JSON = Codec(_json_text, orjson.loads)
FLAGS = Codec(" ".join, lambda text: tuple(text.split()))
BOOL = Codec(int, bool)


def text(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=null)


def number(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def boolean(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False, info={"codec": BOOL})


def moment(name: str, *, null: bool = False) -> sa.Column[Any]:
    kind = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    return sa.Column(name, kind, nullable=null, info={"codec": MOMENT})


def structure(name: str, *, null: bool = False) -> sa.Column[Any]:
    kind = sa.Text().with_variant(postgresql.JSONB(), "postgresql")
    return sa.Column(name, kind, nullable=null, info={"codec": JSON})


def flags(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False, info={"codec": FLAGS})
