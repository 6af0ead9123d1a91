"""Visits: charges of other networks' drivers here, with the token that was let in.

Written when the charge begins and when its home network has answered, and never again: what that
network tells of the token later, or answers to a later question, is about other charges. Which
token it is was decided then (`visitors.resolve`), also where several networks know that uid.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from csms.core import visitors
from csms.core.entities import entity
from csms.core.orders import Order
from csms.core.partners import Partner
from csms.core.ports import Tx
from csms.core.tokens import Token, uid_key
from csms.core.transactions import Transaction
from csms.core.visitors import ACCEPTED, MUST_ASK, HomeAnswer, HomeAsked, VisitorToken

COMMAND, AUTH_REQUEST, WHITELIST = "COMMAND", "AUTH_REQUEST", "WHITELIST"


@entity("visits", key=("transaction_id",), finders={"token": ("party_id", "uid_key")})
class Visit(NamedTuple):
    """Whose a transaction is. `auth_method`: how the driver was let in (OCPI 2.2.1 mod_cdrs,
    AuthMethod); `reference`: what the home network wants to see again in the session and the bill;
    `contract`: what was agreed with it then (`contracts.Contract`)."""

    transaction_id: int
    party_id: str
    uid_key: str
    type: str
    uid: str
    partner_id: str
    contract_id: str
    auth_method: str
    reference: str | None = None
    contract: Mapping[str, Any] = {}

    @property
    def token(self) -> tuple[str, str, str]:
        """Which token it is."""
        return self.party_id, self.uid_key, self.type


def begin(tx: Tx, t: Transaction, now: datetime) -> Visit | None:
    """Enter whose charge that is, when it is a visitor's; an answer of its home network that stood
    for a start there is taken. May be repeated: for the same token the first entry stays, unless it
    is found to be the charge that its network ordered."""
    if t.token_key is None or t.token_uid is None:
        return None
    order = _order(tx, t)
    token = _ordered(tx, order) if order is not None else None
    if token is None and not tx.find(Token, "uid", t.token_key):
        token = visitors.resolve(tx, t.token_uid)
    if token is None:
        return None
    known = tx.get(Visit, t.id)
    made = _visit(tx, t, token, order, now)
    better = made.auth_method == COMMAND and known is not None and known.auth_method != COMMAND
    if known is not None and known.token == made.token and not better:
        return known
    tx.save(made)
    visitors.take(tx, token, t.station_id)
    return made


def _order(tx: Tx, t: Transaction) -> Order | None:
    found = tx.find(Order, "command", t.command_id) if t.command_id is not None else ()
    return found[0] if found and found[0].party_id is not None else None


def _ordered(tx: Tx, order: Order) -> VisitorToken | None:
    return tx.get(VisitorToken, order.party_id, order.uid_key, order.token_type)


def _visit(
    tx: Tx, t: Transaction, token: VisitorToken, order: Order | None, now: datetime
) -> Visit:
    if order is not None:
        method, reference = COMMAND, order.reference
    elif t.command_id is not None:
        # Our own operator started it.
        method, reference = COMMAND, None
    elif token.whitelist in MUST_ASK and visitors.standing(token, now, t.station_id) == ACCEPTED:
        method, reference = AUTH_REQUEST, token.reference
    else:
        method, reference = WHITELIST, None
    partner = tx.get(Partner, token.partner_id)
    return Visit(
        transaction_id=t.id,
        party_id=token.party_id,
        uid_key=token.uid_key,
        type=token.type,
        uid=token.uid,
        partner_id=token.partner_id,
        contract_id=token.contract_id,
        auth_method=method,
        reference=reference,
        contract=partner.contract if partner else {},
    )


def let_in(tx: Tx, transaction_id: int, station_id: str | None, token: VisitorToken) -> bool:
    """Whether that charge at that station is one for which the token has been let in, by an answer
    of its home network or by an order: whatever else is said of it is about the same use."""
    visit = tx.get(Visit, transaction_id)
    if visit is None or visit.auth_method == WHITELIST:
        return False
    t = tx.get(Transaction, transaction_id)
    same = visit.token == (token.party_id, token.uid_key, token.type)
    here = t is not None and t.station_id == station_id and t.outcome == ACCEPTED
    return same and here and visit.partner_id == token.partner_id


def answered(tx: Tx, transaction_id: int, asked: HomeAsked, answer: HomeAnswer | None) -> None:
    """The home network was asked after the charge had been recorded. None: it said nothing."""
    visit = tx.get(Visit, transaction_id)
    if visit is None or answer is None or visit.auth_method == COMMAND:
        return
    if visit.token == (asked.party_id, uid_key(asked.uid), asked.type):
        tx.save(visit._replace(auth_method=AUTH_REQUEST, reference=answer.reference))
