"""`csms tariff`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Api, ok, page, problem

TARIFF: dict[str, Any] = {
    "party_id": "CA*NTH",
    "id": "DAY",
    "version": 2,
    "current": True,
    "currency": "CAD",
    "kind": None,
    "starts_at": None,
    "ends_at": None,
    "created_at": "2031-05-01T10:00:00Z",
    "last_updated": "2031-05-01T10:00:00Z",
    "tariff": {"id": "DAY", "elements": [{}], "tax_included": "NO"},
}
COST: dict[str, Any] = {
    "currency": "CAD",
    "before_taxes": "5.30",
    "taxes": [
        {"name": "GST", "percentage": "5", "account_number": "R1", "amount": "0.27"},
        {"name": "QST", "percentage": None, "account_number": None, "amount": "0.53"},
    ],
    "after_taxes": "6.10",
    "energy_kwh": "20",
    "charging_s": "3600",
    "idle_s": "150",
    "reservation_s": "0",
    "parts": {},
    "lines": [
        {
            "part": "energy",
            "dimension": "ENERGY",
            "element": 1,
            "unit_price": "0.25",
            "unit": "kWh",
            "measured": "20",
            "billed": "20",
            "before_taxes": "5.0000",
            "taxes": [],
            "after_taxes": "5.0000",
            "why": ["element 1 applies: it has no restrictions"],
        },
        {
            "part": "parking",
            "dimension": "PARKING_TIME",
            "element": None,
            "unit_price": None,
            "unit": "s",
            "measured": "150",
            "billed": "0",
            "before_taxes": "0.0000",
            "taxes": [],
            "after_taxes": "0.0000",
            "why": ["no element with a price for it applies: free"],
        },
    ],
    "periods": [
        {
            "start": "2031-05-01T10:00:00Z",
            "end": "2031-05-01T11:00:00Z",
            "energy_kwh": "20",
            "charging_s": "3600",
            "idle_s": "0",
            "max_power_kw": "20",
        }
    ]
    * 2,
    "notes": ["the minimum price applies: 5.30 before taxes"],
    "warnings": ["there is no tax table for XX"],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "day.json"
    path.write_text(json.dumps({"id": "DAY"}))
    return path


def test_add(api: Api, file: Path) -> None:
    api.on("POST", "/tariffs", ok(TARIFF, 201))
    result = api.run("tariff", "add", str(file), "--party", "CA*NTH")
    assert api.body() == {"id": "DAY", "country_code": "CA", "party_id": "NTH"}
    assert result.stdout == (
        "tariff DAY of CA*NTH, version 2\nWhere it applies: csms tariff assign DAY LOCATION\n"
    )


def test_what_cannot_be_priced_is_said(api: Api, file: Path) -> None:
    detail = "the tariff cannot be priced: element 2: price_components: at least one is needed"
    api.on("POST", "/tariffs", problem(422, "invalid", detail))
    result = api.run("tariff", "add", str(file))
    assert result.exit_code == 1
    assert detail in result.stderr


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_file_that_is_no_tariff(api: Api, file: Path, text: str) -> None:
    file.write_text(text)
    result = api.run("tariff", "add", str(file))
    assert result.exit_code == 2
    assert "config/tariffs has examples" in result.stderr
    assert api.run("tariff", "add", str(file.parent / "none.json")).exit_code == 2


def test_list(api: Api) -> None:
    api.on("GET", "/tariffs", page(TARIFF))
    line = api.run("tariff", "list", "--all").stdout.splitlines()[1]
    assert line.split()[:4] == ["DAY", "2", "CAD", "-"]
    assert api.requests[-1].url.params["all_versions"] == "true"


def test_show_says_where_it_applies(api: Api) -> None:
    api.on("GET", "/tariffs", page(TARIFF))
    place = {"location_key": "depot", "uid_key": "", "tariff_key": "day"}
    api.on("GET", "/tariffs/CA%2ANTH/DAY/assignments", page(place))
    shown = api.run("tariff", "show", "day").stdout
    assert "depot" in shown
    assert '"tax_included": "NO"' in shown
    data = json.loads(api.run("tariff", "show", "day", "-o", "json").stdout)
    assert data == {**TARIFF, "assignments": [place]}


def test_retire(api: Api) -> None:
    api.on("GET", "/tariffs", page(TARIFF))
    api.on("DELETE", "/tariffs/CA%2ANTH/DAY", ok(TARIFF))
    assert api.run("tariff", "retire", "DAY").stdout == "tariff DAY is retired\n"


def test_assign_and_take_back(api: Api) -> None:
    api.on("GET", "/tariffs", page(TARIFF))
    path = "/tariffs/CA%2ANTH/DAY/assignments"
    api.on("POST", path, ok({}, 201))
    assert api.run("tariff", "assign", "DAY", "DEPOT").stdout == "tariff DAY applies at DEPOT\n"
    assert api.body() == {"location_id": "DEPOT"}
    api.on("POST", f"{path}/remove", ok({"removed": True}), ok({"removed": False}))
    options = ("tariff", "assign", "DAY", "DEPOT", "--evse", "u1", "--remove")
    assert api.run(*options).stdout == "tariff DAY no longer applies at DEPOT (EVSE u1)\n"
    assert api.body() == {"location_id": "DEPOT", "evse_uid": "u1"}
    assert api.run(*options).exit_code == 1


# -- why a session costs what it costs -------------------------------------------------------------


def test_an_imagined_session_is_explained(api: Api) -> None:
    api.on("GET", "/tariffs", page(TARIFF))
    api.on("POST", "/tariffs/price", ok(COST))
    result = api.run(
        *("tariff", "price", "DAY", "--kwh", "20", "--minutes", "60", "--idle", "2.5"),
        *("--start", "2026-03-02T16:40", "--zone", "America/Toronto"),
        *("--country", "CA", "--state", "QC"),
    )
    assert api.body() == {
        "kwh": 20.0,
        "minutes": 60.0,
        "idle_minutes": 2.5,
        "start": "2026-03-02T16:40",
        "time_zone": "America/Toronto",
        "country": "CA",
        "state": "QC",
        "party_id": "CA*NTH",
        "tariff_id": "DAY",
    }
    lines = result.stdout.splitlines()
    assert lines[1].split()[:7] == ["energy", "ENERGY", "1", "20", "kWh", "20", "kWh"]
    assert "ENERGY: element 1 applies: it has no restrictions" in lines
    assert "PARKING_TIME: no element with a price for it applies: free" in lines
    assert lines[-6:] == [
        "Before taxes  5.30 CAD",
        "GST 5 % (R1)  0.27 CAD",
        "QST  0.53 CAD",
        "After taxes   6.10 CAD",
        "Note: the minimum price applies: 5.30 before taxes",
        "Look at: there is no tax table for XX",
    ]


def test_a_tariff_in_a_file_is_priced_without_adding_it(api: Api, file: Path) -> None:
    api.on("POST", "/tariffs/price", ok(COST))
    assert api.run("tariff", "price", str(file), "--kwh", "1").exit_code == 0
    assert api.body()["tariff"] == {"id": "DAY"}


def test_a_transaction_is_explained(api: Api) -> None:
    more = {
        "transaction_id": 17,
        "state": "priced",
        "party_id": "CA*NTH",
        "tariff_id": "DAY",
        "tariff_version": 2,
        "location_id": "DEPOT",
        "time_zone": "America/Toronto",
    }
    api.on("GET", "/transactions/17/price", ok(COST | more))
    result = api.run("tariff", "price", "--transaction", "17")
    first = "Transaction 17 (priced): tariff DAY of CA*NTH, version 2, at DEPOT (America/Toronto)"
    assert result.stdout.splitlines()[0] == first
    as_json = api.run("tariff", "price", "--transaction", "17", "--output", "json")
    assert json.loads(as_json.stdout) == COST | more


@pytest.mark.parametrize("args", [(), ("DAY", "--transaction", "17")])
def test_one_of_them_is_needed(api: Api, args: tuple[str, ...]) -> None:
    result = api.run("tariff", "price", *args)
    assert result.exit_code == 2
    assert "csms tariff price --transaction 17" in result.stderr
