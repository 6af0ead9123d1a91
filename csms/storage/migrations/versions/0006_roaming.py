"""Roaming: locations, tariffs, partners, tokens of others, sessions, charge detail records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
JSON = sa.Text().with_variant(postgresql.JSON(), "postgresql")

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _places_and_prices()
    _partners()
    _charge_detail_records()


def _places_and_prices() -> None:
    op.create_table(
        "locations",
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("id_key", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_updated", MOMENT, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("city", TEXT, nullable=False),
        sa.Column("country", TEXT, nullable=False),
        sa.Column("latitude", TEXT, nullable=False),
        sa.Column("longitude", TEXT, nullable=False),
        sa.Column("time_zone", TEXT, nullable=False),
        sa.Column("publish", sa.Boolean(), nullable=False),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("postal_code", TEXT, nullable=True),
        sa.Column("state", TEXT, nullable=True),
        sa.Column("data", JSON, nullable=False),
        sa.PrimaryKeyConstraint("party_id", "id_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "location_evses",
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("uid_key", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("location_key", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_updated", MOMENT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("lifecycle", TEXT, nullable=False),
        sa.Column("operative", sa.Boolean(), nullable=False),
        sa.Column("station_id", TEXT, nullable=True),
        sa.Column("evse", sa.BigInteger(), nullable=True),
        sa.Column("evse_id", TEXT, nullable=True),
        sa.Column("connectors", JSON, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.PrimaryKeyConstraint("party_id", "uid_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("location_evses_location", "location_evses", ["party_id", "location_key"])
    op.create_index(
        "location_evses_served_by", "location_evses", ["station_id", "evse"], unique=True
    )
    op.create_index("location_evses_station", "location_evses", ["station_id"])
    op.create_table(
        "tariffs",
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("id_key", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_updated", MOMENT, nullable=False),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=True),
        sa.Column("starts_at", MOMENT, nullable=True),
        sa.Column("ends_at", MOMENT, nullable=True),
        sa.Column("data", JSON, nullable=False),
        sa.PrimaryKeyConstraint("party_id", "id_key", "version"),
        sqlite_with_rowid=False,
    )
    op.create_index("tariffs_current", "tariffs", ["party_id", "id_key", "current"])
    op.create_index("tariffs_versions", "tariffs", ["party_id", "id_key"])
    op.create_table(
        "tariff_assignments",
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("location_key", TEXT, nullable=False),
        sa.Column("uid_key", TEXT, nullable=False),
        sa.Column("tariff_key", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("party_id", "location_key", "uid_key", "tariff_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("tariff_assignments_place", "tariff_assignments", ["party_id", "location_key"])
    op.create_index("tariff_assignments_tariff", "tariff_assignments", ["party_id", "tariff_key"])
    op.create_table(
        "transaction_prices",
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("tariff_id", TEXT, nullable=False),
        sa.Column("tariff_version", sa.BigInteger(), nullable=False),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("location_id", TEXT, nullable=False),
        sa.Column("evse_uid", TEXT, nullable=False),
        sa.Column("time_zone", TEXT, nullable=False),
        sa.Column("country", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=True),
        sa.Column("fixed_at", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("before_taxes", TEXT, nullable=True),
        sa.Column("after_taxes", TEXT, nullable=True),
        sa.Column("details", JSON, nullable=True),
        sa.Column("computed_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("transaction_id"),
        sqlite_with_rowid=True,
    )
    op.create_index("transaction_prices_state", "transaction_prices", ["state"])
    op.create_table(
        "charging_states",
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("transaction_id", "at", "state"),
        sqlite_with_rowid=False,
    )
    op.create_index("charging_states_transaction", "charging_states", ["transaction_id"])


def _partners() -> None:
    op.create_table(
        "partners",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("versions_url", TEXT, nullable=True),
        sa.Column("their_token", TEXT, nullable=True),
        sa.Column("encoding", TEXT, nullable=False),
        sa.Column("roles", JSON, nullable=False),
        sa.Column("endpoints", JSON, nullable=False),
        sa.Column("registered_at", MOMENT, nullable=True),
        sa.Column("heard_at", MOMENT, nullable=True),
        sa.Column("deviations", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("partners_name", "partners", ["name"], unique=False)
    op.create_table(
        "partner_tokens",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("partner_tokens_hash", "partner_tokens", ["hash"], unique=True)
    op.create_index("partner_tokens_partner", "partner_tokens", ["partner_id"], unique=False)
    op.create_table(
        "partner_parties",
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("party_id", "role"),
        sqlite_with_rowid=False,
    )
    op.create_index("partner_parties_partner", "partner_parties", ["partner_id"], unique=False)
    op.create_table(
        "partner_modules",
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("module", TEXT, nullable=False),
        sa.Column("direction", TEXT, nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("watermark", MOMENT, nullable=True),
        sa.Column("last_at", MOMENT, nullable=True),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("error", TEXT, nullable=True),
        sa.Column("behind_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "module", "direction"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "visitor_tokens",
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("uid_key", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("contract_id", TEXT, nullable=False),
        sa.Column("issuer", TEXT, nullable=False),
        sa.Column("valid", sa.Boolean(), nullable=False),
        sa.Column("whitelist", TEXT, nullable=False),
        sa.Column("last_updated", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("group_id", TEXT, nullable=True),
        sa.Column("data", JSON, nullable=False),
        sa.Column("answer", TEXT, nullable=True),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.Column("reference", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("party_id", "uid_key", "type"),
        sqlite_with_rowid=False,
    )
    op.create_index("visitor_tokens_uid", "visitor_tokens", ["uid_key"], unique=False)
    op.add_column("tokens", sa.Column("updated_at", MOMENT, nullable=True))
    op.create_table(
        "neighbour_objects",
        sa.Column("module", TEXT, nullable=False),
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("id_key", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("last_updated", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("module", "party_id", "id_key"),
        sqlite_with_rowid=False,
    )


def _charge_detail_records() -> None:
    op.create_table(
        "cdrs",
        sa.Column("party_id", TEXT, nullable=False),
        sa.Column("id_key", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=False),
        sa.Column("token_party", TEXT, nullable=True),
        sa.Column("token_uid", TEXT, nullable=True),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("energy_wh", sa.BigInteger(), nullable=False),
        sa.Column("before_taxes", TEXT, nullable=False),
        sa.Column("after_taxes", TEXT, nullable=False),
        sa.Column("credit_of", TEXT, nullable=True),
        sa.Column("credited_by", TEXT, nullable=True),
        sa.Column("data", JSON, nullable=False),
        sa.PrimaryKeyConstraint("party_id", "id_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("cdrs_transaction", "cdrs", ["transaction_id"], unique=False)
