"""Errands: charges of our drivers at the stations of other networks, started and stopped here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from csms.api.auth import OperatorWriter, Provided, Viewer, Writer
from csms.api.paging import Cursor, Limit, Page, page
from csms.api.problems import Forbidden
from csms.api.shapes import Given
from csms.api.stations import Wait
from csms.api.system import Errands, Planned, System
from csms.core import errands
from csms.core.errands import Errand
from csms.core.errors import Invalid, NotFound, Refused
from csms.core.ids import party_id
from csms.core.ports import Tx
from csms.core.tokens import KINDS

router = APIRouter(tags=["roaming"])
MAX_ID = 36


class PlaceGiven(Given):
    party_id: str = Field(examples=["US*STH"], max_length=6, description="Whose station")
    location_id: str = Field(examples=["LOC1"], min_length=1, max_length=MAX_ID)


class ChargeStart(PlaceGiven):
    token: str = Field(examples=["04E1A2B3"], min_length=1, max_length=255)
    token_kind: str = Field("rfid", examples=list(KINDS), max_length=16)
    token_party: str | None = Field(None, examples=["CA*NTH"], description="Default: this network")
    evse_uid: str | None = Field(None, description="Default: one that is free", max_length=MAX_ID)
    connector_id: str | None = Field(None, max_length=MAX_ID)


class ChargeStop(Given):
    party_id: str = Field(examples=["US*STH"], max_length=6, description="Where it is")
    session_id: str = Field(examples=["17"], min_length=1, max_length=MAX_ID)


class CableUnlock(PlaceGiven):
    evse_uid: str = Field(examples=["E1"], min_length=1, max_length=MAX_ID)
    connector_id: str = Field(examples=["1"], min_length=1, max_length=MAX_ID)


class ErrandOut(BaseModel):
    """What another network was asked for. `status`: sent, taken (it asks its station), then
    accepted, rejected, failed or timed_out, or unknown when it may not have heard it."""

    id: str
    wish: str = Field(description="OCPI CommandType")
    status: errands.Status
    party_id: str = Field(description="Whose station")
    partner_id: str
    token_party: str | None
    token_uid: str | None
    location_id: str | None
    evse_uid: str | None
    connector_id: str | None
    session_id: str | None = Field(description="That is to end, or that began")
    result: str | None = Field(description="OCPI CommandResultType")
    detail: str | None
    created_at: datetime
    finished_at: datetime | None
    requested_by: str

    @classmethod
    def of(cls, errand: Errand) -> ErrandOut:
        return cls(**{name: getattr(errand, name) for name in cls.model_fields})


@router.post("/roaming/errands/start", status_code=202)
async def start(new: ChargeStart, writer: OperatorWriter, wait: Wait = 0.0) -> ErrandOut:
    """Ask another network to start a charge for a driver of ours. Accepted means that its station
    will try; the session that begins is named once it was told of."""
    provided, who = writer.provided, writer.who
    if new.token_kind not in KINDS:
        raise Invalid(f"token_kind: one of {', '.join(KINDS)}")
    owner = who.party_for(party_id(new.token_party) if new.token_party else None, provided.party)
    ours = _errands(provided)
    planned = await ours.start(
        who.key_id,
        party_id(new.party_id),
        new.location_id,
        (owner, new.token, new.token_kind),
        new.evse_uid,
        new.connector_id,
    )
    return await _run(writer, "roaming_start", planned, wait)


@router.post("/roaming/errands/stop", status_code=202)
async def stop(new: ChargeStop, writer: OperatorWriter, wait: Wait = 0.0) -> ErrandOut:
    """Ask another network to end a charge of a driver of ours."""
    ours = _errands(writer.provided)
    planned = await ours.stop(writer.who.key_id, party_id(new.party_id), new.session_id)
    if not writer.who.sees(planned.errand.token_party or ""):
        raise NotFound(f"no session {new.session_id} of {new.party_id} is known")
    return await _run(writer, "roaming_stop", planned, wait)


@router.post("/roaming/errands/unlock", status_code=202)
async def unlock(new: CableUnlock, writer: OperatorWriter, wait: Wait = 0.0) -> ErrandOut:
    """Ask another network to release a cable at its station."""
    if writer.who.parties:
        raise Forbidden("this needs a key for all parties")
    ours = _errands(writer.provided)
    planned = await ours.unlock(
        writer.who.key_id, party_id(new.party_id), new.location_id, new.evse_uid, new.connector_id
    )
    return await _run(writer, "roaming_unlock", planned, wait)


@router.get("/roaming/errands")
async def list_errands(
    who: Viewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[ErrandOut]:
    """What other networks were asked for, the newest first."""
    where = {"token_party": who.only}
    reader = provided.store.reader
    return await page(
        reader, Errand, ErrandOut.of, cursor=cursor, limit=limit, where=where, newest_first=True
    )


@router.get("/roaming/errands/{errand_id}")
async def show_errand(errand_id: str, who: Viewer, provided: Provided) -> ErrandOut:
    """One errand."""
    found = await provided.store.reader.get(Errand, errand_id)
    if found is None or not who.sees(found.token_party or ""):
        raise NotFound(f"no errand {errand_id}; csms roaming errands lists them")
    return ErrandOut.of(found)


def _errands(provided: System) -> Errands:
    if provided.errands is None:
        raise Refused("roaming is not set up on this system")
    return provided.errands


async def _run(writer: Writer, action: str, planned: Planned, wait_s: float) -> ErrandOut:
    """Enter an errand and send it, once for an Idempotency-Key; what is known of it afterwards."""
    provided = writer.provided
    if wait_s > provided.max_wait_s:
        raise Invalid(f"wait: at most {provided.max_wait_s:g} seconds")
    errand = planned.errand
    target = " ".join(filter(None, (errand.party_id, errand.location_id or errand.session_id)))
    answer = await writer.run(
        action, target, _enter, errand, planned.kind, party_id=errand.token_party
    )
    ours = _errands(provided)
    if answer["errand_id"] == errand.id:
        await ours.send(planned)
    return ErrandOut.of(await ours.outcome(str(answer["errand_id"]), wait_s))


def _enter(tx: Tx, errand: Errand, kind: str | None) -> Mapping[str, Any]:
    return {"errand_id": errands.enter(tx, errand, kind).id}
