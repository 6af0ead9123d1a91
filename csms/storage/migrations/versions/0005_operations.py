"""Operators: the audit trail, the message log, keys of parties, quarantine that is assigned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
JSON = sa.Text().with_variant(postgresql.JSON(), "postgresql")

revision = "0005"
down_revision = "0004"

_OWNER = "SELECT party_id FROM stations WHERE stations.id = {table}.station_id"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("parties", TEXT, nullable=False, server_default=""))
    op.create_index("api_keys_role", "api_keys", ["role"])
    for table in ("commands", "quarantine"):
        op.add_column(table, sa.Column("party_id", TEXT, nullable=False, server_default=""))
        owner = _OWNER.format(table=table)
        op.execute(f"UPDATE {table} SET party_id = coalesce(({owner}), '')")  # noqa: S608
    op.add_column("quarantine", sa.Column("assigned_to", sa.BigInteger(), nullable=True))
    op.add_column("quarantine", sa.Column("assigned_at", MOMENT, nullable=True))
    op.add_column("quarantine", sa.Column("assigned_by", TEXT, nullable=True))
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("actor_name", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("station_id", TEXT, nullable=True),
        sa.Column("party_id", TEXT, nullable=True),
        sa.Column("facts", JSON, nullable=False),
        sa.Column("remote_address", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "messages",
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("direction", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=True),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("station_id", "at", "n"),
        sqlite_with_rowid=False,
    )
