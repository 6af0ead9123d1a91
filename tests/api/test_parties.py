"""A key for some parties sees and writes what these own; to it nothing else exists (rule 12).

The tables below name every operation of the API, so that a new route cannot be forgotten.
"""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import charging, quarantine, reports
from csms.core.charging import StartReport
from csms.core.events import StationChanged
from csms.core.inquiries import Scope
from csms.core.security import Role
from csms.core.stations import require
from csms.core.tokens import Shown
from csms.core.visitors import VisitorToken
from tests.api.conftest import NOW, Api
from tests.api.test_cdrs import record
from tests.api.test_errands import errand
from tests.api.test_locations import put
from tests.api.test_roaming import delivery, received
from tests.api.test_tariffs import TARIFF

MINE, OTHER = "CA*NTH", "US*CPT"
PREFIX = "/api/v1"

# What is about one thing: the path and body of a request, and the places where it stands.
OBJECTS: dict[str, Any] = {
    "GET /stations/{station}": None,
    "GET /stations/{station}/messages": None,
    "PATCH /stations/{station}": {"registration": "pending"},
    "PUT /stations/{station}/switches/{name}": {"value": False},
    "DELETE /stations/{station}/switches/{name}": None,
    "GET /stations/{station}/credentials": None,
    "GET /stations/{station}/switches": None,
    "GET /stations/{station}/violations": None,
    "POST /stations/{station}/credentials": None,
    "POST /stations/{station}/profile": {"profile": 0},
    "PATCH /stations/{station}/exceptions": {"user": "admin"},
    "DELETE /stations/{station}/exceptions": None,
    "POST /stations/{station}/accept": {},
    "POST /stations/{station}/commands": {"kind": "reset"},
    "POST /stations/{station}/ocpp/{action}": {},
    "GET /stations/{station}/configuration": None,
    "PATCH /stations/{station}/configuration": {"values": {"HeartbeatInterval": "300"}},
    "GET /stations/{station}/reports": None,
    "GET /stations/{station}/reports/{request_id}": None,
    "GET /configuration-templates/{template}": None,
    "POST /configuration-templates/{template}/apply": {},
    "DELETE /configuration-templates/{template}": None,
    "GET /commands/{command_id}": None,
    "POST /transactions/{transaction_id}/check": {},
    "POST /transactions/{transaction_id}/close": {},
    "GET /transactions/{transaction_id}": None,
    "GET /transactions/{transaction_id}/meter-values": None,
    "PATCH /tokens/{party_id}/{kind}/{uid}": {"blocked": True},
    "GET /quarantine/{quarantine_id}": None,
    "POST /quarantine/{quarantine_id}/assign": {"transaction_id": 1, "dry_run": True},
    "DELETE /keys/{key_id}": None,
    "GET /locations/{party}/{location_id}": None,
    "PATCH /locations/{party}/{location_id}/evses/{uid}": {"operative": False},
    "DELETE /locations/{party}/{location_id}/evses/{uid}": None,
    "GET /tariffs/{party}/{tariff_id}": None,
    "DELETE /tariffs/{party}/{tariff_id}": None,
    "GET /tariffs/{party}/{tariff_id}/assignments": None,
    "POST /tariffs/{party}/{tariff_id}/assignments": {"location_id": "DEPOT"},
    "POST /tariffs/{party}/{tariff_id}/assignments/remove": {"location_id": "DEPOT"},
    "POST /tariffs/price": {"tariff_id": "DAY"},
    "GET /transactions/{transaction_id}/price": None,
    "GET /cdrs/{party}/{cdr_id}": None,
    "GET /roaming/cdrs/{party}/{cdr_id}": None,
    "GET /roaming/errands/{errand_id}": None,
    "POST /cdrs/{party}/{cdr_id}/credit": {"reason": "twice"},
    "POST /forgettings": {"uid": "LEAVER"},
    "GET /forgettings/{forgetting_id}": None,
}
# Lists: empty for a key that owns nothing of it.
LISTS = {
    "GET /stations",
    "GET /commands",
    "GET /transactions",
    "GET /tokens",
    "GET /quarantine",
    "GET /configuration-templates",
    "GET /locations",
    "GET /tariffs",
    "GET /cdrs",
    "GET /roaming/cdrs",
    "GET /roaming/deliveries",
    "GET /roaming/errands",
    "GET /forgettings",
}
# Made by anybody for a party of the key.
MADE: dict[str, Any] = {
    "POST /stations": {"identity": "CP-9"},
    "POST /tokens": {"uid": "NEW"},
    "POST /keys": {"name": "n", "role": "viewer"},
}
# About the network as a whole.
NETWORK = {
    "GET /unknown-stations",
    "GET /audit",
    "GET /partners",
    "GET /nodes",
    "GET /roaming/sessions",
    "GET /roaming/sessions/unbilled",
}
# The same, with an effect or about one thing.
CONNECTIONS = {
    "GET /partners/{partner}",
    "GET /partners/{partner}/disclosures",
    "POST /partners",
    "POST /partners/register",
    "POST /partners/{partner}/{action}",
    "DELETE /partners/{partner}",
    "POST /nodes/{node}/{action}",
    "PUT /partners/{partner}/contract",
}
# Shown below on their own, or with the rest of their block.
APART = {
    "PUT /locations",
    "GET /cdrs/missing",
    "GET /cdrs/unmatched",
    "GET /cdrs/undelivered",
    "GET /roaming/cdrs/unmatched",
    "POST /tariffs",
    "GET /events",
    "GET /keys",
    "POST /station-imports",
    "PUT /configuration-templates/{template}",
    # A station that is not connected is offline to its owner.
    "POST /stations/{station}/configuration/refresh",
    "POST /stations/{station}/reports",
}
# What other networks told everybody of; and what is done there, shown in test_errands.
ELSEWHERE = {
    "GET /roaming/locations",
    "GET /roaming/locations/{party}/{location_id}",
    "POST /roaming/errands/start",
    "POST /roaming/errands/stop",
    "POST /roaming/errands/unlock",
}
PUBLIC = {"GET /healthz", "GET /readyz", "GET /metrics"}


