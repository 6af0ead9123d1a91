"""Forgetting drivers. A uid is never part of an address here, because addresses stand in the logs
of whatever is between a client and this server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from csms.api.auth import AdminWriter, Principal, Provided, Viewer
from csms.api.paging import Cursor, Limit, Page, page
from csms.api.shapes import Given
from csms.api.system import System
from csms.core import forgetting
from csms.core.errors import Invalid, NotFound, Refused
from csms.core.forgetting import Forgetting, Stage, Wish
from csms.core.ports import Reader, Tx
from csms.core.tokens import Token, uid_key
from csms.core.visitors import VisitorToken
from csms.core.writes import RememberedWrite
from csms.flows.forgetting import hindrance

router = APIRouter(tags=["tokens"])
AT_ONCE = 500


class ForgettingNew(Given):
    uid: str = Field(examples=["04E1A2B3"], min_length=1, max_length=255)
    party_id: str | None = Field(
        None, examples=["CA*NTH"], description="Whose token; needed where several have that uid"
    )
    kind: str | None = Field(None, examples=["rfid"], description="Default: every kind of it")


class ForgettingOut(BaseModel):
    """A driver who is forgotten; what the token was is not said."""

    id: str
    party_id: str
    kind: str | None
    state: Stage = Field(
        description="telling (partners, that the token is not valid), rewriting, done"
    )
    waits_for: str | None = Field(description="What is in the way")
    pseudonym: str = Field(description="Under which the records stay")
    place: str | None = Field(description="The table that is gone through")
    rewritten: int = Field(description="Rows, so far")
    requested_at: datetime
    requested_by: str
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Forgetting) -> ForgettingOut:
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


@router.post("/forgettings", status_code=202)
async def forget_token(new: ForgettingNew, writer: AdminWriter) -> ForgettingOut:
    """Forget a driver: the token, ours or a visitor's, is blocked, partners are told, then it is
    deleted and all records of it stay under a pseudonym. For one that is being forgotten: how far
    that is. 409: a charge of it is open, or not settled with another network."""
    provided, who = writer.provided, writer.who
    key = writer.scoped_key
    reader: Reader = provided.store.reader
    if key is not None and await reader.get(RememberedWrite, key) is not None:
        # The answer of the first time, although the token may be gone by now.
        return ForgettingOut(**await writer.run("token_forgotten", "", lambda tx: {}))
    party = await _party(provided, who, new)
    before = await _under_way(provided, party, new.uid)
    if before is None:
        why = await hindrance(provided.store.reader, party, new.uid, provided.clock())
        if why is not None:
            raise Refused(why)
    wish = Wish(
        id=before.id if before else provided.new_id(),
        party_id=party,
        uid=new.uid,
        pseudonym=forgetting.pseudonym(provided.new_secret()),
        kind=new.kind,
    )
    answer = await writer.run(
        "token_forgotten",
        wish.id,
        _begin,
        wish,
        who.key_id,
        provided.clock(),
        party_id=party,
        # Never the body, which has the uid.
        facts={"party_id": party, "kind": new.kind},
    )
    return ForgettingOut(**answer)


def _begin(tx: Tx, wish: Wish, by: str, now: datetime) -> Mapping[str, Any]:
    return ForgettingOut.of(forgetting.begin(tx, wish, by, now)).model_dump(mode="json")


async def _party(provided: System, who: Principal, new: ForgettingNew) -> str:
    """Whose token is meant: the party that is named, or the only one that has such a token. Raises
    `NotFound` for one that the key does not see."""
    where = {"uid_key": uid_key(new.uid)}
    found: list[str] = []
    for kind in (Token, VisitorToken, Forgetting):
        rows: list[Any] = await provided.store.reader.page(kind, where, limit=AT_ONCE)
        found += [row.party_id for row in rows if who.sees(row.party_id)]
    parties = sorted(set(found) if new.party_id is None else {new.party_id} & set(found))
    if not parties:
        of = f" of {new.party_id}" if new.party_id else ""
        raise NotFound(f"no token {new.uid}{of}; one that was forgotten is not known any more")
    if len(parties) > 1:
        raise Invalid(f"party_id: there are tokens {new.uid} of {', '.join(parties)}; name one")
    return parties[0]


async def _under_way(provided: System, party: str, uid: str) -> Forgetting | None:
    rows = await provided.store.reader.page(
        Forgetting, {"uid_key": uid_key(uid), "party_id": party}, limit=AT_ONCE
    )
    return next((row for row in rows if row.state != Stage.DONE), None)


@router.get("/forgettings")
async def list_forgettings(
    who: Viewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[ForgettingOut]:
    """Drivers who are or were forgotten, the newest first."""
    return await page(
        provided.store.reader,
        Forgetting,
        ForgettingOut.of,
        cursor=cursor,
        limit=limit,
        where={"party_id": who.only},
        newest_first=True,
    )


@router.get("/forgettings/{forgetting_id}")
async def show_forgetting(forgetting_id: str, who: Viewer, provided: Provided) -> ForgettingOut:
    """How far it is."""
    found = await provided.store.reader.get(Forgetting, forgetting_id)
    if found is None or not who.sees(found.party_id):
        raise NotFound(f"no forgetting {forgetting_id}; csms token forgettings lists them")
    return ForgettingOut.of(found)
