"""`csms transaction` and `csms token`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Api, ok, page, problem

TRANSACTION = {
    "id": 17,
    "station_id": "s1",
    "party_id": "XX*CSM",
    "wire_id": "17",
    "evse": 1,
    "connector": 1,
    "open": True,
    "token_uid": "CARD",
    "outcome": "accepted",
    "started_at": "2031-05-01T10:00:00Z",
    "ended_at": None,
    "energy_wh": 12345,
    "meter_start_wh": 1000,
    "meter_last_wh": 13345,
    "charging_state": "Charging",
    "stop_reason": None,
    "offline": False,
    "flags": [],
    "missing_messages": 0,
}
SAMPLE = {
    "at": "2031-05-01T10:01:00Z",
    "received_at": "2031-05-01T10:01:01Z",
    "readings": [
        {"value": "10800", "measurand": "Power.Active.Import", "unit": "W", "phase": "L1"},
        {"value": "12", "measurand": "SoC", "context": "Sample.Periodic"},
    ],
}


def token(uid: str = "04E1A2B3", **changes: Any) -> dict[str, Any]:
    fields = {
        "uid": uid,
        "kind": "rfid",
        "party_id": "XX*CSM",
        "blocked": False,
        "group_id": None,
        "expires_at": None,
        "concurrent": False,
        "label": None,
        "created_at": "2031-05-01T10:00:00Z",
    }
    return {**fields, **changes}


# -- transactions ----------------------------------------------------------------------------------


def test_the_list(api: Api) -> None:
    ended = {**TRANSACTION, "id": 9, "open": False, "stop_reason": "Local"}
    api.on("GET", "/transactions", page(TRANSACTION, ended))
    lines = api.run("transaction", "list").stdout.splitlines()
    assert " ".join(lines[1].split()) == ("17 s1 1 CARD Charging 2031-05-01T10:00:00Z - 12.345 - -")
    assert lines[2].split()[4] == "ended"


@pytest.mark.parametrize("arguments", [("list",), ("show", "17")])
def test_energy_that_nobody_measured_is_not_0(api: Api, arguments: tuple[str, ...]) -> None:
    """OCPP 2.x stations send no meter value at all unless they are configured to."""
    unmeasured = {"energy_wh": 0, "meter_start_wh": None, "meter_last_wh": None}
    api.on("GET", "/transactions", page({**TRANSACTION, **unmeasured}))
    api.on("GET", "/transactions/17", ok({**TRANSACTION, **unmeasured}))
    text = api.run("transaction", *arguments).stdout
    assert "CARD" in text
    assert "0.000" not in text


def test_the_list_names_stations_where_the_api_does(api: Api) -> None:
    api.on("GET", "/transactions", page({**TRANSACTION, "station": "CP-1"}))
    assert "CP-1" in api.run("transaction", "list").stdout


def test_filters(api: Api) -> None:
    api.on("GET", "/transactions", page())
    result = api.run("transaction", "list", "--open", "--station", "CP 1")
    assert "no transaction is running" in result.stderr
    assert dict(api.requests[0].url.params) == {"station": "CP 1", "open": "true", "limit": "101"}


def test_people_get_the_newest_and_programs_all(api: Api) -> None:
    many = [{**TRANSACTION, "id": n} for n in range(150)]
    api.on("GET", "/transactions", page(*many[:101], following="n"))
    result = api.run("transaction", "list")
    assert len(result.stdout.splitlines()) == 101
    assert result.stderr == "the newest 100 are shown; more with --limit\n"
    api.on("GET", "/transactions", page(*many[:100], following="n"), page(*many[100:]))
    as_json = api.run("transaction", "list", "--output", "json")
    assert json.loads(as_json.stdout) == many
    assert as_json.stderr == ""


def test_show(api: Api) -> None:
    api.on("GET", "/transactions/17", ok(TRANSACTION))
    text = api.run("transaction", "show", "17").stdout
    assert "energy kWh        12.345\n" in text
    assert json.loads(api.run("transaction", "show", "17", "-o", "json").stdout) == TRANSACTION


def test_show_with_meter_values(api: Api) -> None:
    api.on("GET", "/transactions/17", ok(TRANSACTION))
    api.on("GET", "/transactions/17/meter-values", page(SAMPLE, following="n"), page(SAMPLE))
    text = api.run("transaction", "show", "17", "--meter-values").stdout
    assert text.splitlines()[-1] == (
        "2031-05-01T10:01:00Z  Power.Active.Import L1 10800 W; SoC 12 (Sample.Periodic)"
    )
    api.on("GET", "/transactions/17/meter-values", page(SAMPLE))
    as_json = api.run("transaction", "show", "17", "--meter-values", "-o", "json")
    assert json.loads(as_json.stdout) == {**TRANSACTION, "meter_values": [SAMPLE]}


def test_a_transaction_that_is_not_there(api: Api) -> None:
    api.on("GET", "/transactions/99", problem(404, "not_found", "no transaction 99"))
    result = api.run("transaction", "show", "99")
    assert result.exit_code == 1
    assert result.stderr == (
        "csms: no transaction 99; csms transaction list shows those there are\n"
    )


def test_what_an_operator_should_look_at(api: Api) -> None:
    row = {**TRANSACTION, "flags": ["register_suspect"], "outcome": "invalid"}
    api.on("GET", "/transactions", page(row))
    assert "register_suspect, invalid" in api.run("transaction", "list").stdout


def test_close_a_transaction(api: Api) -> None:
    api.on("POST", "/transactions/17/close", ok({**TRANSACTION, "open": False}))
    result = api.run("transaction", "close", "17")
    assert result.stdout == "transaction 17 is closed with 12.345 kWh\n"


# -- tokens ----------------------------------------------------------------------------------------


def test_add(api: Api) -> None:
    api.on("POST", "/tokens", ok(token(), 201))
    result = api.run("token", "add", "04E1A2B3")
    assert result.stdout == "token 04E1A2B3 (rfid) of XX*CSM is added\n"
    assert api.body() == {"uid": "04E1A2B3", "kind": "rfid", "concurrent": False}


def test_add_with_everything(api: Api) -> None:
    api.on("POST", "/tokens", ok(token(), 201))
    words = "token add X --group g --label l --concurrent --technology iso15693 --party CA*NTH"
    api.run(*words.split(" "), "--expires", "2031-12-31T18:00:00+01:00")
    assert api.body() == {
        "uid": "X",
        "kind": "rfid",
        "party_id": "CA*NTH",
        "group_id": "g",
        "expires_at": "2031-12-31T17:00:00+00:00",
        "concurrent": True,
        "label": "l",
        "technology": "iso15693",
    }


def test_an_expiry_that_is_no_time(api: Api) -> None:
    result = api.run("token", "add", "X", "--expires", "tomorrow")
    assert result.exit_code == 2
    assert "--expires: 'tomorrow' is not an ISO 8601 time; examples are" in result.stderr


def test_list(api: Api) -> None:
    api.on("GET", "/tokens", page(token(blocked=True, label="Ana's card")))
    line = api.run("token", "list").stdout.splitlines()[1]
    assert line.startswith("04E1A2B3  rfid  XX*CSM  blocked  -")
    assert "Ana's card" in line


@pytest.mark.parametrize(("verb", "blocked"), [("block", True), ("unblock", False)])
def test_the_only_token_of_that_uid_is_found(api: Api, verb: str, blocked: bool) -> None:
    api.on("GET", "/tokens", page(token(kind="app")))
    api.on("PATCH", "/tokens/XX%2ACSM/app/04e1a2b3", ok(token(kind="app", blocked=blocked)))
    result = api.run("token", verb, "04e1a2b3")
    state = "blocked" if blocked else "valid"
    assert result.stdout == f"token 04E1A2B3 (app) of XX*CSM is {state}\n"
    assert api.body() == {"blocked": blocked}


def test_party_and_kind_need_no_search(api: Api) -> None:
    api.on("PATCH", "/tokens/CA%2ANTH/rfid/X", ok(token("X")))
    api.run("token", "block", "X", "--party", "CA*NTH", "--kind", "rfid")
    assert len(api.requests) == 1


def test_several_tokens_of_one_uid(api: Api) -> None:
    api.on("GET", "/tokens", page(token(), token(kind="app"), token(party_id="CA*NTH")))
    result = api.run("token", "block", "04E1A2B3")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "csms: there are 3 tokens 04E1A2B3; choose one with --party 'XX*CSM' --kind rfid, "
        "or --party 'XX*CSM' --kind app, or --party 'CA*NTH' --kind rfid\n"
    )


def test_one_option_may_be_enough(api: Api) -> None:
    api.on("GET", "/tokens", page(token(), token(kind="app")))
    api.on("PATCH", "/tokens/XX%2ACSM/app/04E1A2B3", ok(token(kind="app", blocked=True)))
    assert api.run("token", "block", "04E1A2B3", "--kind", "app").exit_code == 0


def test_no_such_token(api: Api) -> None:
    api.on("GET", "/tokens", page())
    result = api.run("token", "block", "X", "--output", "json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "csms: no token X; csms token list shows those there are\n"


# -- doubts ----------------------------------------------------------------------------------------


def test_the_doubtful_are_asked_for(api: Api) -> None:
    api.on("GET", "/transactions", page())
    result = api.run("transaction", "list", "--open", "--doubtful")
    params = api.requests[-1].url.params
    assert (params["open"], params["doubtful"]) == ("true", "true")
    assert "no transaction is in doubt" in result.stderr


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((True, False), "transaction 17 goes on; the station has nothing more to tell"),
        ((False, True), "transaction 17 is over; the station has more to tell"),
        ((None, True), "transaction 17 may go on or not; the station has more to tell"),
    ],
)
def test_a_transaction_is_checked(api: Api, said: tuple[bool | None, bool], words: str) -> None:
    answer = {"ongoing": said[0], "messages_in_queue": said[1], "detail": None}
    api.on("POST", "/transactions/17/check", ok(answer))
    result = api.run("transaction", "check", "17")
    assert (result.exit_code, result.stdout) == (0, f"{words}\n")


def test_a_station_that_cannot_say_is_a_failure(api: Api) -> None:
    answer = {"ongoing": None, "messages_in_queue": None, "detail": "this version has none"}
    api.on("POST", "/transactions/17/check", ok(answer))
    result = api.run("transaction", "check", "17")
    assert result.exit_code == 1
    assert "the station does not say: this version has none" in result.stderr
