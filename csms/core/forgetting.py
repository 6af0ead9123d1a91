"""Forgetting a driver: its token goes, and what it did stays under a pseudonym.

First the token is blocked, and stays until every partner has been told so, because OCPI has no word
for a token that is gone (2.2.1 mod_tokens: `valid` false). Then it is deleted, and what names it is
told under the pseudonym, table by table (`core.identity`). A row says how far that is: it may be
interrupted anywhere, and goes on where it was with the same pseudonym. When it is done the row does
not know either whom it was about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from csms.core import aliases, events, tokens
from csms.core.entities import SHAPES, entity
from csms.core.errors import NotFound, Refused
from csms.core.ports import Tx
from csms.core.redaction import Names, Redactor
from csms.core.tokens import Token, contract_id, uid_key
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken

PREFIX = "forgotten-"
PSEUDONYM_DIGITS = 16
MAX_WORDS = 500
# What a visitor's token object says of the driver beside its uid.
CONTRACT_FIELDS = ("contract_id", "visual_number")


class Stage(StrEnum):
    """Partners are told that the token is not valid; what names it is rewritten; all is done."""

    TELLING = "telling"
    REWRITING = "rewriting"
    DONE = "done"


@entity("forgettings", key=("id",), finders={"uid": ("uid_key",), "state": ("state",)})
class Forgetting(NamedTuple):
    """One driver who is forgotten. `uid` and `names` (see `redaction.Names`) are those of the
    token until it is done, then there is nothing in them. `ours`: the token was one of ours.
    `told_seq`: the journal row that tells partners; `since`: when the token was deleted; `place`
    and `after`: the table that is gone through and the key reached in it (`after` of the journal: a
    number); `rewritten`: how many rows. `waits_for`: what is in the way."""

    id: str
    party_id: str
    uid_key: str
    uid: str
    kind: str | None
    ours: bool
    pseudonym: str
    state: str
    requested_at: datetime
    requested_by: str
    names: Mapping[str, Sequence[str]] = {}
    told_seq: int | None = None
    since: datetime | None = None
    place: str | None = None
    after: Sequence[Any] | None = None
    rewritten: int = 0
    waits_for: str | None = None
    finished_at: datetime | None = None

    @property
    def redactor(self) -> Redactor:
        """What takes the driver's names out."""
        named = (self.names.get(field, ()) for field in Names._fields)
        return Redactor(Names(*named), self.pseudonym)


@dataclass(frozen=True, slots=True)
class Wish:
    """Whom to forget, and what is made up for it outside: an id, and the pseudonym."""

    id: str
    party_id: str
    uid: str
    pseudonym: str
    kind: str | None = None


def pseudonym(digits: str) -> str:
    """A pseudonym from random hex digits, which say nothing of anybody."""
    return f"{PREFIX}{digits[:PSEUDONYM_DIGITS]}"


def is_pseudonym(uid: str | None) -> bool:
    """Whether a uid stands for a driver who is forgotten."""
    return uid is not None and uid.startswith(PREFIX)


class TokenSaid(NamedTuple):
    """The token that a session or a record is for, as it says (OCPI 2.2.1 mod_cdrs, CdrToken)."""

    party_id: str
    uid: str
    contract_id: str | None


def token_of(body: str) -> TokenSaid | None:
    """The token of the JSON text of a session or a record; None where it names none."""
    try:
        said = orjson.loads(body)["cdr_token"]
        party = f"{said['country_code']}*{said['party_id']}".upper()
        contract = said.get("contract_id")
        return TokenSaid(party, str(said["uid"]), contract if isinstance(contract, str) else None)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def still_forgotten(before: str, given: str) -> str:
    """What is told anew of a session whose driver was forgotten here, under the same pseudonym as
    before: its network goes on telling the uid."""
    if PREFIX not in before:
        return given
    known, said = token_of(before), token_of(given)
    if known is None or said is None or not is_pseudonym(known.uid):
        return given
    names = Names([said.uid], [said.contract_id] if said.contract_id else [])
    return Redactor(names, known.uid).json(given)


def under_way(tx: Tx, party: str, uid: str) -> Forgetting | None:
    """The forgetting of that token, if one has begun and is not done."""
    for row in tx.find(Forgetting, "uid", uid_key(uid)):
        if row.state != Stage.DONE and row.party_id == party:
            return row
    return None


def check_not_under_way(tx: Tx, party: str, uid: str) -> None:
    """Raises `Refused` when that token is being forgotten: nothing about it may change."""
    if under_way(tx, party, uid) is not None:
        raise Refused("this token is being forgotten; csms token forgettings shows how far that is")


# -- beginning -------------------------------------------------------------------------------------


