"""`csms roaming start|stop|unlock|errands`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Api, ok, page

ERRAND: dict[str, Any] = {
    "id": "x1",
    "wish": "START_SESSION",
    "status": "accepted",
    "party_id": "US*STH",
    "partner_id": "p1",
    "token_party": "CA*NTH",
    "token_uid": "CARD",
    "location_id": "LOC1",
    "evse_uid": "E1",
    "connector_id": None,
    "session_id": None,
    "result": "ACCEPTED",
    "detail": None,
    "created_at": "2031-05-01T10:00:00Z",
    "finished_at": "2031-05-01T10:00:02Z",
    "requested_by": "k",
}
START = ("roaming", "start", "US*STH", "LOC1", "--token", "CARD")


def test_a_start_says_what_follows(api: Api) -> None:
    api.on("POST", "/roaming/errands/start", ok(ERRAND))
    result = api.run(*START, "--evse", "E1")
    assert result.exit_code == 0
    assert result.stdout == "accepted; the session follows: csms roaming sessions\n"
    sent = api.requests[-1]
    assert json.loads(sent.content) == {
        "party_id": "US*STH",
        "location_id": "LOC1",
        "token": "CARD",
        "token_kind": "rfid",
        "evse_uid": "E1",
    }
    assert sent.url.params["wait"] == "45.0"
    begun = {**ERRAND, "session_id": "17"}
    api.on("POST", "/roaming/errands/start", ok(begun))
    assert "session 17 of US*STH" in api.run(*START).stdout
    assert json.loads(api.run(*START, "-o", "json").stdout) == begun


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"status": "rejected", "result": "EVSE_OCCUPIED"}, 1, "rejected: EVSE_OCCUPIED"),
        ({"status": "timed_out", "detail": "no result came in time"}, 5, "no result came in time"),
        ({"status": "taken", "result": None}, 5, "has not told the result within 45 s"),
        ({"status": "unknown", "result": None, "detail": "no answer"}, 1, "may not have heard it"),
    ],
)
def test_what_was_not_accepted_is_an_exit_code(
    api: Api, changes: Any, code: int, said: str
) -> None:
    api.on("POST", "/roaming/errands/start", ok({**ERRAND, **changes}))
    result = api.run(*START)
    assert result.exit_code == code
    assert said in result.stderr
    assert "csms roaming errand x1 shows what became of it" in result.stderr


def test_nobody_has_to_wait(api: Api) -> None:
    api.on("POST", "/roaming/errands/start", ok({**ERRAND, "status": "taken", "result": None}))
    result = api.run(*START, "--wait", "0")
    assert (result.exit_code, result.stdout.split(";")[0]) == (0, "taken")


def test_stop_and_unlock(api: Api) -> None:
    api.on("POST", "/roaming/errands/stop", ok({**ERRAND, "wish": "STOP_SESSION"}))
    assert "its bill follows" in api.run("roaming", "stop", "US*STH", "17").stdout
    assert json.loads(api.requests[-1].content) == {"party_id": "US*STH", "session_id": "17"}
    api.on("POST", "/roaming/errands/unlock", ok({**ERRAND, "wish": "UNLOCK_CONNECTOR"}))
    assert api.run("roaming", "unlock", "US*STH", "LOC1", "E1").exit_code == 0
    assert json.loads(api.requests[-1].content)["connector_id"] == "1"


def test_errands_are_listed_and_shown(api: Api) -> None:
    api.on("GET", "/roaming/errands", page(ERRAND))
    line = api.run("roaming", "errands").stdout.splitlines()[1]
    assert line.split()[:5] == ["x1", "START_SESSION", "US*STH", "accepted", "CARD"]
    api.on("GET", "/roaming/errands/x1", ok(ERRAND))
    assert "accepted" in api.run("roaming", "errand", "x1").stdout
