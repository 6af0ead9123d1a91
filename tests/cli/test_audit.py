"""`csms audit`."""

from __future__ import annotations

import json

from .conftest import Api, page, problem

ENTRY = {
    "number": 7,
    "at": "2031-05-01T10:00:00Z",
    "actor": "k7",
    "actor_name": "night shift",
    "action": "reset",
    "target": "CP-1",
    "station_id": "s1",
    "party_id": "CA*NTH",
    "facts": {"immediate": True},
    "remote_address": "192.0.2.9",
}


def test_who_did_what(api: Api) -> None:
    api.on("GET", "/audit", page(ENTRY))
    line = api.run("audit").stdout.splitlines()[1]
    assert line == "2031-05-01T10:00:00Z  night shift  reset   CP-1    immediate=yes  192.0.2.9"


def test_filters_are_passed_on(api: Api) -> None:
    api.on("GET", "/audit", page())
    result = api.run(
        "audit", "--station", "CP-1", "--actor", "k7", "--action", "reset", "--since", "2031-01-01Z"
    )
    assert result.exit_code == 2
    result = api.run(
        "audit", "--station", "CP-1", "--actor", "k7", "--since", "2031-01-01T00:00:00Z"
    )
    assert result.stderr == "nothing was changed\n"
    asked = dict(api.requests[-1].url.params)
    assert (asked["station"], asked["actor"]) == ("CP-1", "k7")
    assert asked["since"] == "2031-01-01T00:00:00Z"


def test_programs_get_everything(api: Api) -> None:
    api.on("GET", "/audit", page(ENTRY))
    assert json.loads(api.run("audit", "-o", "json").stdout) == [ENTRY]


def test_a_key_for_some_parties_is_told_what_it_needs(api: Api) -> None:
    refused = problem(403, "forbidden", "this needs a key for all parties; this one is for CA*NTH")
    api.on("GET", "/audit", refused)
    result = api.run("audit")
    assert result.exit_code == 1
    assert "this needs a key for all parties" in result.stderr