def begin(tx: Tx, wish: Wish, by: str, now: datetime) -> Forgetting:
    """Begin to forget a token of ours, or of a visitor; one that is being forgotten already goes on
    as it is. Raises `NotFound`, and `Refused` while a charge of it is open, or for one kind of a
    token that is there in several."""
    key = uid_key(wish.uid)
    before = under_way(tx, wish.party_id, wish.uid)
    if before is not None:
        tx.mark("forgetting_repeated")
        return before
    own = [t for t in tx.find(Token, "uid", key) if t.party_id == wish.party_id]
    visitors = [t for t in tx.find(VisitorToken, "uid", key) if t.party_id == wish.party_id]
    kinds = {token.kind for token in own} | {token.kind for token in visitors}
    if not kinds or wish.kind not in (None, *kinds):
        raise NotFound(f"no token {wish.uid} of {wish.party_id}; csms token list shows our own")
    if len(kinds) > 1 and wish.kind is not None:
        others = ", ".join(sorted(kinds - {wish.kind}))
        raise Refused(f"the driver has it as {others} as well; leave out the kind to forget all")
    check_nothing_open(tx, key)
    for token in own:
        if not token.blocked:
            tokens.set_blocked(tx, token.party_id, token.uid, token.kind, True, now)
    row = Forgetting(
        id=wish.id,
        party_id=wish.party_id,
        uid_key=key,
        uid=wish.uid,
        kind=next(iter(kinds)) if len(kinds) == 1 else None,
        ours=bool(own),
        pseudonym=wish.pseudonym,
        state=Stage.TELLING,
        requested_at=now,
        requested_by=by,
        names=_names(tx, wish.uid, own, visitors),
    )
    tx.save(row)
    return row


def check_nothing_open(tx: Tx, key: str) -> None:
    """Raises `Refused` while the token charges."""
    for t in tx.find(Transaction, "open_by_token", key, True):
        raise Refused(
            f"transaction {t.id} of this token is open; forget it when that has ended "
            f"(csms transaction close {t.id} ends it for a station that will not)"
        )


def _names(
    tx: Tx, uid: str, own: Sequence[Token], visitors: Sequence[VisitorToken]
) -> Mapping[str, Sequence[str]]:
    uids = dict.fromkeys([uid, *(t.uid for t in own), *(t.uid for t in visitors)])
    alias = aliases.given(tx, uid)
    if alias is not None:
        uids[alias] = None
    said = [contract_id(token) for token in own]
    said += [text for t in visitors for name in CONTRACT_FIELDS if (text := _said(t, name))]
    labels = [token.label for token in own if token.label]
    found = Names(list(uids), list(dict.fromkeys(said)), list(dict.fromkeys(labels)))
    return found._asdict()


def _said(token: VisitorToken, name: str) -> str:
    said = token.data.get(name) or getattr(token, name, "")
    return said.strip() if isinstance(said, str) else ""


# -- telling ---------------------------------------------------------------------------------------


def announce(tx: Tx, forgetting_id: str, now: datetime) -> None:
    """Say once more that the token is blocked, so that whoever reads the journal from here on finds
    the row that every partner has to get past."""
    row = tx.get(Forgetting, forgetting_id)
    if row is not None and row.state == Stage.TELLING:
        tx.record(events.TokenChanged(at=now, uid=row.uid, party_id=row.party_id, status="blocked"))


def announced(tx: Tx, forgetting_id: str, seq: int) -> Forgetting | None:
    """Partners have been told as soon as they are past that journal row."""
    row = tx.get(Forgetting, forgetting_id)
    if row is not None and row.told_seq is None:
        row = row._replace(told_seq=seq)
        tx.save(row)
    return row


def waiting(tx: Tx, forgetting_id: str, why: str) -> Forgetting | None:
    """What is in the way, for people."""
    row = tx.get(Forgetting, forgetting_id)
    if row is not None and row.waits_for != why[:MAX_WORDS]:
        row = row._replace(waits_for=why[:MAX_WORDS])
        tx.save(row)
    return row


def take_out(tx: Tx, forgetting_id: str, first: str, now: datetime) -> Forgetting | None:
    """Partners have been told: the token is deleted, and what names it is rewritten from here on,
    beginning with the table `first`. Raises `Refused` while a charge of it is open."""
    row = tx.get(Forgetting, forgetting_id)
    if row is None or row.state != Stage.TELLING:
        return row
    check_nothing_open(tx, row.uid_key)
    kinds: tuple[type[Any], ...] = (Token, VisitorToken)
    for kind in kinds:
        for token in tx.find(kind, "uid", row.uid_key):
            if token.party_id == row.party_id:
                tx.delete(kind, *SHAPES[kind].key_of(token))
    row = row._replace(state=Stage.REWRITING, since=now, place=first, after=None, waits_for=None)
    tx.save(row)
    return row


# -- afterwards ------------------------------------------------------------------------------------


def finish(tx: Tx, forgetting_id: str, now: datetime) -> Forgetting | None:
    """Everything is rewritten: from here on nothing says whom it was about. May be repeated."""
    row = tx.get(Forgetting, forgetting_id)
    if row is None or row.state != Stage.REWRITING:
        return row
    row = row._replace(
        state=Stage.DONE,
        uid=row.pseudonym,
        uid_key=uid_key(row.pseudonym),
        names={},
        place=None,
        after=None,
        finished_at=now,
    )
    tx.save(row)
    tx.record(
        events.TokenForgotten(
            at=now, party_id=row.party_id, forgetting_id=row.id, pseudonym=row.pseudonym
        )
    )
    return row
