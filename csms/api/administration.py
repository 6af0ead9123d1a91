"""API keys, and the journal as a stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from csms.api.auth import (
    Admin,
    AdminWriter,
    NetworkAdmin,
    Principal,
    Provided,
    Viewer,
    is_good,
)
from csms.api.paging import MAX_LIMIT, Cursor, Limit, Page, page
from csms.api.problems import Forbidden, Gone, TooManyStreams
from csms.api.shapes import AuditOut, KeyIssued, KeyNew, KeyOut
from csms.api.stations import find
from csms.api.system import System
from csms.core import security
from csms.core.audit import AuditEntry
from csms.core.errors import Invalid, NotFound
from csms.core.events import AuditRecorded, StationChanged, UnknownStationSeen, event_name
from csms.core.ports import JournalRow, Reader, Tx
from csms.core.security import ApiKey
from csms.core.stations import Station

router = APIRouter()
KEEP_ALIVE_S = 15.0
ROWS_AT_ONCE = 500
STATION_CHANGED = event_name(StationChanged)
# Who did what, and who knocked, is for those who run the network.
NETWORK_EVENTS = frozenset(map(event_name, (AuditRecorded, UnknownStationSeen)))


@router.get("/keys", tags=["keys"])
async def list_keys(
    who: Admin, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[KeyOut]:
    """The API keys, without their secrets: all of them, or those of this key's own parties."""
    found = await page(provided.store.reader, ApiKey, lambda key: key, cursor=cursor, limit=limit)
    shown = [KeyOut.of(key) for key in found.items if _within(who, key.parties)]
    return Page(items=shown, next=found.next)


def _within(who: Principal, parties: tuple[str, ...]) -> bool:
    """Whether a key for these parties may do nothing that this one may not."""
    return not who.parties or (parties != () and set(parties) <= set(who.parties))


@router.post("/keys", status_code=201, tags=["keys"])
async def add_key(new: KeyNew, writer: AdminWriter) -> KeyIssued:
    """Make an API key, for all parties or for those named. It is in the answer and nowhere else. A
    key that is for some parties makes keys for these."""
    provided = writer.provided
    parties = tuple(new.parties) or writer.who.parties
    if not _within(writer.who, parties):
        raise Forbidden(f"this key is for {', '.join(writer.who.parties)} and makes none beyond")
    secret = writer.secret()
    key_id, hashed = provided.keyring.hash(secret.encode())
    key = ApiKey(
        provided.new_id(), new.name, new.role, key_id, hashed, provided.clock(), None, parties
    )
    answer = await writer.run("key_added", new.name, _add, key)
    writer.issued(secret, again=answer["id"] != key.id)
    return KeyIssued(key=f"{answer['id']}.{secret}", **answer)


def _add(tx: Tx, key: ApiKey) -> Mapping[str, Any]:
    return KeyOut.of(security.add_key(tx, key)).model_dump(mode="json")


# -- who did what ---------------------------------------------------------------------------


@router.get("/audit", tags=["audit"])
async def list_audit(
    who: NetworkAdmin,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    station: str | None = None,
    actor: Annotated[str | None, Query(description="Id or name of an API key")] = None,
    action: Annotated[str | None, Query(examples=["station_added"])] = None,
    since: Annotated[datetime | None, Query(description="RFC 3339 time")] = None,
) -> Page[AuditOut]:
    """Who changed what, the newest first. For admin keys of all parties."""
    station_id = (await find(provided, station, who)).id if station else None
    where = {"station_id": station_id, "action": action, "actor": await _ids(provided, actor)}
    reader = provided.store.reader
    found = await page(
        reader, AuditEntry, AuditOut.of, cursor=cursor, limit=limit, where=where, newest_first=True
    )
    if since is None:
        return found
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    recent = [entry for entry in found.items if entry.at >= since]
    return Page(items=recent, next=found.next if len(recent) == len(found.items) else None)


async def _ids(provided: System, actor: str | None) -> tuple[str, ...] | None:
    """The ids of the keys that are meant by an id or a name."""
    if actor is None:
        return None
    keys = await provided.store.reader.page(ApiKey, {"name": actor}, limit=MAX_LIMIT)
    return (actor, *(key.id for key in keys))


