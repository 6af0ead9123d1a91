"""Operators: the audit trail, the message log, keys of parties, quarantine that is assigned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_OWNER = "SELECT party_id FROM stations WHERE stations.id = {table}.station_id"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("parties", sa.Text(), nullable=False, server_default=""))
    op.create_index("api_keys_role", "api_keys", ["role"])
    for table in ("commands", "quarantine"):
        op.add_column(table, sa.Column("party_id", sa.Text(), nullable=False, server_default=""))
        owner = _OWNER.format(table=table)
        op.execute(f"UPDATE {table} SET party_id = coalesce(({owner}), '')")  # noqa: S608
