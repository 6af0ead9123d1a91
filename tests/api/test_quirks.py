"""Switches and violations of a station, as operators see and set them."""

from __future__ import annotations

from csms.core import stations
from csms.core.security import Role

from .conftest import Api


async def test_switches_say_where_they_come_from(api: Api) -> None:
    await api.add_station("CP-1", switches={"ping": "off"})
    answer = await api("GET", "/stations/CP-1/switches", Role.VIEWER)
    told = {row["name"]: row for row in answer.json()}
    assert (told["ping"]["value"], told["ping"]["origin"]) == (False, "operator")
    assert (told["version"]["value"], told["version"]["origin"]) == ("offered", "default")
    assert all(row["meaning"] for row in told.values())


async def test_an_operator_sets_a_switch_and_gives_it_back(api: Api) -> None:
    await api.add_station("CP-1")
    body = {"value": "1.6"}
    answer = await api("PUT", "/stations/CP-1/switches/version", json=body)
    assert (answer.status_code, answer.json()[0]["value"]) == (200, "1.6")
    answer = await api("DELETE", "/stations/CP-1/switches/version")
    assert (answer.status_code, answer.json()[0]["value"]) == (200, "offered")
    audits = [(row["action"], row["target"]) for row in await api.audits()]
    assert audits[-2:] == [("switch_set", "CP-1"), ("switch_cleared", "CP-1")]


async def test_what_cannot_be_set_is_said(api: Api) -> None:
    await api.add_station("CP-1")
    for name, value, words in (
        ("pong", True, "there is no switch pong"),
        ("ping", "perhaps", "ping is true or false"),
        ("settle_s", 10_000, "settle_s is a whole number from 0 to 600"),
    ):
        answer = await api("PUT", f"/stations/CP-1/switches/{name}", json={"value": value})
        assert answer.status_code == 422, answer.text
        assert words in answer.json()["detail"]
    unknown = {"identity": "CP-2", "switches": {"pong": True}}
    assert (await api("POST", "/stations", json=unknown)).status_code == 422


async def test_only_an_admin_sets_switches(api: Api) -> None:
    await api.add_station("CP-1")
    answer = await api("PUT", "/stations/CP-1/switches/ping", Role.OPERATOR, json={"value": False})
    assert answer.status_code == 403


async def test_violations_are_explained(api: Api) -> None:
    added = await api.add_station("CP-1")
    kinds = ["trimmed", "Authorize: missing_field", "trimmed"]
    api.store.run(stations.count_violations, added["id"], kinds)
    answer = await api("GET", "/stations/CP-1/violations", Role.VIEWER)
    first, second = answer.json()
    assert (first["kind"], first["count"]) == ("trimmed", 2)
    assert second["meaning"].startswith("Authorize: ")
