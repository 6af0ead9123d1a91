"""Locations through the API: OCPI's shape in and out, stations by name, EVSEs that stay."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.security import Role
from tests.api.conftest import Api

LOCATION: dict[str, Any] = {
    "id": "DEPOT",
    "name": "Depot",
    "address": "1 Main St",
    "city": "Laval",
    "state": "QC",
    "country": "CAN",
    "coordinates": {"latitude": "45.57", "longitude": "-73.69"},
    "time_zone": "America/Toronto",
    "facilities": ["WIFI"],
}
CONNECTOR = {
    "standard": "IEC_62196_T2",
    "format": "SOCKET",
    "power_type": "AC_3_PHASE",
    "max_voltage": 230,
    "max_amperage": 32,
}
EVSE = {"station": "CP-1", "evse": 1, "evse_id": "CA*NTH*E1", "connectors": [CONNECTOR]}


async def put(api: Api, *evses: dict[str, Any], **changes: Any) -> dict[str, Any]:
    body = LOCATION | {"evses": list(evses)} | changes
    answer = await api("PUT", "/locations", Role.OPERATOR, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_location_comes_back_in_the_shape_of_ocpi(api: Api) -> None:
    added = await api.add_station()
    found = await put(api, EVSE)
    assert (found["country_code"], found["party_id"], found["owner"]) == ("CA", "NTH", "CA*NTH")
    assert (found["facilities"], found["publish"]) == (["WIFI"], True)
    (evse,) = found["evses"]
    assert (evse["station"], evse["station_id"], evse["evse"]) == ("CP-1", added["id"], 1)
    assert (evse["status"], evse["evse_id"]) == ("UNKNOWN", "CA*NTH*E1")
    assert evse["connectors"] == [{"id": "1", **CONNECTOR}]
    shown = await api("GET", "/locations/CA*NTH/depot", Role.VIEWER)
    assert shown.json() == found
    listed = await api("GET", "/locations", Role.VIEWER)
    assert listed.json() == {"items": [found], "next": None}
    (audit,) = [a for a in await api.audits() if a["action"] == "location_put"]
    assert audit["target"] == "DEPOT"


async def test_a_uid_derives_from_nothing_and_stays(api: Api) -> None:
    """4.12: neither the station's id nor its identity is in it."""
    added = await api.add_station()
    (evse,) = (await put(api, EVSE))["evses"]
    assert len(evse["uid"]) == 24
    assert added["id"] not in evse["uid"]
    again = await put(api, EVSE | {"uid": evse["uid"]}, name="Other")
    assert [e["uid"] for e in again["evses"]] == [evse["uid"]]
    await api.add_station("CP-2")
    path = f"/locations/CA*NTH/DEPOT/evses/{evse['uid']}"
    swapped = await api("PATCH", path, Role.OPERATOR, json={"station": "CP-2", "evse": 1})
    (evse_after,) = swapped.json()["evses"]
    assert (evse_after["uid"], evse_after["station"]) == (evse["uid"], "CP-2")


async def test_a_dry_run_says_what_would_be_stored_and_stores_nothing(api: Api) -> None:
    await api.add_station()
    body = LOCATION | {"evses": [EVSE]}
    answer = await api("PUT", "/locations?dry_run=true", Role.OPERATOR, json=body)
    assert answer.json()["evses"][0]["connectors"][0]["id"] == "1"
    assert (await api("GET", "/locations")).json()["items"] == []
    bad = await api("PUT", "/locations?dry_run=true", json=body | {"city": ""})
    assert (bad.status_code, bad.json()["detail"]) == (422, "location DEPOT: city is missing")


async def test_out_of_service_planned_and_removed(api: Api) -> None:
    await api.add_station()
    (evse,) = (await put(api, EVSE))["evses"]
    path = f"/locations/CA*NTH/DEPOT/evses/{evse['uid']}"
    answer = await api("PATCH", path, Role.OPERATOR, json={"operative": False, "planned": True})
    (changed,) = answer.json()["evses"]
    assert (changed["operative"], changed["status"]) == (False, "PLANNED")
    (gone,) = (await api("DELETE", path, Role.OPERATOR)).json()["evses"]
    assert gone["status"] == "REMOVED"
    assert "station" not in gone
    refused = await api("PATCH", path, Role.OPERATOR, json={"operative": True})
    assert refused.status_code == 409


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/locations/CA*NTH/NO", None, 404),
        ("PATCH", "/locations/CA*NTH/DEPOT/evses/NO", {"operative": True}, 404),
        ("DELETE", "/locations/CA*NTH/DEPOT/evses/NO", None, 404),
        ("PATCH", "/locations/CA*NTH/DEPOT/evses/NO", {"station": "CP-1"}, 422),
        ("PUT", "/locations", LOCATION | {"evses": [{"station": "CP-9", "evse": 1}]}, 404),
        ("PUT", "/locations", LOCATION | {"time_zone": None}, 422),
        ("PUT", "/locations", LOCATION | {"country_code": "ca", "party_id": "x"}, 422),
    ],
)
async def test_what_is_not_there_or_not_right(
    api: Api, method: str, path: str, body: Any, status: int
) -> None:
    await put(api)
    answer = await api(method, path, **({} if body is None else {"json": body}))
    assert answer.status_code == status, answer.text


async def test_viewers_change_nothing(api: Api) -> None:
    assert (await api("PUT", "/locations", Role.VIEWER, json=LOCATION)).status_code == 403


async def test_a_key_sees_the_locations_of_its_parties_only(api: Api) -> None:
    await put(api)
    made = await api("POST", "/keys", json={"name": "t", "role": "operator", "parties": ["US*OTH"]})
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    assert (await api("GET", "/locations", None, headers=headers)).json()["items"] == []
    hidden = await api("GET", "/locations/CA*NTH/DEPOT", None, headers=headers)
    assert hidden.status_code == 404
    body = LOCATION | {"country_code": "CA", "party_id": "NTH"}
    foreign = await api("PUT", "/locations", None, headers=headers, json=body)
    assert foreign.status_code == 403
    own = await api("PUT", "/locations", None, headers=headers, json=LOCATION)
    assert own.json()["owner"] == "US*OTH"
