"""/roaming/locations: the places of other networks as our drivers see them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from csms.core import tokens
from csms.core.geography import cell
from csms.core.neighbours import NeighbourObject
from csms.core.security import Role
from csms.core.tokens import Token
from tests.api.conftest import NOW, Api
from tests.support import ocpi_objects as objects

PLACES = {
    "CENTRE": (40.7128, -74.0060),
    "HARLEM": (40.8116, -73.9465),
    "BOSTON": (42.3601, -71.0589),
}


def tell(api: Api, module: str, object_id: str, body: Any, where: str | None = None) -> None:
    text = json.dumps(body, default=str)
    row = NeighbourObject(
        module, "US*STH", object_id.casefold(), object_id, "p1", NOW, NOW, text, where
    )
    api.store.run(lambda tx: tx.save(row))


@pytest.fixture
def places(api: Api) -> Api:
    for name, (latitude, longitude) in PLACES.items():
        at = {"latitude": f"{latitude:.6f}", "longitude": f"{longitude:.6f}"}
        plug = objects.connector(tariff_ids=["T1"])
        evses = [
            objects.evse("E1", connectors=[plug]),
            objects.evse("E2", status="CHARGING"),
            objects.evse("E3", status="REMOVED"),
        ]
        if name == "HARLEM":
            evses = evses[1:]
        place = objects.location(name, name=name.title(), coordinates=at, evses=evses)
        tell(api, "locations", name, place, cell(latitude, longitude))
    tell(api, "tariffs", "T1", objects.tariff("T1"))
    return api


async def items(api: Api, query: str) -> list[Any]:
    answer = await api("GET", f"/roaming/locations?{query}", Role.VIEWER)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["items"]
    return found


async def test_the_nearest_come_first_with_what_is_free(places: Api) -> None:
    near = await items(places, "near=40.71,-74.01")
    assert [(p["id"], p["distance_km"]) for p in near] == [("CENTRE", 0.5), ("HARLEM", 12.5)]
    assert near[0]["evses"] == {"AVAILABLE": 1, "CHARGING": 1}
    assert near[0]["tariff_ids"] == ["T1"]
    assert [p["id"] for p in await items(places, "near=40.71,-74.01&radius_km=1")] == ["CENTRE"]
    free = await items(places, "near=40.71,-74.01&available=true")
    assert [p["id"] for p in free] == ["CENTRE"]
    assert await items(places, "near=0,0") == []


async def test_all_of_them_by_owner_and_id(places: Api) -> None:
    listed = await items(places, "")
    assert [p["id"] for p in listed] == ["BOSTON", "CENTRE", "HARLEM"]
    assert listed[0]["distance_km"] is None


async def test_one_place_with_its_prices(places: Api) -> None:
    shown = (await places("GET", "/roaming/locations/us*sth/centre", Role.VIEWER)).json()
    assert shown["location"]["evses"][0]["uid"] == "E1"
    assert [t["id"] for t in shown["tariffs"]] == ["T1"]
    missing = await places("GET", "/roaming/locations/US*STH/NONE", Role.VIEWER)
    assert missing.status_code == 404
    assert "csms roaming locations" in missing.json()["detail"]


@pytest.mark.parametrize("near", ["north", "1", "91,0", "0,181", "nan,0", "1,2,3", ","])
async def test_a_point_that_is_none_is_refused(api: Api, near: str) -> None:
    answer = await api("GET", f"/roaming/locations?near={near}", Role.VIEWER)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    ("allowed", "shown"),
    [
        ([], False),
        ([{"uid": "OTHER", "type": "RFID"}, {"visual_number": "1", "issuer": "x"}], False),
        ([{"uid": "Card", "type": "RFID"}], True),
        ([{"group_id": "FLEET"}], True),
    ],
)
async def test_what_is_not_published_is_shown_to_whom_it_names(
    places: Api, allowed: list[Any], shown: bool
) -> None:
    row = Token("CA*NTH", "", "rfid", "CARD", NOW, group_id="FLEET")
    places.store.run(tokens.add, row, NOW)
    private = objects.location("DEPOT", publish=False, publish_allowed_to=allowed)
    tell(places, "locations", "DEPOT", private)
    assert ("DEPOT" in [p["id"] for p in await items(places, "")]) is shown
    one = await places("GET", "/roaming/locations/US*STH/DEPOT", Role.VIEWER)
    assert one.status_code == (200 if shown else 404)


async def test_a_place_where_nothing_is_left_is_not_listed(places: Api) -> None:
    gone = objects.location("GONE", evses=[objects.evse("E1", status="REMOVED")])
    tell(places, "locations", "GONE", gone)
    assert "GONE" not in [p["id"] for p in await items(places, "")]
