"""The tables of partners: connections, tokens of both sides, who speaks for whom, how it
goes; and the tokens of their drivers."""

from __future__ import annotations

from csms.core.aliases import TokenAlias
from csms.core.neighbours import NeighbourObject
from csms.core.orders import Order
from csms.core.partners import Partner, PartnerModule, PartnerParty, PartnerToken
from csms.core.visitors import VisitorToken
from csms.storage.tables.columns import Columns, boolean, moment, number, structure, text

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
    VisitorToken: [
        text("party_id"),
        text("uid_key"),
        text("type"),
        text("uid"),
        text("partner_id"),
        text("contract_id"),
        text("issuer"),
        boolean("valid"),
        text("whitelist"),
        moment("last_updated"),
        moment("received_at"),
        text("group_id", null=True),
        structure("data"),
        text("answer", null=True),
        moment("answered_at", null=True),
        text("reference", null=True),
    ],
    Order: [
        text("partner_id"),
        text("response_url"),
        text("wish"),
        text("state"),
        moment("received_at"),
        moment("expires_at"),
        text("answer"),
        text("message", null=True),
        text("station_id", null=True),
        number("evse", null=True),
        text("party_id", null=True),
        text("uid_key", null=True),
        text("token_type", null=True),
        text("reference", null=True),
        text("command_id", null=True),
        text("result", null=True),
        number("tries"),
        moment("try_at", null=True),
    ],
    TokenAlias: [
        text("alias_key"),
        text("alias"),
        text("uid"),
        moment("used_at"),
    ],
    NeighbourObject: [
        text("module"),
        text("party_id"),
        text("id_key"),
        text("id"),
        text("partner_id"),
        moment("last_updated"),
        moment("received_at"),
        text("body"),
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
