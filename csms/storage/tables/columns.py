"""How a value of each kind is kept: as text, number, time, JSON or words.

Times are RFC 3339 UTC text on SQLite (readable, sortable) and timestamptz on PostgreSQL. Structured
values are JSON text; on PostgreSQL the type is `json` and not `jsonb`, which refuses the escape
\\u0000 (what a station really sent must be kept), rewrites numbers and reorders keys. Text on
PostgreSQL has the collation "C", so that key order is the same in every database and in Python.
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
    """How a value goes into a database and comes back; None is never passed."""

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
TRUTH = Codec(lambda value: bool(int(value)), bool)

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def codec_of(column: sa.Column[Any], dialect: str) -> Codec | None:
    """How values of that column are converted for a database of that kind; None: not at all. The
    one place where databases differ in it: PostgreSQL knows booleans."""
    codec: Codec | None = column.info.get("codec")
    return TRUTH if codec is BOOL and dialect == "postgresql" else codec


def text(name: str, *, null: bool = False, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, _TEXT, nullable=null, primary_key=key)


def number(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def boolean(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False, info={"codec": BOOL})


def moment(name: str, *, null: bool = False) -> sa.Column[Any]:
    kind = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    return sa.Column(name, kind, nullable=null, info={"codec": MOMENT})


def structure(name: str, *, null: bool = False) -> sa.Column[Any]:
    kind = sa.Text().with_variant(postgresql.JSON(), "postgresql")
    return sa.Column(name, kind, nullable=null, info={"codec": JSON})


def flags(name: str) -> sa.Column[Any]:
    return sa.Column(name, _TEXT, nullable=False, info={"codec": FLAGS})
