"""The tables of the device model: variables as reported, desired values, templates, reports; and
the transactions about which a station has to be asked."""

from __future__ import annotations

from csms.core.device_model import Desired, DeviceModel, Variable
from csms.core.doubts import Doubt
from csms.core.reports import Report, ReportPart
from csms.core.templates import Template
from csms.storage.tables.columns import Columns, boolean, flags, moment, number, structure, text

COLUMNS: Columns = {
    Variable: [
        text("station_id"),
        text("key"),
        text("name"),
        text("actual", null=True),
        text("target", null=True),
        text("min_set", null=True),
        text("max_set", null=True),
        text("mutability", null=True),
        text("data_type", null=True),
        text("unit", null=True),
        text("allowed", null=True),
        moment("reported_at"),
        number("request_id", null=True),
    ],
    Desired: [
        text("station_id"),
        text("key"),
        text("name"),
        text("value"),
        text("state"),
        text("by"),
        moment("at"),
        text("template", null=True),
        text("reason", null=True),
        moment("settled_at", null=True),
        number("attempts"),
    ],
    DeviceModel: [
        text("station_id"),
        text("firmware", null=True),
        text("inventory"),
        moment("inventory_at", null=True),
        number("request_id", null=True),
        number("attempts"),
        number("variables"),
        flags("lacks"),
        moment("verified_at", null=True),
        boolean("templated"),
    ],
    Report: [
        text("station_id"),
        number("request_id"),
        text("scope"),
        text("by"),
        moment("requested_at"),
        text("state"),
        boolean("kept"),
        moment("received_at", null=True),
        text("seen"),
        number("last", null=True),
        number("variables"),
        text("detail", null=True),
    ],
    ReportPart: [
        text("station_id"),
        number("request_id"),
        number("seq"),
        structure("data"),
    ],
    Template: [
        text("name"),
        text("party_id"),
        text("vendor", null=True),
        text("model", null=True),
        text("firmware", null=True),
        structure("values"),
        text("by"),
        moment("at"),
    ],
    Doubt: [
        text("station_id"),
        number("transaction_id"),
        moment("since"),
        moment("asked_at", null=True),
        text("answer", null=True),
    ],
}
