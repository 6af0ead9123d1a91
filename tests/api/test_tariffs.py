"""Tariffs, where they apply, and prices, through the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from csms.core import charging
from csms.core.charging import StartReport, StopReport
from csms.core.security import Role
from csms.core.tokens import Shown
from csms.flows.prices import Pricer
from tests.api.conftest import NOW, Api
from tests.api.test_locations import EVSE, put

SAMPLES = sorted((Path(__file__).parents[2] / "config" / "tariffs").glob("*.json"))
TARIFF: dict[str, Any] = {
    "id": "DAY",
    "currency": "EUR",
    "elements": [
        {
            "price_components": [
                {"type": "ENERGY", "price": 0.25, "vat": 10.0, "step_size": 1},
                {"type": "PARKING_TIME", "price": 6, "step_size": 60},
            ]
        }
    ],
}


async def add(api: Api, **changes: Any) -> dict[str, Any]:
    answer = await api("POST", "/tariffs", Role.OPERATOR, json=TARIFF | changes)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
async def test_the_sample_tariffs_can_be_added(api: Api, path: Path) -> None:
    answer = await api("POST", "/tariffs", Role.OPERATOR, json=json.loads(path.read_text()))
    assert answer.status_code == 201, answer.text


async def test_a_tariff_has_versions(api: Api) -> None:
    first = await add(api)
    assert (first["party_id"], first["id"], first["version"]) == ("CA*NTH", "DAY", 1)
    assert first["tariff"]["tax_included"] == "NO"
    assert (first["tariff"]["country_code"], first["tariff"]["party_id"]) == ("CA", "NTH")
    second = await add(api, currency="CAD")
    assert second["version"] == 2
    assert (await api("GET", "/tariffs", Role.VIEWER)).json()["items"] == [second]
    both = await api("GET", "/tariffs?all_versions=true", Role.VIEWER)
    assert [t["version"] for t in both.json()["items"]] == [1, 2]
    old = await api("GET", "/tariffs/CA*NTH/day?version=1", Role.VIEWER)
    assert (old.json()["currency"], old.json()["current"]) == ("EUR", False)
    assert (await api("GET", "/tariffs/CA*NTH/day", Role.VIEWER)).json() == second


async def test_a_retired_tariff_is_not_listed(api: Api) -> None:
    await add(api)
    answer = await api("DELETE", "/tariffs/CA*NTH/DAY", Role.OPERATOR)
    assert answer.json()["current"] is False
    assert (await api("GET", "/tariffs")).json()["items"] == []
    assert (await api("DELETE", "/tariffs/CA*NTH/DAY")).status_code == 404


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"elements": []}, "elements: at least one"),
        ({"elements": [*TARIFF["elements"], {"price_components": []}]}, "element 2"),
        ({"id": ""}, "id: 1 to 36"),
        ({"id": "x" * 37}, "id: 1 to 36"),
        (
            {"start_date_time": "2026-01-02T00:00:00Z", "end_date_time": "2026-01-01T00:00:00Z"},
            "end_date_time is not after",
        ),
        ({"country_code": "CA", "party_id": "TOOLONG"}, "a party id looks like"),
    ],
)
async def test_what_cannot_be_priced_is_refused(
    api: Api, changes: dict[str, Any], fault: str
) -> None:
    answer = await api("POST", "/tariffs", Role.OPERATOR, json=TARIFF | changes)
    assert answer.status_code == 422
    assert fault in answer.json()["detail"]


# -- imagined sessions -----------------------------------------------------------------------------


async def imagine(api: Api, **asked: Any) -> dict[str, Any]:
    answer = await api("POST", "/tariffs/price", Role.VIEWER, json=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_an_imagined_session_is_explained_line_by_line(api: Api) -> None:
    await add(api)
    found = await imagine(
        api, tariff_id="DAY", kwh=20, minutes=60, idle_minutes=2.5, start="2026-03-02T16:40:00"
    )
    assert (found["before_taxes"], found["after_taxes"]) == ("5.30", "5.80")
    energy, parking = found["lines"]
    assert (energy["unit_price"], energy["billed"], energy["element"]) == ("0.25", "20", 1)
    assert energy["why"] == ["element 1 applies: it has no restrictions"]
    assert parking["why"][-1] == "150 s are billed as 180 s, in steps of 60 s"
    assert [p["idle_s"] for p in found["periods"]] == ["0", "150"]


async def test_taxes_of_a_place_are_those_of_the_tables(api: Api) -> None:
    """Without a table the API says so; the tables are handed in by whoever runs it."""
    plain = TARIFF | {"elements": [{"price_components": [{"type": "ENERGY", "price": 1}]}]}
    found = await imagine(api, tariff=plain, kwh=10, minutes=60, country="ca", state="QC")
    assert (found["after_taxes"], found["warnings"]) == ("10.00", ["there is no tax table for CA"])


async def test_the_time_is_local_and_the_hour_may_change(api: Api) -> None:
    night = TARIFF | {
        "elements": [
            {
                "price_components": [{"type": "TIME", "price": 60, "step_size": 1}],
                "restrictions": {"start_time": "02:00", "end_time": "03:00"},
            }
        ]
    }
    session = {"tariff": night, "minutes": 240, "time_zone": "Europe/Berlin"}
    found = await imagine(api, **session, start="2026-10-25T01:00:00")
    assert found["after_taxes"] == "120.00"
    found = await imagine(api, **session, start="2026-03-29T01:00:00")
    assert found["after_taxes"] == "0.00"


async def test_energy_without_time_is_a_session_too(api: Api) -> None:
    assert (await imagine(api, tariff=TARIFF, kwh=10))["after_taxes"] == "2.75"


async def test_a_session_with_very_many_prices_is_not_imagined(api: Api) -> None:
    """Who may only look must not keep the others waiting."""
    quarters = [
        {
            "price_components": [{"type": "TIME", "price": n}],
            "restrictions": {"start_time": f"{n // 4:02}:{n % 4 * 15:02}"},
        }
        for n in reversed(range(80))
    ]
    asked = {"tariff": TARIFF | {"elements": quarters}, "start": "2026-03-02T00:00:00"}
    assert len((await imagine(api, **asked, minutes=1_440))["periods"]) == 80
    fortnight = {"minutes": 7 * 1_440, "idle_minutes": 7 * 1_440}
    answer = await api("POST", "/tariffs/price", json=asked | fortnight)
    assert answer.status_code == 422
    assert "imagine a shorter one" in answer.json()["detail"]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"tariff": {}},
        {"tariff": TARIFF, "time_zone": "Mars"},
        {"tariff": TARIFF, "kwh": -1},
        {"tariff": TARIFF, "surprise": 1},
    ],
    ids=str,
)
async def test_what_is_asked_wrongly_is_said(api: Api, asked: dict[str, Any]) -> None:
    assert (await api("POST", "/tariffs/price", json=asked)).status_code == 422


# -- where they apply, what transactions cost ------------------------------------------------------


async def charge(api: Api) -> int:
    """A transaction at a place with a tariff, and what it is."""
    added = await api.add_station()
    await put(api, EVSE)
    await add(api)
    assigned = await api(
        "POST", "/tariffs/CA*NTH/DAY/assignments", Role.OPERATOR, json={"location_id": "DEPOT"}
    )
    assert assigned.status_code == 201, assigned.text
    origin = api.origin(added["id"])
    report = StartReport(1, Shown("CARD"), NOW, 1_000)
    number: int = api.store.run(charging.start, origin, report).transaction_id
    return number


def stop(api: Api, number: int) -> None:
    (station,) = {api.store.run(lambda tx: tx.get(charging.Transaction, number)).station_id}
    report = StopReport(number, NOW.replace(hour=13), 21_000)
    api.store.run(charging.stop, api.origin(station), report)


async def test_a_transaction_has_a_price_before_and_after_taxes(api: Api) -> None:
    number = await charge(api)
    running = (await api("GET", f"/transactions/{number}/price", Role.VIEWER)).json()
    assert (running["state"], running["after_taxes"]) == ("running", "0.00")
    assert (running["tariff_id"], running["tariff_version"]) == ("DAY", 1)
    stop(api, number)
    due = (await api("GET", f"/transactions/{number}/price", Role.VIEWER)).json()
    assert (due["state"], due["before_taxes"], due["after_taxes"]) == ("due", "5.00", "5.50")
    assert due["taxes"] == [
        {"name": "VAT", "percentage": "10", "account_number": None, "amount": "0.50"}
    ]
    pricer = Pricer(api.store, api.app.state.system.taxes, lambda: NOW)
    assert await pricer.settle_due() == 1
    priced = (await api("GET", f"/transactions/{number}/price", Role.VIEWER)).json()
    assert priced["state"] == "priced"
    assert {k: v for k, v in priced.items() if k not in ("state", "computed_at")} == {
        k: v for k, v in due.items() if k not in ("state", "computed_at")
    }


async def test_no_tariff_is_no_price_and_not_a_free_one(api: Api) -> None:
    number = await charge(api)
    await api("DELETE", "/tariffs/CA*NTH/DAY", Role.OPERATOR)
    origin = api.origin(api.store.run(lambda tx: tx.get(charging.Transaction, number)).station_id)
    report = StartReport(1, Shown("CARD"), NOW.replace(minute=30), 1_000)
    other = api.store.run(charging.start, origin, report).transaction_id
    answer = await api("GET", f"/transactions/{other}/price", Role.VIEWER)
    assert answer.status_code == 404
    assert "csms tariff assign" in answer.json()["detail"]
    assert (await api("GET", f"/transactions/{number}/price")).status_code == 200
    assert (await api("GET", "/transactions/999/price")).status_code == 404


async def test_assignments_are_listed_and_taken_back(api: Api) -> None:
    await charge(api)
    path = "/tariffs/CA*NTH/DAY/assignments"
    (row,) = (await api("GET", path, Role.VIEWER)).json()["items"]
    assert (row["location_key"], row["uid_key"], row["tariff_key"]) == ("depot", "", "day")
    body = {"location_id": "DEPOT"}
    for removed in (True, False):
        answer = await api("POST", f"{path}/remove", Role.OPERATOR, json=body)
        assert answer.json() == {"removed": removed}
    assert (await api("GET", path)).json()["items"] == []
    missing = await api("POST", path, Role.OPERATOR, json={"location_id": "NO"})
    assert missing.status_code == 404


async def test_a_key_sees_the_tariffs_of_its_parties_only(api: Api) -> None:
    await add(api)
    made = await api("POST", "/keys", json={"name": "t", "role": "operator", "parties": ["US*OTH"]})
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    assert (await api("GET", "/tariffs", None, headers=headers)).json()["items"] == []
    for method, path in (
        ("GET", "/tariffs/CA*NTH/DAY"),
        ("DELETE", "/tariffs/CA*NTH/DAY"),
        ("GET", "/tariffs/CA*NTH/DAY/assignments"),
    ):
        assert (await api(method, path, None, headers=headers)).status_code == 404
    own = await api("POST", "/tariffs", None, headers=headers, json=TARIFF)
    assert own.json()["party_id"] == "US*OTH"
