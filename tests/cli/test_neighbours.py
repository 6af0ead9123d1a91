"""`csms roaming locations|location`."""

from __future__ import annotations

import json
from typing import Any

from .conftest import Api, ok, page

PLACE: dict[str, Any] = {
    "party_id": "US*STH",
    "id": "LOC1",
    "partner_id": "p1",
    "name": "Downtown",
    "address": "1 Main St",
    "city": "New York",
    "country": "USA",
    "latitude": "40.712800",
    "longitude": "-74.006000",
    "distance_km": 1.2,
    "evses": {"AVAILABLE": 1, "CHARGING": 2},
    "tariff_ids": ["DAY"],
    "last_updated": "2031-05-01T10:00:00Z",
    "received_at": "2031-05-01T10:00:00Z",
}
PLUG = {"id": "1", "standard": "IEC_62196_T2", "max_voltage": 230, "max_amperage": 32}
TARIFF = {
    "id": "DAY",
    "currency": "USD",
    "elements": [
        {
            "price_components": [{"type": "ENERGY", "price": 0.35, "step_size": 1}],
            "restrictions": {"start_time": "08:00"},
        },
        {"price_components": [{"type": "PARKING_TIME", "price": 6, "vat": 20, "step_size": 60}]},
    ],
}


def test_places_nearby_say_what_is_free(api: Api) -> None:
    api.on("GET", "/roaming/locations", page(PLACE))
    line = api.run("roaming", "locations", "--near=40.71,-74.01").stdout.splitlines()[1]
    assert "Downtown" in line
    assert "1 of 3" in line
    assert "2 charging" in line
    asked = api.requests[-1].url.params
    assert (asked["near"], asked["radius_km"]) == ("40.71,-74.01", "25.0")
    assert json.loads(api.run("roaming", "locations", "-o", "json").stdout) == [PLACE]


def test_nothing_nearby_says_how_to_look_further(api: Api) -> None:
    api.on("GET", "/roaming/locations", page())
    assert "--radius" in api.run("roaming", "locations", "--near", "1,2").output
    assert "csms partner list" in api.run("roaming", "locations").output
    wrong = api.run("roaming", "locations", "--near", "here")
    assert (wrong.exit_code, "--near 45.50,-73.57" in wrong.stderr) == (2, True)


def test_one_place_with_evses_and_prices_in_words(api: Api) -> None:
    evse = {"uid": "E1", "status": "AVAILABLE", "connectors": [{**PLUG, "tariff_ids": ["DAY"]}]}
    details = {**PLACE, "location": {"evses": [evse]}, "tariffs": [TARIFF]}
    api.on("GET", "/roaming/locations/US%2ASTH/LOC1", ok(details))
    text = api.run("roaming", "location", "US*STH", "LOC1").stdout
    assert "1 IEC_62196_T2 230 V 32 A" in text
    assert "0.35 per kWh (start_time 08:00); 6 per hour idle + 20 % VAT" in text
    assert "csms roaming start 'US*STH' LOC1 --token UID" in text
