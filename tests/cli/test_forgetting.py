"""`csms token forget`."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from csms.cli import forgetting

from .conftest import Api, ok, page, problem

ROW: dict[str, Any] = {
    "id": "f1",
    "party_id": "CA*NTH",
    "kind": "rfid",
    "state": "telling",
    "waits_for": None,
    "pseudonym": "forgotten-0123456789abcdef",
    "place": None,
    "rewritten": 0,
    "requested_at": "2031-05-01T10:00:00Z",
    "requested_by": "k1",
    "finished_at": None,
}
DONE = {**ROW, "state": "done", "rewritten": 7, "finished_at": "2031-05-01T10:00:09Z"}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "LOOK_EVERY_S", 0.001)


def test_it_is_looked_on_until_it_is_done(api: Api) -> None:
    answers = [{**ROW, "state": "rewriting", "place": "cdrs"}, DONE]

    def show(request: httpx.Request) -> httpx.Response:
        return ok(answers.pop(0))

    api.on("POST", "/forgettings", ok(ROW, 202))
    api.on("GET", "/forgettings/f1", show)
    result = api.run("token", "forget", "04E1A2B3", "--party", "CA*NTH", "--kind", "rfid")
    assert result.stdout == (
        "the token is forgotten; its records have forgotten-0123456789abcdef\n"
    )
    (sent,) = [r for r in api.requests if r.method == "POST"]
    assert json.loads(sent.content) == {"uid": "04E1A2B3", "party_id": "CA*NTH", "kind": "rfid"}
    assert all("04E1A2B3" not in str(r.url) for r in api.requests)


def test_what_is_in_the_way_is_said_and_it_goes_on(api: Api) -> None:
    waiting = {**ROW, "waits_for": "South was not told yet"}
    api.on("POST", "/forgettings", ok(waiting, 202))
    result = api.run("token", "forget", "04E1A2B3", "--wait", "0")
    assert result.exit_code == 0
    assert result.stdout.startswith("the token is blocked; South was not told yet\n")
    assert "csms token forgettings" in result.stdout
    shown = api.run("token", "forget", "04E1A2B3", "--wait", "0", "-o", "json").stdout
    assert json.loads(shown) == waiting


def test_a_refusal_says_what_it_waits_for(api: Api) -> None:
    why = "transaction 17 of this token is open"
    api.on("POST", "/forgettings", problem(409, "refused", why))
    result = api.run("token", "forget", "04E1A2B3")
    assert result.exit_code == 1
    assert why in result.stderr


def test_the_list_has_what_is_under_way(api: Api) -> None:
    api.on("GET", "/forgettings", page({**ROW, "waits_for": "South"}, DONE))
    out = api.run("token", "forgettings").stdout
    assert "South" in out
    assert "done" in out
    api.on("GET", "/forgettings", page())
    assert "nobody was forgotten" in api.run("token", "forgettings").output
