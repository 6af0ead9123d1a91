"""The first schema: stations, tokens, transactions, meter samples, commands, journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
JSON = sa.Text().with_variant(postgresql.JSON(), "postgresql")

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "commands",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("requested_by", TEXT, nullable=False),
        sa.Column("idempotency_key", TEXT, nullable=True),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("result", JSON, nullable=True),
        sa.Column("detail", TEXT, nullable=True),
        sa.Column("awaiting", sa.Boolean(), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=True),
        sa.Column("node", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("commands", schema=None) as batch_op:
        batch_op.create_index("commands_awaiting", ["station_id", "awaiting"], unique=False)
        batch_op.create_index("commands_idempotency_key", ["idempotency_key"], unique=True)

    op.create_table(
        "connectors",
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("evse", sa.BigInteger(), nullable=False),
        sa.Column("connector", sa.BigInteger(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("reported_at", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("error_code", TEXT, nullable=True),
        sa.Column("info", TEXT, nullable=True),
        sa.Column("vendor_error", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("station_id", "evse", "connector"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("connectors", schema=None) as batch_op:
        batch_op.create_index("connectors_station", ["station_id"], unique=False)

    op.create_table(
        "credentials",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("credentials", schema=None) as batch_op:
        batch_op.create_index("credentials_station", ["station_id"], unique=False)

    op.create_table(
        "journal",
        sa.Column("seq", NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("station_id", TEXT, nullable=True),
        sa.Column("data", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "meter_samples",
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("evse", sa.BigInteger(), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("readings", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("station_id", "evse", "transaction_id", "at", "digest"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quarantine",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index("quarantine_station", ["station_id"], unique=False)

    op.create_table(
        "remembered_writes",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("request", TEXT, nullable=False),
        sa.Column("answer", JSON, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "sequences",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "stations",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("identity", TEXT, nullable=False),
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("registration", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("vendor", TEXT, nullable=True),
        sa.Column("model", TEXT, nullable=True),
        sa.Column("serial", TEXT, nullable=True),
        sa.Column("firmware", TEXT, nullable=True),
        sa.Column("protocol", TEXT, nullable=True),
        sa.Column("booted_at", MOMENT, nullable=True),
        sa.Column("node", TEXT, nullable=True),
        sa.Column("connected_at", MOMENT, nullable=True),
        sa.Column("disconnected_at", MOMENT, nullable=True),
        sa.Column("last_seen_at", MOMENT, nullable=True),
        sa.Column("remote_address", TEXT, nullable=True),
        sa.Column("ping", sa.Boolean(), nullable=False),
        sa.Column("violations", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("stations", schema=None) as batch_op:
        batch_op.create_index("stations_identity", ["identity"], unique=True)

    op.create_table(
        "tokens",
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("uid_key", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("group_id", TEXT, nullable=True),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("concurrent", sa.Boolean(), nullable=False),
        sa.Column("label", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("party_id", "uid_key", "kind"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.create_index("tokens_uid", ["uid_key"], unique=False)

    op.create_table(
        "transactions",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("wire_id", TEXT, nullable=False),
        sa.Column("evse", sa.BigInteger(), nullable=False),
        sa.Column("connector", sa.BigInteger(), nullable=True),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("start_key", TEXT, nullable=True),
        sa.Column("token_uid", TEXT, nullable=True),
        sa.Column("token_key", TEXT, nullable=True),
        sa.Column("token_kind", TEXT, nullable=True),
        sa.Column("group_id", TEXT, nullable=True),
        sa.Column("charging_state", TEXT, nullable=True),
        sa.Column("energy_wh", sa.BigInteger(), nullable=False),
        sa.Column("first_wh", sa.BigInteger(), nullable=True),
        sa.Column("first_at", MOMENT, nullable=True),
        sa.Column("first_rank", sa.BigInteger(), nullable=True),
        sa.Column("plain_wh", sa.BigInteger(), nullable=True),
        sa.Column("plain_at", MOMENT, nullable=True),
        sa.Column("last_wh", sa.BigInteger(), nullable=True),
        sa.Column("last_at", MOMENT, nullable=True),
        sa.Column("last_rank", sa.BigInteger(), nullable=True),
        sa.Column("peak_wh", sa.BigInteger(), nullable=True),
        sa.Column("newest_sample_at", MOMENT, nullable=True),
        sa.Column("heard_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("end_received_at", MOMENT, nullable=True),
        sa.Column("end_kind", TEXT, nullable=True),
        sa.Column("stop_reason", TEXT, nullable=True),
        sa.Column("stop_token_uid", TEXT, nullable=True),
        sa.Column("command_id", TEXT, nullable=True),
        sa.Column("remote_start_id", sa.BigInteger(), nullable=True),
        sa.Column("reservation_id", sa.BigInteger(), nullable=True),
        sa.Column("offline", sa.Boolean(), nullable=False),
        sa.Column("flags", TEXT, nullable=False),
        sa.Column("seen", TEXT, nullable=False),
        sa.Column("start_order", TEXT, nullable=True),
        sa.Column("token_order", TEXT, nullable=True),
        sa.Column("state_order", TEXT, nullable=True),
        sa.Column("end_order", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("transactions", schema=None) as batch_op:
        batch_op.create_index("transactions_open_by_token", ["token_key", "open"], unique=False)
        batch_op.create_index("transactions_open_of_station", ["station_id", "open"], unique=False)
        batch_op.create_index("transactions_start_key", ["start_key"], unique=True)
        batch_op.create_index("transactions_wire", ["station_id", "wire_id"], unique=True)

    op.create_table(
        "unknown_stations",
        sa.Column("identity", TEXT, nullable=False),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("remote_address", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("identity"),
        sqlite_with_rowid=True,
    )
