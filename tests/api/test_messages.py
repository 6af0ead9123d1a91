"""The message log over HTTP: newest first, or what came after."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from csms.core import messages
from csms.core.messages import Message
from csms.core.security import Role
from tests.api.conftest import NOW, Api


async def fill(api: Api, first: int = 0, count: int = 6) -> None:
    if first == 0:
        await api.add_station("CP-1")
        await api.add_station("CP-2")
    for identity in ("CP-1", "CP-2"):
        station = (await api("GET", f"/stations/{identity}")).json()
        rows = [
            Message(
                station["id"],
                NOW + timedelta(seconds=n),
                n + 1,
                "in",
                "call",
                "Heartbeat" if n % 2 else "StatusNotification",
                f"{identity} {n}",
                9,
            )
            for n in range(first, first + count)
        ]
        api.store.run(messages.record, rows)


async def texts(api: Api, query: str = "") -> list[str]:
    answer = await api("GET", f"/stations/CP-1/messages{query}", Role.VIEWER)
    assert answer.status_code == 200, answer.text
    return [item["text"] for item in answer.json()["items"]]


def said(*numbers: int) -> list[str]:
    return [f"CP-1 {n}" for n in numbers]


async def test_the_newest_come_first_page_by_page(api: Api) -> None:
    await fill(api)
    assert await texts(api) == said(5, 4, 3, 2, 1, 0)
    first = (await api("GET", "/stations/CP-1/messages?limit=4")).json()
    assert [item["text"] for item in first["items"]] == said(5, 4, 3, 2)
    assert await texts(api, f"?limit=4&cursor={first['next']}") == said(1, 0)


async def test_what_came_since_comes_oldest_first(api: Api) -> None:
    await fill(api)
    newest = (await api("GET", "/stations/CP-1/messages?limit=1")).json()["newest"]
    assert await texts(api, f"?after={newest}") == []
    assert (await api("GET", f"/stations/CP-1/messages?after={newest}")).json()["newest"] == newest
    await fill(api, 6, 3)
    assert await texts(api, f"?after={newest}") == said(6, 7, 8)
    page = (await api("GET", f"/stations/CP-1/messages?after={newest}&limit=2")).json()
    assert await texts(api, f"?after={page['newest']}") == said(8)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("?since=2026-01-01T12:00:03Z", (5, 4, 3)),
        ("?until=2026-01-01T12:00:03Z", (2, 1, 0)),
        ("?since=2026-01-01T12:00:01Z&until=2026-01-01T12:00:03Z", (2, 1)),
        ("?action=Heartbeat", (5, 3, 1)),
        ("?action=Heartbeat&limit=2", (5, 3)),
        ("?action=Nothing", ()),
    ],
)
async def test_filters(api: Api, query: str, numbers: Any) -> None:
    await fill(api)
    assert await texts(api, query) == said(*numbers)


async def test_nothing_was_said_yet(api: Api) -> None:
    await api.add_station("CP-1")
    answer = (await api("GET", "/stations/CP-1/messages")).json()
    assert answer == {"items": [], "next": None, "newest": None}


@pytest.mark.parametrize("query", ["?cursor=x", "?after=x", "?cursor=W10&after=W10"])
async def test_a_cursor_that_is_none(api: Api, query: str) -> None:
    await api.add_station("CP-1")
    assert (await api("GET", f"/stations/CP-1/messages{query}")).status_code == 422


async def test_a_cursor_of_another_station_shows_nothing_of_it(api: Api) -> None:
    await fill(api)
    theirs = (await api("GET", "/stations/CP-2/messages?limit=1")).json()["newest"]
    for query in (f"?after={theirs}", f"?cursor={theirs}"):
        assert all(text.startswith("CP-1") for text in await texts(api, query))