def operations(api: Api) -> set[str]:
    return {
        f"{method.upper()} {path.removeprefix(PREFIX)}"
        for path, methods in api.app.openapi()["paths"].items()
        for method in methods
    }


async def key_for(api: Api, *parties: str, role: str = "admin") -> dict[str, str]:
    """The header of a new key."""
    body = {"name": "some", "role": role, "parties": parties}
    made = await api("POST", "/keys", json=body)
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['key']}"}


def guest(uid: str) -> VisitorToken:
    """A token that a home network told of."""
    told = ("p1", "C1", "South", True, "ALLOWED", NOW, NOW)
    return VisitorToken(MINE, uid.casefold(), "RFID", uid, *told)


async def furnish(api: Api) -> dict[str, str]:
    """One of everything, owned by `MINE`: the parts of a path."""
    station = await api.add_station("CP-1")
    await api("POST", "/tokens", json={"uid": "CARD"})
    for uid in ("LEAVER", "GONE"):
        api.store.run(lambda tx, uid=uid: tx.save(guest(uid)))
    forgotten = await api("POST", "/forgettings", json={"uid": "GONE"})
    await put(api, {"uid": "CARD", "station": "CP-1", "evse": 1})
    assert (await api("POST", "/tariffs", json=TARIFF)).status_code == 201
    await api("POST", f"/tariffs/{MINE}/DAY/assignments", json={"location_id": "DEPOT"})
    origin = api.origin(station["id"])
    started = api.store.run(charging.start, origin, StartReport(1, Shown("CARD"), NOW, 0))
    kept = api.store.run(quarantine.put, origin, "stop", "unknown_transaction", {"at": None})
    command = (await api("POST", "/stations/CP-1/commands", json={"kind": "reset"})).json()
    report = api.store.run(reports.begin, station["id"], Scope.FULL, "k", NOW)
    for row in (record(MINE), received(MINE), delivery(MINE), errand(MINE)):
        api.store.run(lambda tx, row=row: tx.save(row))
    await api("PUT", "/configuration-templates/site", json={"values": {"A": "1"}})
    made = await api("POST", "/keys", json={"name": "x", "role": "viewer", "parties": [MINE]})
    return {
        "station": "CP-1",
        "action": "ClearCache",
        "name": "ping",
        "request_id": str(report.request_id),
        "template": "site",
        "command_id": command["id"],
        "transaction_id": str(started.transaction_id),
        "party_id": MINE,
        "kind": "rfid",
        "uid": "CARD",
        "quarantine_id": kept,
        "forgetting_id": forgotten.json()["id"],
        "key_id": made.json()["id"],
        "party": MINE,
        "location_id": "DEPOT",
        "tariff_id": "DAY",
        "cdr_id": "R1",
        "errand_id": "x1",
    }


NOWHERE = {
    "station": "CP-0",
    "action": "ClearCache",
    "name": "ping",
    "request_id": "99999",
    "template": "nothing",
    "command_id": "nowhere",
    "transaction_id": "99999",
    "party_id": MINE,
    "kind": "rfid",
    "uid": "NONE",
    "quarantine_id": "nowhere",
    "forgetting_id": "nowhere",
    "key_id": "nowhere",
    "party": MINE,
    "location_id": "nowhere",
    "tariff_id": "nowhere",
    "cdr_id": "nowhere",
    "errand_id": "nowhere",
}


