"""The device model: variables of stations, desired values, templates, reports; doubts about
transactions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
JSON = sa.Text().with_variant(postgresql.JSON(), "postgresql")

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "configuration_templates",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("vendor", TEXT, nullable=True),
        sa.Column("model", TEXT, nullable=True),
        sa.Column("firmware", TEXT, nullable=True),
        sa.Column("values", JSON, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("configuration_templates", schema=None) as batch_op:
        batch_op.create_index("configuration_templates_party", ["party_id"], unique=False)

    op.create_table(
        "desired_values",
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("template", TEXT, nullable=True),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("station_id", "key"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("desired_values", schema=None) as batch_op:
        batch_op.create_index("desired_values_by_state", ["station_id", "state"], unique=False)
        batch_op.create_index("desired_values_station", ["station_id"], unique=False)

    op.create_table(
        "device_models",
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("firmware", TEXT, nullable=True),
        sa.Column("inventory", TEXT, nullable=False),
        sa.Column("inventory_at", MOMENT, nullable=True),
        sa.Column("request_id", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("variables", sa.BigInteger(), nullable=False),
        sa.Column("lacks", TEXT, nullable=False),
        sa.Column("verified_at", MOMENT, nullable=True),
        sa.Column("templated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("station_id"),
        sqlite_with_rowid=True,
    )

    op.create_table(
        "doubts",
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=True),
        sa.Column("answer", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("station_id", "transaction_id"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("doubts", schema=None) as batch_op:
        batch_op.create_index("doubts_station", ["station_id"], unique=False)

    op.create_table(
        "report_parts",
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.PrimaryKeyConstraint("station_id", "request_id", "seq"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "reports",
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("kept", sa.Boolean(), nullable=False),
        sa.Column("received_at", MOMENT, nullable=True),
        sa.Column("seen", TEXT, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=True),
        sa.Column("variables", sa.BigInteger(), nullable=False),
        sa.Column("detail", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("station_id", "request_id"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("reports", schema=None) as batch_op:
        batch_op.create_index("reports_station", ["station_id"], unique=False)

    op.create_table(
        "variables",
        sa.Column("station_id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("actual", TEXT, nullable=True),
        sa.Column("target", TEXT, nullable=True),
        sa.Column("min_set", TEXT, nullable=True),
        sa.Column("max_set", TEXT, nullable=True),
        sa.Column("mutability", TEXT, nullable=True),
        sa.Column("data_type", TEXT, nullable=True),
        sa.Column("unit", TEXT, nullable=True),
        sa.Column("allowed", TEXT, nullable=True),
        sa.Column("reported_at", MOMENT, nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("station_id", "key"),
        sqlite_with_rowid=False,
    )
