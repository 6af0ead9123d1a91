"""`csms station config, report` and `csms config templates`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Api, ok, page, problem

PATH = "/stations/CP-1/configuration"


def variable(name: str = "HeartbeatInterval", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "reported": "60",
        "reported_at": "2031-05-01T10:00:00Z",
        "target": None,
        "mutability": "read_write",
        "data_type": "integer",
        "unit": "s",
        "allowed": None,
        "desired": None,
        "state": None,
        "reason": None,
        "template": None,
        "desired_by": None,
        "desired_at": None,
        **fields,
    }


def configuration(*variables: dict[str, Any], **fields: Any) -> Any:
    return ok(
        {
            "station_id": "s1",
            "station": "CP-1",
            "connected": True,
            "inventory": "complete",
            "inventory_at": None,
            "reset_needed": False,
            "variables": list(variables),
            "detail": None,
            **fields,
        }
    )


def test_reported_and_desired_are_one_table(api: Api) -> None:
    api.on(
        "GET",
        PATH,
        configuration(
            variable(desired="300", state="rejected", reason="Rejected: TooLow"),
            variable("Model", mutability="read_only"),
        ),
    )
    result = api.run("station", "config", "get", "CP-1", "HeartbeatInterval", "Model")
    assert result.exit_code == 0
    header, first, second = result.stdout.splitlines()
    assert header.split()[:4] == ["variable", "reported", "desired", "state"]
    assert "rejected: Rejected: TooLow" in first
    assert "operator" in first
    assert "read only" in second
    assert api.requests[-1].url.params.get_list("name") == ["HeartbeatInterval", "Model"]


def test_refreshing_asks_the_station(api: Api) -> None:
    api.on("POST", f"{PATH}/refresh", configuration(variable()))
    result = api.run("station", "config", "get", "CP-1", "HeartbeatInterval", "--refresh")
    assert result.exit_code == 0
    assert api.body() == {"names": ["HeartbeatInterval"]}


def test_json_is_what_the_server_says(api: Api) -> None:
    api.on("GET", PATH, configuration(variable()))
    result = api.run("station", "config", "get", "CP-1", "-o", "json")
    assert json.loads(result.stdout)["variables"][0]["reported"] == "60"


def test_setting_says_when_the_station_gets_it(api: Api) -> None:
    wanted = variable(desired="300", state="wanted")
    api.on("PATCH", PATH, configuration(wanted, connected=False))
    result = api.run("station", "config", "set", "CP-1", "HeartbeatInterval", "300", "A", "1")
    assert result.exit_code == 0
    assert "CP-1 is not connected: it gets them when it comes back." in result.stdout
    assert api.body() == {"values": {"HeartbeatInterval": "300", "A": "1"}}


def test_a_reset_that_is_needed_comes_with_its_command(api: Api) -> None:
    waiting = variable(desired="300", state="reboot_required")
    api.on("PATCH", PATH, configuration(waiting, reset_needed=True))
    result = api.run("station", "config", "set", "CP-1", "HeartbeatInterval", "300")
    assert result.exit_code == 0
    assert "csms station reset CP-1" in result.stdout


@pytest.mark.parametrize("state", ["rejected", "unsupported"])
def test_a_value_that_is_refused_is_a_failure(api: Api, state: str) -> None:
    api.on("PATCH", PATH, configuration(variable(desired="5", state=state)))
    result = api.run("station", "config", "set", "CP-1", "HeartbeatInterval", "5")
    assert result.exit_code == 1
    assert "CP-1 does not take HeartbeatInterval" in result.stderr
    assert "csms station config unset CP-1 HeartbeatInterval ends the wish" in result.stderr


def test_a_failure_says_why_where_that_is_known(api: Api) -> None:
    reason = "A.B: the variables of this station are named like Component/Variable"
    one = variable(name="A.B", desired="5", state="unsupported", reason=reason)
    two = variable(name="C", desired="5", state="rejected", reason="TooLow")
    api.on("PATCH", PATH, configuration(one, two))
    result = api.run("station", "config", "set", "CP-1", "A.B", "5", "C", "5")
    assert (
        "CP-1 does not take A.B (the variables of this station are named like Component/Variable), "
        "C (TooLow); csms station config get CP-1"
    ) in result.stderr


def test_a_name_without_a_value_is_a_mistake(api: Api) -> None:
    result = api.run("station", "config", "set", "CP-1", "HeartbeatInterval")
    assert result.exit_code == 2
    assert "HeartbeatInterval has no value" in result.stderr
    assert api.requests == []


def test_a_secret_is_refused_with_the_way_to_set_it(api: Api) -> None:
    said = "AuthorizationKey is a secret: csms station rotate gives the station a new one"
    api.on("PATCH", PATH, problem(422, "invalid", said))
    result = api.run("station", "config", "set", "CP-1", "AuthorizationKey", "x")
    assert result.exit_code == 1
    assert "csms station rotate" in result.stderr


def test_unsetting_keeps_what_the_station_has(api: Api) -> None:
    api.on("PATCH", PATH, configuration())
    result = api.run("station", "config", "unset", "CP-1", "A", "B")
    assert result.stdout == "no longer desired of CP-1: A, B\n"
    assert api.body() == {"values": {"A": None, "B": None}}


def test_nothing_known_says_how_to_ask(api: Api) -> None:
    api.on("GET", PATH, configuration())
    result = api.run("station", "config", "get", "CP-1")
    assert "csms station config get CP-1 --refresh" in result.stderr


# -- reports ---------------------------------------------------------------------------------------

REPORT = {"request_id": 7, "state": "complete", "detail": None, "parts": [{"seqNo": 0}]}


def test_a_report_is_shown_as_a_table_or_as_it_came(api: Api) -> None:
    api.on("POST", "/stations/CP-1/reports", ok(REPORT, 202))
    api.on("GET", PATH, configuration(variable()))
    assert "HeartbeatInterval" in api.run("station", "report", "CP-1").stdout
    assert api.body(0) == {"scope": "full"}
    result = api.run("station", "report", "CP-1", "--scope", "summary", "-o", "json")
    assert json.loads(result.stdout)["parts"] == [{"seqNo": 0}]


def test_a_report_that_the_station_does_not_make_is_a_failure(api: Api) -> None:
    refused = {**REPORT, "state": "unsupported", "detail": "NotSupported"}
    api.on("POST", "/stations/CP-1/reports", ok(refused, 202))
    result = api.run("station", "report", "CP-1")
    assert result.exit_code == 1
    assert "unsupported: NotSupported" in result.stderr


# -- templates -------------------------------------------------------------------------------------

TEMPLATE = {
    "name": "terra",
    "party_id": "XX*CSM",
    "vendor": "ABB*",
    "model": None,
    "firmware": None,
    "values": {"HeartbeatInterval": "300"},
    "by": "k1",
    "at": "2031-05-01T10:00:00Z",
}


def test_templates_are_listed_and_shown(api: Api) -> None:
    api.on("GET", "/configuration-templates", page(TEMPLATE))
    api.on("GET", "/configuration-templates/terra", ok(TEMPLATE))
    assert "HeartbeatInterval=300" in api.run("config", "templates", "list").stdout
    assert "ABB*" in api.run("config", "templates", "show", "terra").stdout


def test_a_template_is_set_and_says_how_to_apply_it(api: Api) -> None:
    api.on("PUT", "/configuration-templates/terra", ok(TEMPLATE))
    result = api.run(
        "config", "templates", "set", "terra", "HeartbeatInterval", "300", "--vendor", "ABB*"
    )
    assert "csms config templates apply terra" in result.stdout
    assert api.body() == {"vendor": "ABB*", "values": {"HeartbeatInterval": "300"}}


def test_a_template_is_applied_and_removed(api: Api) -> None:
    api.on("POST", "/configuration-templates/terra/apply", ok({"stations": 5, "changed": 2}))
    api.on("DELETE", "/configuration-templates/terra", ok(TEMPLATE))
    result = api.run("config", "templates", "apply", "terra")
    assert result.stdout == "5 stations match, 2 have something to change\n"
    assert api.run("config", "templates", "remove", "terra").exit_code == 0
