"""API keys, and the journal as server-sent events."""

from __future__ import annotations

import asyncio

import pytest

from csms.api.administration import _events
from csms.core.security import Role
from tests.api.conftest import Api


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


async def test_event_streams_are_limited(api: Api) -> None:
    api.app.state.event_streams |= {object(), object()}
    answer = await api("GET", "/events", Role.VIEWER)
    assert answer.status_code == 429


async def test_a_follower_is_woken_by_the_next_event(api: Api) -> None:
    services = api.app.state.system
    stream = _events(services, set(), await api.store.reader.journal_end(), None, True)
    assert await anext(stream) == "id: 0\n\n"
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await api.add_station("CP-1")
    api.bus.wake()
    assert "event: station_onboarded" in await asyncio.wait_for(waiting, 5)
    await stream.aclose()
