"""Charge detail records between networks: which of ours a partner has, and what partners billed us.

A record that a partner has to get stands in an outbox until the partner has confirmed or refused
it. Before each attempt it is noted that one is made, so that after a crash it is known that its
outcome is not known; a record is told again as often as needed, with the same text, which is safe
because records are known by owner and id (OCPI 2.2.1 mod_cdrs, POST).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from csms.core import events
from csms.core.cdrs import Cdr
from csms.core.entities import entity
from csms.core.errors import Refused
from csms.core.ids import folded
from csms.core.partners import check_teller
from csms.core.ports import Tx

FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(hours=1)
MAX_WORDS = 500


class Delivery(StrEnum):
    """Where a record is on its way to a partner: to be sent, sent with no answer that settles it,
    taken, or refused for good."""

    DUE = "due"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REFUSED = "refused"


OPEN = (Delivery.DUE, Delivery.SENT)


@entity(
    "cdr_deliveries",
    key=("partner_id", "party_id", "id_key"),
    finders={"state": ("partner_id", "state"), "cdr": ("party_id", "id_key")},
)
class CdrDelivery(NamedTuple):
    """One record of ours on its way to one partner. `body`: its JSON text, the same in every
    attempt; `next_at`: not before; `location`: where the partner says that it is; `error`: why it
    is not settled, or the words with which it was refused."""

    partner_id: str
    party_id: str
    id_key: str
    cdr_id: str
    state: str
    created_at: datetime
    next_at: datetime
    body: str
    credit_of: str | None = None
    attempts: int = 0
    sent_at: datetime | None = None
    settled_at: datetime | None = None
    location: str | None = None
    error: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.partner_id, self.party_id, self.id_key


@entity(
    "received_cdrs",
    key=("party_id", "id_key"),
    finders={"token_party": ("token_party",), "session": ("party_id", "session_key")},
)
class ReceivedCdr(NamedTuple):
    """A record by which another network bills a charge of one of our drivers: what is understood
    of it, and `body` as it came. `digest`: of its content, however it is written. `repriced`: what
    its charge costs before taxes by the tariff that we hold, `difference`: how much more the record
    asks; None where that is not known, and `priced_by` says why. `session_key`: the session that it
    bills, as it is compared. `fee`: what our driver pays beyond it, by our contract."""

    party_id: str
    id_key: str
    id: str
    partner_id: str
    received_at: datetime
    started_at: datetime
    ended_at: datetime
    token_party: str
    token_uid: str
    currency: str
    energy_kwh: str
    before_taxes: str
    after_taxes: str | None
    digest: str
    body: str
    credit_of: str | None = None
    repriced: str | None = None
    difference: str | None = None
    priced_by: str | None = None
    session_key: str | None = None
    fee: str | None = None


# -- ours to them ----------------------------------------------------------------------------------


def owe(
    tx: Tx,
    partner_id: str,
    cdr: Cdr,
    body: str | None,
    now: datetime,
    earlier: Collection[str] = (),
) -> bool:
    """A partner has to get this record; whether that is new. `body` None: it cannot be told in the
    words of that partner's version, which is a refusal of our own. `earlier`: connections to the
    same network that were removed; what one of them has settled is settled."""
    for known in tx.find(CdrDelivery, "cdr", cdr.party_id, cdr.id_key):
        if known.partner_id in earlier:
            move(tx, known.key, partner_id, now)
        if known.partner_id == partner_id or known.partner_id in earlier:
            tx.mark("cdr_delivery_known")
            return False
    row = CdrDelivery(
        partner_id=partner_id,
        party_id=cdr.party_id,
        id_key=cdr.id_key,
        cdr_id=cdr.id,
        state=Delivery.DUE,
        created_at=now,
        next_at=now,
        body=body or "",
        credit_of=cdr.credit_of,
    )
    if body is None:
        error = "not sent: the place or the plug lacks what OCPI 2.2.1 requires of a CDR"
        row = row._replace(state=Delivery.REFUSED, settled_at=now, error=error)
    tx.save(row)
    return True


def move(tx: Tx, key: tuple[str, str, str], partner_id: str, now: datetime) -> bool:
    """What a connection that was removed still owed is owed by that of the same network which took
    its place; whether it was. Its text stays, so that it is known again if it had arrived; where it
    is there has to be found out anew (their addresses may be others)."""
    row = tx.get(CdrDelivery, *key)
    if row is None or row.state not in OPEN:
        return False
    tx.delete(CdrDelivery, *key)
    if tx.get(CdrDelivery, partner_id, row.party_id, row.id_key) is None:
        tx.save(row._replace(partner_id=partner_id, next_at=now, location=None))
    return True


def sending(tx: Tx, key: tuple[str, str, str], now: datetime) -> CdrDelivery | None:
    """An attempt begins: from here on its outcome is unknown until it is noted. None: it is settled
    already."""
    row = tx.get(CdrDelivery, *key)
    if row is None or row.state not in OPEN:
        return None
    wait = min(FIRST_WAIT * 2 ** min(row.attempts, 20), LONGEST_WAIT)
    row = row._replace(
        state=Delivery.SENT, attempts=row.attempts + 1, sent_at=now, next_at=now + wait
    )
    tx.save(row)
    return row


def confirmed(tx: Tx, key: tuple[str, str, str], location: str | None, now: datetime) -> None:
    """The partner has it. May be repeated."""
    _settle(tx, key, Delivery.CONFIRMED, location, None, now)


def refused(tx: Tx, key: tuple[str, str, str], words: str, now: datetime) -> None:
    """The partner will not take it, however often it is sent."""
    _settle(tx, key, Delivery.REFUSED, None, words, now)


def unsettled(tx: Tx, key: tuple[str, str, str], why: str, location: str | None) -> None:
    """It is not known whether the partner has it: it will be tried again."""
    row = tx.get(CdrDelivery, *key)
    if row is not None and row.state in OPEN:
        tx.save(row._replace(error=why[:MAX_WORDS], location=location or row.location))


def _settle(
    tx: Tx,
    key: tuple[str, str, str],
    state: Delivery,
    location: str | None,
    words: str | None,
    now: datetime,
) -> None:
    row = tx.get(CdrDelivery, *key)
    if row is None or row.state not in OPEN:
        tx.mark("cdr_delivery_settled_already")
        return
    tx.save(
        row._replace(
            state=state,
            settled_at=now,
            location=location or row.location,
            error=words[:MAX_WORDS] if words else None,
        )
    )


# -- theirs to us ----------------------------------------------------------------------------------


def keep(tx: Tx, given: ReceivedCdr) -> bool:
    """Keep a record of another network; whether it is new. The same content again changes nothing.
    Raises `Refused` for other content under the same id (a record never changes), and when another
    connection speaks for the party."""
    check_teller(tx, given.partner_id, given.party_id, "CPO")
    given = given._replace(id_key=folded(given.id))
    before = tx.get(ReceivedCdr, given.party_id, given.id_key)
    if before is not None:
        if before.digest != given.digest:
            raise Refused(
                f"CDR {given.id} of {given.party_id} is here already, with other content; "
                "a CDR is corrected by a credit CDR and a new one"
            )
        tx.mark("received_cdr_known")
        return False
    tx.save(given)
    tx.record(
        events.CdrReceived(
            at=given.received_at,
            party_id=given.party_id,
            cdr_id=given.id,
            token_party=given.token_party,
            partner_id=given.partner_id,
            credit_of=given.credit_of,
        )
    )
    return True
