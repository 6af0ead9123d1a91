"""`csms node`."""

from __future__ import annotations

import json

from .conftest import Api, ok, page, problem

NODE = {
    "name": "a",
    "state": "up",
    "links": 120,
    "duties": ["partner p1", "partner p2", "settle prices"],
    "version": "1.0",
    "address": "http://a:8000",
    "joined_at": "2031-05-01T10:00:00Z",
    "beat_at": "2031-05-01T11:00:00Z",
    "takes_stations": True,
}


def test_the_nodes_and_what_they_do(api: Api) -> None:
    api.on("GET", "/nodes", page(NODE))
    head, line = api.run("node", "list").stdout.splitlines()
    assert head.split()[:3] == ["name", "state", "stations"]
    assert line.startswith("a     up          120")
    assert line.endswith("settle prices, 2 partners")


def test_a_node_that_takes_no_stations_has_none(api: Api) -> None:
    api.on("GET", "/nodes", page({**NODE, "links": 0, "takes_stations": False}))
    assert api.run("node", "list").stdout.splitlines()[1].startswith("a     up         none")


def test_programs_get_everything(api: Api) -> None:
    api.on("GET", "/nodes", page(NODE))
    assert json.loads(api.run("node", "list", "-o", "json").stdout) == [NODE]


def test_a_drain_says_what_happens(api: Api) -> None:
    api.on("POST", "/nodes/a/drain", ok({**NODE, "state": "draining"}))
    told = api.run("node", "drain", "a").stdout
    assert told == "a is draining: 120 stations are being moved; see: csms node list\n"
    api.run("node", "drain", "a", "--force")
    assert json.loads(api.requests[-1].content) == {"force": True}


def test_the_end_of_a_drain(api: Api) -> None:
    api.on("POST", "/nodes/a/resume", ok(NODE))
    assert api.run("node", "resume", "a").stdout == "a takes stations again; see: csms node list\n"


def test_the_last_node_is_not_drained_by_mistake(api: Api) -> None:
    text = "no other node is up, so the stations of a would have nowhere to go"
    api.on("POST", "/nodes/a/drain", problem(409, "refused", text))
    result = api.run("node", "drain", "a")
    assert result.exit_code == 1
    assert result.stderr == f"csms: {text}; --force drains it all the same\n"


def test_a_node_that_is_not_there(api: Api) -> None:
    api.on("POST", "/nodes/c/drain", problem(404, "not_found", "there is no node c"))
    result = api.run("node", "drain", "c")
    assert result.stderr == "csms: there is no node c; csms node list shows those there are\n"
