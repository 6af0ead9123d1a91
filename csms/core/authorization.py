"""Authorization: may this token charge here, now?

Deny by default: an unknown token is `invalid`. The outcomes are told apart because stations and
drivers are told different things (OCPP 1.6 TC_023, OCPP 2.0.1 C01).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from csms.core import events
from csms.core.ids import Origin
from csms.core.ports import Need, Tx
from csms.core.tokens import Shown, Token, uid_key
from csms.core.transactions import Transaction

# OCPP 2.0.1 C02: a free station starts without asking anybody.
NO_AUTHORIZATION = "no_authorization"

# An open transaction of which nothing was heard for so long does not hold its driver back: its
# station has lost the end of it.
FORGOTTEN = timedelta(hours=24)


class Outcome(StrEnum):
    """Answer to "may this token charge?"."""

    ACCEPTED = "accepted"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    INVALID = "invalid"
    CONCURRENT = "concurrent"


@dataclass(frozen=True, slots=True)
class Authorization:
    """The outcome and what the station may be told of the token."""

    outcome: Outcome
    group_id: str | None = None
    expires_at: datetime | None = None


def needs(uid: str) -> tuple[Need, ...]:
    """Declares the reads of `authorize`."""
    key = uid_key(uid)
    return (Need(Token, "uid", (key,)), Need(Transaction, "open_by_token", (key, True)))


def authorize(tx: Tx, shown: Shown, now: datetime) -> Authorization:
    """Whether the token is good in itself (OCPP 1.6 4.1, OCPP 2.0.1 C01). Reads only."""
    if shown.kind == NO_AUTHORIZATION:
        return Authorization(Outcome.ACCEPTED)
    token = resolve(tx, shown, now)
    if token is None:
        return Authorization(Outcome.INVALID)
    outcome = _standing(token, now)
    return Authorization(outcome, token.group_id, token.expires_at)


def authorize_start(
    tx: Tx, shown: Shown, now: datetime, transaction_id: int | None = None
) -> Authorization:
    """As `authorize`, and one charge at a time: `concurrent` when another transaction of the token
    is open (only meaningful for a start: OCPP 1.6 ConcurrentTx). `transaction_id` is the one that
    is starting, so that a station's retry is not held against itself. Reads only."""
    found = authorize(tx, shown, now)
    if found.outcome is not Outcome.ACCEPTED or shown.kind == NO_AUTHORIZATION:
        return found
    token = resolve(tx, shown, now)
    if token is not None and token.concurrent:
        return found
    for other in tx.find(Transaction, "open_by_token", shown.key, True):
        if other.id == transaction_id or other.outcome != Outcome.ACCEPTED:
            continue
        if now - (other.heard_at or other.received_at) < FORGOTTEN:
            return Authorization(Outcome.CONCURRENT, found.group_id, found.expires_at)
    return found


def ask(tx: Tx, origin: Origin, shown: Shown) -> Authorization:
    """A station asks before it charges (Authorize); journals the answer."""
    found = authorize(tx, shown, origin.at)
    tx.record(
        events.TokenAuthorized(
            at=origin.at, station_id=origin.station_id, uid=shown.told, outcome=found.outcome
        )
    )
    return found


def resolve(tx: Tx, shown: Shown, now: datetime) -> Token | None:
    """The token row for a uid. The kind that stations report is unreliable, so it does not take
    part; of several parties' tokens with one uid the one that is good counts."""
    found = tx.find(Token, "uid", shown.key)
    good = [token for token in found if _standing(token, now) is Outcome.ACCEPTED]
    usable = good or [token for token in found if not token.blocked] or found
    return usable[0] if usable else None


def _standing(token: Token, now: datetime) -> Outcome:
    if token.blocked:
        return Outcome.BLOCKED
    if token.expires_at is not None and token.expires_at <= now:
        return Outcome.EXPIRED
    return Outcome.ACCEPTED