@router.delete("/keys/{key_id}", tags=["keys"])
async def revoke_key(key_id: str, writer: AdminWriter) -> KeyOut:
    """End an API key. 409 for the last one that may do everything."""
    found = await writer.provided.store.reader.get(ApiKey, key_id)
    if found is None or not _within(writer.who, found.parties):
        raise NotFound(f"no API key {key_id}")
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
    since: Annotated[datetime | None, Query(description="Begin with the events of then")] = None,
    follow: Annotated[bool, Query(description="False: end after what is there")] = True,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """The journal as server-sent events, each once and in order. `id` is its cursor: send it as
    `Last-Event-ID` to go on after it. 410: the events after it are not kept any more. A key that is
    for some parties gets the events of their stations and tokens. It ends when the key is revoked.
    """
    station_id = (await find(provided, station, who)).id if station else None
    start = _start(after, last_event_id)
    end = await provided.store.reader.journal_end()
    if start is None:
        start = end if since is None else await _before(provided.store.reader, since)
    elif start > end:
        raise Gone("no such event: the journal ends before it")
    elif start and start < await provided.store.reader.journal_start() - 1:
        # 0 asks for the oldest there is.
        raise Gone(f"the events after {start} are not kept any more (retention.journal_days)")
    streams = request.app.state.event_streams
    if len(streams) >= provided.event_streams:
        raise TooManyStreams(f"{len(streams)} event streams are open")
    view = View(provided, station_id, who)
    body = _events(provided, view, streams, start, follow)
    return StreamingResponse(
        body, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _before(reader: Reader, since: datetime) -> int:
    """The number of the last event before a time, found by halves: events are in order of time but
    for what nodes differ in."""
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    low, high = await reader.journal_start() - 1, await reader.journal_end()
    while low < high:
        middle = (low + high) // 2
        rows = await reader.journal(middle, 1)
        if not rows or rows[0].at >= since:
            high = middle
        else:
            low = rows[0].seq
    return max(low, 0)


def _start(after: int | None, last_event_id: str | None) -> int | None:
    if last_event_id is None:
        return after
    if not last_event_id.isascii() or not last_event_id.isdigit() or len(last_event_id) > 18:
        raise Invalid("Last-Event-ID: a number is expected")
    return int(last_event_id)


@dataclass(slots=True)
class View:
    """What one stream shows: of one station or of all, and only what the key may see."""

    provided: System
    station_id: str | None
    who: Principal
    _stations: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def text(self, row: JournalRow) -> str | None:
        """An event as it is sent, None when it is not shown. `station` is the identity for people,
        beside the id in the data."""
        if self.station_id not in (None, row.station_id):
            return None
        data = row.data
        party: str | None
        if row.station_id is None:
            # Only a key for some parties has to look inside.
            party = orjson.loads(data).get("party_id") if self.who.parties else None
        else:
            identity, party = await self._station(row.station_id, row.kind)
            data = f'{{"station":{orjson.dumps(identity).decode()},{data[1:]}'
        if self.who.parties and (row.kind in NETWORK_EVENTS or not self.who.sees(party or "")):
            return None
        return f"id: {row.seq}\nevent: {row.kind}\ndata: {data}\n\n"

    async def _station(self, station_id: str, kind: str) -> tuple[str, str]:
        """Its identity and its party."""
        if kind == STATION_CHANGED:
            self._stations.pop(station_id, None)
        known = self._stations.get(station_id)
        if known is None:
            row = await self.provided.store.reader.get(Station, station_id)
            known = (row.identity, row.party_id) if row else (station_id, "")
            self._stations[station_id] = known
        return known


async def _events(
    provided: System, view: View, streams: set[object], after: int, follow: bool
) -> AsyncIterator[str]:
    mine = object()
    streams.add(mine)
    clock = asyncio.get_running_loop().time
    try:
        # The cursor at once, so that a client that loses the connection now can resume.
        yield f"id: {after}\n\n"
        said = clock()
        while not provided.stopping():
            rows = await provided.store.reader.journal(after, ROWS_AT_ONCE)
            good = False
            for row in rows:
                # Also over the rows of others, so that none is read twice.
                after = row.seq
                text = await view.text(row)
                if text is not None:
                    # The row of the key tells it, also where another node revoked it.
                    good = good or await is_good(provided, view.who)
                    if not good:
                        return
                    yield text
                    said = clock()
            if len(rows) == ROWS_AT_ONCE:
                continue
            if not follow:
                return
            await provided.bus.grown(KEEP_ALIVE_S)
            if clock() - said >= KEEP_ALIVE_S:
                if not await is_good(provided, view.who):
                    return
                # With the cursor, so that nothing of others is read again after a new connection.
                yield f": still here\nid: {after}\n\n"
                said = clock()
    finally:
        streams.discard(mine)
