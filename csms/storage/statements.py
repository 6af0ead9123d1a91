"""SQL text for each shape of access, compiled once from the tables for one dialect.

The hot path runs driver SQL with plain tuples: SQLAlchemy Core builds and compiles each statement
the first time its shape occurs, and is not touched again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from csms.core.entities import SHAPES, Shape
from csms.storage.tables import TABLES, journal
from csms.storage.tables.columns import codec_of

# Look-ups are padded to one of these numbers of keys, so that few statements exist.
_SIZES = (1, 4, 16, 64, 256)
MAX_KEYS = _SIZES[-1]
# A function touches at most this many rows; a finder never returns more.
MAX_FOUND = 1_000

Convert = Callable[[Any], Any]
Encode = Callable[[Sequence[Any]], list[Any]]


def _row_function(converts: Sequence[Convert | None], make: Convert) -> Callable[..., Any]:
    """A function that converts the values of a row, in order, and gives them to `make`; None stays
    None. Written out as one expression, because a loop over the columns costs more than the
    conversions: a row is read and written with every message."""
    if not any(converts):
        return make
    parts = []
    for i, convert in enumerate(converts):
        parts.append(f"None if r[{i}] is None else c{i}(r[{i}])" if convert else f"r[{i}]")
    names: dict[str, Any] = {f"c{i}": convert for i, convert in enumerate(converts)}
    source = f"lambda r: make(({', '.join(parts)},))"
    made: Callable[..., Any] = eval(source, {"make": make} | names)  # noqa: S307 - only numbers
    return made


def padded(count: int) -> int:
    """The number of keys of the statement that serves `count` keys."""
    return next(size for size in _SIZES if size >= count)


class EntityStatements:
    """Everything that is ever said to the database about one kind of entity."""

    def __init__(self, shape: Shape, dialect: Dialect) -> None:
        self.shape = shape
        self.table = TABLES[shape.kind]
        self._dialect = dialect
        codecs = {column.name: codec_of(column, dialect.name) for column in self.table.c}
        self._encoders = {name: codec.to_db for name, codec in codecs.items() if codec}
        self._decoders = {name: codec.from_db for name, codec in codecs.items() if codec}
        decoders = [self._decoders.get(name) for name in codecs]
        self.decode: Callable[[Sequence[Any]], Any] = _row_function(decoders, shape.kind._make)
        """The entity of a database row."""
        self._selects: dict[tuple[tuple[str, ...], int], str] = {}
        self._updates: dict[tuple[str, ...], str] = {}
        self._encode: dict[tuple[str, ...], Encode] = {}
        self._decode: dict[tuple[str, ...], Callable[[Sequence[Any]], tuple[Any, ...]]] = {}
        self.encode_row = self.encoder(shape.fields)

    # -- values ------------------------------------------------------------------------------

    def encoder(self, fields: tuple[str, ...]) -> Encode:
        """A function from values of these fields to driver values, in order."""
        known = self._encode.get(fields)
        if known is None:
            converts = [self._encoders.get(f) for f in fields]
            known = self._encode[fields] = _row_function(converts, list)
        return known

    def decoder(self, fields: tuple[str, ...]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
        """A function from driver values of these fields to theirs, in order."""
        known = self._decode.get(fields)
        if known is None:
            converts = [self._decoders.get(f) for f in fields]
            known = self._decode[fields] = _row_function(converts, tuple)
        return known

    # -- statements --------------------------------------------------------------------------

    def look_up(
        self, fields: tuple[str, ...], keys: Sequence[tuple[Any, ...]]
    ) -> tuple[str, list[Any]]:
        """The query for rows whose `fields` equal one of `keys`, at most `MAX_FOUND` for each, in
        key order; and its parameters."""
        encode, size = self.encoder(fields), padded(len(keys))
        parameters = [value for key in keys for value in encode(key)]
        parameters += encode(keys[-1]) * (size - len(keys))
        return self.select(fields, size), parameters

    def select(self, fields: tuple[str, ...], keys: int) -> str:
        """Rows whose `fields` equal one of `keys` tuples, given flat, one after the other."""
        sql = self._selects.get((fields, keys))
        if sql is None:
            columns = [self.table.c[f] for f in fields]
            # One OR term per key: SQLite answers each from the index, which it does not always do
            # for row values.
            term = sa.or_(
                *(
                    sa.and_(*(c == sa.bindparam(f"k{n}_{c.name}") for c in columns))
                    for n in range(keys)
                )
            )
            if len(fields) == 1:
                term = columns[0].in_([sa.bindparam(f"k{n}") for n in range(keys)])
            ordered = sa.select(*self.table.c).where(term).order_by(*self.primary_key)
            sql = f"{self._sql(ordered)} LIMIT {MAX_FOUND * keys}"
            self._selects[fields, keys] = sql
        return sql

    @property
    def primary_key(self) -> list[sa.Column[Any]]:
        """The key columns, in the order of the shape."""
        return [self.table.c[f] for f in self.shape.key]

    @cached_property
    def insert(self) -> str:
        """A new row, all fields in order."""
        return self._sql(self.table.insert())

    def update(self, fields: tuple[str, ...]) -> str:
        """Set `fields` of the row with a key; parameters are the fields, then the key."""
        sql = self._updates.get(fields)
        if sql is None:
            key = [c == sa.bindparam(f"key_{c.name}") for c in self.primary_key]
            values: list[tuple[str, Any]] = [(f, sa.bindparam(f"new_{f}")) for f in fields]
            statement = self.table.update().where(*key).ordered_values(*values)
            sql = self._updates[fields] = self._sql(statement)
        return sql

    @cached_property
    def delete(self) -> str:
        """Remove the row with a key."""
        key = [c == sa.bindparam(f"key_{c.name}") for c in self.primary_key]
        return self._sql(self.table.delete().where(*key))

    def _sql(self, statement: sa.sql.ClauseElement) -> str:
        return str(statement.compile(dialect=self._dialect))


class Statements:
    """The statements of every entity, and of the journal: a statement writes one row, and is run
    with many."""

    of: Mapping[type[Any], EntityStatements]
    journal_trim: str
    """Remove the oldest rows; parameters are the last number, and how many at most."""
    journal_rewrite: str
    """Other data for a row; parameters are the new data, the number, the data before."""
    journal_insert: str

    def __init__(self, dialect: Dialect) -> None:
        self.of = {kind: EntityStatements(shape, dialect) for kind, shape in SHAPES.items()}
        # A range of numbers: what is missing in it makes the chunk smaller.
        oldest, newest = (sa.select(f(journal.c.seq)) for f in (sa.func.min, sa.func.max))
        self.journal_trim = str(
            journal.delete()
            .where(
                journal.c.seq <= sa.bindparam("through"),
                journal.c.seq < oldest.scalar_subquery() + sa.bindparam("most", type_=sa.Integer),
                journal.c.seq < newest.scalar_subquery(),
            )
            .compile(dialect=dialect)
        )
        self.journal_rewrite = str(
            journal.update()
            .where(journal.c.seq == sa.bindparam("row"), journal.c.data == sa.bindparam("before"))
            .values(data=sa.bindparam("after"))
            .compile(dialect=dialect)
        )
        columns = [c.name for c in journal.c if c.name != "seq"]
        self.journal_insert = str(
            journal.insert()
            .values({name: sa.bindparam(name) for name in columns})
            .compile(dialect=dialect)
        )
