"""Partners: the connections to other networks (OCPI), for those who run this one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from csms.api.auth import NetworkAdminWriter, NetworkViewer, Provided, Writer
from csms.api.paging import Cursor, Limit, Page, page
from csms.api.shapes import Given
from csms.api.system import Connections, System
from csms.core import partners
from csms.core.contracts import MAX_DIGITS, Contract
from csms.core.disclosures import Disclosure
from csms.core.errors import Refused
from csms.core.partners import Partner, PartnerModule, PartnerToken, State
from csms.core.ports import Tx
from csms.core.pricing.money import Treatment
from csms.core.tokens import uid_key
from csms.core.writes import RememberedWrite

router = APIRouter()


class PartnerNew(Given):
    name: str = Field(examples=["South Network"], min_length=1, max_length=64)


class PartnerRegistration(PartnerNew):
    url: str = Field(examples=["https://south.example.com/ocpi/versions"], max_length=255)
    token: str = Field(description="The token of their invitation", min_length=1, max_length=64)


class PartnerOut(BaseModel):
    """`roles`: whom they speak for; `endpoints`: what they offer; `deviations`: how often they sent
    what had to be forgiven."""

    id: str
    name: str
    state: State
    versions_url: str | None
    encoding: str = Field(description="How they want our token: base64 or raw")
    roles: list[dict[str, str]]
    endpoints: list[dict[str, str]]
    created_at: datetime
    registered_at: datetime | None
    heard_at: datetime | None = Field(description="Their last request, to the minute")
    deviations: dict[str, int]
    contract: dict[str, Any] = Field(description="What is agreed about money")

    @classmethod
    def of(cls, entity: Partner) -> PartnerOut:
        agreed = Contract.of(entity.contract).stored()
        row = entity._replace(contract=agreed)
        return cls(**{n: getattr(row, n) for n in PartnerOut.model_fields})


class PartnerInvited(PartnerOut):
    """An invitation. `token` is shown this once."""

    url: str = Field(description="Our versions endpoint, for the partner")
    token: str


class ContractGiven(Given):
    """What is agreed about money, for charges that begin from now on."""

    taxes: Treatment = Field(Treatment.TAXED, description="Between the two networks")
    rounding_digits: int | None = Field(
        None, ge=0, le=MAX_DIGITS, description="Of totals and tax lines; null: the currency's"
    )
    markup_percent: str = Field(
        "0", max_length=16, description="What our drivers pay beyond their price", examples=["0"]
    )


class PartnerActed(PartnerOut):
    """`steps`: what was done, in order."""

    steps: list[str]


class ModuleOut(BaseModel):
    """How one module is doing. `direction`: push or pull by us, in by them; a party whose list
    cannot be read while others can has a row of its own (`pull of ...`)."""

    module: str
    direction: str
    last_at: datetime | None
    done: int
    failures: int = Field(description="In a row since the last success")
    error: str | None = Field(description="Of the last exchange")
    fault: str | None = Field(description="The last error, also when all went well since")
    fault_at: datetime | None
    behind_s: int
    missing: int = Field(
        description="What is known and was not in their list when it was last read in full"
    )


class PartnerDetails(PartnerOut):
    modules: list[ModuleOut]


class DisclosureOut(BaseModel):
    """What a partner was told of a driver's token by one module. A note stands before what it is
    about is sent: it may not have arrived."""

    party_id: str = Field(description="Whose driver: one of ours, or a visitor's home network")
    uid: str
    type: str = Field(description="In the words of OCPI: RFID, APP_USER, OTHER ...")
    module: str = Field(
        description="token_push, token_list, authorization (a question or its answer), "
        "command (a start), session, cdr"
    )
    first_at: datetime
    last_at: datetime
    times: int = Field(description="The same facts within an hour count once")
    facts: dict[str, list[Any]] = Field(
        description="Fact -> the values that went out, the one told last being last"
    )

    @classmethod
    def of(cls, row: Disclosure) -> DisclosureOut:
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class Action(StrEnum):
    """`sync`: read their endpoints again. `rotate`: new tokens on both sides."""

    SYNC = "sync"
    ROTATE = "rotate"
    SUSPEND = "suspend"
    RESUME = "resume"


@router.get("/partners", tags=["partners"])
async def list_partners(
    who: NetworkViewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[PartnerOut]:
    """All connections, removed ones as well."""
    return await page(provided.store.reader, Partner, PartnerOut.of, cursor=cursor, limit=limit)


@router.get("/partners/{partner}", tags=["partners"])
async def show_partner(partner: str, who: NetworkViewer, provided: Provided) -> PartnerDetails:
    """One connection, by id or name."""
    found = await _connections(provided).find(partner)
    rows = await provided.store.reader.page(PartnerModule, {"partner_id": found.id}, limit=100)
    modules = [ModuleOut(**{n: getattr(r, n) for n in ModuleOut.model_fields}) for r in rows]
    return PartnerDetails(**PartnerOut.of(found).model_dump(), modules=modules)


@router.get("/partners/{partner}/disclosures", tags=["partners"])
async def list_disclosures(
    partner: str,
    who: NetworkViewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    token: Annotated[str | None, Query(max_length=255, description="Of one uid")] = None,
) -> Page[DisclosureOut]:
    """What a partner was told of drivers, ours and its own that charge here, by party and uid."""
    found = await _connections(provided).find(partner)
    where = {"partner_id": found.id, "uid_key": uid_key(token) if token else None}
    reader = provided.store.reader
    return await page(reader, Disclosure, DisclosureOut.of, cursor=cursor, limit=limit, where=where)


@router.post("/partners", status_code=201, tags=["partners"])
async def invite_partner(new: PartnerNew, writer: NetworkAdminWriter) -> PartnerInvited:
    """Invite another network: it completes the connection with the address and the token of the
    answer. For a name that is invited already, the new token takes the place of the old one."""
    provided = writer.provided
    connections = _connections(provided)
    secret = writer.secret()
    row = connections.invitation(secret)
    answer = await writer.run(
        "partner_invited", new.name, _invite, provided.new_id(), new.name, row, provided.clock()
    )
    writer.issued(secret, again=answer["token_id"] != row.id)
    fields = {name: value for name, value in answer.items() if name != "token_id"}
    return PartnerInvited(url=connections.versions_url, token=secret, **fields)


def _invite(
    tx: Tx, partner_id: str, name: str, row: PartnerToken, now: datetime
) -> Mapping[str, Any]:
    partner = partners.invite(tx, partner_id, name, row, now)
    return {**PartnerOut.of(partner).model_dump(mode="json"), "token_id": row.id}


@router.post("/partners/register", status_code=201, tags=["partners"])
async def register_partner(new: PartnerRegistration, writer: NetworkAdminWriter) -> PartnerActed:
    """Complete a connection with the invitation of another network. May be made again after a
    failure, with the same invitation."""
    connections = _connections(writer.provided)
    return await _performed(
        writer,
        "partner_registered",
        new.name,
        {"name": new.name, "url": new.url},
        lambda: connections.register(new.name, new.url, new.token),
    )


@router.post("/partners/{partner}/{action}", tags=["partners"])
async def act_on_partner(partner: str, action: Action, writer: NetworkAdminWriter) -> PartnerActed:
    """Synchronise, rotate the tokens of, suspend or resume a connection."""
    connections = _connections(writer.provided)
    found = await connections.find(partner)
    return await _performed(
        writer, f"partner_{action}", found.name, {}, lambda: connections.act(action, found)
    )


@router.put("/partners/{partner}/contract", tags=["partners"])
async def agree_with_partner(
    partner: str, new: ContractGiven, writer: NetworkAdminWriter
) -> PartnerOut:
    """What is agreed with a partner about money; charges that run keep what they began with."""
    found = await _connections(writer.provided).find(partner)
    contract = Contract.of(new.model_dump())
    now = writer.provided.clock()
    told = await writer.run("partner_contract", found.name, _agree, found.id, contract, now)
    return PartnerOut(**told)


def _agree(tx: Tx, partner_id: str, contract: Contract, now: datetime) -> Mapping[str, Any]:
    return PartnerOut.of(partners.agree(tx, partner_id, contract, now)).model_dump(mode="json")


@router.delete("/partners/{partner}", tags=["partners"])
async def remove_partner(partner: str, writer: NetworkAdminWriter) -> PartnerActed:
    """End a connection: the other side is told, and no token works any more."""
    connections = _connections(writer.provided)
    found = await connections.find(partner)
    return await _performed(
        writer, "partner_removed", found.name, {}, lambda: connections.act("remove", found)
    )


def _connections(provided: System) -> Connections:
    if provided.connections is None:
        raise Refused("roaming is not set up on this system")
    return provided.connections


async def _performed(
    writer: Writer,
    action: str,
    target: str,
    facts: Mapping[str, Any],
    carry_out: Callable[[], Awaitable[tuple[Partner, list[str]]]],
) -> PartnerActed:
    """Carry out what needs the other side, then audit it; a repeated Idempotency-Key gets the
    answer of the first time, and the other side is not asked again."""
    reader = writer.provided.store.reader
    answer: dict[str, Any] = {}
    if writer.scoped_key is None or not await reader.get(RememberedWrite, writer.scoped_key):
        partner, steps = await carry_out()
        answer = {**PartnerOut.of(partner).model_dump(mode="json"), "steps": steps}
    told = await writer.run(action, target, lambda tx: answer, facts=facts)
    return PartnerActed(**told)
