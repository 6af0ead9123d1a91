"""The message log of a station: what was said on its links."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from csms.api.auth import Provided, Viewer
from csms.api.paging import Cursor, Limit, decode, encode
from csms.api.shapes import MessageOut, MessagePage
from csms.api.stations import find
from csms.core.errors import Invalid
from csms.core.messages import Message

router = APIRouter(tags=["stations"])
Action = Annotated[str | None, Query(examples=["BootNotification"])]
Moment = Annotated[datetime | None, Query(description="RFC 3339 time")]
After = Annotated[
    str | None,
    Query(description="`newest` of an answer before: what came since, the oldest first"),
]


@router.get("/stations/{station}/messages")
async def list_messages(
    station: str,
    who: Viewer,
    provided: Provided,
    cursor: Cursor = None,
    limit: Limit = 100,
    after: After = None,
    since: Moment = None,
    until: Moment = None,
    action: Action = None,
) -> MessagePage:
    """The OCPP messages of a station as they were logged, the newest first; with `after` those
    that came since, the oldest first. The log is written every second and is not complete: see the
    settings under `messages`."""
    if cursor is not None and after is not None:
        raise Invalid("give cursor or after, not both")
    found = await find(provided, station, who)
    where = {"station_id": found.id} | ({"action": action} if action else {})
    start = decode(cursor or after or "", 3) if cursor or after else None
    if start is None and until is not None:
        # A key before all of that moment.
        start = [found.id, _aware(until), 0]
    rows = await provided.store.reader.page(
        Message, where, after=start, limit=limit + 1, newest_first=after is None
    )
    more, rows = len(rows) > limit, rows[:limit]
    if since is not None:
        kept = [row for row in rows if row.at >= _aware(since)]
        more, rows = more and len(kept) == len(rows), kept
    newest = max(rows, key=lambda row: (row.at, row.n), default=None)
    return MessagePage(
        items=[MessageOut.of(row) for row in rows],
        next=_key(rows[-1]) if more and rows else None,
        newest=_key(newest) if newest else after,
    )


def _key(row: Message) -> str:
    return encode([row.station_id, row.at, row.n])


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
