"""API keys, and the journal as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from csms.api import administration
from csms.api.administration import ROWS_AT_ONCE, View, _events
from csms.api.auth import Principal
from csms.core.events import StationChanged
from csms.core.security import Role
from tests.api.conftest import NOW, Api
from tests.support.stores import until

ADMIN = Principal("adm", Role.ADMIN)


def ids(text: str) -> list[int]:
    """The cursors of the events, in order; a bare cursor at the start is none."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [int(block[0][4:]) for block in blocks if len(block) == 3]


async def test_a_new_key_is_shown_once_and_works(api: Api) -> None:
    made = (await api("POST", "/keys", json={"name": "night", "role": "viewer"})).json()
    answer = await api("GET", "/stations", None, headers={"Authorization": f"Bearer {made['key']}"})
    assert answer.status_code == 200
    listed = (await api("GET", "/keys")).text
    assert "night" in listed
    assert made["key"].partition(".")[2] not in listed


# -- who did what ----------------------------------------------------------------------------------


async def audit(api: Api, query: str = "") -> list[Any]:
    found: list[Any] = (await api("GET", f"/audit{query}")).json()["items"]
    return found


async def test_the_audit_trail_says_who_did_what_newest_first(api: Api) -> None:
    await api.add_station("CP-1")
    await api("PATCH", "/stations/CP-1", json={"registration": "pending"})
    reset = {"kind": "reset", "parameters": {"immediate": True}}
    await api("POST", "/stations/CP-1/commands", Role.OPERATOR, json=reset)
    found = await audit(api)
    assert [entry["action"] for entry in found] == ["reset", "station_changed", "station_added"]
    assert [entry["actor_name"] for entry in found] == ["operator", "admin", "admin"]
    assert [entry["target"] for entry in found] == ["CP-1"] * 3
    assert found[0]["facts"]["immediate"] is True
    assert found[1]["facts"] == {"registration": "pending"}
    assert found[1]["remote_address"] == "127.0.0.1"
    assert {entry["station_id"] for entry in found} == {found[0]["station_id"]}


async def test_the_audit_trail_is_filtered_and_paged(api: Api) -> None:
    for number in range(3):
        await api.add_station(f"CP-{number}")
    await api("POST", "/tokens", Role.OPERATOR, json={"uid": "A"})
    assert [e["action"] for e in await audit(api, "?actor=operator")] == ["token_added"]
    assert [e["action"] for e in await audit(api, "?actor=ope")] == ["token_added"]
    assert await audit(api, "?actor=nobody") == []
    assert [e["target"] for e in await audit(api, "?station=CP-1")] == ["CP-1"]
    assert len(await audit(api, "?action=station_added")) == 3
    assert len(await audit(api, "?since=2026-01-01T12:00:00Z")) == 4
    assert await audit(api, "?since=2026-01-01T12:00:01Z") == []
    first = (await api("GET", "/audit?limit=3")).json()
    rest = (await api("GET", f"/audit?limit=3&cursor={first['next']}")).json()
    assert [e["target"] for e in first["items"] + rest["items"]] == ["A", "CP-2", "CP-1", "CP-0"]
    assert rest["next"] is None


async def test_the_audit_trail_holds_no_secrets(api: Api) -> None:
    station = await api.add_station("CP-1")
    rotated = (await api("POST", "/stations/CP-1/credentials")).json()
    payload = {"key": "AuthorizationKey", "value": "0123456789abcdef"}
    await api("POST", "/stations/CP-1/ocpp/ChangeConfiguration", json=payload)
    said = (await api("GET", "/audit")).text
    for secret in (station["token"], rotated["token"], "0123456789abcdef"):
        assert secret not in said
    assert "AuthorizationKey" in said


async def test_events_come_in_order_and_resume(api: Api) -> None:
    for number in range(3):
        await api.add_station(f"CP-{number}")
    everything = ids((await api("GET", "/events?after=0&follow=false")).text)
    assert everything == sorted(everything)
    middle = everything[len(everything) // 2]
    rest = await api("GET", "/events?follow=false", headers={"Last-Event-ID": str(middle)})
    assert ids(rest.text) == [seq for seq in everything if seq > middle]


async def test_events_of_one_station(api: Api) -> None:
    await api.add_station("CP-1")
    other = await api.add_station("CP-2")
    text = (await api("GET", "/events?after=0&follow=false&station=CP-2")).text
    assert text.count(other["id"]) >= 2
    assert "CP-1" not in text


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 30])
async def test_a_cursor_that_is_none_is_refused(api: Api, cursor: str) -> None:
    answer = await api("GET", "/events?follow=false", headers={"Last-Event-ID": cursor})
    assert answer.status_code == 422


async def test_a_cursor_beyond_the_end_is_gone(api: Api) -> None:
    answer = await api("GET", "/events?after=999999&follow=false")
    assert (answer.status_code, answer.json()["code"]) == (410, "gone")


