"""Aliases: short names for tokens that a station cannot carry.

OCPP 1.6 takes 20 characters as a token, other networks' tokens have up to 36. A longer one gets an
alias, which the station shows in its place; what comes back is read as the token itself, so nothing
but the wire ever sees an alias. An alias follows from the uid, and is never given to another one
while its row is kept (`retention.aliases_days`, a year at least).
"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from csms.core.entities import entity
from csms.core.ports import Tx
from csms.core.tokens import Shown, uid_key

MAX_SHORT = 20
_BYTES = 10


@entity("token_aliases", key=("alias_key",))
class TokenAlias(NamedTuple):
    """What a station is given in place of a uid; `used_at` is when it was last given."""

    alias_key: str
    alias: str
    uid: str
    used_at: datetime


def given(tx: Tx, uid: str) -> str | None:
    """The alias that a uid has been given, None for none."""
    turn = 0
    while True:
        known = tx.get(TokenAlias, uid_key(_alias(uid, turn)))
        if known is None or uid_key(known.uid) == uid_key(uid):
            return known.alias if known is not None else None
        turn += 1


def _alias(uid: str, turn: int) -> str:
    return blake2b(f"{uid_key(uid)}|{turn}".encode(), digest_size=_BYTES).hexdigest().upper()


def give(tx: Tx, uid: str, now: datetime) -> str:
    """The alias of a uid; the uid itself where it is short enough."""
    if len(uid) <= MAX_SHORT:
        return uid
    turn = 0
    while True:
        alias = _alias(uid, turn)
        known = tx.get(TokenAlias, uid_key(alias))
        if known is None or uid_key(known.uid) == uid_key(uid):
            tx.save(TokenAlias(uid_key(alias), alias, uid, now))
            return alias
        turn += 1


def meant(tx: Tx, shown: Shown) -> Shown:
    """The token that a station means by what it shows."""
    if len(shown.uid) != MAX_SHORT:
        return shown
    known = tx.get(TokenAlias, shown.key)
    return Shown(known.uid, shown.kind) if known is not None else shown
