"""Tokens: what drivers show, and whose it is.

Tokens compare without regard to case (OCPP 1.6 CiString20, OCPP 2.0.1 identifierString).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from csms.core import events
from csms.core.entities import entity
from csms.core.errors import AlreadyExists, Invalid, NotFound
from csms.core.ids import party_id
from csms.core.ports import Tx

MAX_UID = 255
KINDS = ("rfid", "app", "other")
# How a card is read, where it matters: what a station compares has a type (OCPP 2.0.1 C01.FR.09).
TECHNOLOGIES = ("iso14443", "iso15693")
KEY_CODE = "key_code"
_READ = frozenset(("rfid", technology) for technology in TECHNOLOGIES)


def uid_key(uid: str) -> str:
    """The form in which uids are compared and looked up: without regard to case, to spaces, and to
    what cannot be seen (some readers put control characters or spaces into a uid)."""
    seen = uid if uid.isalnum() else "".join(c for c in uid if c.isprintable() and c != " ")
    return seen.casefold()


@dataclass(frozen=True, slots=True)
class Shown:
    """A token as a station shows it; `kind` is its word for the technology."""

    uid: str
    kind: str = "rfid"

    @property
    def key(self) -> str:
        """The form in which it is looked up."""
        return uid_key(self.uid)

    @property
    def told(self) -> str:
        """What the journal may say of it: never a code that a driver types (OCPP 2.0.1
        C04.FR.04)."""
        return "key code" if self.kind == KEY_CODE else self.uid


@entity("tokens", key=("party_id", "uid_key", "kind"), finders={"uid": ("uid_key",)})
class Token(NamedTuple):
    """What a driver shows. `kind` is rfid, app or other; `uid_key` is the uid as compared.

    `group_id`: tokens of one group may stop each other's transactions. `concurrent`: may charge at
    several places at once (a fleet's shared card). `technology`: how a card is read, None where
    nobody has said. `updated_at`: when it was last changed, None for not
    since it was made.
    """

    party_id: str
    uid_key: str
    kind: str
    uid: str
    created_at: datetime
    blocked: bool = False
    group_id: str | None = None
    expires_at: datetime | None = None
    concurrent: bool = False
    label: str | None = None
    updated_at: datetime | None = None
    technology: str | None = None

    def standing(self, now: datetime) -> str:
        """What it is worth: accepted, blocked or expired (`authorization.Outcome`)."""
        if self.blocked:
            return "blocked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "accepted"


def contract_id(token: Token) -> str:
    """A contract id that says nothing of the driver and stays the same for the token."""
    digest = blake2b(f"{token.uid_key}|{token.kind}".encode(), digest_size=5).hexdigest()
    return f"{token.party_id.replace('*', '-')}-C{digest[:9].upper()}"


# -- administration ------------------------------------------------------------------------------


def add(tx: Tx, token: Token, now: datetime) -> Token:
    """Add a token. Raises `Invalid`, or `AlreadyExists` for the same party, uid and kind."""
    if not token.uid.strip() or len(token.uid) > MAX_UID:
        raise Invalid(f"a token uid has 1 to {MAX_UID} characters")
    if token.kind not in KINDS:
        raise Invalid(f"the kind of a token is one of {', '.join(KINDS)}")
    if token.technology is not None and (token.kind, token.technology) not in _READ:
        raise Invalid(f"a token of kind rfid is read as {' or '.join(TECHNOLOGIES)}, no other is")
    token = token._replace(
        party_id=party_id(token.party_id),
        uid_key=uid_key(token.uid),
        created_at=now,
    )
    if tx.get(Token, token.party_id, token.uid_key, token.kind) is not None:
        raise AlreadyExists(f"token {token.uid} ({token.kind}) of {token.party_id} exists")
    tx.save(token)
    _record_change(tx, token, now)
    return token


def set_blocked(tx: Tx, party: str, uid: str, kind: str, blocked: bool, now: datetime) -> Token:
    """Block or unblock a token; repeating it changes nothing. Raises `NotFound`."""
    token = tx.get(Token, party, uid_key(uid), kind)
    if token is None:
        raise no_token(party, uid, kind)
    if token.blocked != blocked:
        token = token._replace(blocked=blocked, updated_at=now)
        tx.save(token)
        _record_change(tx, token, now)
    return token


def no_token(party: str, uid: str, kind: str) -> NotFound:
    """There is no such token, or none that the asking party may know of."""
    return NotFound(f"no token {uid} ({kind}) of {party}")


def _record_change(tx: Tx, token: Token, now: datetime) -> None:
    status = "blocked" if token.blocked else "valid"
    tx.record(events.TokenChanged(at=now, uid=token.uid, party_id=token.party_id, status=status))
