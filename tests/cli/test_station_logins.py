"""`csms station rotate, profile, exception, accept`: what an operator is told, and what is next."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import STATION, Api, ok, problem

TOKEN = "00112233445566778899aabbccddeeff00112233"
ROTATED = {
    "id": "s1",
    "identity": "CP-1",
    "url": "wss://csms.test:9443/ocpp",
    "user": "CP-1",
    "token": None,
    "pushed": "accepted",
    "detail": None,
    "old_works": True,
}


@pytest.mark.parametrize(
    ("answer", "code", "said", "shown"),
    [
        ({}, 0, "CP-1 has taken a new token.", False),
        ({"pushed": "reboot_required"}, 0, "csms station reset CP-1", False),
        (
            {"pushed": "refused", "detail": "the station answered Rejected"},
            1,
            "csms station rotate CP-1 --by-hand",
            False,
        ),
        (
            {"pushed": "no_answer", "detail": "the link was lost", "token": TOKEN},
            0,
            "The old and the new one both work",
            True,
        ),
        (
            {"pushed": "not_sent", "detail": "the station is not connected", "token": TOKEN},
            0,
            "could not be sent: the station is not connected",
            True,
        ),
        ({"pushed": "by_hand", "token": TOKEN}, 0, "Type it in there", True),
    ],
)
def test_rotate(api: Api, answer: dict[str, Any], code: int, said: str, shown: bool) -> None:
    api.on("POST", "/stations/CP-1/credentials", ok({**ROTATED, **answer}, 201))
    result = api.run("station", "rotate", "CP-1")
    assert result.exit_code == code
    assert said in result.stdout + result.stderr
    assert (TOKEN in result.stdout) is shown
    assert ("tls/ca.pem" in result.stdout) is shown


def test_rotate_by_hand_and_at_once(api: Api) -> None:
    by_hand = {**ROTATED, "pushed": "by_hand", "token": TOKEN}
    api.on("POST", "/stations/CP-1/credentials", ok(by_hand, 201))
    api.run("station", "rotate", "CP-1", "--by-hand")
    assert api.body() == {"by_hand": True, "at_once": False}
    result = api.run("station", "rotate", "CP-1", "--at-once")
    assert api.body() == {"by_hand": False, "at_once": True}
    assert TOKEN in result.stdout


def test_rotate_for_programs(api: Api) -> None:
    refused = {**ROTATED, "pushed": "refused", "detail": "no"}
    api.on("POST", "/stations/CP-1/credentials", ok(refused, 201))
    result = api.run("station", "rotate", "CP-1", "-o", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, refused)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ({"outcome": "required"}, 0, "has to connect with profile 2 or higher from now on"),
        ({"outcome": "accepted", "reset": "accepted"}, 0, "The reset was accepted."),
        ({"outcome": "reboot_required"}, 0, "csms station reset CP-1"),
        ({"outcome": "refused", "detail": "Rejected"}, 1, "who signed this server's certificate"),
        (
            {"outcome": "refused", "detail": "it said NotSupported"},
            1,
            "wss:// URL in there by hand",
        ),
        ({"outcome": "refused", "detail": "name it (--slot)"}, 1, "profile: name it (--slot)"),
        ({"outcome": "no_answer", "detail": "the link was lost"}, 5, "csms station show CP-1"),
        ({"outcome": "not_sent", "detail": "not connected"}, 4, "nothing was changed"),
    ],
)
def test_profile(api: Api, answer: dict[str, Any], code: int, said: str) -> None:
    row = {"identity": "CP-1", "min_profile": 0, "wanted_profile": 2, "detail": None, "reset": None}
    api.on("POST", "/stations/CP-1/profile", ok({**row, **answer}))
    result = api.run("station", "profile", "CP-1", "2")
    assert result.exit_code == code
    assert said in result.stdout + result.stderr


def test_profile_with_slots(api: Api) -> None:
    row = {"identity": "CP-1", "outcome": "accepted", "reset": None, "detail": None}
    api.on("POST", "/stations/CP-1/profile", ok(row))
    given = ("--slot", "2", "--priority", "1, 0", "--interface", "Wireless0", "--no-reset")
    api.run("station", "profile", "CP-1", "2", *given)
    assert api.body() == {
        "profile": 2,
        "slot": 2,
        "priority": [1, 0],
        "interface": "Wireless0",
        "reset": False,
    }
    wrong = api.run("station", "profile", "CP-1", "2", "--priority", "first")
    assert (wrong.exit_code, "an example is 1,0" in wrong.stderr) == (2, True)
    assert api.run("station", "profile", "CP-1", "3").exit_code == 2


def test_profile_of_a_station_that_is_offline(api: Api) -> None:
    api.on("POST", "/stations/CP-1/profile", problem(409, "station_offline", "not connected"))
    result = api.run("station", "profile", "CP-1", "2")
    assert (result.exit_code, "csms station show CP-1" in result.stderr) == (4, True)


def test_exceptions(api: Api) -> None:
    path = "/stations/CP-1/exceptions"
    given = {"user": "admin", "no_auth": ["10.0.0.0/8", "192.0.2.7"]}
    api.on("PATCH", path, ok({**STATION, "exceptions": given}))
    result = api.run(
        *("station", "exception", "CP-1", "--user", "admin"),
        *("--no-auth", "10.0.0.0/8", "--no-auth", "192.0.2.7"),
    )
    assert api.body() == given
    assert result.stdout == "CP-1: user name admin; no secret from 10.0.0.0/8, 192.0.2.7\n"
    api.on("DELETE", path, ok({**STATION, "exceptions": {}}))
    assert api.run("station", "exception", "CP-1", "--none").stdout == "CP-1 has no exceptions.\n"


def test_a_weak_secret_is_not_on_the_command_line(api: Api) -> None:
    path = "/stations/CP-1/exceptions"
    api.on("PATCH", path, ok({**STATION, "exceptions": {"weak_secret": True}}))
    result = api.run("station", "exception", "CP-1", "--weak-secret", stdin="73654322\n")
    assert api.body() == {"weak_secret": "73654322"}
    assert result.stdout == "CP-1: weak secret\n"
    assert api.run("station", "exception", "CP-1", "--weak-secret", stdin="").exit_code == 2
    api.on("PATCH", path, ok({**STATION, "exceptions": {}}))
    good = api.run("station", "exception", "CP-1", "--weak-secret", stdin="long enough\n")
    assert "needs no exception" in good.stdout


@pytest.mark.parametrize("given", [(), ("--none", "--user", "x")])
def test_an_exception_or_none(api: Api, given: tuple[str, ...]) -> None:
    result = api.run("station", "exception", "CP-1", *given)
    assert result.exit_code == 2
    assert "csms station exception CP-1 --no-auth 10.0.0.0/8" in result.stderr


GUEST = {**STATION, "guest": True, "registration": "pending"}


def test_accept_one_that_came_by_itself(api: Api) -> None:
    api.on("GET", "/stations/CP-1", ok(GUEST))
    kept = {**ROTATED, "pushed": "kept", "boot": "accepted"}
    api.on("POST", "/stations/CP-1/accept", ok(kept))
    result = api.run("station", "accept", "CP-1", "--weak-secret", "--party", "CA*NTH")
    assert api.body() == {"keep_weak_secret": True, "party_id": "CA*NTH"}
    assert result.stdout == (
        "CP-1 is a station of this network. It keeps the secret that it has.\n"
        "It was asked to boot, to learn so: accepted.\n"
    )


def test_accept_one_that_has_to_get_a_token(api: Api) -> None:
    api.on("GET", "/stations/CP-1", ok(GUEST))
    shown = {
        **ROTATED,
        "pushed": "not_sent",
        "token": TOKEN,
        "detail": "x",
        "boot": "not connected",
    }
    api.on("POST", "/stations/CP-1/accept", ok(shown))
    result = api.run("station", "accept", "CP-1")
    assert TOKEN in result.stdout
    assert json.loads(api.run("station", "accept", "CP-1", "-o", "json").stdout) == shown


def test_accept_one_of_the_network_takes_no_guests_options(api: Api) -> None:
    api.on("GET", "/stations/CP-1", ok(STATION))
    result = api.run("station", "accept", "CP-1", "--weak-secret")
    assert result.exit_code == 2
    assert "csms station exception CP-1 --weak-secret" in result.stderr


def test_accept_one_that_is_not_there_says_how_to_add_it(api: Api) -> None:
    detail = "no station CP-9; csms station list shows those there are"
    api.on("GET", "/stations/CP-9", problem(404, "not_found", detail))
    result = api.run("station", "accept", "CP-9")
    assert result.exit_code == 1
    assert result.stderr == "csms: no station CP-9; csms station add CP-9 adds it\n"
