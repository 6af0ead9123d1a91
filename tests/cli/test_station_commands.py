"""Commands to stations: what is asked, and every way in which they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from csms.cli.station_commands import Message
from csms.core.commands import TRIGGERS

from .conftest import COMMAND, Api, ok, problem

PATH = "/stations/CP-1/commands"


def row(**changes: Any) -> dict[str, Any]:
    return {**COMMAND, **changes}


@pytest.mark.parametrize(
    ("words", "kind", "parameters"),
    [
        ("start CP-1 --token CARD", "start_charging", {"token": "CARD"}),
        ("start CP-1 --token CARD --evse 2", "start_charging", {"token": "CARD", "evse": 2}),
        ("stop CP-1", "stop_charging", {}),
        ("stop CP-1 --transaction 7", "stop_charging", {"transaction_id": 7}),
        ("stop CP-1 --evse 1", "stop_charging", {"evse": 1}),
        ("reset CP-1", "reset", {}),
        ("reset CP-1 --resume", "reset", {"resume": True}),
        ("reset CP-1 --immediate --evse 1", "reset", {"immediate": True, "evse": 1}),
        ("unlock CP-1", "unlock", {"evse": 1}),
        ("unlock CP-1 --evse 2 --connector 3", "unlock", {"evse": 2, "connector": 3}),
        ("availability CP-1 operative", "set_availability", {"available": True}),
        (
            "availability CP-1 inoperative --evse 1 --connector 2",
            "set_availability",
            {"available": False, "evse": 1, "connector": 2},
        ),
        ("trigger CP-1 meter_values --evse 1", "trigger", {"message": "meter_values", "evse": 1}),
        (
            "trigger CP-1 status --evse 1 --connector 2",
            "trigger",
            {"message": "status", "evse": 1, "connector": 2},
        ),
        ("clear-cache CP-1", "clear_cache", {}),
    ],
)
def test_what_is_asked(api: Api, words: str, kind: str, parameters: dict[str, Any]) -> None:
    api.on("POST", PATH, ok(row(kind=kind), 202))
    result = api.run("station", *words.split())
    assert result.exit_code == 0
    assert result.stdout.startswith("accepted")
    assert api.body() == {"kind": kind, "parameters": parameters}
    assert api.requests[0].url.params["wait"] == "30.0"


def test_every_message_of_the_server_can_be_triggered() -> None:
    assert [message.value for message in Message] == list(TRIGGERS)


def test_start_says_that_the_transaction_follows(api: Api) -> None:
    api.on("POST", PATH, ok(row(), 202))
    assert api.run("station", "start", "CP-1", "--token", "CARD").stdout == (
        "accepted; the transaction follows once a car is plugged in: "
        "csms transaction list --open --station CP-1\n"
    )


def test_start_that_already_led_to_a_transaction(api: Api) -> None:
    api.on("POST", PATH, ok(row(transaction_id=17), 202))
    result = api.run("station", "start", "CP-1", "--token", "CARD")
    assert result.stdout == "accepted; transaction 17: csms transaction show 17\n"


@pytest.mark.parametrize(
    ("status", "detail", "code", "words"),
    [
        ("rejected", "Occupied", 1, "rejected: Occupied; csms station show CP-1"),
        ("rejected", "Rejected", 1, "rejected; csms station show CP-1"),
        ("failed", "the station answered NotSupported", 1, "failed: the station answered"),
        ("failed", None, 1, "failed; csms station show CP-1"),
        ("timed_out", "no answer in 30 s", 5, "timed out: no answer in 30 s; a late answer"),
        ("unknown", "the link ended", 1, "unknown: the link ended; look at the station"),
        ("sent", None, 5, "CP-1 has not answered within 30 s; csms command show c1"),
        ("queued", None, 5, "CP-1 has not answered within 30 s; csms command show c1"),
    ],
)
@pytest.mark.parametrize("output", ["table", "json"])
def test_other_ends(
    api: Api, status: str, detail: str | None, code: int, words: str, output: str
) -> None:
    answer = row(status=status, detail=detail)
    api.on("POST", PATH, ok(answer, 202))
    result = api.run("station", "unlock", "CP-1", "--output", output)
    assert result.exit_code == code
    assert result.stderr.startswith(f"csms: {words}")
    assert result.stderr.count("\n") == 1
    # The row of the ledger is there, so programs get it whatever became of the command.
    assert result.stdout == "" if output == "table" else json.loads(result.stdout) == answer


def test_nobody_waits(api: Api) -> None:
    api.on("POST", PATH, ok(row(status="queued"), 202))
    result = api.run("station", "reset", "CP-1", "--wait", "0")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "queued; csms command show c1 shows what became of it\n"


def test_the_server_gets_the_time_that_is_waited(api: Api) -> None:
    api.on("POST", PATH, ok(row(), 202))
    api.run("station", "reset", "CP-1", "--wait", "50")
    assert api.requests[0].url.params["wait"] == "50.0"
    assert api.requests[0].extensions["timeout"]["read"] > 50


def test_a_station_that_is_offline(api: Api) -> None:
    offline = problem(409, "station_offline", "the station is not connected", command_id="c1")
    api.on("POST", PATH, offline)
    api.on("GET", "/commands/c1", ok(row(status="failed")))
    result = api.run("station", "unlock", "CP-1")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith("csms: the station is not connected; csms station show CP-1")
    as_json = api.run("station", "unlock", "CP-1", "--output", "json")
    assert as_json.exit_code == 4
    assert json.loads(as_json.stdout) == row(status="failed")


def test_a_ledger_row_that_cannot_be_had_changes_nothing(api: Api) -> None:
    offline = problem(409, "station_offline", "the station is not connected", command_id="c1")
    api.on("POST", PATH, offline)
    api.on("GET", "/commands/c1", problem(404, "not_found", "no command c1"))
    result = api.run("station", "unlock", "CP-1", "--output", "json")
    assert (result.exit_code, result.stdout) == (4, "")


def test_ctrl_c_ends_the_waiting_and_not_the_command(api: Api) -> None:
    def interrupt(request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    api.on("POST", PATH, interrupt)
    result = api.run("station", "reset", "CP-1")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "not taken back: csms command list --station CP-1" in result.stderr


def test_nothing_runs_there(api: Api) -> None:
    api.on("POST", PATH, problem(409, "refused", "no transaction is running there"))
    result = api.run("station", "stop", "CP-1")
    assert result.exit_code == 1
    assert "csms transaction list --open --station CP-1" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        "start CP-1",
        "trigger CP-1 nonsense",
        "availability CP-1 broken",
        "unlock CP-1 --evse 0",
        "reset CP-1 --wait -1",
        "reset",
    ],
)
def test_usage(api: Api, words: str) -> None:
    result = api.run("station", *words.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("csms: ")
    assert result.stderr.count("\n") == 1
    assert api.requests == []


# -- raw calls -------------------------------------------------------------------------------------

RAW = "/stations/CP-1/ocpp/GetConfiguration"


def outcome(**fields: Any) -> dict[str, Any]:
    empty = {"payload": None, "error_code": None, "error": None, "command_id": "c1"}
    return {**empty, **fields}


def test_a_result_is_printed_as_the_station_sent_it(api: Api) -> None:
    payload = {"unknownKey": ["a"], "odd": None}
    api.on("POST", RAW, ok(outcome(outcome="result", payload=payload)))
    result = api.run("station", "call", "CP-1", "GetConfiguration", '{"key": ["a"]}')
    assert result.exit_code == 0
    assert json.loads(result.stdout) == payload
    assert api.body() == {"key": ["a"]}


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        (
            {"outcome": "error", "error_code": "NotImplemented", "error": "not known"},
            1,
            "CP-1 answered with the error NotImplemented: not known",
        ),
        (
            {"outcome": "error", "error_code": "GenericError", "error": ""},
            1,
            "CP-1 answered with the error GenericError;",
        ),
        ({"outcome": "timeout", "error": "no answer in 30 s"}, 5, "CP-1 has not answered: no"),
        ({"outcome": "unknown", "error": "the link ended"}, 1, "nobody knows what CP-1 did"),
    ],
)
def test_an_error_a_time_out_and_a_lost_link(
    api: Api, fields: dict[str, Any], code: int, words: str
) -> None:
    api.on("POST", RAW, ok(outcome(**fields)))
    result = api.run("station", "call", "CP-1", "GetConfiguration")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(f"csms: {words}")
    as_json = api.run("station", "call", "CP-1", "GetConfiguration", "-o", "json")
    assert as_json.exit_code == code
    assert json.loads(as_json.stdout) == outcome(**fields)


def test_a_payload_from_a_file_or_from_standard_input(api: Api, tmp_path: Path) -> None:
    api.on("POST", RAW, ok(outcome(outcome="result", payload={})))
    file = tmp_path / "payload.json"
    file.write_text('{"key": ["b"]}', encoding="utf-8")
    api.run("station", "call", "CP-1", "GetConfiguration", f"@{file}")
    assert api.body() == {"key": ["b"]}
    api.run("station", "call", "CP-1", "GetConfiguration", "-", stdin='{"key": ["c"]}')
    assert api.body() == {"key": ["c"]}


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ('{"key', "JSON, line 1 column 2: "),
        ("[]", "JSON must hold an object"),
        ("@/no/such/file", "cannot read /no/such/file: No such file"),
    ],
)
def test_payloads_that_cannot_be(api: Api, payload: str, words: str) -> None:
    result = api.run("station", "call", "CP-1", "GetConfiguration", payload)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"csms: {words}")
    assert api.requests == []


def test_a_payload_that_the_schema_refuses(api: Api) -> None:
    api.on("POST", RAW, problem(422, "invalid", "GetConfiguration /key: not of type array"))
    result = api.run("station", "call", "CP-1", "GetConfiguration", '{"key": 1}')
    assert result.exit_code == 1
    assert "not of type array; the message names the field" in result.stderr
