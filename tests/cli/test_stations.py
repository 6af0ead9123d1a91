"""`csms station`: what an installer and an operator get to see."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from csms.cli import stations
from csms.cli.output import Format, Printer
from csms.cli.stations import compact

from .conftest import STATION, Api, ok, page, problem

TOKEN = {"created_at": "2031-05-01T09:00:00Z", "used_at": "2031-05-01T10:00:00Z", "weak": False}
ONBOARDED = {
    "id": "s9",
    "identity": "Depot 7",
    "url": "ws://csms.test:9000/ocpp",
    "user": "Depot 7",
    "token": "0123456789abcdef",
}


def treatment(api: Api) -> None:
    """What the API says of the switches and the violations of CP-1."""
    switches = [
        {"name": "ping", "value": False, "origin": "en-plus", "meaning": "send pings"},
        {"name": "settle_s", "value": 0, "origin": "default", "meaning": "wait"},
    ]
    violations = [{"kind": "trimmed", "count": 3, "meaning": "sent spaces"}]
    api.on("GET", "/stations/CP-1/switches", ok(switches))
    api.on("GET", "/stations/CP-1/violations", ok(violations))
    api.on("GET", "/stations/CP-1/credentials", ok([TOKEN]))


def at(evse: int, connector: int, status: str) -> dict[str, Any]:
    return {"evse": evse, "connector": connector, "status": status}


@pytest.mark.parametrize(
    ("connectors", "text"),
    [
        ([], ""),
        ([at(1, 1, "charging"), at(2, 1, "available")], "1:charging 2:available"),
        ([at(1, 1, "available"), at(1, 2, "faulted")], "1.1:available 1.2:faulted"),
        ([at(0, 0, "available"), at(1, 1, "unknown")], "1:unknown"),
        ([at(0, 0, "faulted"), at(1, 1, "available")], "station:faulted 1:available"),
        ([at(1, 0, "available"), at(1, 1, "available")], "1:available"),
        ([at(1, 0, "unavailable"), at(1, 1, "available")], "1:unavailable 1:available"),
        ([at(3, 0, "available")], "3:available"),
        ([at(1, 0, "available"), at(1, 1, "unknown")], "1:available"),
        ([at(1, 0, "occupied"), at(1, 1, "unknown"), at(1, 2, "unknown")], "1:occupied"),
        ([at(1, 1, "available"), at(1, 2, "unknown")], "1.1:available 1.2:unknown"),
    ],
)
def test_connectors_in_one_cell(connectors: list[Any], text: str) -> None:
    assert compact(connectors) == text


def test_the_list_shows_what_an_operator_asks_for(api: Api) -> None:
    offline = {**STATION, "identity": "CP-0", "connected": False, "violations": {}}
    api.on("GET", "/stations", page(STATION, following="n"), page(offline))
    lines = api.run("station", "list").stdout.splitlines()
    assert lines[0].split() == [
        "identity",
        "connected_since",
        "version",
        "vendor",
        "model",
        "firmware",
        "connectors",
        "violations",
        "state",
    ]
    assert lines[1].split()[:2] == ["CP-0", "-"]
    assert " ".join(lines[2].split()) == (
        "CP-1 2031-05-01T10:00:00Z 1.6 Maker One 1.2.3 1:charging 2:available 3 accepted"
    )


def test_the_list_as_json_is_one_array_over_all_pages(api: Api) -> None:
    api.on("GET", "/stations", page(STATION, following="n"), page({**STATION, "id": "s2"}))
    result = api.run("station", "list", "--output", "json")
    assert json.loads(result.stdout) == [STATION, {**STATION, "id": "s2"}]


def test_an_empty_network_says_how_to_begin(api: Api) -> None:
    api.on("GET", "/stations", page())
    result = api.run("station", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "csms station add" in result.stderr


def test_show(api: Api) -> None:
    api.on("GET", "/stations/CP-1", ok(STATION))
    treatment(api)
    text = api.run("station", "show", "CP-1").stdout
    assert "connected since   2031-05-01T10:00:00Z\n" in text
    assert "disconnected" not in text
    lines = text.splitlines()
    place = next(n for n, line in enumerate(lines) if line.split()[:2] == ["2.1", "available"])
    assert " ".join(lines[place + 3].split()) == "ping false en-plus send pings"
    assert " ".join(lines[place + 6].split()) == "trimmed 3 sent spaces"


def test_a_station_that_is_away_shows_where_to_look(api: Api) -> None:
    """An installer who typed a wrong token asks here first."""
    row = {**STATION, "connected": False, "connectors": [{**at(1, 1, "unknown")}]}
    row["connectors"][0]["reported_at"] = "2031-05-01T09:59:00Z"
    api.on("GET", "/stations/CP-1", ok(row))
    treatment(api)
    text = api.run("station", "show", "CP-1").stdout
    assert "csms events --station CP-1 --since 1d" in text
    # It was added then; the station never said so.
    assert "09:59:00" not in text


def test_a_station_that_came_without_a_boot_shows_how_to_make_it(api: Api) -> None:
    """One that was running when it was sent here only reconnects (OCPP 1.6 4.2)."""
    api.on("GET", "/stations/CP-1", ok({**STATION, "registration": "new"}))
    treatment(api)
    assert "csms station trigger CP-1 boot" in api.run("station", "show", "CP-1").stdout
    api.on("GET", "/stations/CP-1", ok(STATION))
    assert "trigger" not in api.run("station", "show", "CP-1").stdout


def test_what_is_wanted_is_shown(api: Api) -> None:
    wanted = [
        {"evse": 0, "connector": 0, "available": True, "state": "taken"},
        {"evse": 1, "connector": 0, "available": False, "state": "refused", "detail": "Rejected"},
        {"evse": 2, "connector": 1, "available": False, "state": "wanted"},
    ]
    api.on("GET", "/stations/CP-1", ok({**STATION, "desired_availability": wanted}))
    treatment(api)
    text = api.run("station", "show", "CP-1").stdout
    for words in ("operative    the station", "inoperative  EVSE 1", "EVSE 2, connector 1"):
        assert words in text
    assert "Rejected" in text


def test_show_as_json_is_the_object(api: Api) -> None:
    switches = [{"name": "ping", "value": True, "origin": "default"}]
    api.on("GET", "/stations/CP-1", ok(STATION))
    api.on("GET", "/stations/CP-1/switches", ok(switches))
    api.on("GET", "/stations/CP-1/credentials", ok([TOKEN]))
    shown = json.loads(api.run("-o", "json", "station", "show", "CP-1").stdout)
    assert shown == {**STATION, "switches": switches, "tokens": [TOKEN]}


def test_a_rotation_under_way_is_shown(api: Api) -> None:
    new = {"created_at": "2031-05-02T09:00:00Z", "used_at": None, "weak": False}
    api.on("GET", "/stations/CP-1", ok(STATION))
    treatment(api)
    assert "it is used since 2031-05-01T10:00:00Z\n" in api.run("station", "show", "CP-1").stdout
    api.on("GET", "/stations/CP-1/credentials", ok([TOKEN, new]))
    text = api.run("station", "show", "CP-1").stdout
    assert "the old one is used since 2031-05-01T10:00:00Z; the new one was made" in text
    assert "2031-05-02T09:00:00Z and not used so far" in text


def test_a_station_that_is_not_there(api: Api) -> None:
    detail = "no station CP-9; csms station list shows those there are"
    api.on("GET", "/stations/CP-9", problem(404, "not_found", detail))
    for options in ([], ["--output", "json"]):
        result = api.run("station", "show", "CP-9", *options)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"csms: {detail}\n"


@pytest.mark.parametrize(
    ("url", "hint"),
    [("ws://127.0.0.1:9000/ocpp", True), ("ws://[::1]:9000/ocpp", True), ("ws://a.b/ocpp", False)],
)
def test_add_says_where_its_address_holds(api: Api, url: str, hint: bool) -> None:
    api.on("POST", "/stations", ok({**ONBOARDED, "url": url}, 201))
    result = api.run("station", "add", "Depot 7")
    assert ("set public_url under [ocpp]" in result.stdout) is hint


def test_add_prints_what_an_installer_types(api: Api) -> None:
    api.on("POST", "/stations", ok(ONBOARDED, 201))
    result = api.run("station", "add", "Depot 7", "--evses", "2", "--connectors", "3")
    assert api.body() == {"identity": "Depot 7", "evses": 2, "connectors": 3}
    for words in (
        "  URL       ws://csms.test:9000/ocpp\n",
        "  full URL  ws://csms.test:9000/ocpp/Depot%207\n",
        "  user      Depot 7\n",
        "  token     0123456789abcdef\n",
        "AuthorizationKey",
        "BasicAuthPassword",
        "shown this once",
    ):
        assert words in result.stdout


def test_add_for_another_party(api: Api) -> None:
    api.on("POST", "/stations", ok(ONBOARDED, 201))
    result = api.run("station", "add", "Depot 7", "--party", "CA*NTH", "--output", "json")
    assert api.body()["party_id"] == "CA*NTH"
    assert json.loads(result.stdout) == ONBOARDED


def test_add_of_a_name_that_is_taken(api: Api) -> None:
    api.on("POST", "/stations", problem(409, "already_exists", "a station named A B exists"))
    result = api.run("station", "add", "A B")
    assert result.exit_code == 1
    assert result.stderr == (
        "csms: a station named A B exists; csms station rotate 'A B' gives it a new token\n"
    )


def test_unknown(api: Api) -> None:
    knocked = {
        "identity": "GHOST",
        "attempts": 3,
        "first_seen_at": "2031-05-01T10:00:00Z",
        "last_seen_at": "2031-05-01T10:00:00Z",
        "remote_address": "192.0.2.1",
    }
    api.on("GET", "/unknown-stations", page(knocked))
    assert "GHOST     refused         3  2031-05" in api.run("station", "unknown").stdout
    api.on("GET", "/unknown-stations", page({**knocked, "pending": True}))
    assert "GHOST     pending         3  2031-05" in api.run("station", "unknown").stdout


@pytest.mark.parametrize(
    ("verb", "registration"),
    [("accept", "accepted"), ("pending", "pending"), ("reject", "rejected")],
)
def test_a_verdict_is_a_patch(api: Api, verb: str, registration: str) -> None:
    api.on("GET", "/stations/CP-1", ok(STATION))
    api.on("PATCH", "/stations/CP-1", ok({**STATION, "registration": registration}))
    result = api.run("station", verb, "CP-1")
    assert api.body() == {"registration": registration}
    assert result.stdout.startswith(f"CP-1 is {registration}\n")
    assert "csms station trigger CP-1 boot" in result.stdout


def test_a_limit(api: Api) -> None:
    api.on("GET", "/stations", page(STATION, following="n"))
    api.run("station", "list", "--limit", "1")
    assert [r.url.params["limit"] for r in api.requests] == ["1"]


# -- switches --------------------------------------------------------------------------------------


def test_all_switches_are_shown_with_where_each_comes_from(api: Api) -> None:
    treatment(api)
    lines = api.run("station", "switch", "CP-1").stdout.splitlines()
    assert lines[0].split() == ["switch", "value", "from", "meaning"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["ping", "false", "en-plus"],
        ["settle_s", "0", "default"],
    ]


def test_a_switch_is_set_and_given_back(api: Api) -> None:
    row = {"name": "ping", "value": False, "origin": "operator", "source": None, "meaning": "-"}
    api.on("PUT", "/stations/CP-1/switches/ping", ok([row]))
    result = api.run("station", "switch", "CP-1", "ping", "false")
    assert api.body() == {"value": "false"}
    assert result.stdout.startswith("ping of CP-1 is false (from: operator)\n")
    api.on("DELETE", "/stations/CP-1/switches/ping", ok([{**row, "value": True}]))
    result = api.run("station", "switch", "CP-1", "ping", "--clear", "--output", "json")
    assert json.loads(result.stdout) == [{**row, "value": True}]


@pytest.mark.parametrize("words", [[], ["false", "--clear"]])
def test_a_switch_wants_a_value_or_to_be_cleared(api: Api, words: list[str]) -> None:
    result = api.run("station", "switch", "CP-1", "ping", *words)
    assert result.exit_code == 2
    assert "give a value, or --clear" in result.stderr


def test_switches_are_set_when_a_station_is_added(api: Api) -> None:
    api.on("POST", "/stations", ok(ONBOARDED, 201))
    api.run("station", "add", "CP-2", "--switch", "version=1.6", "--switch", "ping=false")
    assert api.body()["switches"] == {"version": "1.6", "ping": "false"}
    result = api.run("station", "add", "CP-2", "--switch", "version")
    assert result.exit_code == 2
    assert "write it as NAME=VALUE" in result.stderr


def test_an_exception_is_shown_in_red_wherever_the_station_is(api: Api) -> None:
    """Rule 7: never overlooked."""
    row = {**STATION, "exceptions": {"weak_secret": True, "no_auth": ["10.0.0.0/8"]}}
    said = "weak secret; no secret from 10.0.0.0/8"
    api.on("GET", "/stations", page(row))
    assert f"exception: {said}" in api.run("station", "list").stdout
    shown = io.StringIO()
    printer = Printer(Format.TABLE, shown, terminal=True, width=200)
    printer.rows([row], stations._COLUMNS, "")
    printer.record(row, stations._DETAILS)
    assert f"\x1b[1;31mexception: {said}" in shown.getvalue()
    assert f"\x1b[1;31m{said}" in shown.getvalue()


def test_the_security_profile_of_a_station(api: Api) -> None:
    treatment(api)
    row = {**STATION, "profile": 1, "min_profile": 1, "wanted_profile": 2}
    api.on("GET", "/stations/CP-1", ok(row))
    assert "1 (without TLS), at least 1, 2 wanted" in api.run("station", "show", "CP-1").stdout
