"""Errands: what we ask a station of another network to do for a driver of ours.

An errand is known by an id of ours. It is part of the address where the other network tells the
result, and a start carries it as the reference that comes back with the session and the bill, so
that these are known again (OCPI 2.2.1 mod_commands, authorization_reference). Its states are those
of a command to a station of our own, with one more: *taken*, when the other network has said that
it asks its station. An errand is never sent twice; a result that comes late is still noted.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from csms.core import events
from csms.core.authorization import Outcome
from csms.core.commands import Status as CommandStatus
from csms.core.entities import entity
from csms.core.errors import NotFound, Refused
from csms.core.ids import folded
from csms.core.orders import Wish
from csms.core.ports import Tx
from csms.core.tokens import Token, uid_key

MAX_DETAIL = 500
# How long after it was asked for a charge may begin, and how far clocks may differ.
BEGINS_WITHIN = timedelta(minutes=15)
CLOCKS_DIFFER = timedelta(minutes=2)


class Status(StrEnum):
    """Where an errand stands. `unknown`: nobody knows whether the other network heard it."""

    SENT = CommandStatus.SENT.value
    TAKEN = "taken"
    ACCEPTED = CommandStatus.ACCEPTED.value
    REJECTED = CommandStatus.REJECTED.value
    FAILED = CommandStatus.FAILED.value
    TIMED_OUT = CommandStatus.TIMED_OUT.value
    UNKNOWN = CommandStatus.UNKNOWN.value


OPEN = (Status.SENT, Status.TAKEN)
# Answered; what is only assumed gives way to an answer.
ANSWERED = frozenset({Status.ACCEPTED, Status.REJECTED, Status.FAILED})
# How a station says no, whatever the reason.
_NO = frozenset({"REJECTED", "EVSE_OCCUPIED", "EVSE_INOPERATIVE", "NOT_SUPPORTED"})


@entity("errands", key=("id",), finders={"status": ("status",), "token": ("token_uid",)})
class Errand(NamedTuple):
    """One errand. `wish`: what is asked (`core.orders.Wish`); `party_id`: whose station;
    `token_party` and `token_uid`: of a start. `result`: the other network's word for what became of
    it, `detail`: what it says to it. `session_id`: of a stop the one to end, of a start the one
    that began."""

    id: str
    wish: str
    status: str
    partner_id: str
    party_id: str
    requested_by: str
    created_at: datetime
    expires_at: datetime
    token_party: str | None = None
    token_uid: str | None = None
    location_id: str | None = None
    evse_uid: str | None = None
    connector_id: str | None = None
    session_id: str | None = None
    result: str | None = None
    detail: str | None = None
    finished_at: datetime | None = None


class Charge(NamedTuple):
    """What a session says of the charge that it is about."""

    uid: str
    evse_uid: str
    started_at: datetime


def enter(tx: Tx, errand: Errand, kind: str | None = None) -> Errand:
    """An errand is about to be sent. Raises `NotFound` or `Refused` for a start with a token (of
    that kind) that is not ours, or may not charge."""
    if errand.token_uid is not None:
        token = _own(tx, errand.token_party or "", errand.token_uid, kind or "rfid")
        standing = token.standing(errand.created_at)
        if standing != Outcome.ACCEPTED:
            raise Refused(f"token {token.uid} is {standing}; csms token list shows it")
        errand = errand._replace(token_uid=token.uid)
    tx.save(errand)
    _journal(tx, errand, errand.created_at)
    return errand


def _own(tx: Tx, party: str, uid: str, kind: str) -> Token:
    token = tx.get(Token, party, uid_key(uid), kind)
    if token is None:
        raise NotFound(f"no token {uid} ({kind}) of {party}; csms token list shows those there are")
    return token


def answered(
    tx: Tx, errand_id: str, taken: bool, detail: str | None, expires_at: datetime, now: datetime
) -> Errand:
    """The other network has said at once whether it asks its station, and by when it tells the
    result. Nothing changes when the result overtook that answer."""
    errand = _require(tx, errand_id)
    if errand.status != Status.SENT:
        tx.mark("errand_result_first")
        return errand
    if taken:
        return _move(tx, errand._replace(expires_at=expires_at), Status.TAKEN, now, detail=detail)
    return _move(tx, errand, Status.REJECTED, now, detail=detail, finished_at=now)


def not_heard(tx: Tx, errand_id: str, why: str, now: datetime) -> Errand:
    """No answer came: it may have been heard all the same, so a result is still taken."""
    errand = _require(tx, errand_id)
    if errand.status != Status.SENT:
        return errand
    return _move(tx, errand, Status.UNKNOWN, now, detail=why, finished_at=now)


def told(tx: Tx, errand_id: str, result: str, detail: str | None, now: datetime) -> Errand:
    """The result. The first answer of the station holds: another changes nothing."""
    errand = _require(tx, errand_id)
    if errand.result is not None or errand.status in ANSWERED:
        tx.mark("errand_told_twice")
        return errand
    if result == "ACCEPTED":
        status = Status.ACCEPTED
    elif result == "TIMEOUT":
        status = Status.TIMED_OUT
    else:
        status = Status.REJECTED if result in _NO else Status.FAILED
    errand = errand._replace(result=result)
    return _move(tx, errand, status, now, detail=detail, finished_at=now)


def overdue(tx: Tx, errand_id: str, now: datetime) -> None:
    """No result came in time: the station may have done it all the same."""
    errand = _require(tx, errand_id)
    if errand.status in OPEN and now >= errand.expires_at:
        late = Status.TIMED_OUT if errand.status == Status.TAKEN else Status.UNKNOWN
        detail = errand.detail or "no result came in time"
        _move(tx, errand, late, now, detail=detail, finished_at=now)


def began(
    tx: Tx,
    reference: str | None,
    partner_id: str,
    session_id: str,
    now: datetime,
    charge: Charge | None = None,
) -> None:
    """A session carries this reference: it is the one that a start of ours asked for. Networks that
    give none are known by the charge. Repeating changes nothing."""
    errand = tx.get(Errand, reference) if reference else _behind(tx, partner_id, session_id, charge)
    if errand is None or errand.partner_id != partner_id or errand.session_id is not None:
        return
    errand = errand._replace(session_id=session_id)
    tx.save(errand)
    _journal(tx, errand, now)


def _behind(tx: Tx, partner_id: str, session_id: str, charge: Charge | None) -> Errand | None:
    """The latest start at that place with that token for which this charge may be."""
    if charge is None:
        return None
    found = [e for e in tx.find(Errand, "token", charge.uid) if e.partner_id == partner_id]
    if any(e.session_id == session_id for e in found):
        return None
    fitting = [
        e
        for e in found
        if e.session_id is None
        and e.wish == Wish.START
        and e.status not in (Status.REJECTED, Status.FAILED)
        and folded(e.evse_uid or "") == folded(charge.evse_uid)
        and -CLOCKS_DIFFER <= charge.started_at - e.created_at <= BEGINS_WITHIN
    ]
    if fitting:
        tx.mark("errand_known_by_its_charge")
    return max(fitting, key=lambda e: e.created_at, default=None)


def _require(tx: Tx, errand_id: str) -> Errand:
    errand = tx.get(Errand, errand_id)
    if errand is None:
        raise NotFound(f"no errand {errand_id}")
    return errand


def _move(
    tx: Tx,
    errand: Errand,
    status: Status,
    now: datetime,
    *,
    detail: str | None,
    finished_at: datetime | None = None,
) -> Errand:
    detail = detail[:MAX_DETAIL] if detail else errand.detail
    errand = errand._replace(status=status, detail=detail, finished_at=finished_at)
    tx.save(errand)
    _journal(tx, errand, now)
    return errand


def _journal(tx: Tx, errand: Errand, now: datetime) -> None:
    tx.record(
        events.ErrandChanged(
            at=now,
            errand_id=errand.id,
            wish=errand.wish,
            status=errand.status,
            party_id=errand.party_id,
            session_id=errand.session_id,
            detail=errand.detail,
        )
    )
