"""Visitors: the tokens of other networks' drivers, as their home networks told us.

A visitor's token is known by party, uid and type. Whether it may charge is decided by its home
network: from what it told us, or asked at the moment, as the whitelist of the token says
(OCPI 2.2.1 mod_tokens, WhitelistType). Only the home network that has told us of a uid is ever
asked; a token that nobody told us of is asked of nobody, because asking one network after the other
would show a driver's token to competitors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from csms.core import events
from csms.core.entities import entity
from csms.core.partners import Partner, State, check_teller
from csms.core.ports import Tx
from csms.core.tokens import uid_key

# An answer of the home network holds for the start that follows it at the same station.
ANSWER_HOLDS = timedelta(minutes=15)
# How long the home network is waited for: shorter than what stations wait for us.
ASK_WITHIN_S = 8.0
ACCEPTED = "accepted"


class Whitelist(StrEnum):
    """Whether the home network must be asked. We ask where it is not sure that we need not."""

    ALWAYS = "ALWAYS"
    ALLOWED = "ALLOWED"
    ALLOWED_OFFLINE = "ALLOWED_OFFLINE"
    NEVER = "NEVER"


_KINDS = {"RFID": "rfid", "APP_USER": "app", "AD_HOC_USER": "app"}
MUST_ASK = frozenset({Whitelist.ALLOWED_OFFLINE, Whitelist.NEVER})
# What an answer rests on.
_RESTS_ON = ("valid", "whitelist", "last_updated")


@entity(
    "visitor_tokens",
    key=("party_id", "uid_key", "type"),
    finders={"uid": ("uid_key",)},
)
class VisitorToken(NamedTuple):
    """One token of another network. `data` is the object as it came. `answer`: what its home
    network said (an `Outcome`), `answered_at` when, and `answer_station_id` where it was asked: it
    stands for one start there; `reference` is what the network wants to see again in the session
    and the bill of that. `missing_since`: as of a `NeighbourObject`."""

    party_id: str
    uid_key: str
    type: str
    uid: str
    partner_id: str
    contract_id: str
    issuer: str
    valid: bool
    whitelist: str
    last_updated: datetime
    received_at: datetime
    group_id: str | None = None
    data: Mapping[str, Any] = {}
    answer: str | None = None
    answered_at: datetime | None = None
    reference: str | None = None
    missing_since: datetime | None = None
    answer_station_id: str | None = None

    @property
    def kind(self) -> str:
        """The kind of token that it is, in our words (`core.tokens.KINDS`)."""
        return _KINDS.get(self.type, "other")

    @property
    def unanswered(self) -> VisitorToken:
        """The same where nothing stands that its home network has answered."""
        return self._replace(answer=None, answered_at=None, answer_station_id=None, reference=None)


@dataclass(frozen=True, slots=True)
class HomeAsked:
    """A question to a visitor's home network; `location_id` and `evse_uids` are where it is."""

    partner_id: str
    party_id: str
    uid: str
    type: str
    location_id: str | None = None
    evse_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HomeAnswer:
    """What a home network said: an outcome, and its reference."""

    outcome: str
    reference: str | None = None


def put(tx: Tx, given: VisitorToken) -> bool:
    """What a home network tells of a token. True when it is new. Something older than what is known
    from the same connection changes nothing (pushes overtake each other). What the network has
    answered stands no longer when what that rests on has changed. Raises `Refused` when another
    connection speaks for the party."""
    check_teller(tx, given.partner_id, given.party_id, "EMSP")
    before = tx.get(VisitorToken, given.party_id, given.uid_key, given.type)
    if before is not None and before.partner_id != given.partner_id:
        # What somebody else said of it before, and what was answered there, is over.
        before = before.unanswered._replace(last_updated=given.last_updated)
    if before is not None and given.last_updated < before.last_updated:
        tx.mark("visitor_token_outdated")
        return False
    if before is not None:
        if all(getattr(given, name) == getattr(before, name) for name in _RESTS_ON):
            given = given._replace(
                answer=before.answer,
                answered_at=before.answered_at,
                answer_station_id=before.answer_station_id,
                reference=before.reference,
            )
        if given == before._replace(received_at=given.received_at):
            return False
    tx.save(given)
    tx.record(
        events.TokenChanged(
            at=given.received_at,
            uid=given.uid,
            party_id=given.party_id,
            status="valid" if given.valid else "blocked",
        )
    )
    return before is None


