"""Authorization: may this token charge here, now?

Deny by default: an unknown token is `invalid`. The outcomes are told apart because stations and
drivers are told different things (OCPP 1.6 TC_023, OCPP 2.0.1 C01).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from csms.core import events, orders, visitors, visits
from csms.core.flags import END_MISSING_PERHAPS
from csms.core.ids import Origin
from csms.core.locations import Location, LocationEvse
from csms.core.ports import Need, Tx
from csms.core.tokens import Shown, Token, uid_key
from csms.core.transactions import Transaction
from csms.core.visitors import HomeAnswer, HomeAsked

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
    """The outcome and what the station may be told of the token. `ask`: its home network has to be
    asked first; the outcome is then what holds if that gives no answer. `reason`: for operators."""

    outcome: Outcome
    group_id: str | None = None
    expires_at: datetime | None = None
    ask: HomeAsked | None = None
    reason: str | None = None


def needs(uid: str) -> tuple[Need, ...]:
    """Declares the reads of `authorize`."""
    key = uid_key(uid)
    return (Need(Token, "uid", (key,)), Need(Transaction, "open_by_token", (key, True)))


def authorize(
    tx: Tx,
    shown: Shown,
    now: datetime,
    station_id: str | None = None,
    evse: int | None = None,
    transaction_id: int | None = None,
    *,
    anew: bool = False,
) -> Authorization:
    """Whether the token is good in itself (OCPP 1.6 4.1, OCPP 2.0.1 C01), or has been made good by
    its network: by an order for that station and EVSE, by an answer that stands there, or because
    it was let in for that transaction. `anew`: an answer does not count, the network is asked for
    another one. Reads only."""
    if shown.kind == NO_AUTHORIZATION:
        return Authorization(Outcome.ACCEPTED)
    token = resolve(tx, shown, now)
    if token is None:
        if station_id is not None and orders.holding(tx, station_id, shown.key, now, evse):
            return Authorization(Outcome.ACCEPTED)
        return _visitor(tx, shown, now, None if anew else (station_id, transaction_id))
    return Authorization(Outcome(token.standing(now)), token.group_id, token.expires_at)


def authorize_start(
    tx: Tx,
    shown: Shown,
    now: datetime,
    transaction_id: int | None = None,
    station_id: str | None = None,
    evse: int | None = None,
    *,
    anew: bool = False,
) -> Authorization:
    """As `authorize`, and one charge at a time: `concurrent` when another transaction of the token
    is open (only meaningful for a start: OCPP 1.6 ConcurrentTx). `transaction_id` is the one that
    is starting, so that a station's retry is not held against itself. Reads only."""
    found = authorize(tx, shown, now, station_id, evse, transaction_id, anew=anew)
    if found.outcome is not Outcome.ACCEPTED or shown.kind == NO_AUTHORIZATION:
        return found
    token = resolve(tx, shown, now)
    if token is None or token.concurrent:
        # How often a visitor charges at once is its home network's business.
        return found
    for other in tx.find(Transaction, "open_by_token", shown.key, True):
        if other.id == transaction_id or other.outcome != Outcome.ACCEPTED:
            continue
        if END_MISSING_PERHAPS in other.flags:
            # Its connector is free and it has fallen silent: the driver has left.
            continue
        if now - (other.heard_at or other.received_at) < FORGOTTEN:
            return Authorization(Outcome.CONCURRENT, found.group_id, found.expires_at)
    return found


def ask(tx: Tx, origin: Origin, shown: Shown) -> Authorization:
    """A station asks before it charges (Authorize); journals the answer."""
    found = authorize(tx, shown, origin.at, origin.station_id, anew=True)
    if found.ask is not None:
        return replace(found, ask=_placed(tx, origin, found.ask))
    _journal(tx, origin, shown, found)
    return found


def told(
    tx: Tx, origin: Origin, shown: Shown, asked: HomeAsked, answer: HomeAnswer | None
) -> Authorization:
    """The home network was asked (`ask`): what the station is told. `answer` None: it said
    nothing."""
    said = visitors.answered(tx, asked, answer, origin.at, origin.station_id)
    found = settled(authorize(tx, shown, origin.at, origin.station_id, anew=True), asked, said)
    _journal(tx, origin, shown, found)
    return found


def settled(found: Authorization, asked: HomeAsked, said: str) -> Authorization:
    """With what the home network said to the question, where that is still the one to ask."""
    same = found.ask == replace(asked, location_id=None, evse_uids=())
    return replace(found, outcome=Outcome(said) if same else found.outcome, ask=None)


def _journal(tx: Tx, origin: Origin, shown: Shown, found: Authorization) -> None:
    tx.record(
        events.TokenAuthorized(
            at=origin.at,
            station_id=origin.station_id,
            uid=shown.told,
            outcome=found.outcome,
            reason=found.reason,
        )
    )


def _placed(tx: Tx, origin: Origin, asked: HomeAsked) -> HomeAsked:
    """With the location where the station stands, if it stands at one alone."""
    evses = tx.find(LocationEvse, "station", origin.station_id)
    places = {(evse.party_id, evse.location_key) for evse in evses}
    if len(places) != 1:
        return asked
    location = tx.get(Location, *places.pop())
    if location is None:
        return asked
    uids = tuple(evse.uid for evse in evses)
    return replace(asked, location_id=location.id, evse_uids=uids)


def _visitor(
    tx: Tx, shown: Shown, now: datetime, use: tuple[str | None, int | None] | None
) -> Authorization:
    """A token that is not ours: what its home network has told us of it, or has to be asked. `use`:
    for which station and transaction an answer counts, None: none does."""
    visitor = visitors.resolve(tx, shown.uid)
    if visitor is None:
        claimed = visitors.claimants(tx, shown.uid)
        several = f"several networks claim it: {', '.join(claimed)}" if len(claimed) > 1 else None
        return Authorization(Outcome.INVALID, reason=several)
    station_id, transaction_id = use or (None, None)
    outcome = visitors.standing(visitor, now, station_id)
    if outcome is None and transaction_id is not None:
        known = visits.let_in(tx, transaction_id, station_id, visitor)
        outcome = Outcome.ACCEPTED if known else None
    if outcome is not None:
        return Authorization(Outcome(outcome), visitor.group_id)
    unasked = Outcome(visitors.without_answer(visitor))
    return Authorization(unasked, visitor.group_id, ask=visitors.question(visitor))


def resolve(tx: Tx, shown: Shown, now: datetime) -> Token | None:
    """The token row for a uid. The kind that stations report is unreliable, so it does not take
    part; of several parties' tokens with one uid the one that is good counts."""
    found = tx.find(Token, "uid", shown.key)
    good = [token for token in found if token.standing(now) == Outcome.ACCEPTED]
    usable = good or [token for token in found if not token.blocked] or found
    return usable[0] if usable else None
