"""SQL for a database that takes a table of values as one parameter: PostgreSQL.

Every look-up and every write is one statement for any number of rows: the rows travel as one JSON
text, which `json_to_recordset` turns into a table `v` with the columns c0, c1, ... Measured with
batches of meter values: a third of the time of one statement per row in pipeline mode, less than
arrays with `unnest`, long lists of VALUES or COPY.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from csms.core.entities import SHAPES
from csms.storage.statements import MAX_FOUND, EntityStatements, Statements
from csms.storage.tables import journal

NAMES = tuple(f"c{n}" for n in range(100))
"""What the columns of a set of rows are called, in order."""


class _Set:
    """A set of rows with those columns, as SQL sees it."""

    def __init__(self, columns: Sequence[sa.Column[Any]], dialect: Dialect) -> None:
        kinds = [column.type.compile(dialect=dialect) for column in columns]
        # Inside the parameter a structure is a text: an object there would be taken apart.
        given = ("TEXT" if kind == "JSON" else kind for kind in kinds)
        listed = ", ".join(f"{n} {kind}" for n, kind in zip(NAMES, given, strict=False))
        self.source = f"json_to_recordset($1::json) AS v({listed})"
        self.values = [
            f"v.{n}::json" if kind == "JSON" else f"v.{n}"
            for n, kind in zip(NAMES, kinds, strict=False)
        ]


class RecordsetStatements(EntityStatements):
    """What is said about one kind of entity; the parameter of each statement is a list of rows."""

    def look_up(
        self, fields: tuple[str, ...], keys: Sequence[tuple[Any, ...]]
    ) -> tuple[str, list[Any]]:
        encode = self.encoder(fields)
        return self._look_up(fields), [[encode(key) for key in keys], MAX_FOUND * len(keys)]

    def _look_up(self, fields: tuple[str, ...]) -> str:
        sql = self._selects.get((fields, 0))
        if sql is None:
            rows = _Set([self.table.c[f] for f in fields], self._dialect)
            shown, key = (
                ", ".join(map(self._quote, fields))
                for fields in (self.shape.fields, self.shape.key)
            )
            # OFFSET 0 keeps the planner from going through the table and looking for the keys.
            sql = self._selects[fields, 0] = (
                f"SELECT found.* FROM {rows.source} CROSS JOIN LATERAL"  # noqa: S608 - our own names
                f" (SELECT {shown} FROM {self._table}"
                f" WHERE {self._equal(fields, rows.values)} OFFSET 0) AS found"
                f" ORDER BY {key} LIMIT $2"
            )
        return sql

    @cached_property
    def insert(self) -> str:
        return insert(self.table, self.shape.fields, self._dialect)

    def update(self, fields: tuple[str, ...]) -> str:
        sql = self._updates.get(fields)
        if sql is None:
            named = (*fields, *self.shape.key)
            rows = _Set([self.table.c[f] for f in named], self._dialect)
            changes = ", ".join(
                f"{self._quote(f)} = {value}" for f, value in zip(fields, rows.values, strict=False)
            )
            which = self._equal(self.shape.key, rows.values[len(fields) :])
            sql = self._updates[fields] = (
                f"UPDATE {self._table} SET {changes} FROM {rows.source} WHERE {which}"  # noqa: S608
            )
        return sql

    @cached_property
    def delete(self) -> str:
        rows = _Set(self.primary_key, self._dialect)
        which = self._equal(self.shape.key, rows.values)
        return f"DELETE FROM {self._table} USING {rows.source} WHERE {which}"  # noqa: S608

    def _equal(self, fields: Sequence[str], values: Sequence[str]) -> str:
        pairs = zip(map(self._full, fields), values, strict=True)
        return " AND ".join(f"{column} = {value}" for column, value in pairs)

    def _full(self, field: str) -> str:
        return f"{self._table}.{self._quote(field)}"

    @property
    def _table(self) -> str:
        return self._quote(self.shape.table)

    def _quote(self, name: str) -> str:
        return self._dialect.identifier_preparer.quote(name)


class Recordsets(Statements):
    """The statements of every entity, and of the journal, each for a list of rows."""

    def __init__(self, dialect: Dialect) -> None:
        self.of = {kind: RecordsetStatements(shape, dialect) for kind, shape in SHAPES.items()}
        trims = _Set([journal.c.seq, journal.c.seq], dialect)
        self.journal_trim = (
            "DELETE FROM journal WHERE seq < (SELECT least("  # noqa: S608
            "max(least(v.c0 + 1, (SELECT min(seq) FROM journal) + v.c1)),"
            f" (SELECT max(seq) FROM journal)) FROM {trims.source})"
        )
        rewrites = _Set([journal.c.data, journal.c.seq, journal.c.data], dialect)
        self.journal_rewrite = (
            f"UPDATE journal SET data = v.c0 FROM {rewrites.source}"  # noqa: S608
            " WHERE journal.seq = v.c1 AND journal.data = v.c2"
        )
        columns = [column.name for column in journal.c if column.name != "seq"]
        self.journal_insert = insert(journal, columns, dialect)


def insert(table: sa.Table, fields: Sequence[str], dialect: Dialect) -> str:
    """New rows, with those fields in order."""
    quote = dialect.identifier_preparer.quote
    rows = _Set([table.c[f] for f in fields], dialect)
    columns = ", ".join(map(quote, fields))
    return (
        f"INSERT INTO {quote(table.name)} ({columns})"  # noqa: S608
        f" SELECT {', '.join(rows.values)} FROM {rows.source}"
    )
