"""`csms station logs`."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from csms.cli.output import Format, Printer
from csms.cli.station_logs import show

from .conftest import Api, ok, problem

PATH = "/stations/CP-1/messages"


def message(n: int, **changes: Any) -> dict[str, Any]:
    return {
        "at": f"2031-05-01T10:00:0{n}Z",
        "direction": "in",
        "kind": "call",
        "action": "Heartbeat",
        "text": f'[2,"m{n}","Heartbeat",{{"n": {n}}}]',
        "size": 30,
        "skipped": 0,
        **changes,
    }


def answer(*items: Any, following: str | None = None, newest: str | None = None) -> httpx.Response:
    return ok({"items": list(items), "next": following, "newest": newest})


def test_the_newest_are_shown_oldest_first(api: Api) -> None:
    result = '[3,"m2",{"currentTime":"x"}]'
    said = message(2, direction="out", kind="result", text=result)
    api.on("GET", PATH, answer(said, message(1)))
    first, second = api.run("station", "logs", "CP-1").stdout.splitlines()
    assert first == '2031-05-01T10:00:01Z <- call    Heartbeat {"n":1}'
    assert second == '2031-05-01T10:00:02Z -> result  Heartbeat {"currentTime":"x"}'


def test_as_many_as_asked_for(api: Api) -> None:
    api.on("GET", PATH, answer(message(3), message(2), following="c"), answer(message(1)))
    assert len(api.run("station", "logs", "CP-1", "-n", "3").stdout.splitlines()) == 3
    sizes = [request.url.params["limit"] for request in api.requests]
    assert sizes == ["3", "1"]
    assert api.requests[1].url.params["cursor"] == "c"


def test_programs_get_an_object_on_each_line(api: Api) -> None:
    api.on("GET", PATH, answer(message(2), message(1)))
    lines = api.run("station", "logs", "CP-1", "-o", "json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [message(1), message(2)]


def test_filters(api: Api) -> None:
    api.on("GET", PATH, answer())
    since = "2031-05-01T00:00:00Z"
    words = ("--action", "Heartbeat", "--since", since)
    result = api.run("station", "logs", "CP-1", *words)
    assert "nothing is logged" in result.stderr
    asked = api.requests[0].url.params
    assert (asked["action"], asked["since"]) == ("Heartbeat", since)


def enough(request: httpx.Request) -> httpx.Response:
    """Ctrl-C."""
    raise KeyboardInterrupt


def test_following_goes_on_over_a_restart_of_the_server(api: Api) -> None:
    api.on(
        "GET",
        PATH,
        answer(message(1), newest="a"),
        httpx.ConnectError("refused"),
        problem(503, "store_unavailable", "the disk is full"),
        answer(message(2), message(3), newest="b"),
        enough,
    )
    result = api.run("station", "logs", "CP-1", "--follow", "--action", "Heartbeat")
    assert result.exit_code == 0
    assert [line.split('"n":')[1] for line in result.stdout.splitlines()] == ["1}", "2}", "3}"]
    assert result.stderr.count("the connection was lost") == 1
    assert "connected again" in result.stderr
    asked = api.requests[-1].url.params
    assert (asked["after"], asked["action"]) == ("b", "Heartbeat")


def test_following_a_station_that_said_nothing_yet(api: Api) -> None:
    api.on("GET", PATH, answer(), answer(message(2), message(1), newest="b"), enough)
    result = api.run("station", "logs", "CP-1", "-f")
    assert [line.split('"n":')[1] for line in result.stdout.splitlines()] == ["1}", "2}"]


def test_what_does_not_pass_ends_it(api: Api) -> None:
    api.on("GET", PATH, answer(newest="a"), problem(404, "not_found", "no station CP-1"))
    assert api.run("station", "logs", "CP-1", "-f").exit_code == 1


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (message(1, text='[2,"m1","X",{"a"', size=5_000), '[2,"m1","X",{"a" (5000 characters)'),
        (message(1, kind="refused", action=None, text="\x1b[31mhi", size=7), "\\x1b[31mhi"),
        (message(1, text='[4,"m1","X","d",{}]'), '"X" "d" {}'),
        (message(1, text="17"), "17"),
    ],
)
def test_what_is_no_whole_message(row: Any, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(Printer(Format.TABLE), row)
    assert capsys.readouterr().out.rstrip("\n").endswith(line)


def test_a_gap_is_said_and_a_terminal_gets_colours(capsys: pytest.CaptureFixture[str]) -> None:
    show(Printer(Format.TABLE, terminal=True, width=200), message(1, skipped=7, kind="error"))
    out = capsys.readouterr().out
    assert "(7 not logged)" in out
    assert "←" in out
    assert "\x1b[" in out
