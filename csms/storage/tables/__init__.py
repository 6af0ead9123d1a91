"""The schema: one table per entity, the journal, and the number sequences.

This is the one place where entities meet tables; the fields of an entity are the columns of its
table, in order (checked below). Each module holds the columns of one block; `columns` is the
vocabulary.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from csms.core.entities import SHAPES
from csms.storage.tables import charging, device_model, operations, partners, roaming, stations
from csms.storage.tables.columns import moment, text

metadata = sa.MetaData()


def _table(kind: type[Any], columns: list[sa.Column[Any]]) -> sa.Table:
    shape = SHAPES[kind]
    names = tuple(column.name for column in columns)
    assert names == shape.fields, f"{shape.table}: columns {names} are not fields {shape.fields}"
    indexes = [
        sa.Index(f"{shape.table}_{name}", *fields, unique=name in shape.unique)
        for name, fields in shape.finders.items()
    ]
    # Rows of a composite key are read by its first fields (a transaction's samples, a station's
    # connectors), so on SQLite the table is the index.
    rowid = len(shape.key) == 1
    return sa.Table(
        shape.table,
        metadata,
        *columns,
        sa.PrimaryKeyConstraint(*shape.key),
        *indexes,
        sqlite_with_rowid=rowid,
    )


TABLES: dict[type[Any], sa.Table] = {
    kind: _table(kind, columns)
    for block in (stations, charging, device_model, operations, roaming, partners)
    for kind, columns in block.COLUMNS.items()
}
assert set(TABLES) == set(SHAPES), "every entity has a table"

# SQLite counts up by itself only where the type is INTEGER, which has 64 bits there.
_SERIAL = sa.Integer().with_variant(sa.BigInteger(), "postgresql")

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("seq", _SERIAL, primary_key=True, autoincrement=True),
    moment("at"),
    text("kind"),
    text("station_id", null=True),
    text("data"),
    # No index by station: one more page to write with every message, for the sake of a reader that
    # can as well skip the rows of others.
    # Never hand out a seq again after the newest rows were purged: cursors point beyond them.
    sqlite_autoincrement=True,
)

sequences = sa.Table(
    "sequences",
    metadata,
    text("name", key=True),
    sa.Column("next", sa.BigInteger, nullable=False),
)
