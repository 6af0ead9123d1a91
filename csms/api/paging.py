"""Lists: pages by an opaque cursor, in key order."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Query
from pydantic import BaseModel

from csms.core.entities import SHAPES
from csms.core.errors import Invalid
from csms.core.ports import Reader

T = TypeVar("T")
MAX_LIMIT = 500

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most items of a page")]
Cursor = Annotated[str | None, Query(description="`next` of the page before", max_length=1_000)]


class Page(BaseModel, Generic[T]):
    """`items` in order; `next` is the cursor of the following page, null on the last one."""

    items: list[T]
    next: str | None = None


async def page(
    reader: Reader,
    kind: type[Any],
    show: Callable[[Any], T],
    *,
    cursor: str | None,
    limit: int,
    where: Mapping[str, Any] | None = None,
    newest_first: bool = False,
) -> Page[T]:
    """One page of entities. `where` values of None do not filter. Raises `Invalid`."""
    filters = {name: value for name, value in (where or {}).items() if value is not None}
    key = SHAPES[kind].key
    after = decode(cursor, len(key)) if cursor else None
    found = await reader.page(
        kind, filters, after=after, limit=limit + 1, newest_first=newest_first
    )
    more = len(found) > limit
    shown = found[:limit]
    last = [getattr(shown[-1], f) for f in key] if more else None
    return Page(items=[show(entity) for entity in shown], next=encode(last) if last else None)


def encode(key: Sequence[Any]) -> str:
    """A cursor: the key of the last entity shown."""
    parts = [[part.isoformat()] if isinstance(part, datetime) else part for part in key]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def decode(cursor: str, parts: int) -> list[Any]:
    """The key in a cursor. Raises `Invalid`."""
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        key = [_part(part) for part in orjson.loads(base64.urlsafe_b64decode(padded))]
    except (binascii.Error, ValueError, TypeError) as error:
        raise Invalid("cursor: not one that was handed out") from error
    if len(key) != parts:
        raise Invalid("cursor: not one that was handed out")
    return key


def _part(part: Any) -> Any:
    """A text, a number, or a time in a list of its own (JSON has none)."""
    if type(part) is list and len(part) == 1:
        at = datetime.fromisoformat(part[0])
        if at.tzinfo is None:
            raise ValueError("a time without a zone")
        return at
    if type(part) not in (str, int):
        raise TypeError(type(part))
    return part
