"""Reads for people: entities and journal rows straight from the database.

They see every acknowledged commit and never wait for the writer: on a file the SQLite reader has
connections of its own (WAL), in memory it shares the one there is.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
import sqlalchemy as sa

from csms.core.entities import SHAPES
from csms.core.errors import Invalid, StoreUnavailable
from csms.core.ports import JournalRow
from csms.storage.batch import Database, RefusedByDatabase
from csms.storage.sqlite import VALUE_FAULTS
from csms.storage.statements import Statements
from csms.storage.tables import TABLES, journal
from csms.storage.tables.columns import MOMENT

E = TypeVar("E")
MAX_PAGE = 1_000
_WHOLE = sa.BigInteger()
_MOST = sa.bindparam("most", type_=_WHOLE)


class EntityReader:
    """`core.ports.Reader` over anything that can fetch rows."""

    def __init__(self, statements: Statements, dialect: Any) -> None:
        self._statements = statements
        self._dialect = dialect
        self._compiled: dict[Any, str] = {}

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows of a query; the one thing that a database provides."""
        raise NotImplementedError

    async def get(self, kind: type[E], *key: Any) -> E | None:
        shape = SHAPES[kind]
        found = await self.page(kind, dict(zip(shape.key, key, strict=True)), limit=1)
        return found[0] if found else None

    async def page(
        self,
        kind: type[E],
        where: Mapping[str, Any] | None = None,
        *,
        after: Sequence[Any] | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[E]:
        rows = await self._rows(kind, (), where or {}, after, limit, newest_first)
        decode = self._statements.of[kind].decode
        return [decode(row) for row in rows]

    async def fields(
        self,
        kind: type[Any],
        names: Sequence[str],
        where: Mapping[str, Any] | None = None,
        *,
        after: Sequence[Any] | None = None,
        limit: int = 100,
    ) -> list[tuple[Any, ...]]:
        wanted = tuple(names)
        rows = await self._rows(kind, wanted, where or {}, after, limit, False)
        decode = self._statements.of[kind].decoder(wanted)
        return [decode(row) for row in rows]

    async def _rows(
        self,
        kind: type[Any],
        names: tuple[str, ...],
        where: Mapping[str, Any],
        after: Sequence[Any] | None,
        limit: int,
        newest_first: bool,
    ) -> list[tuple[Any, ...]]:
        """Rows of a page as the driver gives them; no names: all columns."""
        said = self._statements.of[kind]
        shape = (kind, names, tuple(where), _forms(where), after is not None, newest_first)
        sql = self._compiled.get(shape)
        if sql is None:
            sql = self._compiled[shape] = self._page_sql(
                kind, names, where, after is not None, newest_first
            )
        parameters = self._values(kind, where)
        if after is not None:
            parameters += said.encoder(said.shape.key)(list(after))
        parameters.append(max(0, min(limit, MAX_PAGE)))
        return await self.fetch(sql, parameters)

    def _page_sql(
        self,
        kind: type[Any],
        names: tuple[str, ...],
        where: Mapping[str, Any],
        after: bool,
        newest_first: bool,
    ) -> str:
        table, key = TABLES[kind], SHAPES[kind].key
        shown = [table.c[name] for name in names] or list(table.c)
        query = sa.select(*shown).where(*_terms(kind, where))
        columns = [table.c[f] for f in key]
        if after:
            marks: list[Any] = [sa.bindparam(f"a_{f}") for f in key]
            beyond = (
                sa.tuple_(*columns) < sa.tuple_(*marks)
                if newest_first
                else (sa.tuple_(*columns) > sa.tuple_(*marks))
            )
            query = query.where(beyond)
        query = query.order_by(*(c.desc() if newest_first else c for c in columns))
        return self._limited(query)

    def _limited(self, query: sa.Select[Any]) -> str:
        """The text of a query whose last parameter is how many rows."""
        if self._dialect.name == "sqlite":
            # Without the OFFSET that would be bound as well.
            return f"{query.compile(dialect=self._dialect)} LIMIT ?"
        return str(query.limit(_MOST).compile(dialect=self._dialect))

    async def count(self, kind: type[Any], where: Mapping[str, Any] | None = None) -> int:
        where = where or {}
        query = sa.select(sa.func.count()).select_from(TABLES[kind]).where(*_terms(kind, where))
        sql = str(query.compile(dialect=self._dialect))
        ((number,),) = await self.fetch(sql, self._values(kind, where))
        return int(number)

    def _values(self, kind: type[Any], where: Mapping[str, Any]) -> list[Any]:
        pairs = [
            (f, value)
            for f, values in where.items()
            for value in (values if isinstance(values, tuple) else (values,))
            if value is not None
        ]
        return self._statements.of[kind].encoder(tuple(f for f, _ in pairs))([v for _, v in pairs])

    async def journal(self, after: int, limit: int, kinds: Sequence[str] = ()) -> list[JournalRow]:
        known = (journal, len(kinds))
        sql = self._compiled.get(known)
        if sql is None:
            beyond = sa.select(journal).where(journal.c.seq > sa.bindparam("after", type_=_WHOLE))
            if kinds:
                newest = sa.select(sa.func.max(journal.c.seq)).scalar_subquery()
                named: list[sa.BindParameter[str]] = [
                    sa.bindparam(f"kind_{n}") for n in range(len(kinds))
                ]
                beyond = beyond.where(journal.c.kind.in_(named) | (journal.c.seq == newest))
            sql = self._compiled[known] = self._limited(beyond.order_by(journal.c.seq))
        rows = await self.fetch(sql, [after, *kinds, max(0, min(limit, MAX_PAGE))])
        return [
            JournalRow(seq, MOMENT.from_db(at), kind, station, data)
            for seq, at, kind, station, data in rows
        ]

    async def journal_start(self) -> int:
        ((start,),) = await self.fetch("SELECT coalesce(min(seq), 0) FROM journal", ())
        return int(start)

    async def journal_end(self) -> int:
        ((end,),) = await self.fetch("SELECT coalesce(max(seq), 0) FROM journal", ())
        return int(end)


def _terms(kind: type[Any], where: Mapping[str, Any]) -> list[sa.ColumnElement[bool]]:
    """Equality with each value; None means that the field is not set, a tuple that one of its
    values fits."""
    return [_term(TABLES[kind].c[f], value) for f, value in where.items()]


def _term(column: sa.Column[Any], value: Any) -> sa.ColumnElement[bool]:
    if value is None:
        return column.is_(None)
    if not isinstance(value, tuple):
        return column == sa.bindparam(f"w_{column.name}")
    if not value:
        return sa.literal_column("1") == sa.literal_column("0")
    return column.in_([sa.bindparam(f"w_{column.name}_{n}") for n in range(len(value))])


def _forms(where: Mapping[str, Any]) -> tuple[int, ...]:
    """What of the values goes into the text of a query: that there is none, or how many."""
    return tuple(
        -1 if value is None else len(value) if isinstance(value, tuple) else -2
        for value in where.values()
    )


class SqliteReader(EntityReader):
    """Reads of a file through a few connections of their own, each with its thread."""

    def __init__(self, statements: Statements, dialect: Any, path: Path, size: int = 3) -> None:
        super().__init__(statements, dialect)
        self._path = path
        self.size = size
        self._free: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._opened: list[aiosqlite.Connection] = []

    async def open(self) -> None:
        for _ in range(self.size):
            uri = f"{self._path.resolve().as_uri()}?mode=ro"
            try:
                connection = await aiosqlite.connect(
                    uri, uri=True, timeout=2.0, isolation_level=None
                )
            except sqlite3.Error as error:
                raise StoreUnavailable(f"cannot open {self._path}: {error}") from error
            self._opened.append(connection)
            self._free.put_nowait(connection)

    @property
    def busy(self) -> int:
        """Connections in use."""
        return len(self._opened) - self._free.qsize()

    async def close(self) -> None:
        for connection in self._opened:
            await connection.close()

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection = await self._free.get()
        try:
            rows = await connection.execute_fetchall(sql, parameters)
            return [tuple(row) for row in rows]
        except VALUE_FAULTS as error:
            raise Invalid(f"no stored value looks like that: {error}") from error
        except (sqlite3.Error, ValueError) as error:
            # ValueError: the connection is closed, the store has been stopped.
            raise StoreUnavailable(f"SQLite: {error}") from error
        finally:
            self._free.put_nowait(connection)


class InlineReader(EntityReader):
    """Reads through the writer's own connection, at once."""

    def __init__(self, statements: Statements, dialect: Any, database: Database) -> None:
        super().__init__(statements, dialect)
        self._database = database

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._database.fetch(sql, parameters)
        except RefusedByDatabase as error:
            raise Invalid(f"no stored value looks like that: {error}") from error
