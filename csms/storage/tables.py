"""The schema: one table per entity, the journal, and the number sequences.

This is the one place where entities meet tables; the fields of an entity are the columns of its
table, in order (checked below). Times are RFC 3339 UTC text on SQLite (readable, sortable) and
timestamptz on PostgreSQL; structured values are JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from csms.core.availability import Connector
from csms.core.commands import Command
from csms.core.entities import SHAPES
from csms.core.metering import MeterSample
from csms.core.quarantine import Quarantined
from csms.core.security import ApiKey, Credential
from csms.core.stations import Station, UnknownStation
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.core.writes import RememberedWrite

metadata = sa.MetaData()


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


def _text(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=null)


def _number(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def _bool(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False, info={"codec": BOOL})


def _moment(name: str, *, null: bool = False) -> sa.Column[Any]:
    kind = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    return sa.Column(name, kind, nullable=null, info={"codec": MOMENT})


def _json(name: str, *, null: bool = False) -> sa.Column[Any]:
    kind = sa.Text().with_variant(postgresql.JSONB(), "postgresql")
    return sa.Column(name, kind, nullable=null, info={"codec": JSON})


def _flags(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False, info={"codec": FLAGS})


_COLUMNS: dict[type[Any], list[sa.Column[Any]]] = {
    Station: [
        _text("id"),
        _text("identity"),
        _text("party_id"),
        _text("registration"),
        _moment("created_at"),
        _number("generation"),
        _text("vendor", null=True),
        _text("model", null=True),
        _text("serial", null=True),
        _text("firmware", null=True),
        _text("protocol", null=True),
        _moment("booted_at", null=True),
        _text("node", null=True),
        _moment("connected_at", null=True),
        _moment("disconnected_at", null=True),
        _moment("last_seen_at", null=True),
        _text("remote_address", null=True),
        _bool("ping"),
        _json("violations"),
    ],
    UnknownStation: [
        _text("identity"),
        _moment("first_seen_at"),
        _moment("last_seen_at"),
        _number("attempts"),
        _text("remote_address"),
    ],
    Credential: [
        _text("id"),
        _text("station_id"),
        _text("kind"),
        _text("key_id"),
        _text("hash"),
        _moment("created_at"),
    ],
    ApiKey: [
        _text("id"),
        _text("name"),
        _text("role"),
        _text("key_id"),
        _text("hash"),
        _moment("created_at"),
        _moment("revoked_at", null=True),
    ],
    Connector: [
        _text("station_id"),
        _number("evse"),
        _number("connector"),
        _text("status"),
        _moment("reported_at"),
        _moment("received_at"),
        _text("error_code", null=True),
        _text("info", null=True),
        _text("vendor_error", null=True),
    ],
    Token: [
        _text("party_id"),
        _text("uid_key"),
        _text("kind"),
        _text("uid"),
        _moment("created_at"),
        _bool("blocked"),
        _text("group_id", null=True),
        _moment("expires_at", null=True),
        _bool("concurrent"),
        _text("label", null=True),
    ],
    Transaction: [
        _number("id"),
        _text("station_id"),
        _text("party_id"),
        _text("wire_id"),
        _number("evse"),
        _number("connector", null=True),
        _bool("open"),
        _moment("started_at"),
        _moment("received_at"),
        _text("outcome"),
        _text("start_key", null=True),
        _text("token_uid", null=True),
        _text("token_key", null=True),
        _text("token_kind", null=True),
        _text("group_id", null=True),
        _text("charging_state", null=True),
        _number("energy_wh"),
        _number("first_wh", null=True),
        _moment("first_at", null=True),
        _number("first_rank", null=True),
        _number("plain_wh", null=True),
        _moment("plain_at", null=True),
        _number("last_wh", null=True),
        _moment("last_at", null=True),
        _number("last_rank", null=True),
        _number("peak_wh", null=True),
        _moment("newest_sample_at", null=True),
        _moment("heard_at", null=True),
        _moment("ended_at", null=True),
        _moment("end_received_at", null=True),
        _text("end_kind", null=True),
        _text("stop_reason", null=True),
        _text("stop_token_uid", null=True),
        _text("command_id", null=True),
        _number("remote_start_id", null=True),
        _number("reservation_id", null=True),
        _bool("offline"),
        _flags("flags"),
        _text("seen"),
        _text("start_order", null=True),
        _text("token_order", null=True),
        _text("state_order", null=True),
        _text("end_order", null=True),
    ],
    MeterSample: [
        _text("station_id"),
        _number("evse"),
        _number("transaction_id"),
        _moment("at"),
        _text("digest"),
        _moment("received_at"),
        _text("readings"),
    ],
    Quarantined: [
        _text("id"),
        _text("station_id"),
        _text("kind"),
        _text("reason"),
        _moment("received_at"),
        _json("payload"),
    ],
    Command: [
        _text("id"),
        _number("number"),
        _text("station_id"),
        _text("kind"),
        _json("parameters"),
        _text("status"),
        _moment("created_at"),
        _text("requested_by"),
        _text("idempotency_key", null=True),
        _moment("sent_at", null=True),
        _moment("finished_at", null=True),
        _json("result", null=True),
        _text("detail", null=True),
        _bool("awaiting"),
        _number("transaction_id", null=True),
        _text("node", null=True),
    ],
    RememberedWrite: [
        _text("key"),
        _text("request"),
        _json("answer"),
        _moment("at"),
    ],
}


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
    kind: _table(kind, columns) for kind, columns in _COLUMNS.items()
}
assert set(TABLES) == set(SHAPES), "every entity has a table"

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    _moment("at"),
    _text("kind"),
    _text("station_id", null=True),
    _text("data"),
    # No index by station: one more page to write with every message, for the sake of a reader that
    # can as well skip the rows of others.
    # Never hand out a seq again after the newest rows were purged: cursors point beyond them.
    sqlite_autoincrement=True,
)

sequences = sa.Table(
    "sequences",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("next", sa.BigInteger, nullable=False),
)
