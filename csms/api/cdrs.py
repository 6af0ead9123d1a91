"""Charge detail records: what charges are billed by, and the charges that no record bills."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from csms.api.auth import OperatorWriter, Principal, Provided, Viewer
from csms.api.paging import MAX_LIMIT, Cursor, Limit, Page, page
from csms.api.shapes import Given
from csms.api.stations import identity_of
from csms.api.system import System
from csms.core import billing, cdrs
from csms.core.billing import State, TransactionPrice
from csms.core.cdrs import Cdr
from csms.core.errors import NotFound
from csms.core.exchanged import OPEN, CdrDelivery
from csms.core.ids import folded
from csms.core.partners import State as Connection
from csms.core.ports import Reader, Tx
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from csms.flows import drivers

router = APIRouter(tags=["cdrs"])
PAGES_LOOKED_THROUGH = 20
# Prices are worked out and records sealed within seconds; what takes longer has a reason.
EXPECTED_WITHIN = timedelta(minutes=1)


class CdrOut(BaseModel):
    """One record, without its content. Amounts are decimal text in `currency`."""

    party_id: str
    id: str
    transaction_id: int
    created_at: datetime
    started_at: datetime
    ended_at: datetime
    token_party: str | None = Field(description="Whose driver it was; null: nobody's")
    token_uid: str | None
    currency: str
    energy_wh: int
    before_taxes: str
    after_taxes: str
    credit_of: str | None = Field(description="The record that this one cancels")
    credited_by: str | None = Field(description="The record that cancels this one")
    partner_id: str | None = Field(
        description="The connection over which the driver came, to which the record goes"
    )

    @classmethod
    def of(cls, cdr: Cdr) -> CdrOut:
        return cls(**{name: getattr(cdr, name) for name in CdrOut.model_fields})


class CdrDetails(CdrOut):
    """`cdr` is what the record says, in the shape of OCPI 2.3.0."""

    cdr: dict[str, Any]


class UndeliveredOut(CdrOut):
    """A record for another network's driver that is not on its way. `why`: removed (the connection
    is, and none took its place), suspended, waiting (it was not begun with), or unknown_network
    (over which connection the driver came is not known)."""

    why: str


class CreditNew(Given):
    reason: str = Field(examples=["The driver was charged twice"], min_length=1, max_length=255)


class MissingOut(BaseModel):
    """A charge that has ended, and is billed by no record. `why`: refused (its driver was, and drew
    no energy: none will be made), no_tariff (none applied where it started), not_priced, or
    not_billed (its price is known)."""

    transaction_id: int
    station: str
    party_id: str
    token_uid: str | None
    started_at: datetime
    ended_at: datetime | None
    energy_wh: int
    why: str


@router.get("/cdrs")
async def list_cdrs(
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    transaction: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="Of one transaction")
    ] = None,
    token_party: Annotated[
        str | None, Query(max_length=16, description="Of the drivers of one party, like US*STH")
    ] = None,
    credited: Annotated[
        bool | None,
        Query(description="true: those that were cancelled, and their credits; false: the others"),
    ] = None,
) -> Page[CdrOut]:
    """Charge detail records, the newest first. A page may hold less than asked for."""
    where = {"transaction_id": transaction, "token_party": token_party, "party_id": who.only}

    async def one(cursor: str | None) -> Page[Cdr]:
        return await page(
            provided.store.reader,
            Cdr,
            lambda cdr: cdr,
            cursor=cursor,
            limit=limit,
            where=where,
            newest_first=True,
        )

    def wanted(cdr: Cdr) -> bool:
        return credited is None or credited == bool(cdr.credit_of or cdr.credited_by)

    for _ in range(PAGES_LOOKED_THROUGH):
        found = await one(cursor)
        items = [CdrOut.of(cdr) for cdr in found.items if wanted(cdr)]
        cursor = found.next
        if items or cursor is None:
            break
    return Page(items=items, next=cursor)


@router.get("/cdrs/missing")
async def missing_cdrs(
    who: Viewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[MissingOut]:
    """Charges that ended over a minute ago and have no record, the newest first. A page may hold
    less than asked for, or nothing, when there are more."""
    late = provided.clock() - EXPECTED_WITHIN
    items: list[MissingOut] = []
    for _ in range(PAGES_LOOKED_THROUGH):
        found: Page[Transaction] = await page(
            provided.store.reader,
            Transaction,
            lambda transaction: transaction,
            cursor=cursor,
            limit=limit,
            where={"open": False, "party_id": who.only},
            newest_first=True,
        )
        items = await _missing(provided, found.items, late)
        cursor = found.next
        if items or cursor is None:
            break
    return Page(items=items, next=cursor)


@router.get("/cdrs/unmatched")
async def unmatched_cdrs(
    who: Viewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[CdrOut]:
    """Records whose transaction is not here (any more), the newest first. A page may hold less than
    asked for."""
    reader, items = provided.store.reader, list[CdrOut]()
    for _ in range(PAGES_LOOKED_THROUGH):
        found: Page[Cdr] = await page(
            reader,
            Cdr,
            lambda cdr: cdr,
            cursor=cursor,
            limit=limit,
            where={"party_id": who.only},
            newest_first=True,
        )
        numbers = tuple({cdr.transaction_id for cdr in found.items})
        known = await reader.fields(Transaction, ("id",), {"id": numbers}, limit=MAX_LIMIT)
        items = [CdrOut.of(c) for c in found.items if (c.transaction_id,) not in known]
        cursor = found.next
        if items or cursor is None:
            break
    return Page(items=items, next=cursor)


@router.get("/cdrs/undelivered")
async def undelivered_cdrs(
    who: Viewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[UndeliveredOut]:
    """Records for drivers of other networks that nobody sends at the moment, with the reason, the
    newest first. What is sent, or was refused, is in `/roaming/deliveries`; a partner that takes
    no records reads our list. A page may hold less than asked for."""
    items: list[UndeliveredOut] = []
    for _ in range(PAGES_LOOKED_THROUGH):
        found: Page[Cdr] = await page(
            provided.store.reader,
            Cdr,
            lambda cdr: cdr,
            cursor=cursor,
            limit=limit,
            where={"party_id": who.only},
            newest_first=True,
        )
        items = await _undelivered(provided, [c for c in found.items if c.token_party is not None])
        cursor = found.next
        if items or cursor is None:
            break
    return Page(items=items, next=cursor)


async def _undelivered(provided: System, rows: list[Cdr]) -> list[UndeliveredOut]:
    """Those of the records that are not on their way."""
    reader, late = provided.store.reader, provided.clock() - EXPECTED_WITHIN
    where = {
        "party_id": tuple({cdr.party_id for cdr in rows}),
        "id_key": tuple(cdr.id_key for cdr in rows),
    }
    names = ("party_id", "id_key", "state")
    known = await reader.fields(CdrDelivery, names, where, limit=MAX_LIMIT)
    settled = {(party, key) for party, key, state in known if state not in OPEN}
    begun = {(party, key) for party, key, _ in known}
    whys: dict[tuple[str | None, str], str | None] = {}
    items = []
    for cdr in rows:
        driver = cdr.partner_id, cdr.token_party or ""
        if driver not in whys:
            whys[driver] = await _why_not(reader, *driver)
        why = whys[driver]
        key = cdr.party_id, cdr.id_key
        on_its_way = why == "waiting" and (key in begun or cdr.created_at > late)
        if why is not None and key not in settled and not on_its_way:
            items.append(UndeliveredOut(why=why, **CdrOut.of(cdr).model_dump()))
    return items


async def _why_not(reader: Reader, partner_id: str | None, party: str) -> str | None:
    """What keeps records of such drivers from being delivered; None: nobody has to get them."""
    partner = await drivers.present(reader, partner_id, party)
    if partner is None:
        # Of nobody's connection are our own drivers, whom no other network tells us of.
        foreign = await reader.page(VisitorToken, {"party_id": party}, limit=1)
        return "unknown_network" if foreign else None
    if partner.state != Connection.REGISTERED:
        return str(partner.state)
    return "waiting" if partner.endpoint("cdrs", "RECEIVER") is not None else None


async def _missing(provided: System, ended: list[Transaction], late: datetime) -> list[MissingOut]:
    """Those of the ended transactions that should have a record by now."""
    where = {"transaction_id": tuple(t.id for t in ended)}
    rows = await provided.store.reader.page(TransactionPrice, where, limit=max(1, len(ended)))
    prices = {row.transaction_id: row for row in rows}
    missing = []
    for t in ended:
        why = _why(t, prices.get(t.id))
        if why is None or (t.end_received_at or t.received_at) > late:
            continue
        missing.append(
            MissingOut(
                transaction_id=t.id,
                station=await identity_of(provided, t.station_id),
                why=why,
                **{name: getattr(t, name) for name in _OF_TRANSACTION},
            )
        )
    return missing


_OF_TRANSACTION = ("party_id", "token_uid", "started_at", "ended_at", "energy_wh")


def _why(t: Transaction, price: TransactionPrice | None) -> str | None:
    """Why an ended transaction has no record; None: it has, or had, one."""
    if price is not None and price.state == State.BILLED:
        return None
    if billing.refused(t):
        return "refused"
    if price is None:
        return "no_tariff"
    return "not_billed" if price.state == State.PRICED else "not_priced"


@router.get("/cdrs/{party}/{cdr_id}")
async def show_cdr(party: str, cdr_id: str, who: Viewer, provided: Provided) -> CdrDetails:
    """One record with all that it says."""
    cdr = await _find(provided, who, party, cdr_id)
    return CdrDetails(cdr=dict(cdr.data), **CdrOut.of(cdr).model_dump())


async def _find(provided: System, who: Principal, party: str, cdr_id: str) -> Cdr:
    found = await provided.store.reader.get(Cdr, party, folded(cdr_id))
    if found is None or not who.sees(party):
        raise NotFound(f"no CDR {cdr_id} of {party}; csms cdr list shows those there are")
    return found


@router.post("/cdrs/{party}/{cdr_id}/credit", status_code=201)
async def credit_cdr(party: str, cdr_id: str, new: CreditNew, writer: OperatorWriter) -> CdrDetails:
    """Cancel a record by a credit record, which is the answer: the same with its total negated. The
    charge is then billed by nothing. 409: it is cancelled already, or is a credit itself."""
    provided = writer.provided
    before = await _find(provided, writer.who, party, cdr_id)
    answer = await writer.run(
        "cdr_credited", before.id, _credit, before, provided.clock(), new.reason, party_id=party
    )
    return CdrDetails(**answer)


def _credit(tx: Tx, before: Cdr, now: datetime, reason: str) -> Mapping[str, Any]:
    made = cdrs.credit(tx, before.party_id, before.id, now, reason)
    return CdrDetails(cdr=dict(made.data), **CdrOut.of(made).model_dump()).model_dump(mode="json")
