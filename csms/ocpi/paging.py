"""Lists in pages (transport_and_format, pagination), as a server and as a client.

A server keeps the order of creation and hands out a Link that repeats every filter; `date_from` is
inclusive, `date_to` exclusive, both on `last_updated`. A client follows the Link as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import httpx

from csms.core.errors import Invalid
from csms.ocpi.envelope import Answer
from csms.ocpi.wire import reading

T = TypeVar("T")
MAX_PAGES = 10_000
MAX_OFFSET = 10_000_000
FILTERS = ("date_from", "date_to")
# What a partner sends is looked through once, however it is made up: neither part can begin within
# itself.
_LINK = re.compile(r"<([^<>]*)>([^<>]*)")
_NEXT = re.compile(r";\s*rel\s*=\s*\"?next\b", re.IGNORECASE)
MAX_LINK_CHARS = 8_192


@dataclass(frozen=True, slots=True)
class Query:
    """What a client asks of a list."""

    offset: int = 0
    limit: int | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None

    def takes(self, last_updated: datetime) -> bool:
        """Whether an object of that time belongs to the answer."""
        # Times are told in milliseconds, so they are compared in milliseconds.
        at = last_updated.replace(microsecond=last_updated.microsecond // 1000 * 1000)
        if self.date_from is not None and at < self.date_from:
            return False
        return self.date_to is None or at < self.date_to


def query(parameters: Mapping[str, str]) -> Query:
    """The query of a request. Raises `Invalid`."""
    limit = _whole(parameters, "limit")
    return Query(
        offset=_whole(parameters, "offset") or 0,
        limit=limit,
        date_from=_moment(parameters, "date_from"),
        date_to=_moment(parameters, "date_to"),
    )


def _whole(parameters: Mapping[str, str], name: str) -> int | None:
    text = parameters.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise Invalid(f"{name}: a number is expected")
    return min(int(text), MAX_OFFSET)


def _moment(parameters: Mapping[str, str], name: str) -> datetime | None:
    text = parameters.get(name, "")
    if not text:
        return None
    try:
        # A plus in a query stands for a space.
        at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError as error:
        raise Invalid(f"{name}: a DateTime such as 2018-01-01T01:08:01Z is expected") from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def answer(
    found: Sequence[T],
    asked: Query,
    url: str,
    show: Callable[[T], Any],
    most: int,
) -> Answer:
    """One page of everything that matches, in its order, with the headers of a list. `url` is that
    of the endpoint without its query; `most` is the largest page."""
    size = most if asked.limit is None else min(asked.limit, most)
    end = asked.offset + size
    headers = {"X-Total-Count": str(len(found)), "X-Limit": str(most)}
    if size > 0 and end < len(found):
        following: dict[str, Any] = {"offset": end, "limit": size}
        for name in FILTERS:
            at = getattr(asked, name)
            if at is not None:
                following[name] = reading.moment(at)
        headers["Link"] = f'<{url}?{urlencode(following)}>; rel="next"'
    return Answer([show(item) for item in found[asked.offset : end]], headers=headers)


# -- as a client -----------------------------------------------------------------------------------


def next_of(headers: Mapping[str, str]) -> str | None:
    """The address of the next page."""
    said = headers.get("link") or headers.get("Link") or ""
    if len(said) > MAX_LINK_CHARS:
        return None
    return next((m[1].strip() for m in _LINK.finditer(said) if _NEXT.search(m[2])), None)


def total_of(headers: Mapping[str, str]) -> int | None:
    """X-Total-Count, if it is a number."""
    text = headers.get("x-total-count") or headers.get("X-Total-Count") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def moved_back(url: str, by: int) -> str:
    """The same page with its offset lowered: objects have left the list before it."""
    parsed = httpx.URL(url)
    offset = parsed.params.get("offset", "0")
    if not offset.isdigit() or offset == "0":
        return url
    return str(parsed.copy_set_param("offset", max(0, int(offset) - by)))


def below(url: str, *segments: str) -> str:
    """An address below an endpoint; every segment is encoded whole. What the partner gave after a
    question mark stays behind it."""
    base, mark, asked = url.partition("?")
    path = "/".join(quote(segment, safe="") for segment in segments)
    return f"{base.rstrip('/')}/{path}{mark}{asked}"


def address(url: str, date_from: datetime | None = None, limit: int | None = None) -> str:
    """The address of the first page of a list."""
    parsed = httpx.URL(url)
    if date_from is not None:
        parsed = parsed.copy_set_param("date_from", reading.moment(date_from))
    if limit is not None:
        parsed = parsed.copy_set_param("limit", limit)
    return str(parsed)