def test_every_operation_is_in_a_table(api: Api) -> None:
    tables = {*OBJECTS, *LISTS, *MADE, *NETWORK, *CONNECTIONS, *APART, *ELSEWHERE, *PUBLIC}
    assert operations(api) == tables


@pytest.mark.parametrize("operation", OBJECTS)
async def test_the_things_of_others_answer_as_if_they_did_not_exist(
    api: Api, operation: str
) -> None:
    things = await furnish(api)
    stranger, owner = await key_for(api, OTHER), await key_for(api, MINE)
    method, path = operation.split()
    more = {} if OBJECTS[operation] is None else {"json": OBJECTS[operation]}
    before = await api.store.reader.journal_end()
    hidden = await api(method, path.format(**things), None, headers=stranger, **more)
    assert (hidden.status_code, hidden.json()["code"]) == (404, "not_found"), hidden.text
    assert await api.store.reader.journal_end() == before
    missing = await api(method, path.format(**NOWHERE), None, headers=stranger, **more)
    said = missing.text
    for name, nowhere in NOWHERE.items():
        if f"{{{name}}}" in path:
            said = said.replace(nowhere, things[name])
    assert said == hidden.text
    shown = await api(method, path.format(**things), None, headers=owner, **more)
    assert shown.is_success, shown.text


@pytest.mark.parametrize("operation", sorted(LISTS))
async def test_lists_hold_what_the_parties_of_the_key_own(api: Api, operation: str) -> None:
    await furnish(api)
    path = operation.removeprefix("GET ")
    for parties, expected in (((OTHER,), 0), ((MINE,), 1), ((OTHER, MINE), 1), ((), 1)):
        answer = await api("GET", path, None, headers=await key_for(api, *parties))
        assert len(answer.json()["items"]) == expected, (parties, answer.text)


@pytest.mark.parametrize("path", ["/commands", "/transactions", "/quarantine", "/events"])
async def test_a_list_about_the_station_of_another_is_about_nothing(api: Api, path: str) -> None:
    await furnish(api)
    answer = await api("GET", f"{path}?station=CP-1", None, headers=await key_for(api, OTHER))
    assert answer.status_code == 404


async def test_pages_stay_right_when_others_are_left_out(api: Api) -> None:
    for number in range(7):
        party = OTHER if number % 2 else MINE
        await api.add_station(f"CP-{number}", party_id=party)
    headers = await key_for(api, MINE)
    seen, cursor = [], ""
    while True:
        page = (await api("GET", f"/stations?limit=2{cursor}", None, headers=headers)).json()
        assert 0 < len(page["items"]) <= 2
        seen += [station["identity"] for station in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ["CP-0", "CP-2", "CP-4", "CP-6"]


@pytest.mark.parametrize("operation", MADE)
async def test_what_is_made_belongs_to_a_party_of_the_key(api: Api, operation: str) -> None:
    path, body = operation.removeprefix("POST "), MADE[operation]

    def asking(party: str) -> dict[str, Any]:
        return {**body, "parties": [party]} if path == "/keys" else {**body, "party_id": party}

    headers = await key_for(api, OTHER)
    refused = await api("POST", path, None, headers=headers, json=asking(MINE))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert OTHER in refused.json()["detail"]
    made = await api("POST", path, None, headers=headers, json=body)
    assert made.status_code == 201, made.text
    if path == "/stations":
        made = await api("GET", "/stations/CP-9", None, headers=headers)
    owners = made.json().get("parties") or [made.json().get("party_id")]
    assert owners == [OTHER]


@pytest.mark.parametrize("path", ["/stations", "/tokens"])
async def test_of_several_parties_one_has_to_be_named(api: Api, path: str) -> None:
    body, headers = MADE[f"POST {path}"], await key_for(api, OTHER, MINE)
    unclear = await api("POST", path, None, headers=headers, json=body)
    assert unclear.status_code == 422
    assert f"{MINE}, {OTHER}" in unclear.json()["detail"]
    named = await api("POST", path, None, headers=headers, json={**body, "party_id": OTHER})
    assert named.status_code == 201


@pytest.mark.parametrize("operation", sorted(NETWORK))
async def test_what_is_about_the_network_needs_a_key_for_all(api: Api, operation: str) -> None:
    method, path = operation.split()
    refused = await api(method, path, None, headers=await key_for(api, MINE))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await api(method, path)).status_code == 200


