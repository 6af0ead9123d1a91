"""The tables of operators and operation: keys, commands, the audit trail, the writes that may be
repeated, how far feeds have come, and the nodes."""

from __future__ import annotations

from csms.core.audit import AuditEntry
from csms.core.commands import Command
from csms.core.cursors import Cursor
from csms.core.nodes import Lease, Node
from csms.core.security import ApiKey
from csms.core.writes import RememberedWrite
from csms.storage.tables.columns import Columns, boolean, flags, moment, number, structure, text

COLUMNS: Columns = {
    ApiKey: [
        text("id"),
        text("name"),
        text("role"),
        text("key_id"),
        text("hash"),
        moment("created_at"),
        moment("revoked_at", null=True),
        flags("parties"),
    ],
    Command: [
        text("id"),
        number("number"),
        text("station_id"),
        text("kind"),
        structure("parameters"),
        text("status"),
        moment("created_at"),
        text("requested_by"),
        text("idempotency_key", null=True),
        moment("sent_at", null=True),
        moment("finished_at", null=True),
        structure("result", null=True),
        text("detail", null=True),
        boolean("awaiting"),
        number("transaction_id", null=True),
        text("node", null=True),
        text("party_id"),
    ],
    AuditEntry: [
        number("number"),
        moment("at"),
        text("actor"),
        text("actor_name"),
        text("action"),
        text("target"),
        text("station_id", null=True),
        text("party_id", null=True),
        structure("facts"),
        text("remote_address", null=True),
    ],
    Cursor: [
        text("name"),
        number("seq"),
        moment("moved_at"),
    ],
    Node: [
        text("name"),
        text("run"),
        text("place"),
        text("state"),
        number("beats"),
        number("links"),
        text("version"),
        text("address"),
        moment("joined_at"),
        moment("beat_at"),
        boolean("takes_stations"),
    ],
    Lease: [
        text("name"),
        text("node"),
        text("run"),
        moment("taken_at"),
    ],
    RememberedWrite: [
        text("key"),
        text("request"),
        structure("answer"),
        moment("at"),
    ],
}
