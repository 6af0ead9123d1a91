"""The audit trail: who changed what through the operator API, in the same commit as the change.

The journal gets an event for whoever follows it; the table is for those who ask later: which key
did this, from where, and what exactly was asked. Nothing secret is part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from csms.core import events
from csms.core.entities import entity
from csms.core.ports import Tx
from csms.core.security import without_secrets

# What was asked is kept up to this size; of more only the size.
MAX_FACTS_BYTES = 8_192


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: the id and the name of an API key (or a part of the system), and from where."""

    id: str
    name: str = ""
    remote_address: str | None = None


@entity("audit", key=("number",))
class AuditEntry(NamedTuple):
    """One change. `number` grows with time; `facts`: what was asked for, without its secrets."""

    number: int
    at: datetime
    actor: str
    actor_name: str
    action: str
    target: str
    station_id: str | None
    party_id: str | None
    facts: Mapping[str, Any]
    remote_address: str | None


def record(
    tx: Tx,
    now: datetime,
    actor: Actor,
    action: str,
    target: str,
    *,
    station_id: str | None = None,
    party_id: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Note a change beside the change itself; both are stored or neither."""
    tx.save(
        AuditEntry(
            number=tx.next_number("audit"),
            at=now,
            actor=actor.id,
            actor_name=actor.name,
            action=action,
            target=target,
            station_id=station_id,
            party_id=party_id,
            facts=_kept(facts or {}),
            remote_address=actor.remote_address,
        )
    )
    tx.record(
        events.AuditRecorded(
            at=now, station_id=station_id, actor=actor.id, action=action, target=target
        )
    )


def _kept(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    kept = without_secrets(facts)
    size = len(orjson.dumps(kept))
    return kept if size <= MAX_FACTS_BYTES else {"left_out_bytes": size}
