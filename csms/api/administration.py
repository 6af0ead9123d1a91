"""API keys, and the journal as a stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from csms.api.auth import Admin, AdminWriter, Provided, Viewer
from csms.api.paging import Cursor, Limit, Page, page
from csms.api.problems import Gone, TooManyStreams
from csms.api.shapes import KeyIssued, KeyNew, KeyOut
from csms.api.stations import find, identity_of
from csms.api.system import System
from csms.core import security
from csms.core.errors import Invalid
from csms.core.ports import JournalRow, Tx
from csms.core.security import ApiKey

router = APIRouter()
KEEP_ALIVE_S = 15.0
ROWS_AT_ONCE = 500


@router.get("/keys", tags=["keys"])
async def list_keys(
    who: Admin, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[KeyOut]:
    """All API keys, without their secrets."""
    return await page(provided.store.reader, ApiKey, KeyOut.of, cursor=cursor, limit=limit)


@router.post("/keys", status_code=201, tags=["keys"])
async def add_key(new: KeyNew, writer: AdminWriter) -> KeyIssued:
    """Make an API key. It is in the answer and nowhere else."""
    provided = writer.provided
    secret = writer.secret()
    key_id, hashed = provided.keyring.hash(secret.encode())
    key = ApiKey(provided.new_id(), new.name, new.role, key_id, hashed, provided.clock())
    answer = await writer.run("key_added", new.name, _add, key)
    writer.issued(secret, again=answer["id"] != key.id)
    return KeyIssued(key=f"{answer['id']}.{secret}", **answer)


def _add(tx: Tx, key: ApiKey) -> Mapping[str, Any]:
    security.add_key(tx, key)
    return KeyOut.of(key).model_dump(mode="json")


@router.delete("/keys/{key_id}", tags=["keys"])
async def revoke_key(key_id: str, writer: AdminWriter) -> KeyOut:
    """End an API key."""
    answer = await writer.run("key_revoked", key_id, _revoke, key_id, writer.provided.clock())
    return KeyOut(**answer)


def _revoke(tx: Tx, key_id: str, now: Any) -> Mapping[str, Any]:
    return KeyOut.of(security.revoke_key(tx, key_id, now)).model_dump(mode="json")


# -- the journal ----------------------------------------------------------------------------


@router.get("/events", tags=["events"], response_class=StreamingResponse)
async def stream_events(
    request: Request,
    who: Viewer,
    provided: Provided,
    station: str | None = None,
    after: Annotated[int | None, Query(ge=0, description="Default: only what comes")] = None,
    follow: Annotated[bool, Query(description="False: end after what is there")] = True,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """The journal as server-sent events, each once and in order. `id` is its cursor: send it as
    `Last-Event-ID` to go on after it. 410: the events after it are not kept any more."""
    station_id = (await find(provided, station)).id if station else None
    start = _start(after, last_event_id)
    end = await provided.store.reader.journal_end()
    if start is None:
        start = end
    elif start > end:
        raise Gone("no such event: the journal ends before it")
    streams = request.app.state.event_streams
    if len(streams) >= provided.event_streams:
        raise TooManyStreams(f"{len(streams)} event streams are open")
    body = _events(provided, streams, start, station_id, follow)
    return StreamingResponse(
        body, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


def _start(after: int | None, last_event_id: str | None) -> int | None:
    if last_event_id is None:
        return after
    if not last_event_id.isascii() or not last_event_id.isdigit() or len(last_event_id) > 18:
        raise Invalid("Last-Event-ID: a number is expected")
    return int(last_event_id)


async def _events(
    provided: System, streams: set[object], after: int, station_id: str | None, follow: bool
) -> AsyncIterator[str]:
    mine = object()
    streams.add(mine)
    clock = asyncio.get_running_loop().time
    names: dict[str, str] = {}
    try:
        # The cursor at once, so that a client that loses the connection now can resume.
        yield f"id: {after}\n\n"
        said = clock()
        while not provided.stopping():
            rows = await provided.store.reader.journal(after, ROWS_AT_ONCE)
            for row in rows:
                # Also over the rows of others, so that none is read twice.
                after = row.seq
                if station_id in (None, row.station_id):
                    yield await _as_text(provided, row, names)
                    said = clock()
            if len(rows) == ROWS_AT_ONCE:
                continue
            if not follow:
                return
            await provided.bus.grown(KEEP_ALIVE_S)
            if clock() - said >= KEEP_ALIVE_S:
                yield ": still here\n\n"
                said = clock()
    finally:
        streams.discard(mine)


async def _as_text(provided: System, row: JournalRow, names: dict[str, str]) -> str:
    """One event; `station` is the identity for people, beside the id in the data."""
    data = row.data
    if row.station_id is not None:
        if row.station_id not in names:
            names[row.station_id] = await identity_of(provided, row.station_id)
        station = orjson.dumps(names[row.station_id]).decode()
        data = f'{{"station":{station},{data[1:]}'
    return f"id: {row.seq}\nevent: {row.kind}\ndata: {data}\n\n"
