"""Events as others read them: CloudEvents 1.0 in JSON (structured mode), and where each goes.

One row of the journal is one event. Its `id` is the number of the row, which grows in the order of
commits and is never given twice by one system: together with `source` it tells a repetition.
"""

from __future__ import annotations

import re

import orjson

from csms.core.ports import JournalRow

CONTENT_TYPE = "application/cloudevents+json"
# In the place of the station, for what is about none.
NO_STATION = "-"
# What would be a level, or a pattern, in the name of a topic (MQTT 3.1.1 4.7).
_UNFIT = re.compile(r"[/+#\x00]")


def topic(prefix: str, row: JournalRow) -> str:
    """`csms/events/<station id>/<event>`."""
    station = _UNFIT.sub("_", row.station_id) if row.station_id else NO_STATION
    return f"{prefix}/events/{station}/{row.kind}"


def cloud_event(source: str, row: JournalRow, identity: str | None = None) -> bytes:
    """The event of a row. `identity`: the station's name for people, beside the id that never
    changes."""
    event = {
        "specversion": "1.0",
        "id": str(row.seq),
        "source": source,
        "type": f"csms.{row.kind}",
        "time": row.at,
        "datacontenttype": "application/json",
    }
    if row.station_id is not None:
        event["subject"] = row.station_id
    if identity is not None:
        # An extension attribute: lower-case letters and digits only (CloudEvents 1.0 3.1).
        event["station"] = identity
    event["data"] = orjson.Fragment(row.data)
    return orjson.dumps(event, option=orjson.OPT_UTC_Z)
