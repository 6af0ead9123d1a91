"""`csms key`, `csms command`, `csms quarantine`."""

from __future__ import annotations

import json

from .conftest import COMMAND, Api, ok, page, problem

KEY = {
    "id": "k7",
    "name": "night shift",
    "role": "operator",
    "parties": [],
    "created_at": "2031-05-01T10:00:00Z",
    "revoked_at": None,
}
REPORT = {
    "id": "q1",
    "station_id": "s1",
    "kind": "stop",
    "reason": "unknown transaction",
    "received_at": "2031-05-01T10:00:00Z",
    "payload": {"transactionId": -1},
}


def test_create_a_key(api: Api) -> None:
    api.on("POST", "/keys", ok({**KEY, "key": "k7.secret"}, 201))
    result = api.run("key", "create", "night shift", "--role", "operator")
    assert api.body() == {"name": "night shift", "role": "operator"}
    assert "  export CSMS_API_KEY=k7.secret\n" in result.stdout
    assert "csms key revoke k7\n" in result.stdout


def test_a_key_for_some_parties(api: Api) -> None:
    made = {**KEY, "parties": ["CA*NTD", "CA*NTH"], "key": "k7.secret"}
    api.on("POST", "/keys", ok(made, 201))
    parties = ("--party", "CA*NTH", "--party", "CA*NTD")
    result = api.run("key", "create", "depot", "--role", "operator", *parties)
    assert api.body()["parties"] == ["CA*NTH", "CA*NTD"]
    assert "(operator, for CA*NTD, CA*NTH), shown this once" in result.stdout
    api.on("GET", "/keys", page(made))
    assert "  CA*NTD, CA*NTH  " in api.run("key", "list").stdout.splitlines()[1]


def test_a_key_needs_a_role(api: Api) -> None:
    result = api.run("key", "create", "me")
    assert result.exit_code == 2
    assert "--role" in result.stderr


def test_list_keys(api: Api) -> None:
    api.on("GET", "/keys", page(KEY))
    line = api.run("key", "list").stdout.splitlines()[1]
    assert line == "k7  night shift  operator  all      2031-05-01T10:00:00Z  -"


def test_revoke_by_name(api: Api) -> None:
    old = {**KEY, "id": "k6", "revoked_at": "2031-05-01T11:00:00Z"}
    api.on("GET", "/keys", page(KEY, old))
    api.on("DELETE", "/keys/k7", ok({**KEY, "revoked_at": "2031-05-01T11:00:00Z"}))
    assert api.run("key", "revoke", "night shift").exit_code == 0
    api.on("GET", "/keys", page(KEY, {**KEY, "id": "k8"}))
    result = api.run("key", "revoke", "night shift")
    assert (result.exit_code, "give one of k7, k8" in result.stderr) == (2, True)


def test_revoke_takes_a_whole_key_without_sending_its_secret(api: Api) -> None:
    api.on("GET", "/keys", page(KEY))
    api.on("DELETE", "/keys/k7", ok({**KEY, "revoked_at": "2031-05-01T11:00:00Z"}))
    result = api.run("key", "revoke", "k7.secret")
    assert result.stdout == "the key night shift (k7) is revoked\n"
    assert not [request for request in api.requests if "secret" in str(request.url)]


def test_a_key_without_the_role(api: Api) -> None:
    refused = problem(403, "forbidden", "this needs the role admin; the key has viewer")
    api.on("GET", "/keys", refused)
    result = api.run("key", "list")
    assert result.exit_code == 1
    assert "the key has viewer; use a key with that role" in result.stderr


def test_list_commands(api: Api) -> None:
    api.on("GET", "/commands", page(COMMAND))
    line = api.run("command", "list").stdout.splitlines()[1]
    assert (
        line == "c1  s1       start_charging  accepted  -       2031-05-01T10:00:00Z            -"
    )


def test_list_commands_of_a_station(api: Api) -> None:
    api.on("GET", "/commands", page(COMMAND))
    result = api.run("command", "list", "--station", "CP-1", "-o", "json")
    assert json.loads(result.stdout) == [COMMAND]
    assert api.requests[-1].url.params["station"] == "CP-1"


def test_show_a_command(api: Api) -> None:
    api.on("GET", "/commands/c1", ok(COMMAND))
    text = api.run("command", "show", "c1").stdout
    assert "parameters    token=CARD\n" in text
    assert "result        status=Accepted\n" in text


def test_quarantine(api: Api) -> None:
    api.on("GET", "/quarantine", page(REPORT))
    assert "unknown transaction" in api.run("quarantine", "list").stdout
    assert json.loads(api.run("quarantine", "list", "-o", "json").stdout) == [REPORT]


def test_show_a_report(api: Api) -> None:
    api.on("GET", "/quarantine/q1", ok(REPORT))
    text = api.run("quarantine", "show", "q1").stdout
    assert "reason       unknown transaction\n" in text
    assert '"transactionId": -1' in text


def test_the_quarantine_is_empty(api: Api) -> None:
    api.on("GET", "/quarantine", page())
    assert api.run("quarantine", "list").stderr == "the quarantine is empty\n"


def test_assign_shows_what_it_does(api: Api) -> None:
    before = {"energy_wh": 200, "open": True, "flags": []}
    after = {
        "energy_wh": 4000,
        "open": False,
        "ended_at": "2031-05-01T11:00:00Z",
        "stop_reason": "Local",
        "end_kind": "reported",
        "flags": ["assigned"],
    }
    answer = {"dry_run": True, "samples": 2, "before": before, "after": after}
    api.on("POST", "/quarantine/q1/assign", ok(answer))
    result = api.run("quarantine", "assign", "q1", "17", "--dry-run")
    assert api.body() == {"transaction_id": 17, "dry_run": True}
    assert "energy kWh    0.200 -> 4.000\n" in result.stdout
    assert "state         open -> ended\n" in result.stdout
    assert "new samples   2\n" in result.stdout
    assert result.stdout.endswith("the report would be placed at transaction 17\n")
