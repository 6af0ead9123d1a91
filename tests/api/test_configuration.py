"""The configuration of stations over HTTP: reported and desired side by side."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import charging, device_model, reports, stations
from csms.core.charging import StartReport
from csms.core.inquiries import (
    Announced,
    Found,
    MakeReport,
    ReadVariables,
    Setting,
    Settings,
    TransactionState,
    TransactionStatus,
    Unsupported,
    Variables,
    WriteVariables,
)
from csms.core.reports import Part
from csms.core.security import Role
from csms.core.stations import BootReport
from csms.core.tokens import Shown
from tests.api.conftest import NOW, Api

PATH = "/stations/CP-1/configuration"


async def station(api: Api, *, connected: bool = True) -> str:
    added = await api.add_station("CP-1")
    station_id: str = added["id"]
    if connected:
        api.store.run(stations.link_opened, api.origin(station_id), "node", "192.0.2.1")
    else:
        api.stations.connected.clear()
    return station_id


def applied(inquiry: WriteVariables) -> Settings:
    return Settings(tuple((name, Setting.APPLIED, None) for name, _ in inquiry.values))


async def test_reported_and_desired_stand_side_by_side(api: Api) -> None:
    station_id = await station(api)
    found = (Found("HeartbeatInterval", "60", unit="s", mutability="read_write"), Found("X", "1"))
    api.store.run(device_model.learn, station_id, found, NOW)
    api.store.run(device_model.want, station_id, {"HeartbeatInterval": "300"}, "k", NOW)
    shown = (await api("GET", PATH, Role.VIEWER)).json()
    assert (shown["station"], shown["connected"], shown["inventory"]) == ("CP-1", True, "none")
    by_name = {v["name"]: v for v in shown["variables"]}
    one = by_name["HeartbeatInterval"]
    assert (one["reported"], one["desired"], one["state"]) == ("60", "300", "wanted")
    assert (by_name["X"]["reported"], by_name["X"]["desired"]) == ("1", None)
    alias = "OCPPCommCtrlr/HeartbeatInterval"
    (only,) = (await api("GET", PATH, params={"name": [alias]})).json()["variables"]
    assert only["name"] == "HeartbeatInterval"


async def test_a_connected_station_gets_the_value_at_once(api: Api) -> None:
    await station(api)
    api.stations.says[WriteVariables] = applied
    change = {"values": {"HeartbeatInterval": "300"}}
    answer = await api("PATCH", f"{PATH}?wait=5", Role.OPERATOR, json=change)
    (variable,) = answer.json()["variables"]
    assert (variable["state"], variable["desired_by"]) == ("applied", "ope")
    assert len(api.stations.asked) == 1


async def test_a_station_that_is_away_gets_it_when_it_comes_back(api: Api) -> None:
    await station(api, connected=False)
    answer = await api("PATCH", f"{PATH}?wait=5", json={"values": {"HeartbeatInterval": "300"}})
    shown = answer.json()
    assert (shown["connected"], shown["variables"][0]["state"]) == (False, "wanted")
    assert api.stations.asked == []


async def test_a_station_that_does_not_answer_says_so(api: Api) -> None:
    await station(api)
    answer = await api("PATCH", f"{PATH}?wait=5", json={"values": {"A": "1"}})
    shown = answer.json()
    assert (shown["detail"], shown["variables"][0]["state"]) == ("it did not answer", "wanted")


async def test_null_takes_a_wish_back(api: Api) -> None:
    await station(api, connected=False)
    await api("PATCH", PATH, json={"values": {"A": "1", "B": "2"}})
    await api("PATCH", PATH, json={"values": {"A": None}})
    assert [v["name"] for v in (await api("GET", PATH)).json()["variables"]] == ["B"]


async def test_a_reset_that_is_needed_is_told(api: Api) -> None:
    await station(api)
    api.stations.says[WriteVariables] = Settings((("A", Setting.REBOOT_REQUIRED, None),))
    answer = await api("PATCH", f"{PATH}?wait=5", json={"values": {"A": "1"}})
    assert answer.json()["reset_needed"] is True


@pytest.mark.parametrize("name", ["AuthorizationKey", "SecurityCtrlr/BasicAuthPassword"])
async def test_a_secret_is_refused_with_the_way_to_set_it(api: Api, name: str) -> None:
    await station(api)
    answer = await api("PATCH", PATH, json={"values": {name: "hunter2"}})
    assert answer.status_code == 422
    assert "csms station rotate" in answer.json()["detail"]
    rows = await api.store.reader.journal(0, 1_000)
    assert not any("hunter2" in row.data for row in rows)


async def test_desiring_needs_an_operator_and_is_audited(api: Api) -> None:
    await station(api)
    denied = await api("PATCH", PATH, Role.VIEWER, json={"values": {"A": "1"}})
    assert denied.status_code == 403
    await api("PATCH", PATH, Role.OPERATOR, json={"values": {"A": "1"}})
    assert (await api.audits())[-1]["action"] == "configuration_desired"


async def test_variables_are_read_from_the_station_when_asked(api: Api) -> None:
    await station(api)
    api.stations.says[ReadVariables] = Variables((Found("A", "7"),))
    answer = await api("POST", f"{PATH}/refresh", json={"names": ["A"]})
    assert [(v["name"], v["reported"]) for v in answer.json()["variables"]] == [("A", "7")]
    api.stations.says[MakeReport] = Variables((Found("B", "8"),))
    answer = await api("POST", f"{PATH}/refresh", json={})
    assert {v["name"] for v in answer.json()["variables"]} == {"A", "B"}


@pytest.mark.parametrize("path", ["configuration/refresh", "reports"])
async def test_a_station_that_is_not_here_is_offline(api: Api, path: str) -> None:
    await station(api, connected=False)
    answer = await api("POST", f"/stations/CP-1/{path}", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "station_offline")


# -- reports ---------------------------------------------------------------------------------------


async def test_a_report_is_shown_as_it_came(api: Api) -> None:
    """TC_B_12, TC_B_13: the result is shown to an operator."""
    station_id = await station(api)

    def announce(inquiry: MakeReport) -> Announced:
        raw = {"requestId": inquiry.request_id, "seqNo": 0}
        part = Part(inquiry.request_id, 0, False, (Found("A/B", "1"),), raw)
        api.store.run(reports.receive, api.origin(station_id), part)
        return Announced()

    api.stations.says[MakeReport] = announce
    made = await api("POST", "/stations/CP-1/reports", json={"scope": "configuration"})
    body = made.json()
    assert (made.status_code, body["state"], body["scope"]) == (202, "complete", "configuration")
    assert body["parts"] == [{"requestId": body["request_id"], "seqNo": 0}]
    listed = (await api("GET", "/stations/CP-1/reports", Role.VIEWER)).json()["items"]
    assert [r["request_id"] for r in listed] == [body["request_id"]]
    shown = await api("GET", f"/stations/CP-1/reports/{body['request_id']}", Role.VIEWER)
    assert shown.json() == body
    assert (await api("GET", "/stations/CP-1/reports/999")).status_code == 404


async def test_a_report_that_takes_longer_is_open(api: Api) -> None:
    await station(api)
    api.stations.says[MakeReport] = Announced()
    made = await api("POST", "/stations/CP-1/reports?wait=0.2", json={})
    assert made.json()["state"] == "requested"


# -- templates -------------------------------------------------------------------------------------

TEMPLATE = "/configuration-templates/terra"
VALUES: dict[str, Any] = {"values": {"HeartbeatInterval": "300"}, "vendor": "ABB*"}


async def test_a_template_is_made_shown_changed_and_removed(api: Api) -> None:
    made = await api("PUT", TEMPLATE, json=VALUES)
    assert made.status_code == 200, made.text
    assert made.json() == (await api("GET", TEMPLATE, Role.VIEWER)).json()
    await api("PUT", TEMPLATE, json={**VALUES, "model": "T*"})
    (listed,) = (await api("GET", "/configuration-templates", Role.VIEWER)).json()["items"]
    assert (listed["model"], listed["party_id"]) == ("T*", "CA*NTH")
    assert (await api("DELETE", TEMPLATE)).status_code == 200
    assert (await api("GET", TEMPLATE)).status_code == 404


async def test_a_template_of_others_cannot_be_overwritten(api: Api) -> None:
    await api("PUT", TEMPLATE, json=VALUES)
    body = {"name": "some", "role": "admin", "parties": ["US*CPT"]}
    key = (await api("POST", "/keys", json=body)).json()["key"]
    headers = {"Authorization": f"Bearer {key}"}
    answer = await api("PUT", TEMPLATE, None, headers=headers, json=VALUES)
    assert answer.status_code == 422


async def test_applying_gives_it_to_all_that_match(api: Api) -> None:
    station_id = await station(api)
    api.store.run(stations.boot, api.origin(station_id), BootReport("ABB", "Terra"))
    await api.add_station("CP-2")
    await api("PUT", TEMPLATE, json=VALUES)
    assert (await api("POST", f"{TEMPLATE}/apply")).json() == {"stations": 1, "changed": 1}
    (variable,) = (await api("GET", PATH)).json()["variables"]
    assert (variable["desired"], variable["template"]) == ("300", "terra")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_templates_are_for_admins(api: Api, role: Role) -> None:
    assert (await api("PUT", TEMPLATE, role, json=VALUES)).status_code == 403


# -- transactions ----------------------------------------------------------------------------------


async def test_a_transaction_is_asked_about_and_the_doubtful_are_listed(api: Api) -> None:
    station_id = await station(api)
    start = StartReport(1, Shown("CARD"), NOW, 0)
    number = api.store.run(charging.start, api.origin(station_id), start).transaction_id
    api.stations.says[TransactionStatus] = TransactionState(ongoing=True, queued=True)
    checked = (await api("POST", f"/transactions/{number}/check")).json()
    assert (checked["ongoing"], checked["messages_in_queue"]) == (True, True)
    assert checked["transaction"]["id"] == number
    api.stations.says[TransactionStatus] = Unsupported("this version has none")
    checked = (await api("POST", f"/transactions/{number}/check")).json()
    assert (checked["ongoing"], checked["detail"]) == (None, "this version has none")
    assert (await api("GET", "/transactions?doubtful=true")).json()["items"] == []

    def mark(tx: Any) -> None:
        t = tx.get(charging.Transaction, number)
        tx.save(t._replace(flags=("end_missing?",)))

    api.store.run(mark)
    (listed,) = (await api("GET", "/transactions?doubtful=true&open=true")).json()["items"]
    assert (listed["id"], listed["flags"]) == (number, ["end_missing?"])
    api.stations.connected.clear()
    assert (await api("POST", f"/transactions/{number}/check")).status_code == 409
