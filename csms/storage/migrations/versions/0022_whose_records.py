"""Over which connection the driver came that a charge detail record is for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "0022"
down_revision = "0021"

# What was entered when the charge began; else to whom the record was sent; else who speaks for the
# driver's party, of records that are no older than that connection.
_KNOWN = (
    "SELECT partner_id FROM visits "
    "WHERE visits.transaction_id = cdrs.transaction_id AND visits.party_id = cdrs.token_party",
    "SELECT min(partner_id) FROM cdr_deliveries "
    "WHERE cdr_deliveries.party_id = cdrs.party_id AND cdr_deliveries.id_key = cdrs.id_key",
    "SELECT partners.id FROM partners JOIN partner_parties "
    "ON partner_parties.partner_id = partners.id AND partner_parties.role = 'EMSP' "
    "WHERE partner_parties.party_id = cdrs.token_party "
    "AND partners.registered_at <= cdrs.created_at",
)


def upgrade() -> None:
    op.add_column("cdrs", sa.Column("partner_id", TEXT, nullable=True))
    # The texts above, nothing from outside.
    for known in _KNOWN:
        op.execute(f"UPDATE cdrs SET partner_id = ({known}) WHERE partner_id IS NULL")  # noqa: S608
    op.create_index("cdrs_partner", "cdrs", ["partner_id"])
