"""Transactions with their meter values, tokens, and the quarantine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from csms.api.auth import OperatorWriter, Principal, Provided, Viewer
from csms.api.paging import Cursor, Limit, Page, page
from csms.api.shapes import (
    PlacementNew,
    PlacementOut,
    QuarantinedOut,
    SampleOut,
    TokenChange,
    TokenNew,
    TokenOut,
    TransactionChecked,
    TransactionOut,
)
from csms.api.stations import find, identity_of, named
from csms.api.system import System
from csms.core import assigning, ends, forgetting, reconciliation, tokens
from csms.core.errors import NotFound, StationOffline
from csms.core.inquiries import NoAnswer, TransactionState
from csms.core.metering import NO_EVSE, NO_TRANSACTION, MeterSample
from csms.core.ports import Tx
from csms.core.quarantine import Quarantined
from csms.core.reconciliation import Question
from csms.core.tokens import Token
from csms.core.transactions import Transaction

router = APIRouter()
PAGES_LOOKED_THROUGH = 20


@router.get("/transactions", tags=["transactions"])
async def list_transactions(
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    station: str | None = None,
    open: bool | None = None,  # noqa: A002 - the field's name
    doubtful: bool = False,
) -> Page[TransactionOut]:
    """Transactions, newest first. `doubtful`: only those that people should look at, because how
    they ended is not known or not likely, or because they have been silent for a day; a page may
    then be empty and have a next one."""
    station_id = (await find(provided, station, who)).id if station else None
    for _ in range(PAGES_LOOKED_THROUGH if doubtful else 1):
        found = await page(
            provided.store.reader,
            Transaction,
            lambda transaction: transaction,
            cursor=cursor,
            limit=limit,
            where={"station_id": station_id, "open": open, "party_id": who.only},
            newest_first=True,
        )
        if doubtful:
            now = provided.clock()
            found.items = [t for t in found.items if reconciliation.is_doubtful(t, now)]
        cursor = found.next
        if found.items or cursor is None:
            break
    return await named(provided, found, TransactionOut)


@router.post("/transactions/{transaction_id}/check", tags=["transactions"])
async def check_transaction(transaction_id: int, writer: OperatorWriter) -> TransactionChecked:
    """Ask the station now whether a transaction goes on, and whether anything about it still waits
    to be sent (OCPP 2.x). That it is over is believed when the station says so twice, some time
    apart."""
    provided = writer.provided
    before = await _transaction(provided, transaction_id, writer.who)
    question = Question(before.id, before.wire_id, before.evse, before.open)
    answer = await provided.contact.check(before.station_id, question)
    if isinstance(answer, NoAnswer) and answer.reason == "offline":
        raise StationOffline("the station is not connected")
    found = await _transaction(provided, transaction_id, writer.who)
    state = answer if isinstance(answer, TransactionState) else None
    return TransactionChecked(
        ongoing=state.ongoing if state else None,
        messages_in_queue=state.queued if state else None,
        detail=None if state else getattr(answer, "reason", None),
        transaction=TransactionOut.of(found, await identity_of(provided, found.station_id)),
    )


@router.post("/transactions/{transaction_id}/close", tags=["transactions"])
async def close_transaction(transaction_id: int, writer: OperatorWriter) -> TransactionOut:
    """End a transaction whose station will not: at its last sign of life, with the energy counted
    so far. A stop that the station reports after all takes its place."""
    provided = writer.provided
    before = await _transaction(provided, transaction_id, writer.who)
    await writer.run(
        "transaction_closed",
        str(transaction_id),
        _close,
        transaction_id,
        provided.clock(),
        station_id=before.station_id,
        party_id=before.party_id,
    )
    found = await _transaction(provided, transaction_id, writer.who)
    return TransactionOut.of(found, await identity_of(provided, found.station_id))


def _close(tx: Tx, transaction_id: int, now: Any) -> Mapping[str, Any]:
    return {"id": ends.close(tx, transaction_id, now).id}


async def _transaction(provided: System, transaction_id: int, who: Principal) -> Transaction:
    found = await provided.store.reader.get(Transaction, transaction_id)
    if found is None or not who.sees(found.party_id):
        raise NotFound(f"no transaction {transaction_id}; csms transaction list shows them")
    return found


@router.get("/transactions/{transaction_id}", tags=["transactions"])
async def show_transaction(transaction_id: int, who: Viewer, provided: Provided) -> TransactionOut:
    """One transaction."""
    found = await _transaction(provided, transaction_id, who)
    return TransactionOut.of(found, await identity_of(provided, found.station_id))


@router.get("/transactions/{transaction_id}/meter-values", tags=["transactions"])
async def meter_values(
    transaction_id: int,
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[SampleOut]:
    """The meter samples of a transaction, oldest first."""
    found = await _transaction(provided, transaction_id, who)
    where = {"station_id": found.station_id, "evse": NO_EVSE, "transaction_id": found.id}
    return await page(
        provided.store.reader, MeterSample, SampleOut.of, cursor=cursor, limit=limit, where=where
    )


@router.get("/tokens", tags=["tokens"])
async def list_tokens(
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    uid: str | None = None,
) -> Page[TokenOut]:
    """The tokens, or those with a uid (of several parties or kinds)."""
    where = {"uid_key": tokens.uid_key(uid) if uid else None, "party_id": who.only}
    return await page(
        provided.store.reader, Token, TokenOut.of, cursor=cursor, limit=limit, where=where
    )


@router.post("/tokens", status_code=201, tags=["tokens"])
async def add_token(new: TokenNew, writer: OperatorWriter) -> TokenOut:
    """Add a token."""
    provided = writer.provided
    now = provided.clock()
    token = Token(
        party_id=writer.who.party_for(new.party_id, provided.party),
        uid_key="",
        kind=new.kind,
        uid=new.uid,
        created_at=now,
        group_id=new.group_id,
        expires_at=new.expires_at,
        concurrent=new.concurrent,
        label=new.label,
        technology=new.technology,
    )
    answer = await writer.run("token_added", new.uid, _add, token, now, party_id=token.party_id)
    return TokenOut(**answer)


def _add(tx: Tx, token: Token, now: Any) -> Mapping[str, Any]:
    forgetting.check_not_under_way(tx, token.party_id, token.uid)
    return TokenOut.of(tokens.add(tx, token, now)).model_dump(mode="json")


@router.patch("/tokens/{party_id}/{kind}/{uid:path}", tags=["tokens"])
async def change_token(
    party_id: str, kind: str, uid: str, change: TokenChange, writer: OperatorWriter
) -> TokenOut:
    """Block or unblock a token."""
    if not writer.who.sees(party_id):
        raise tokens.no_token(party_id, uid, kind)
    answer = await writer.run(
        "token_blocked" if change.blocked else "token_unblocked",
        uid,
        _set_blocked,
        party_id,
        uid,
        kind,
        change.blocked,
        writer.provided.clock(),
        party_id=party_id,
        facts={"party_id": party_id, "kind": kind, **change.model_dump()},
    )
    return TokenOut(**answer)


def _set_blocked(
    tx: Tx, party_id: str, uid: str, kind: str, blocked: bool, now: Any
) -> Mapping[str, Any]:
    forgetting.check_not_under_way(tx, party_id, uid)
    token = tokens.set_blocked(tx, party_id, uid, kind, blocked, now)
    return TokenOut.of(token).model_dump(mode="json")


@router.get("/quarantine", tags=["transactions"])
async def list_quarantine(
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    station: str | None = None,
) -> Page[QuarantinedOut]:
    """Reports of stations that found no place."""
    station_id = (await find(provided, station, who)).id if station else None
    found = await page(
        provided.store.reader,
        Quarantined,
        lambda kept: kept,
        cursor=cursor,
        limit=limit,
        where={"station_id": station_id, "party_id": who.only},
    )
    return await named(provided, found, QuarantinedOut)


@router.post("/quarantine/{quarantine_id}/assign", tags=["transactions"])
async def assign_quarantined(
    quarantine_id: str, new: PlacementNew, writer: OperatorWriter
) -> PlacementOut:
    """Place a kept report at a transaction of its station: a stop ends it, meter values become its
    samples. The transaction is flagged `assigned`; a report is assigned once. 409: it cannot be
    placed there."""
    provided = writer.provided
    kept = await _quarantined(provided, quarantine_id, writer.who)
    t = await _transaction(provided, new.transaction_id, writer.who)
    found: list[MeterSample] = []
    if kept.kind == assigning.METER_VALUES:
        found = await _samples_of_evse(provided, kept, t)
    wish = (kept.id, t.id, writer.who.key_id, provided.clock(), found)
    station = await identity_of(provided, kept.station_id)
    if new.dry_run:
        try:
            await provided.store.transact(assigning.rehearse, *wish)
        except assigning.Rehearsed as rehearsed:
            return _assignment(rehearsed.result, station, dry_run=True)
    done: list[assigning.Assigned] = []
    await writer.run(
        "quarantine_assigned",
        kept.id,
        _assign,
        done,
        *wish,
        station_id=kept.station_id,
        party_id=kept.party_id,
    )
    if done:
        return _assignment(done[-1], station, dry_run=False)
    # A retry: it was carried out the first time.
    after = await _transaction(provided, t.id, writer.who)
    return _assignment(assigning.Assigned(after, after, 0), station, dry_run=False)


def _assign(tx: Tx, done: list[assigning.Assigned], *wish: Any) -> Mapping[str, Any]:
    result = assigning.assign(tx, *wish)
    # It may be run again: the last time counts.
    done.append(result)
    return {"transaction_id": result.after.id, "samples": result.samples}


def _assignment(result: assigning.Assigned, station: str, *, dry_run: bool) -> PlacementOut:
    return PlacementOut(
        dry_run=dry_run,
        samples=result.samples,
        before=TransactionOut.of(result.before, station),
        after=TransactionOut.of(result.after, station),
    )


async def _samples_of_evse(
    provided: System, kept: Quarantined, t: Transaction
) -> list[MeterSample]:
    """What the EVSE of a kept report measured while the transaction ran, without naming one."""
    evse = int(kept.payload.get("evse") or 0)
    until = t.ended_at or provided.clock()
    rows = await provided.store.reader.page(
        MeterSample,
        {"station_id": kept.station_id, "evse": evse, "transaction_id": NO_TRANSACTION},
        after=(kept.station_id, evse, NO_TRANSACTION, t.started_at, ""),
        limit=assigning.MAX_SAMPLES,
    )
    return [row for row in rows if row.at <= until]


@router.get("/quarantine/{quarantine_id}", tags=["transactions"])
async def show_quarantined(quarantine_id: str, who: Viewer, provided: Provided) -> QuarantinedOut:
    """One report that found no place."""
    found = await _quarantined(provided, quarantine_id, who)
    return QuarantinedOut.of(found, await identity_of(provided, found.station_id))


async def _quarantined(provided: System, quarantine_id: str, who: Principal) -> Quarantined:
    found = await provided.store.reader.get(Quarantined, quarantine_id)
    if found is None or not who.sees(found.party_id):
        raise NotFound(f"nothing in quarantine has the id {quarantine_id}")
    return found
