"""The tables of operators: keys, commands, the audit trail, the writes that may be repeated, and
how far feeds have come."""

from __future__ import annotations

from csms.core.audit import AuditEntry
from csms.core.commands import Command
from csms.core.cursors import Cursor
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
    RememberedWrite: [
        text("key"),
        text("request"),
        structure("answer"),
        moment("at"),
    ],
}
