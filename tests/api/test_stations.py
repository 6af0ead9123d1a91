"""Stations, their secrets and their commands over HTTP."""

from __future__ import annotations

import asyncio

import pytest

from csms.core import security, stations
from csms.core.commands import Status
from csms.core.security import Credential, Role
from csms.flows.commands import Performed
from tests.api.conftest import KEYRING, NOW, Api


async def test_adding_a_station_shows_what_an_installer_needs_once(api: Api) -> None:
    added = await api.add_station("CP-1", evses=2)
    assert added["url"] == "ws://host:9000/ocpp"
    assert added["user"] == "CP-1"
    shown = (await api("GET", "/stations/CP-1")).json()
    assert shown["party_id"] == "CA*NTH"
    assert [(c["evse"], c["status"]) for c in shown["connectors"]] == [
        (1, "unknown"),
        (2, "unknown"),
    ]
    assert added["token"] not in (await api("GET", "/stations")).text
    (credential,) = await api.store.reader.page(Credential, {"station_id": added["id"]})
    assert security.verify_any(KEYRING, [credential], added["token"].encode()) == credential


async def test_an_identity_is_taken_once(api: Api) -> None:
    await api.add_station("CP-1")
    answer = await api("POST", "/stations", json={"identity": "CP-1"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")


@pytest.mark.parametrize("identity", ["", "a/b", "a:b", " a", "x" * 49])
async def test_a_bad_identity_is_refused(api: Api, identity: str) -> None:
    answer = await api("POST", "/stations", json={"identity": identity})
    assert answer.status_code == 422


async def test_a_station_is_found_by_id_and_by_identity(api: Api) -> None:
    added = await api.add_station("CP-1")
    by_id = await api("GET", f"/stations/{added['id']}")
    assert by_id.json() == (await api("GET", "/stations/CP-1")).json()


async def test_lists_are_paged_by_cursor(api: Api) -> None:
    for number in range(5):
        await api.add_station(f"CP-{number}")
    seen, cursor = [], ""
    while True:
        page = (await api("GET", f"/stations?limit=2{cursor}")).json()
        seen += [station["identity"] for station in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(seen) == [f"CP-{number}" for number in range(5)]


async def test_registration_is_set_by_an_admin(api: Api) -> None:
    await api.add_station("CP-1")
    pending = await api("PATCH", "/stations/CP-1", json={"registration": "pending"})
    assert pending.json()["registration"] == "pending"
    other = await api("PATCH", "/stations/CP-1", Role.OPERATOR, json={"registration": "accepted"})
    assert other.status_code == 403


async def test_strangers_are_listed(api: Api) -> None:
    api.store.run(stations.knock, "CP-9", "192.0.2.1", NOW, 10)
    (stranger,) = (await api("GET", "/unknown-stations")).json()["items"]
    assert (stranger["identity"], stranger["attempts"]) == ("CP-9", 1)
    await api.add_station("CP-9")
    assert (await api("GET", "/unknown-stations")).json()["items"] == []


# -- commands ------------------------------------------------------------------------------------


async def test_a_command_goes_through_the_ledger(api: Api) -> None:
    await api.add_station("CP-1")
    await api("POST", "/tokens", json={"uid": "A"})
    wish = {"kind": "start_charging", "parameters": {"token": "A", "evse": 1}}
    answer = await api("POST", "/stations/CP-1/commands?wait=5", Role.OPERATOR, json=wish)
    assert answer.status_code == 202
    assert answer.json()["status"] == "accepted"
    assert answer.json()["requested_by"] == "ope"
    again = (await api("GET", f"/commands/{answer.json()['id']}")).json()
    assert again == answer.json()


async def test_without_waiting_the_answer_says_how_far_it_is(api: Api) -> None:
    await api.add_station("CP-1")
    api.stations.answers = asyncio.Event()
    answer = await api("POST", "/stations/CP-1/commands", json={"kind": "reset"})
    assert answer.json()["status"] in ("queued", "sent")


async def test_a_raw_call_needs_an_admin_by_either_way(api: Api) -> None:
    await api.add_station("CP-1")
    call = {"kind": "call", "parameters": {"action": "ClearCache", "payload": {}}}
    for path, body in (("commands", call), ("ocpp/ClearCache", {})):
        for role, status in ((Role.VIEWER, 403), (Role.OPERATOR, 403), (Role.ADMIN, None)):
            answer = await api("POST", f"/stations/CP-1/{path}", role, json=body)
            assert answer.status_code in ((200, 202) if status is None else (status,))
    await api("GET", "/commands")
    assert len(api.stations.performed) <= 2
    rows = (await api("GET", "/commands")).json()["items"]
    assert [row["requested_by"] for row in rows] == ["adm", "adm"]


@pytest.mark.parametrize("connected", [True, False])
async def test_every_command_is_audited_once(api: Api, connected: bool) -> None:
    """Also one that could not be sent: somebody wanted it."""
    await api.add_station("CP-1")
    if not connected:
        api.stations.connected.clear()
    before = len(await api.audits())
    for _ in range(2):
        await api(
            "POST",
            "/stations/CP-1/commands",
            Role.OPERATOR,
            headers={"Idempotency-Key": "k"},
            json={"kind": "reset"},
        )
    await api("POST", "/stations/CP-1/ocpp/ClearCache", json={})
    first, second = (await api.audits())[before:]
    assert (first["actor"], first["action"], first["target"]) == ("ope", "reset", "CP-1")
    assert (second["actor"], second["action"], second["target"]) == ("adm", "call", "CP-1")


async def test_what_shall_be_in_use_is_shown_with_its_station(api: Api) -> None:
    await api.add_station("CP-1")
    api.stations.connected.clear()
    wish = {"kind": "set_availability", "parameters": {"available": False, "evse": 1}}
    answer = await api("POST", "/stations/CP-1/commands", json=wish)
    assert answer.status_code == 409
    assert "it is told when it comes back" in answer.json()["detail"]
    (wanted,) = (await api("GET", "/stations/CP-1")).json()["desired_availability"]
    assert (wanted["evse"], wanted["connector"], wanted["available"]) == (1, 0, False)
    assert (wanted["state"], wanted["requested_by"]) == ("wanted", "adm")


async def test_an_offline_station_is_told_apart(api: Api) -> None:
    await api.add_station("CP-1")
    api.stations.connected.clear()
    answer = await api("POST", "/stations/CP-1/commands", json={"kind": "reset"})
    assert (answer.status_code, answer.json()["code"]) == (409, "station_offline")
    row = (await api("GET", f"/commands/{answer.json()['command_id']}")).json()
    assert row["status"] == "failed"


@pytest.mark.parametrize(
    "wish",
    [
        {"kind": "dance"},
        {"kind": "unlock"},
        {"kind": "unlock", "parameters": {"evse": "one"}},
        {"kind": "unlock", "parameters": {"evse": True}},
        {"kind": "reset", "parameters": {"hard": True}},
        {"kind": "trigger", "parameters": {"message": "dance"}},
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(api: Api, wish: dict[str, object]) -> None:
    await api.add_station("CP-1")
    answer = await api("POST", "/stations/CP-1/commands", json=wish)
    assert answer.status_code == 422
    assert api.stations.performed == []


async def test_a_token_that_may_not_charge_is_not_sent(api: Api) -> None:
    await api.add_station("CP-1")
    wish = {"kind": "start_charging", "parameters": {"token": "A"}}
    answer = await api("POST", "/stations/CP-1/commands", json=wish)
    assert (answer.status_code, answer.json()["code"]) == (409, "refused")
    assert "csms token add A" in answer.json()["detail"]
    await api("POST", "/tokens", json={"uid": "A"})
    await api("PATCH", "/tokens/CA*NTH/rfid/A", json={"blocked": True})
    answer = await api("POST", "/stations/CP-1/commands", json=wish)
    assert "blocked" in answer.json()["detail"]
    assert api.stations.performed == []


async def test_the_ledger_does_not_hold_a_password(api: Api) -> None:
    await api.add_station("CP-1")
    payload = {"key": "AuthorizationKey", "value": "0123456789abcdef"}
    await api("POST", "/stations/CP-1/ocpp/ChangeConfiguration", json=payload)
    (sent,) = api.stations.performed
    assert sent.parameters["payload"] == payload
    everything = (await api("GET", "/commands")).text
    everything += "".join(row.data for row in await api.store.reader.journal(0, 1000))
    assert "AuthorizationKey" in everything
    assert "0123456789abcdef" not in everything


async def test_a_repeated_command_is_sent_once(api: Api) -> None:
    await api.add_station("CP-1")
    for _ in range(2):
        answer = await api(
            "POST",
            "/stations/CP-1/commands?wait=5",
            headers={"Idempotency-Key": "k"},
            json={"kind": "reset"},
        )
        assert answer.json()["status"] == "accepted"
    assert len(api.stations.performed) == 1


@pytest.mark.parametrize(
    ("performed", "expected"),
    [
        (Performed(Status.ACCEPTED, {"a": 1}), {"outcome": "result", "payload": {"a": 1}}),
        (
            Performed(Status.FAILED, {"error_code": "NotSupported", "error": "no"}),
            {"outcome": "error", "error_code": "NotSupported", "error": "no"},
        ),
        (Performed(Status.TIMED_OUT, detail="no answer in 30 s"), {"outcome": "timeout"}),
        (Performed(Status.UNKNOWN, detail="the link ended"), {"outcome": "unknown"}),
    ],
)
async def test_a_raw_call_tells_result_error_and_time_out_apart(
    api: Api, performed: Performed, expected: dict[str, object]
) -> None:
    await api.add_station("CP-1")
    api.stations.answer = performed
    answer = await api("POST", "/stations/CP-1/ocpp/GetConfiguration", json={})
    assert answer.status_code == 200
    assert expected.items() <= answer.json().items()


async def test_only_an_admin_makes_raw_calls(api: Api) -> None:
    await api.add_station("CP-1")
    answer = await api("POST", "/stations/CP-1/ocpp/ClearCache", Role.OPERATOR, json={})
    assert answer.status_code == 403
