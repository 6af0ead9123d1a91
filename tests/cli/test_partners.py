"""`csms partner`."""

from __future__ import annotations

import json

from .conftest import Api, ok, page, problem

PARTNER = {
    "id": "p1",
    "name": "South",
    "state": "registered",
    "versions_url": "https://south.example.com/ocpi/versions",
    "encoding": "base64",
    "roles": [
        {"role": "CPO", "party": "US*STH", "name": "South"},
        {"role": "EMSP", "party": "US*STH", "name": "South"},
    ],
    "endpoints": [{"module": "tokens", "interface": "SENDER", "url": "https://south/t"}],
    "created_at": "2031-05-01T10:00:00Z",
    "registered_at": "2031-05-01T10:00:01Z",
    "heard_at": None,
    "deviations": {"postal_code: too_long": 3},
    "contract": {"taxes": "taxed", "rounding_digits": None, "markup_percent": "0"},
}


def test_invite_prints_what_to_hand_over(api: Api) -> None:
    url = "https://north.example.com/ocpi/versions"
    api.on("POST", "/partners", ok({**PARTNER, "state": "invited", "url": url, "token": "t0"}, 201))
    result = api.run("partner", "invite", "South")
    assert api.body() == {"name": "South"}
    assert f"  versions URL  {url}\n  token         t0\n" in result.stdout
    assert f"  csms partner register {url} t0 --name THEIR-NAME" in result.stdout
    assert "public_url" not in result.stdout
    assert json.loads(api.run("partner", "invite", "South", "-o", "json").stdout)["token"] == "t0"


def test_invite_says_that_nobody_else_reaches_this_machine(api: Api) -> None:
    url = "http://127.0.0.1:8000/ocpi/versions"
    api.on("POST", "/partners", ok({**PARTNER, "state": "invited", "url": url, "token": "t0"}, 201))
    assert "set public_url under\n[ocpi]" in api.run("partner", "invite", "South").stdout


def test_register_tells_its_steps(api: Api) -> None:
    api.on("POST", "/partners/register", ok({**PARTNER, "steps": ["one", "two"]}, 201))
    result = api.run("partner", "register", "https://s/versions", "t0", "--name", "South")
    assert api.body() == {"name": "South", "url": "https://s/versions", "token": "t0"}
    assert result.stdout == "- one\n- two\nSouth is registered\n"


def test_register_that_fails_says_why(api: Api) -> None:
    api.on("POST", "/partners/register", problem(409, "partner_refused", "OCPI 3001: no"))
    result = api.run("partner", "register", "https://s/versions", "t0", "--name", "South")
    assert result.exit_code == 1
    assert "OCPI 3001: no" in result.stderr
    assert api.run("partner", "register", "no url", "t0").exit_code == 2


def test_without_a_name_a_partner_is_called_by_its_host(api: Api) -> None:
    api.on("POST", "/partners/register", ok({**PARTNER, "steps": []}, 201))
    api.run("partner", "register", "https://south.example.com/ocpi/versions", "t0")
    assert api.body()["name"] == "south.example.com"


def test_list_and_show(api: Api) -> None:
    api.on("GET", "/partners", page(PARTNER))
    line = api.run("partner", "list").stdout.splitlines()[1]
    assert line.startswith("South  registered  US*STH (CPO), US*STH (EMSP)  2031-05-01T10:00:01Z")
    module = {
        "module": "tokens",
        "direction": "push",
        "last_at": None,
        "done": 4,
        "failures": 0,
        "error": None,
        "fault": "OCPI 2001: EVSE E7: unknown",
        "fault_at": "2031-05-01T09:00:00Z",
        "behind_s": 0,
    }
    api.on("GET", "/partners/South", ok({**PARTNER, "modules": [module]}))
    shown = api.run("partner", "show", "South").stdout
    for expected in (
        "https://south/t",
        "postal_code: too_long",
        "push",
        "base64",
        "EVSE E7",
        "well",
    ):
        assert expected in shown


def test_an_empty_list_says_how_to_begin(api: Api) -> None:
    api.on("GET", "/partners", page())
    assert "csms partner invite NAME" in api.run("partner", "list").stderr


def test_actions(api: Api) -> None:
    for action in ("sync", "rotate", "suspend", "resume"):
        api.on("POST", f"/partners/South/{action}", ok({**PARTNER, "steps": ["done"]}))
        assert api.run("partner", action, "South").stdout == "- done\nSouth is registered\n"
    api.on("DELETE", "/partners/p%2F1", ok({**PARTNER, "state": "removed", "steps": []}))
    assert api.run("partner", "remove", "p/1").stdout == "South is removed\n"


def test_what_is_agreed_about_money(api: Api) -> None:
    api.on("GET", "/partners/South", ok(PARTNER))
    text = api.run("partner", "contract", "South").stdout
    assert "rounding digits  as the currency" in text
    agreed = {"taxes": "reverse_charge", "rounding_digits": 0, "markup_percent": "0"}
    api.on("PUT", "/partners/South/contract", ok({**PARTNER, "contract": agreed}))
    words = ("--taxes", "reverse_charge", "--rounding-digits", "0")
    text = api.run("partner", "contract", "South", *words).stdout
    assert json.loads(api.requests[-1].content) == agreed
    assert "rounding digits  0" in text


TOLD = {
    "party_id": "CA*NTH",
    "uid": "04E1A2B3",
    "type": "RFID",
    "module": "session",
    "first_at": "2031-05-01T10:00:00Z",
    "last_at": "2031-05-01T11:00:00Z",
    "times": 2,
    "facts": {"uid": ["04E1A2B3"], "valid": [True, False], "location": ["LOC1 E1"]},
}


def test_disclosures_tell_what_was_said_of_a_driver(api: Api) -> None:
    api.on("GET", "/partners/South/disclosures", page(TOLD))
    out = api.run("partner", "disclosures", "South", "--token", "04E1A2B3").stdout
    assert api.requests[-1].url.params["token"] == "04E1A2B3"
    assert "valid yes, then no; location LOC1 E1" in " ".join(out.split())
    listed = api.run("partner", "disclosures", "South", "-o", "json").stdout
    assert json.loads(listed) == [TOLD]
    api.on("GET", "/partners/South/disclosures", page())
    assert "South was told nothing" in api.run("partner", "disclosures", "South").output
