"""`csms location`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .conftest import Api, ok, page, problem

EVSE = {
    "uid": "u1",
    "evse_id": "CA*NTH*E1",
    "status": "AVAILABLE",
    "operative": True,
    "station": "CP-1",
    "station_id": "s1",
    "evse": 1,
    "connectors": [
        {
            "id": "1",
            "standard": "IEC_62196_T2",
            "format": "SOCKET",
            "power_type": "AC_3_PHASE",
            "max_voltage": 230,
            "max_amperage": 32,
        }
    ],
    "last_updated": "2031-05-01T10:00:00Z",
}
LOCATION: dict[str, Any] = {
    "owner": "CA*NTH",
    "country_code": "CA",
    "party_id": "NTH",
    "id": "DEPOT",
    "name": "Depot",
    "address": "1 Main St",
    "city": "Laval",
    "country": "CAN",
    "coordinates": {"latitude": "45.57000", "longitude": "-73.69000"},
    "time_zone": "America/Toronto",
    "publish": True,
    "evses": [EVSE],
    "last_updated": "2031-05-01T10:00:00Z",
}


def test_add(api: Api) -> None:
    api.on("PUT", "/locations", ok(LOCATION))
    result = api.run(
        *("location", "add", "DEPOT", "--address", "1 Main St", "--city", "Laval"),
        *("--country", "CAN", "--latitude", "45.57", "--longitude", "-73.69"),
        *("--time-zone", "America/Toronto", "--state", "QC", "--party", "CA*NTH"),
    )
    assert result.exit_code == 0, result.stderr
    assert api.body() == {
        "id": "DEPOT",
        "address": "1 Main St",
        "city": "Laval",
        "country": "CAN",
        "coordinates": {"latitude": "45.570000", "longitude": "-73.690000"},
        "time_zone": "America/Toronto",
        "publish": True,
        "state": "QC",
        "country_code": "CA",
        "party_id": "NTH",
    }
    assert "csms location assign DEPOT STATION --evse 1" in result.stdout


def test_list_counts_what_is_published(api: Api) -> None:
    api.on("GET", "/locations", page(LOCATION))
    line = api.run("location", "list").stdout.splitlines()[1]
    assert line.startswith("DEPOT  Depot")
    assert "1:available" in line


def test_an_empty_list_says_the_next_step(api: Api) -> None:
    api.on("GET", "/locations", page())
    assert "csms location add --help" in api.run("location", "list").stderr


def test_show(api: Api) -> None:
    api.on("GET", "/locations", page(LOCATION))
    shown = api.run("location", "show", "depot").stdout
    assert "time zone    America/Toronto" in shown
    assert "1:IEC_62196_T2 SOCKET AC_3_PHASE 230V 32A" in shown
    assert json.loads(api.run("location", "show", "depot", "-o", "json").stdout) == LOCATION


def test_one_that_is_not_there_and_one_that_is_there_twice(api: Api) -> None:
    other = {**LOCATION, "owner": "US*OTH"}
    api.on("GET", "/locations", page(LOCATION, other))
    missing = api.run("location", "show", "NO")
    assert missing.exit_code == 1
    assert missing.stderr == "csms: no location NO; csms location list shows those there are\n"
    twice = api.run("location", "show", "DEPOT")
    assert twice.exit_code == 2
    assert "--party CA*NTH or US*OTH" in twice.stderr
    assert api.run("location", "show", "DEPOT", "--party", "US*OTH").exit_code == 0


def test_assign_a_new_evse(api: Api) -> None:
    api.on("GET", "/locations", page({**LOCATION, "evses": []}))
    api.on("PUT", "/locations", ok(LOCATION))
    options = ("--evse", "1", "--evse-id", "CA*NTH*E1", "--power-type", "dc", "--watts", "50000")
    result = api.run("location", "assign", "DEPOT", "CP-1", *options)
    assert result.stdout == "EVSE 1 of CP-1 stands at DEPOT\n"
    sent = api.body()
    assert "owner" not in sent
    (evse,) = sent["evses"]
    assert (evse["station"], evse["evse"], evse["evse_id"]) == ("CP-1", 1, "CA*NTH*E1")
    (connector,) = evse["connectors"]
    assert (connector["power_type"], connector["max_electric_power"]) == ("DC", 50_000)


def test_assign_another_station_to_an_evse_that_is_there(api: Api) -> None:
    api.on("GET", "/locations", page(LOCATION))
    api.on("PATCH", "/locations/CA%2ANTH/DEPOT/evses/u1", ok(LOCATION))
    api.run("location", "assign", "DEPOT", "CP-9", "--uid", "u1")
    assert api.body() == {"station": "CP-9", "evse": 1}


def test_service_and_removal(api: Api) -> None:
    api.on("GET", "/locations", page(LOCATION))
    api.on("PATCH", "/locations/CA%2ANTH/DEPOT/evses/u1", ok(LOCATION))
    api.on("DELETE", "/locations/CA%2ANTH/DEPOT/evses/u1", ok(LOCATION))
    assert api.run("location", "service", "DEPOT", "u1", "out").stdout == (
        "EVSE u1 is out of service\n"
    )
    assert api.body() == {"operative": False}
    assert api.run("location", "service", "DEPOT", "u1", "maybe").exit_code == 2
    assert api.run("location", "remove", "DEPOT", "u1").stdout == "EVSE u1 of DEPOT is removed\n"


def test_import_checks_all_before_it_stores_one(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    file.write_text("id,city\nL1,Laval\nL2,Laval\n")
    api.on("PUT", "/locations", ok(LOCATION))
    result = api.run("location", "import", str(file))
    asked = [(r.url.params.get("dry_run"), json.loads(r.content)["id"]) for r in api.requests]
    assert asked == [("true", "L1"), ("true", "L2"), (None, "L1"), (None, "L2")]
    assert "2 locations with 0 EVSEs are stored" in result.stderr


def test_a_dry_run_stores_nothing(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "sites.json"
    file.write_text(json.dumps([{"id": "L1", "evses": [{}]}]))
    api.on("PUT", "/locations", ok(LOCATION))
    result = api.run("location", "import", str(file), "--dry-run", "--party", "CA*NTH")
    assert {r.url.params.get("dry_run") for r in api.requests} == {"true"}
    assert api.body()["country_code"] == "CA"
    assert "1 locations with 1 EVSEs would be stored" in result.stderr


def test_one_bad_location_stops_the_import(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    file.write_text("id,city\nL1,Laval\n")
    api.on("PUT", "/locations", problem(422, "invalid", "location L1: address is missing"))
    result = api.run("location", "import", str(file))
    assert (result.exit_code, len(api.requests)) == (1, 1)
    assert "location L1: address is missing" in result.stderr
    file.write_text("id,city\n")
    assert "has no locations" in api.run("location", "import", str(file)).stderr


def test_a_party_has_a_form(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    file.write_text("id,city\nL1,Laval\n")
    assert api.run("location", "import", str(file), "--party", "NTH").exit_code == 2