@pytest.mark.parametrize("operation", sorted(CONNECTIONS))
async def test_connections_to_other_networks_need_a_key_for_all(api: Api, operation: str) -> None:
    method, path = operation.split()
    path = path.format(partner="South", node="n", action="rotate" if "partner" in path else "drain")
    refused = await api(method, path, None, headers=await key_for(api, MINE))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_nobody_starts_a_charge_on_the_token_of_another(api: Api) -> None:
    await api.add_station("CP-1", party_id=OTHER)
    await api("POST", "/tokens", json={"uid": "THEIRS"})
    headers = await key_for(api, OTHER)
    wish = {"kind": "start_charging", "parameters": {"token": "THEIRS"}}
    refused = await api("POST", "/stations/CP-1/commands", None, headers=headers, json=wish)
    nobodys = {"kind": "start_charging", "parameters": {"token": "NONE"}}
    unknown = await api("POST", "/stations/CP-1/commands", None, headers=headers, json=nobodys)
    assert refused.status_code == unknown.status_code == 409
    assert refused.text == unknown.text.replace("NONE", "THEIRS")
    await api("POST", "/tokens", None, headers=headers, json={"uid": "theirs"})
    started = await api("POST", "/stations/CP-1/commands", None, headers=headers, json=wish)
    assert started.status_code == 202


async def test_events_are_those_of_the_stations_and_tokens_of_the_key(api: Api) -> None:
    await furnish(api)
    theirs = await api.add_station("CP-2", party_id=OTHER)
    await api("POST", "/tokens", json={"uid": "THEIRS", "party_id": OTHER})
    headers = await key_for(api, OTHER)
    text = (await api("GET", "/events?after=0&follow=false", None, headers=headers)).text
    kinds = [line[7:] for line in text.splitlines() if line.startswith("event: ")]
    assert kinds == ["station_onboarded", "credential_issued", "token_changed"]
    assert theirs["id"] in text
    assert "CP-1" not in text
    assert "CARD" not in text
    everything = (await api("GET", "/events?after=0&follow=false")).text
    assert "audit_recorded" in everything
    assert "CP-1" in everything


async def test_a_station_that_passes_to_another_party_takes_its_events_along(api: Api) -> None:
    station = await api.add_station("CP-1")
    headers = await key_for(api, OTHER)

    def sell(tx: Any) -> None:
        tx.save(require(tx, station["id"])._replace(party_id=OTHER))
        tx.record(StationChanged(at=NOW, station_id=station["id"], fields=("party_id",)))

    before = (await api("GET", "/events?after=0&follow=false", None, headers=headers)).text
    assert "event: " not in before
    api.store.run(sell)
    after = (await api("GET", "/events?after=0&follow=false", None, headers=headers)).text
    assert "event: station_changed" in after


async def test_keys_are_shown_to_those_who_could_make_them(api: Api) -> None:
    headers = await key_for(api, MINE, OTHER)
    await key_for(api, OTHER)
    await key_for(api, "DE*XXX")
    listed = (await api("GET", "/keys", None, headers=headers)).json()["items"]
    assert sorted(key["parties"] for key in listed) == [[MINE, OTHER], [OTHER]]
    assert len((await api("GET", "/keys")).json()["items"]) == 6
    everybody = (await api("GET", "/keys?limit=500")).json()["items"]
    (for_all,) = [key["id"] for key in everybody if key["name"] == "admin"]
    assert (await api("DELETE", f"/keys/{for_all}", None, headers=headers)).status_code == 404


async def test_the_last_key_that_may_do_everything_stays(api: Api) -> None:
    await key_for(api, MINE)
    answer = await api("DELETE", "/keys/adm")
    assert (answer.status_code, answer.json()["code"]) == (409, "refused")
    assert "csms key create" in answer.json()["detail"]
    await key_for(api)
    assert (await api("DELETE", "/keys/adm")).status_code == 200


async def test_roles_hold_within_a_party_too(api: Api) -> None:
    await furnish(api)
    viewer = await key_for(api, MINE, role=Role.VIEWER)
    assert (await api("GET", "/stations/CP-1", None, headers=viewer)).status_code == 200
    refused = await api("POST", "/tokens", None, headers=viewer, json={"uid": "X"})
    assert refused.status_code == 403


@pytest.mark.parametrize("parties", [["nonsense"], ["ca*nth"], [MINE] * 65, [""]])
async def test_a_party_that_cannot_be_is_refused(api: Api, parties: list[str]) -> None:
    body = {"name": "n", "role": "viewer", "parties": parties}
    assert (await api("POST", "/keys", json=body)).status_code == 422


async def test_stations_are_imported_for_the_parties_of_the_key(api: Api) -> None:
    headers = await key_for(api, MINE)
    rows = [{"identity": "NEW"}, {"identity": "THEIRS", "party_id": "US*SOM"}]
    answer = await api("POST", "/station-imports", None, headers=headers, json={"rows": rows})
    assert [row["result"] for row in answer.json()["rows"]] == ["added", "refused"]
    assert (await api("GET", "/stations/NEW")).json()["party_id"] == MINE
