"""Charge detail records between networks: what others billed us, and what they have of ours."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from csms.api.auth import NetworkViewer, Provided, Viewer
from csms.api.paging import Cursor, Limit, Page, page
from csms.core.countries import minor_digits
from csms.core.errors import NotFound
from csms.core.exchanged import CdrDelivery, Delivery, ReceivedCdr
from csms.core.ids import folded
from csms.core.neighbours import NeighbourObject
from csms.core.ports import Reader

router = APIRouter(tags=["cdrs"])
PAGES_LOOKED_THROUGH = 20
BILLED_WITHIN = timedelta(hours=1)


class ReceivedCdrOut(BaseModel):
    """A record by which another network bills a charge of one of our drivers. Amounts are decimal
    text in `currency`."""

    party_id: str = Field(description="Who bills")
    id: str
    partner_id: str = Field(description="The connection that it came by")
    received_at: datetime
    started_at: datetime
    ended_at: datetime
    token_party: str
    token_uid: str
    currency: str
    energy_kwh: str
    before_taxes: str
    after_taxes: str | None
    credit_of: str | None = Field(description="The record that this one cancels")
    repriced: str | None = Field(description="Before taxes, by the tariff that is known here")
    difference: str | None = Field(description="How much more the record asks; 0 is expected")
    priced_by: str | None = Field(description="That tariff, or why there is no price")
    fee: str | None = Field(description="What our driver pays beyond it, by our contract")

    @classmethod
    def of(cls, row: ReceivedCdr) -> ReceivedCdrOut:
        return cls(**{name: getattr(row, name) for name in ReceivedCdrOut.model_fields})


def differs(row: ReceivedCdrOut, tolerance_percent: Decimal) -> bool:
    """Whether a record asks for another price than expected: by more than one smallest unit of the
    currency, and than the tolerance."""
    if row.difference is None or row.repriced is None:
        return False
    unit = Decimal(1).scaleb(-minor_digits(row.currency))
    allowed = max(unit, abs(Decimal(row.repriced)) * tolerance_percent / 100)
    return abs(Decimal(row.difference)) > allowed


class ReceivedCdrDetails(ReceivedCdrOut):
    """`cdr` is the record as it came."""

    cdr: dict[str, Any]


class DeliveryOut(BaseModel):
    """A record of ours on its way to a partner. `location`: where the partner says that it is;
    `error`: why it is not settled, or with which words it was refused."""

    party_id: str
    cdr_id: str
    partner_id: str
    state: Delivery
    created_at: datetime
    attempts: int
    sent_at: datetime | None
    next_at: datetime = Field(description="Not tried before, unless it is settled")
    settled_at: datetime | None
    location: str | None
    error: str | None

    @classmethod
    def of(cls, row: CdrDelivery) -> DeliveryOut:
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


@router.get("/roaming/cdrs")
async def list_received(
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    differing: Annotated[
        bool,
        Query(
            description="Only those that ask for more or less than was expected, by more than the "
            "smallest unit of the currency and than `prices.tolerance_percent`"
        ),
    ] = False,
) -> Page[ReceivedCdrOut]:
    """What other networks bill for charges of our drivers, by owner and id. A page may hold less
    than asked for."""
    items: list[ReceivedCdrOut] = []
    for _ in range(PAGES_LOOKED_THROUGH):
        found = await page(
            provided.store.reader,
            ReceivedCdr,
            ReceivedCdrOut.of,
            cursor=cursor,
            limit=limit,
            where={"token_party": who.only},
        )
        tolerance = provided.tolerance_percent
        items = [row for row in found.items if not differing or differs(row, tolerance)]
        cursor = found.next
        if items or cursor is None:
            break
    return Page(items=items, next=cursor)


@router.get("/roaming/cdrs/{party}/{cdr_id}")
async def show_received(
    party: str, cdr_id: str, who: Viewer, provided: Provided
) -> ReceivedCdrDetails:
    """One record of another network, as it came."""
    row = await provided.store.reader.get(ReceivedCdr, party, folded(cdr_id))
    if row is None or not who.sees(row.token_party):
        raise NotFound(f"no CDR {cdr_id} of {party} was received; csms roaming cdrs lists them")
    return ReceivedCdrDetails(cdr=orjson.loads(row.body), **ReceivedCdrOut.of(row).model_dump())


class SessionOut(BaseModel):
    """A charge of one of our drivers at another network. `session` is the object as it was told
    last."""

    party_id: str = Field(description="Where it is")
    id: str
    partner_id: str = Field(description="The connection that tells of it")
    last_updated: datetime
    received_at: datetime
    session: dict[str, Any]

    @classmethod
    def of(cls, row: NeighbourObject) -> SessionOut:
        fields = {name: getattr(row, name) for name in SessionOut.model_fields if name != "session"}
        return cls(session=orjson.loads(row.body), **fields)


@router.get("/roaming/sessions")
async def list_sessions(
    who: NetworkViewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[SessionOut]:
    """Charges of our drivers at other networks, by owner and id."""
    where = {"module": "sessions"}
    reader = provided.store.reader
    return await page(
        reader, NeighbourObject, SessionOut.of, cursor=cursor, limit=limit, where=where
    )


@router.get("/roaming/sessions/unbilled")
async def list_unbilled(
    who: NetworkViewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[SessionOut]:
    """Sessions of our drivers elsewhere that were completed over an hour ago and for which no
    record has come. A page may hold less than asked for."""
    reader, late = provided.store.reader, provided.clock() - BILLED_WITHIN
    for _ in range(PAGES_LOOKED_THROUGH):
        found: Page[NeighbourObject] = await page(
            reader,
            NeighbourObject,
            lambda row: row,
            cursor=cursor,
            limit=limit,
            where={"module": "sessions"},
        )
        shown = [SessionOut.of(row) for row in found.items if row.received_at <= late]
        ended = [one for one in shown if one.session.get("status") == "COMPLETED"]
        items = [one for one in ended if not await _billed(reader, one)]
        cursor = found.next
        if items or cursor is None:
            break
    return Page(items=items, next=cursor)


async def _billed(reader: Reader, session: SessionOut) -> bool:
    where = {"party_id": session.party_id, "session_key": folded(session.id)}
    return bool(await reader.page(ReceivedCdr, where, limit=1))


@router.get("/roaming/cdrs/unmatched")
async def list_unmatched(
    who: Viewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[ReceivedCdrOut]:
    """Records of other networks for sessions that nobody has told us of. A page may hold less than
    asked for."""
    reader = provided.store.reader
    for _ in range(PAGES_LOOKED_THROUGH):
        found: Page[ReceivedCdr] = await page(
            reader,
            ReceivedCdr,
            lambda row: row,
            cursor=cursor,
            limit=limit,
            where={"token_party": who.only},
        )
        items = [ReceivedCdrOut.of(row) for row in found.items if not await _told(reader, row)]
        cursor = found.next
        if items or cursor is None:
            break
    return Page(items=items, next=cursor)


async def _told(reader: Reader, cdr: ReceivedCdr) -> bool:
    if cdr.session_key is None:
        return False
    key = "sessions", cdr.party_id, cdr.session_key
    return await reader.get(NeighbourObject, *key) is not None


@router.get("/roaming/deliveries")
async def list_deliveries(
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    state: Delivery | None = None,
) -> Page[DeliveryOut]:
    """Our records on their way to the networks of their drivers."""
    where = {"party_id": who.only, "state": state}
    reader = provided.store.reader
    return await page(reader, CdrDelivery, DeliveryOut.of, cursor=cursor, limit=limit, where=where)
