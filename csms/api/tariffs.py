"""Tariffs, where they apply, and what transactions (real or imagined) cost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain, islice
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from csms.api.auth import OperatorWriter, Principal, Provided, Viewer
from csms.api.paging import Cursor, Limit, Page, page
from csms.api.shapes import Given
from csms.api.system import System
from csms.core import tariffs
from csms.core.billing import KNOWN
from csms.core.errors import Invalid, NotFound
from csms.core.ids import folded, party_id
from csms.core.ports import Tx
from csms.core.pricing.breakdown import breakdown
from csms.core.pricing.cost import MAX_WORK, Policy, price, too_much
from csms.core.pricing.metered import Metered, periods
from csms.core.pricing.select import clock_cuts, duration_cuts, energy_cuts
from csms.core.pricing.tariff import Terms, moment, parse
from csms.core.tariffs import Assignment, Tariff
from csms.core.taxes import Place
from csms.core.transactions import Transaction
from csms.flows.prices import Pricer

router = APIRouter(tags=["tariffs"])
MAX_ID = 36
# A week: longer than any car stays, and few enough changes of price to be worked out at once.
MAX_MINUTES = 7 * 24 * 60


class TariffOut(BaseModel):
    """One version of a tariff; `tariff` is its text in the shape of OCPI 2.3.0."""

    party_id: str
    id: str
    version: int
    current: bool = Field(description="New transactions get it, where it is assigned")
    currency: str
    kind: str | None = Field(description="OCPI TariffType; null: for all sessions")
    starts_at: datetime | None
    ends_at: datetime | None
    created_at: datetime
    last_updated: datetime
    tariff: dict[str, Any]

    @classmethod
    def of(cls, t: Tariff) -> TariffOut:
        names = [name for name in cls.model_fields if name != "tariff"]
        return cls(tariff=dict(t.data), **{name: getattr(t, name) for name in names})


class AssignmentNew(Given):
    location_id: str = Field(examples=["LOC-1"], max_length=MAX_ID)
    evse_uid: str | None = Field(None, description="Default: the whole location", max_length=MAX_ID)


class AssignmentOut(BaseModel):
    party_id: str
    tariff_key: str
    location_key: str
    uid_key: str = Field(description="Empty: the whole location")
    created_at: datetime

    @classmethod
    def of(cls, a: Assignment) -> AssignmentOut:
        return cls(**{name: getattr(a, name) for name in cls.model_fields})


class TaxOut(BaseModel):
    name: str
    percentage: str | None
    account_number: str | None
    amount: str


class LineOut(BaseModel):
    """What one component asks for a session. Amounts and quantities are decimal text."""

    part: str
    dimension: str
    element: int | None = Field(description="Number of the tariff's element; null: free")
    unit_price: str | None
    unit: str
    measured: str
    billed: str
    before_taxes: str
    taxes: list[TaxOut]
    after_taxes: str
    why: list[str]


class PeriodOut(BaseModel):
    start: datetime
    end: datetime
    energy_kwh: str
    charging_s: str
    idle_s: str
    max_power_kw: str | None


class PartOut(BaseModel):
    before_taxes: str
    taxes: list[TaxOut]
    after_taxes: str


class CostOut(BaseModel):
    """A cost and how it came about. Amounts are decimal text in `currency`."""

    currency: str
    before_taxes: str
    taxes: list[TaxOut]
    after_taxes: str
    energy_kwh: str
    charging_s: str
    idle_s: str
    reservation_s: str
    parts: dict[str, PartOut]
    lines: list[LineOut]
    periods: list[PeriodOut]
    notes: list[str]
    warnings: list[str]


class PriceOut(CostOut):
    """What a transaction costs, before and after taxes."""

    transaction_id: int
    state: str = Field(description="running, due (being computed), priced, billed, or refused")
    party_id: str
    tariff_id: str
    tariff_version: int
    location_id: str
    evse_uid: str
    time_zone: str
    country: str
    region: str | None
    computed_at: datetime | None


class Imagined(Given):
    """A session that nobody had: so much energy in so many minutes, then idle."""

    tariff: dict[str, Any] | None = Field(None, description="A tariff in the shape of OCPI")
    party_id: str | None = None
    tariff_id: str | None = None
    kwh: Decimal = Field(Decimal(0), ge=0, le=10_000)
    minutes: Decimal = Field(Decimal(0), ge=0, le=MAX_MINUTES)
    idle_minutes: Decimal = Field(Decimal(0), ge=0, le=MAX_MINUTES)
    start: datetime | None = Field(None, description="Default: now; without a zone it is local")
    time_zone: str = "UTC"
    country: str | None = Field(None, examples=["CA"], description="For taxes")
    state: str | None = Field(None, examples=["QC"])
    localities: list[str] = Field(default_factory=list, max_length=10)


# -- tariffs ---------------------------------------------------------------------------------------


@router.get("/tariffs")
async def list_tariffs(
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    all_versions: Annotated[bool, Query(description="Also those that were replaced")] = False,
) -> Page[TariffOut]:
    """The tariffs that new transactions may get."""
    where = {"current": None if all_versions else True, "party_id": who.only}
    reader = provided.store.reader
    return await page(reader, Tariff, TariffOut.of, cursor=cursor, limit=limit, where=where)


@router.post("/tariffs", status_code=201)
async def add_tariff(new: dict[str, Any], writer: OperatorWriter) -> TariffOut:
    """Add a tariff, or a new version of the one with its id; transactions that run keep theirs. The
    body is a tariff in the shape of OCPI 2.3.0; one that cannot be priced is refused, naming the
    element. Without `country_code` and `party_id` it belongs to this network."""
    provided = writer.provided
    given = _given(new, writer.who.party_for(_owner(new), provided.party), provided.clock())
    answer = await writer.run(
        "tariff_put", given.id, _put, given, provided.clock(), party_id=given.party_id, facts=new
    )
    return TariffOut(**answer)


def _owner(new: Mapping[str, Any]) -> str | None:
    country, party = new.get("country_code"), new.get("party_id")
    return f"{country}*{party}".upper() if country and party else None


def _given(new: Mapping[str, Any], owner: str, now: datetime) -> Tariff:
    terms = parse(new)
    name = str(new.get("id") or "").strip()
    if not name or len(name) > MAX_ID or not name.isascii() or not name.isprintable():
        raise Invalid(f"id: 1 to {MAX_ID} printable ASCII characters are expected")
    country, _, party = party_id(owner).partition("*")
    starts, ends = (
        moment(new[name]) if new.get(name) else None
        for name in ("start_date_time", "end_date_time")
    )
    if starts and ends and starts >= ends:
        raise Invalid("end_date_time is not after start_date_time")
    own = {"country_code": country, "party_id": party, "id": name, "currency": terms.currency}
    data = {k: v for k, v in new.items() if v is not None and k != "last_updated"} | own
    return Tariff(
        party_id=owner,
        id_key=folded(name),
        version=0,
        id=name,
        current=True,
        created_at=now,
        last_updated=now,
        currency=terms.currency,
        kind=str(new["type"]) if new.get("type") else None,
        starts_at=starts,
        ends_at=ends,
        data={"tax_included": terms.included.value} | data,
    )


def _put(tx: Tx, given: Tariff, now: datetime) -> Mapping[str, Any]:
    return TariffOut.of(tariffs.put(tx, given, now)).model_dump(mode="json")


@router.post("/tariffs/price")
async def imagine(asked: Imagined, who: Viewer, provided: Provided) -> CostOut:
    """What an imagined session would cost, line by line, with the reasons. Changes nothing.
    422 also for one in which the price may change too often: many days under many elements."""
    data = asked.tariff
    if data is None:
        if not asked.tariff_id:
            raise Invalid("tariff or tariff_id: one of them is needed")
        owner = who.party_for(asked.party_id, provided.party)
        data = dict((await _find(provided, who, owner, asked.tariff_id)).data)
    terms = parse(data)
    try:
        zone = ZoneInfo(asked.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid("time_zone: a name such as America/Toronto (IANA) is expected") from None
    start = asked.start or provided.clock()
    # An instant, not a wall clock: a change of the hour may lie within the session.
    start = (start if start.tzinfo else start.replace(tzinfo=zone)).astimezone(UTC)
    charged = start + timedelta(minutes=float(asked.minutes))
    end = charged + timedelta(minutes=float(asked.idle_minutes))
    wh = asked.kwh * 1000
    points = [(start, Decimal(0)), (charged, wh), (end, wh)]
    kept = dict(points) if charged > start else {start: wh, end: wh}
    idle = ((charged, end),) if end > charged else ()
    session = Metered(start, end, tuple(sorted(kept.items())), idle)
    found = provided.taxes.at(
        Place((asked.country or "").upper(), asked.state, tuple(asked.localities)),
        end.astimezone(zone).date(),
    )
    # In a thread: a tariff with very many times of day takes its time.
    answer = await asyncio.to_thread(_imagined, session, terms, zone, Policy(found.taxes))
    if asked.country:
        answer["warnings"] += found.doubts
    return CostOut(**answer)


def _imagined(session: Metered, terms: Terms, zone: ZoneInfo, policy: Policy) -> dict[str, Any]:
    """Raises `Invalid` for what takes too long: anybody who may look may ask for it."""
    by_clock = islice(clock_cuts(terms, zone, session.start, session.end), MAX_WORK)
    pieces = sum(1 for _ in chain(energy_cuts(terms), duration_cuts(terms), by_clock))
    if too_much(terms, pieces):
        raise Invalid("the price may change too often in this session: imagine a shorter one")
    cut = periods(session, terms, zone)
    return breakdown(price(terms, cut, zone, policy), cut)


@router.get("/tariffs/{party}/{tariff_id}")
async def show_tariff(
    party: str,
    tariff_id: str,
    who: Viewer,
    provided: Provided,
    version: Annotated[int | None, Query(ge=1, description="Default: the current one")] = None,
) -> TariffOut:
    """One tariff."""
    return TariffOut.of(await _find(provided, who, party, tariff_id, version))


async def _find(
    provided: System, who: Principal, party: str, tariff_id: str, version: int | None = None
) -> Tariff:
    where: dict[str, Any] = {"party_id": party, "id_key": folded(tariff_id)}
    where |= {"current": True} if version is None else {"version": version}
    found = await provided.store.reader.page(Tariff, where, limit=1)
    if not found or not who.sees(party):
        raise NotFound(f"no tariff {tariff_id} of {party}; csms tariff list shows those there are")
    return found[0]


@router.delete("/tariffs/{party}/{tariff_id}")
async def retire_tariff(party: str, tariff_id: str, writer: OperatorWriter) -> TariffOut:
    """Let no new transaction get it; it is taken from where it was assigned. Its versions stay."""
    await _find(writer.provided, writer.who, party, tariff_id)
    answer = await writer.run(
        "tariff_retired",
        tariff_id,
        _retire,
        party,
        tariff_id,
        writer.provided.clock(),
        party_id=party,
    )
    return TariffOut(**answer)


def _retire(tx: Tx, party: str, tariff_id: str, now: datetime) -> Mapping[str, Any]:
    return TariffOut.of(tariffs.retire(tx, party, tariff_id, now)).model_dump(mode="json")


# -- where they apply ------------------------------------------------------------------------------


@router.get("/tariffs/{party}/{tariff_id}/assignments")
async def list_assignments(
    party: str,
    tariff_id: str,
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[AssignmentOut]:
    """Where a tariff applies."""
    await _find(provided, who, party, tariff_id)
    where = {"party_id": party, "tariff_key": folded(tariff_id)}
    reader = provided.store.reader
    return await page(reader, Assignment, AssignmentOut.of, cursor=cursor, limit=limit, where=where)


@router.post("/tariffs/{party}/{tariff_id}/assignments", status_code=201)
async def assign(
    party: str, tariff_id: str, new: AssignmentNew, writer: OperatorWriter
) -> AssignmentOut:
    """Let a tariff apply at a location, or at one EVSE of it, where it takes the place of those of
    the location."""
    await _find(writer.provided, writer.who, party, tariff_id)
    answer = await writer.run(
        "tariff_assigned",
        tariff_id,
        _assign,
        party,
        tariff_id,
        new,
        writer.provided.clock(),
        party_id=party,
    )
    return AssignmentOut(**answer)


def _assign(
    tx: Tx, party: str, tariff_id: str, new: AssignmentNew, now: datetime
) -> Mapping[str, Any]:
    row = tariffs.assign(tx, party, tariff_id, new.location_id, new.evse_uid, now)
    return AssignmentOut.of(row).model_dump(mode="json")


@router.post("/tariffs/{party}/{tariff_id}/assignments/remove")
async def unassign(
    party: str, tariff_id: str, old: AssignmentNew, writer: OperatorWriter
) -> dict[str, bool]:
    """Let it apply there no longer; `removed` is false when it did not."""
    await _find(writer.provided, writer.who, party, tariff_id)
    answer = await writer.run(
        "tariff_unassigned",
        tariff_id,
        _unassign,
        party,
        tariff_id,
        old,
        writer.provided.clock(),
        party_id=party,
    )
    return {"removed": bool(answer["removed"])}


def _unassign(
    tx: Tx, party: str, tariff_id: str, old: AssignmentNew, now: datetime
) -> Mapping[str, Any]:
    removed = tariffs.unassign(tx, party, tariff_id, old.location_id, old.evse_uid, now)
    return {"removed": removed}


# -- what transactions cost ------------------------------------------------------------------------


@router.get("/transactions/{transaction_id}/price", tags=["transactions"])
async def show_price(transaction_id: int, who: Viewer, provided: Provided) -> PriceOut:
    """What a transaction costs, before and after taxes, line by line: so far while it runs, in the
    end once it has ended."""
    t = await provided.store.reader.get(Transaction, transaction_id)
    if t is None or not who.sees(t.party_id):
        raise NotFound(f"no transaction {transaction_id}; csms transaction list shows them")
    pricer = Pricer(provided.store, provided.taxes, provided.clock)
    found = await pricer.price(transaction_id)
    if found is None:
        raise NotFound(
            f"transaction {transaction_id} has no price: no tariff applied where it started; "
            "csms tariff assign says where one applies"
        )
    row = found.row
    names = set(PriceOut.model_fields) - set(CostOut.model_fields)
    # What was settled is what is owed; while it runs or is due it is computed.
    details = dict(row.details) if row.state in KNOWN and row.details else found.details
    return PriceOut(**details, **{name: getattr(row, name) for name in names})
