"""The tables of partners: connections, tokens of both sides, who speaks for whom, how it goes."""

from __future__ import annotations

from csms.core.partners import Partner, PartnerModule, PartnerParty, PartnerToken
from csms.storage.tables.columns import Columns, moment, number, structure, text

COLUMNS: Columns = {
    Partner: [
        text("id"),
        text("name"),
        text("state"),
        moment("created_at"),
        text("versions_url", null=True),
        text("their_token", null=True),
        text("encoding"),
        structure("roles"),
        structure("endpoints"),
        moment("registered_at", null=True),
        moment("heard_at", null=True),
        structure("deviations"),
    ],
    PartnerToken: [
        text("id"),
        text("partner_id"),
        text("kind"),
        text("key_id"),
        text("hash"),
        moment("created_at"),
        moment("used_at", null=True),
        moment("expires_at", null=True),
    ],
    PartnerParty: [
        text("party_id"),
        text("role"),
        text("partner_id"),
        text("name"),
    ],
    PartnerModule: [
        text("partner_id"),
        text("module"),
        text("direction"),
        number("cursor"),
        moment("watermark", null=True),
        moment("last_at", null=True),
        number("done"),
        number("failures"),
        text("error", null=True),
        number("behind_s"),
    ],
}
