"""Quarantine: reports that cannot be placed, kept where an operator sees them.

The station always gets its answer, otherwise its queue blocks (OCPP 1.6 4.10, errata 3.18); what it
said is not thrown away. The id is a digest of the content, so a repeated report is one entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from csms.core import events
from csms.core.entities import entity
from csms.core.ids import Origin
from csms.core.ports import Tx
from csms.core.security import without_secrets
from csms.core.stations import Station


@entity("quarantine", key=("id",), finders={"station": ("station_id",)})
class Quarantined(NamedTuple):
    """A report that found no place. `kind`: what it was; `reason`: why it has no place.

    `assigned_to`: the transaction that an operator placed it at (`core.assigning`).
    """

    id: str
    station_id: str
    kind: str
    reason: str
    received_at: datetime
    payload: Mapping[str, Any]
    party_id: str = ""
    assigned_to: int | None = None
    assigned_at: datetime | None = None
    assigned_by: str | None = None


def put(tx: Tx, origin: Origin, kind: str, reason: str, payload: Mapping[str, Any]) -> str:
    """Keep a report; its id. Repeating it adds nothing."""
    quarantine_id = _id(origin, kind, reason, payload)
    if tx.get(Quarantined, quarantine_id) is None:
        kept = without_secrets(orjson.loads(orjson.dumps(payload, default=_plain)))
        station = tx.get(Station, origin.station_id)
        owner = station.party_id if station else ""
        tx.save(Quarantined(quarantine_id, origin.station_id, kind, reason, origin.at, kept, owner))
        tx.record(
            events.ReportQuarantined(
                at=origin.at,
                station_id=origin.station_id,
                quarantine_id=quarantine_id,
                kind=kind,
                reason=reason,
            )
        )
    tx.mark("report_quarantined")
    return quarantine_id


def holds(tx: Tx, origin: Origin, kind: str, reason: str, payload: Mapping[str, Any]) -> bool:
    """Whether that very report is kept already."""
    return tx.get(Quarantined, _id(origin, kind, reason, payload)) is not None


def _id(origin: Origin, kind: str, reason: str, payload: Mapping[str, Any]) -> str:
    content = orjson.dumps([origin.station_id, kind, reason, payload], default=_plain)
    return blake2b(content, digest_size=12).hexdigest()


def _plain(value: Any) -> Any:
    """Named tuples (readings) by field name, anything else that is not JSON as text."""
    return value._asdict() if hasattr(value, "_asdict") else str(value)
