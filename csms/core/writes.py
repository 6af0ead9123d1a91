"""A write by an operator: done once however often it is sent, and audited.

The answer is remembered in the same commit as the change, so that a retry with the same
Idempotency-Key gets the first answer and changes nothing. Secrets are never part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from csms.core import audit
from csms.core.audit import Actor
from csms.core.entities import entity
from csms.core.errors import Invalid
from csms.core.ports import Tx


@entity("remembered_writes", key=("key",))
class RememberedWrite(NamedTuple):
    """The answer to a write that came with an Idempotency-Key."""

    key: str
    request: str
    answer: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes what. `request` is a digest of everything asked for; `key` is the
    Idempotency-Key, already made unique to its sender, or None; `station_id`, `party_id` and
    `facts` are for the audit trail."""

    actor: Actor
    action: str
    target: str
    at: datetime
    request: str = ""
    key: str | None = None
    station_id: str | None = None
    party_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def once(
    tx: Tx, write: Write, fn: Callable[..., Mapping[str, Any]], *args: Any
) -> Mapping[str, Any]:
    """`fn(tx, *args)`, audited; or the answer of the first time. Raises `Invalid` when the key was
    used for another request, and what `fn` raises (then nothing is remembered)."""
    if write.key is not None:
        earlier = tx.get(RememberedWrite, write.key)
        if earlier is not None:
            if earlier.request != write.request:
                raise Invalid("this Idempotency-Key was used for another request")
            tx.mark("write_repeated")
            return earlier.answer
    answer = fn(tx, *args)
    if write.key is not None:
        tx.save(RememberedWrite(write.key, write.request, answer, write.at))
    audit.record(
        tx,
        write.at,
        write.actor,
        write.action,
        write.target,
        station_id=write.station_id,
        party_id=write.party_id,
        facts=write.facts,
    )
    return answer