async def test_a_cursor_before_what_is_kept_is_gone(api: Api) -> None:
    """Whoever is further behind has to begin anew, and is told so."""
    for number in range(3):
        await api.add_station(f"CP-{number}")
    api.store.run(lambda tx: tx.trim_journal(4, 100))
    for cursor in ("1", "3"):
        answer = await api("GET", "/events?follow=false", headers={"Last-Event-ID": cursor})
        assert (answer.status_code, answer.json()["code"]) == (410, "gone")
        assert "not kept any more" in answer.json()["detail"]
    for cursor in ("0", "4", "5"):
        answer = await api("GET", f"/events?after={cursor}&follow=false")
        assert ids(answer.text)[0] == max(int(cursor) + 1, 5)


async def test_events_since_a_time(api: Api) -> None:
    """Also where the journal does not begin at 1, and has gaps."""

    def tell(tx: Any, minute: int) -> None:
        tx.record(StationChanged(at=NOW + timedelta(minutes=minute), fields=(str(minute),)))

    for minute in range(40):
        api.store.run(tell, minute)
    api.store.run(lambda tx: tx.trim_journal(5, 100))
    for minute in (-5, 0, 5, 6, 17, 39, 40):
        since = (NOW + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
        text = (await api("GET", f"/events?since={since}&follow=false")).text
        assert ids(text) == list(range(max(minute, 5) + 1, 41)), minute


async def test_event_streams_are_limited(api: Api) -> None:
    api.app.state.event_streams |= {object(), object()}
    answer = await api("GET", "/events", Role.VIEWER)
    assert answer.status_code == 429


async def test_a_follower_is_woken_by_the_next_event(api: Api) -> None:
    services = api.app.state.system
    end = await api.store.reader.journal_end()
    stream = _events(services, View(services, None, ADMIN), set(), end, True)
    assert await anext(stream) == "id: 0\n\n"
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await api.add_station("CP-1")
    api.bus.wake()
    assert "event: station_onboarded" in await asyncio.wait_for(waiting, 5)
    await stream.aclose()


async def followed(api: Api, streams: set[object]) -> tuple[str, AsyncIterator[str]]:
    """A key, and a stream that was opened with it; its beginning has been read."""
    key_id = (await api("POST", "/keys", json={"name": "leaver", "role": "viewer"})).json()["id"]
    mine = (await api.add_station("CP-1"))["id"]
    view = View(api.app.state.system, mine, Principal(key_id, Role.VIEWER))
    stream = _events(view.provided, view, streams, 0, True)
    begun = [await anext(stream) for _ in range(4)]
    assert "event: audit_recorded" in begun[-1]
    return key_id, stream


async def test_a_stream_ends_instead_of_showing_more_when_its_key_is_revoked(api: Api) -> None:
    """On whichever node it is: the key's row says so everywhere."""
    streams = set[object]()
    key_id, stream = await followed(api, streams)
    waiting = asyncio.ensure_future(anext(stream, "the end"))
    await asyncio.sleep(0)
    await api("DELETE", f"/keys/{key_id}")
    await api("PATCH", "/stations/CP-1", json={"registration": "pending"})
    api.bus.wake()
    assert await asyncio.wait_for(waiting, 5) == "the end"
    assert not streams


async def test_a_stream_that_has_nothing_to_show_ends_as_well(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(administration, "KEEP_ALIVE_S", 0.0)
    streams = set[object]()
    key_id, stream = await followed(api, streams)
    assert ": still here" in await anext(stream)
    await api("DELETE", f"/keys/{key_id}")
    assert await asyncio.wait_for(anext(stream, "the end"), 5) == "the end"
    assert not streams


class Counting:
    """A reader that notes which rows of the journal it gave."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.given: list[int] = []

    async def journal(self, after: int, limit: int) -> Any:
        rows = await self._inner.journal(after, limit)
        self.given += [row.seq for row in rows]
        return rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def test_the_rows_of_other_stations_are_read_once(api: Api) -> None:
    """Otherwise a stream about a quiet station would read the whole journal at each wake-up."""
    mine = await api.add_station("CP-1")
    reader = Counting(api.store.reader)
    api.store.reader = reader
    start = await api.store.reader.journal_end()
    view = View(api.app.state.system, mine["id"], ADMIN)
    stream = _events(api.app.state.system, view, set(), start, True)
    assert await anext(stream) == f"id: {start}\n\n"
    waiting = asyncio.ensure_future(anext(stream))
    for number in range(5):
        await api.add_station(f"CP-other-{number}")
        end = await api.store.reader.journal_end()
        api.bus.wake()
        await until(lambda end=end: end in reader.given)
    assert not waiting.done()
    await api("PATCH", "/stations/CP-1", json={"registration": "pending"})
    api.bus.wake()
    told = await asyncio.wait_for(waiting, 5)
    assert "event: station_changed" in told
    await stream.aclose()
    assert reader.given == sorted(set(reader.given))


async def test_the_end_of_a_filtered_stream_is_found_behind_many_rows_of_others(api: Api) -> None:
    mine = await api.add_station("CP-1")
    for number in range(ROWS_AT_ONCE // 2):
        await api.add_station(f"CP-other-{number}")
    await api("PATCH", "/stations/CP-1", json={"registration": "pending"})
    reader = Counting(api.store.reader)
    api.store.reader = reader
    text = (await api("GET", "/events?after=0&follow=false&station=CP-1")).text
    assert "event: station_changed" in text
    assert text.count(mine["id"]) == text.count("event: ")
    assert reader.given == sorted(set(reader.given))
