"""The tables of stations: what they are, how they log in, their connectors, what was said."""

from __future__ import annotations

from csms.core.availability import Connector
from csms.core.desired_availability import DesiredAvailability
from csms.core.messages import Message
from csms.core.policies import Policy
from csms.core.security import Credential
from csms.core.stations import Station, UnknownStation
from csms.storage.tables.columns import Columns, boolean, moment, number, structure, text

COLUMNS: Columns = {
    Station: [
        text("id"),
        text("identity"),
        text("party_id"),
        text("registration"),
        moment("created_at"),
        number("generation"),
        text("vendor", null=True),
        text("model", null=True),
        text("serial", null=True),
        text("firmware", null=True),
        text("protocol", null=True),
        moment("booted_at", null=True),
        text("node", null=True),
        moment("connected_at", null=True),
        moment("disconnected_at", null=True),
        moment("last_seen_at", null=True),
        text("remote_address", null=True),
        structure("violations"),
        number("profile", null=True),
        boolean("guest"),
    ],
    UnknownStation: [
        text("identity"),
        moment("first_seen_at"),
        moment("last_seen_at"),
        number("attempts"),
        text("remote_address"),
    ],
    DesiredAvailability: [
        text("station_id"),
        number("evse"),
        number("connector"),
        boolean("available"),
        moment("since"),
        text("requested_by"),
        text("state"),
        moment("told_at", null=True),
        text("command_id", null=True),
        text("detail", null=True),
    ],
    Policy: [
        text("station_id"),
        number("min_profile"),
        structure("switches"),
        structure("exceptions"),
        number("wanted_profile", null=True),
    ],
    Message: [
        text("station_id"),
        moment("at"),
        number("n"),
        text("direction"),
        text("kind"),
        text("action", null=True),
        text("text"),
        number("size"),
        number("skipped"),
    ],
    Credential: [
        text("id"),
        text("station_id"),
        text("kind"),
        text("key_id"),
        text("hash"),
        moment("created_at"),
        boolean("weak"),
        moment("used_at", null=True),
    ],
    Connector: [
        text("station_id"),
        number("evse"),
        number("connector"),
        text("status"),
        moment("reported_at"),
        moment("received_at"),
        text("error_code", null=True),
        text("info", null=True),
        text("vendor_error", null=True),
    ],
}
