"""`csms events`: reading the stream, and going on after it broke."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from csms.cli.events import Feed

from .conftest import STATION, Api, ok, problem


def event(number: int, kind: str = "token_changed", **data: Any) -> bytes:
    data = {"at": "2031-05-01T10:00:00Z", "station_id": None, **data}
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


class Chunks(httpx.SyncByteStream):
    """A body that comes in pieces; an exception among them is raised in its place."""

    def __init__(self, *pieces: bytes | BaseException) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece


def stream(*pieces: bytes | BaseException) -> httpx.Response:
    return httpx.Response(
        200, headers={"content-type": "text/event-stream"}, stream=Chunks(*pieces)
    )


LOST = httpx.RemoteProtocolError("incomplete chunked read")


def seen(api: Api, number: int) -> str | None:
    value: str | None = api.requests[number].headers.get("Last-Event-ID")
    return value


# -- reading ---------------------------------------------------------------------------------------


def test_an_event_over_several_lines() -> None:
    lines = ["id: 4", "event: a", "data: x", "data:  y", "retry: 9", "", ": still here", ""]
    found = list(Feed().read(lines))
    assert [(e.id, e.kind, e.data) for e in found if e] == [("4", "a", "x\n y")]
    assert None in found


def test_a_number_without_data_moves_the_place() -> None:
    feed = Feed()
    assert list(feed.read(["id: 12", ""])) == []
    assert feed.last_id == "12"


def test_an_event_that_is_cut_off_does_not_count() -> None:
    feed = Feed("3")
    assert list(feed.read(["id: 4", "event: a", "data: x"])) == []
    assert feed.last_id == "3"


# -- printing --------------------------------------------------------------------------------------


def test_a_line_for_every_event(api: Api) -> None:
    api.on(
        "GET",
        "/events",
        stream(event(1, "station_disconnected", station_id="s1", reason="going away", extra=None)),
    )
    result = api.run("events", "--no-follow", "--after", "0")
    assert result.exit_code == 0
    assert result.stdout == (
        '2031-05-01T10:00:00Z  s1  station_disconnected  reason="going away"\n'
    )
    assert dict(api.requests[0].url.params) == {"after": "0", "follow": "false"}


def test_json_lines(api: Api) -> None:
    api.on("GET", "/events", stream(event(1, uid="A"), event(2, uid="B")))
    lines = api.run("events", "--no-follow", "-o", "json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [1, 2]
    assert json.loads(lines[0]) == {
        "id": 1,
        "event": "token_changed",
        "data": {"at": "2031-05-01T10:00:00Z", "station_id": None, "uid": "A"},
    }


def test_events_of_one_station(api: Api) -> None:
    api.on("GET", "/events", stream())
    api.run("events", "--station", "CP-1", "--no-follow")
    assert api.requests[0].url.params["station"] == "CP-1"


# -- going on --------------------------------------------------------------------------------------


def test_a_lost_connection_goes_on_after_the_last_event(api: Api) -> None:
    api.on(
        "GET",
        "/events",
        stream(event(7), b"id: 8\ndata: {}\n", LOST),
        httpx.ConnectError("refused"),
        problem(503, "store_unavailable", "starting"),
        stream(event(8), KeyboardInterrupt()),
    )
    result = api.run("events", "-o", "json")
    assert result.exit_code == 0
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [7, 8]
    assert [seen(api, n) for n in range(4)] == [None, "7", "7", "7"]
    assert api.slept == [1.0, 2.0, 4.0]
    assert result.stderr == "the connection was lost, trying again\nconnected again\n"


def test_a_stream_that_the_server_ends_is_made_again(api: Api) -> None:
    api.on("GET", "/events", stream(event(7)), stream(KeyboardInterrupt()))
    assert api.run("events").exit_code == 0
    assert seen(api, 1) == "7"


def test_silence_is_a_reason_to_connect_anew_and_none_to_complain(api: Api) -> None:
    api.on("GET", "/events", stream(event(7), httpx.ReadTimeout("")), stream(KeyboardInterrupt()))
    result = api.run("events")
    assert (result.exit_code, result.stderr, api.slept) == (0, "", [])
    assert seen(api, 1) == "7"


def test_a_server_that_was_never_reached(api: Api) -> None:
    api.on("GET", "/events", httpx.ConnectError("refused"))
    result = api.run("events")
    assert (result.exit_code, result.stdout, len(api.requests)) == (3, "", 1)


@pytest.mark.parametrize(
    ("status", "code", "detail"),
    [
        (401, "unauthorized", "this API key is not valid"),
        (410, "gone", "no such event: the journal ends before it"),
    ],
)
def test_what_does_not_pass_ends_it(api: Api, status: int, code: str, detail: str) -> None:
    api.on("GET", "/events", stream(event(7), LOST), problem(status, code, detail))
    result = api.run("events")
    assert result.exit_code == 1
    assert f"csms: {detail}; " in result.stderr


def test_too_many_streams_pass_only_when_one_of_them_was_ours(api: Api) -> None:
    busy = problem(429, "too_many_streams", "100 event streams are open")
    api.on("GET", "/events", busy)
    assert api.run("events").exit_code == 1
    api.on("GET", "/events", stream(LOST), busy, stream(KeyboardInterrupt()))
    assert api.run("events").exit_code == 0


def test_without_follow_there_is_an_end_to_patience(api: Api) -> None:
    api.on("GET", "/events", stream(event(7), LOST), httpx.ConnectError("refused"))
    result = api.run("events", "--no-follow")
    assert result.exit_code == 3
    assert "go on with --after 7" in result.stderr


def test_the_pauses_grow_to_half_a_minute(api: Api) -> None:
    refused = [httpx.ConnectError("refused")] * 8
    api.on("GET", "/events", stream(LOST), *refused, stream(KeyboardInterrupt()))
    api.run("events")
    assert api.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]


# -- since, and one station ------------------------------------------------------------------------


def enough() -> BaseException:
    """Ctrl-C."""
    return KeyboardInterrupt()


def test_events_since_a_time(api: Api) -> None:
    api.on("GET", "/events", stream(event(1)))
    since = "2031-05-01T00:00:00Z"
    assert api.run("events", "--since", since, "--no-follow").exit_code == 0
    assert api.requests[0].url.params["since"] == since


def test_after_and_since_are_one_too_many(api: Api) -> None:
    result = api.run("events", "--since", "2h", "--after", "1")
    assert result.exit_code == 2
    assert "give one of them" in result.stderr


def test_a_station_is_shown_and_then_watched(api: Api) -> None:
    """Over a lost connection: it goes on after the last event that was seen."""
    api.on("GET", "/stations/CP-1", ok(STATION))
    api.on(
        "GET",
        "/events",
        stream(event(7, "station_booted"), httpx.ReadError("lost")),
        httpx.ConnectError("restarting"),
        stream(event(8, "transaction_started"), enough()),
    )
    result = api.run("station", "watch", "CP-1")
    assert result.exit_code == 0
    first, booted, started = result.stdout.splitlines()
    assert first == "CP-1 is connected  1:charging 2:available"
    assert "station_booted" in booted
    assert "transaction_started" in started
    last = api.requests[-1]
    assert last.headers["Last-Event-ID"] == "7"
    assert last.url.params["station"] == "CP-1"


def test_programs_watch_events_alone(api: Api) -> None:
    api.on("GET", "/stations/CP-1", ok(STATION))
    api.on("GET", "/events", stream(event(7), enough()))
    (line,) = api.run("station", "watch", "CP-1", "-o", "json").stdout.splitlines()
    assert json.loads(line)["id"] == 7