def resolve(tx: Tx, uid: str) -> VisitorToken | None:
    """The one token that a uid can stand for. Known to several home networks: the only one that may
    be good; with several of those none (marked, so that it is seen)."""
    found = [t for t in tx.find(VisitorToken, "uid", uid_key(uid)) if _connected(tx, t)]
    good = [token for token in found if _may_be_good(token)]
    if len({token.party_id for token in good}) > 1:
        tx.mark("visitor_token_ambiguous")
        return None
    usable = good or found
    # Of several types of one party: the one that needs no question first.
    return min(usable, key=lambda t: (t.whitelist in MUST_ASK, t.type)) if usable else None


def claimants(tx: Tx, uid: str) -> list[str]:
    """The parties whose token that uid may be."""
    found = [t for t in tx.find(VisitorToken, "uid", uid_key(uid)) if _connected(tx, t)]
    return sorted({token.party_id for token in found if _may_be_good(token)})


def _may_be_good(token: VisitorToken) -> bool:
    return token.valid or token.whitelist in MUST_ASK


def _connected(tx: Tx, token: VisitorToken) -> bool:
    """Whether its home network is one that we exchange with now."""
    partner = tx.get(Partner, token.partner_id)
    return partner is not None and partner.state == State.REGISTERED


def standing(token: VisitorToken, now: datetime, station_id: str | None = None) -> str | None:
    """What the token is worth, at that station where one is named; None when its home network has
    to be asked first."""
    if token.whitelist not in MUST_ASK:
        return ACCEPTED if token.valid else "blocked"
    if station_id is None or token.answer_station_id != station_id or token.answered_at is None:
        return None
    return token.answer if now - token.answered_at <= ANSWER_HOLDS else None


def take(tx: Tx, token: VisitorToken, station_id: str) -> None:
    """A charge begins with the token there: what stood for that is used up."""
    if token.answer_station_id == station_id:
        tx.save(token.unanswered)


def without_answer(token: VisitorToken) -> str:
    """What it is worth when the home network does not answer: a token for such times is let in."""
    offline = token.whitelist == Whitelist.ALLOWED_OFFLINE and token.valid
    return ACCEPTED if offline else "invalid"


def answered(
    tx: Tx,
    asked: HomeAsked,
    answer: HomeAnswer | None,
    now: datetime,
    station_id: str | None = None,
) -> str:
    """What the home network said is worth (None: it said nothing). Let in, it stands for the start
    that follows at that station; with none named it was about a charge that goes on, and nothing
    is kept. A refusal is not kept, and ends what stood (OCPI 2.2.1 mod_tokens, WhitelistType:
    each use is asked about)."""
    token = tx.get(VisitorToken, asked.party_id, uid_key(asked.uid), asked.type)
    if token is None or token.partner_id != asked.partner_id:
        return "invalid"
    if answer is None:
        tx.mark("home_network_silent")
        return without_answer(token)
    if answer.outcome != ACCEPTED:
        tx.save(token.unanswered)
    elif station_id is not None:
        token = token._replace(answer=answer.outcome, answered_at=now, reference=answer.reference)
        tx.save(token._replace(answer_station_id=station_id))
    return answer.outcome


def question(token: VisitorToken) -> HomeAsked:
    """What is asked of its home network."""
    return HomeAsked(token.partner_id, token.party_id, token.uid, token.type)
