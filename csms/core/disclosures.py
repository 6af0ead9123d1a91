"""Disclosures: which partner was told what of a driver, by which module, when and how often.

A note stands before what it is about leaves, in a transaction that is committed by then; so nothing
is told that is not noted, while something noted may not have arrived. Notes are bounded: one row
for a partner, a token and a module, written when a fact is new to the partner or the last note is
an hour old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from csms.core.entities import entity
from csms.core.ports import Need, Tx
from csms.core.tokens import uid_key

AGAIN_AFTER = timedelta(hours=1)
# So many different values of one fact are kept, the last told last.
MAX_VALUES = 50
MAX_VALUE_CHARS = 500
LOCATION = "location"
# Notes of one transaction: each reads and writes one row.
AT_ONCE = 500


class Module(StrEnum):
    """By what a partner was told: a token pushed or listed; a question to a visitor's home network
    or our answer to one; a start that we ask for with a token of ours; a session or a record,
    pushed or listed."""

    PUSH = "token_push"
    LIST = "token_list"
    AUTHORIZATION = "authorization"
    COMMAND = "command"
    SESSION = "session"
    CDR = "cdr"


@entity(
    "disclosures",
    key=("partner_id", "party_id", "uid_key", "type", "module"),
    finders={"token": ("party_id", "uid_key")},
)
class Disclosure(NamedTuple):
    """What one partner was told of one token by one module. `facts`: name -> the values that went
    out, the one told last being last. `times`: how often, where the same facts within an hour count
    once."""

    partner_id: str
    party_id: str
    uid_key: str
    type: str
    module: str
    uid: str
    first_at: datetime
    last_at: datetime
    times: int
    facts: Mapping[str, Sequence[Any]] = {}


@dataclass(frozen=True, slots=True)
class Told:
    """What is about to be told of a token; `facts`: name -> value, JSON values as they go out."""

    party_id: str
    uid: str
    type: str
    module: Module
    facts: Mapping[str, Any] = field(default_factory=dict)

    def key(self, partner_id: str) -> tuple[str, str, str, str, str]:
        """Where it is noted."""
        return partner_id, self.party_id, uid_key(self.uid), self.type, self.module


def needs(partner_id: str, told: Sequence[Told]) -> tuple[Need, ...]:
    """What `note` will read."""
    return tuple(Need(Disclosure, None, one.key(partner_id)) for one in told)


def note(tx: Tx, partner_id: str, told: Sequence[Told], now: datetime) -> int:
    """Note what a partner is about to be told, at most `AT_ONCE` tokens; how many rows changed."""
    together: dict[tuple[str, ...], list[Told]] = {}
    for one in told:
        together.setdefault(one.key(partner_id), []).append(one)
    changed = 0
    for key, ones in together.items():
        before = tx.get(Disclosure, *key)
        facts = dict(before.facts) if before is not None else {}
        for one in ones:
            for name, value in one.facts.items():
                facts[name] = _told_last(name, facts.get(name, ()), _bounded(value))
        if before is None:
            tx.save(Disclosure(*ones[-1].key(partner_id), ones[-1].uid, now, now, 1, facts))
        elif facts != before.facts or now - before.last_at >= AGAIN_AFTER:
            times, uid = before.times + 1, ones[-1].uid
            tx.save(before._replace(uid=uid, last_at=now, times=times, facts=facts))
        else:
            continue
        changed += 1
    return changed


def _told_last(name: str, values: Sequence[Any], value: Any) -> list[Any]:
    """The values of a fact with this one told last. Places add up: of two charges that go on at
    once each tells its own again and again, which is nothing new."""
    if name == LOCATION and value in values:
        return list(values)
    return [*(known for known in values if known != value), value][-MAX_VALUES:]


def _bounded(value: Any) -> Any:
    """A value of bounded size: what others gave us comes in any length."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return value if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}..."
