"""Transactions, meter values, tokens and the quarantine over HTTP."""

from __future__ import annotations

from datetime import timedelta

from csms.core import charging, quarantine
from csms.core.charging import MeterReport, StartReport, StopReport
from csms.core.metering import REGISTER, Reading, Sample
from csms.core.security import Role
from csms.core.tokens import Shown
from tests.api.conftest import NOW, Api


async def charge(api: Api) -> int:
    station = await api.add_station("CP-1")
    await api("POST", "/tokens", json={"uid": "CARD", "group_id": "FAMILY"})
    origin = api.origin(station["id"])
    started = api.store.run(charging.start, origin, StartReport(1, Shown("card"), NOW, 1_000))
    number = started.transaction_id
    for minute in range(3):
        sample = Sample(
            NOW + timedelta(minutes=minute),
            (Reading(value=str(1_000 + 100 * minute), measurand=REGISTER),),
        )
        api.store.run(charging.meter, origin, MeterReport(1, (sample,), number))
    return number


async def test_a_transaction_and_its_meter_values(api: Api) -> None:
    number = await charge(api)
    shown = (await api("GET", f"/transactions/{number}", Role.VIEWER)).json()
    assert shown["open"] is True
    assert (shown["energy_wh"], shown["meter_start_wh"], shown["meter_last_wh"]) == (
        200,
        1_000,
        1_200,
    )
    page = (await api("GET", f"/transactions/{number}/meter-values?limit=2")).json()
    assert [s["readings"][0]["value"] for s in page["items"]] == ["1000", "1100"]
    rest = await api("GET", f"/transactions/{number}/meter-values?cursor={page['next']}")
    assert [s["readings"][0]["value"] for s in rest.json()["items"]] == ["1200"]


async def test_open_and_ended_transactions_are_told_apart(api: Api) -> None:
    number = await charge(api)
    assert len((await api("GET", "/transactions?open=true")).json()["items"]) == 1
    (station,) = (await api("GET", "/stations")).json()["items"]
    stop = StopReport(number, NOW + timedelta(hours=1), 5_000, Shown("CARD"))
    api.store.run(charging.stop, api.origin(station["id"]), stop)
    assert (await api("GET", "/transactions?open=true")).json()["items"] == []
    (ended,) = (await api("GET", "/transactions?open=false&station=CP-1")).json()["items"]
    assert (ended["energy_wh"], ended["stop_reason"], ended["end_kind"]) == (
        4_000,
        "Local",
        "reported",
    )


async def test_tokens_are_added_blocked_and_unblocked(api: Api) -> None:
    added = await api("POST", "/tokens", json={"uid": "CARD", "label": "mine"})
    assert (added.status_code, added.json()["blocked"]) == (201, False)
    assert (await api("POST", "/tokens", json={"uid": "card"})).status_code == 409
    path = "/tokens/CA*NTH/rfid/card"
    assert (await api("PATCH", path, json={"blocked": True})).json()["blocked"] is True
    (token,) = (await api("GET", "/tokens")).json()["items"]
    assert (token["uid"], token["blocked"], token["label"]) == ("CARD", True, "mine")
    assert (await api("PATCH", path, json={"blocked": False})).json()["blocked"] is False
    assert (await api("PATCH", "/tokens/CA*NTH/rfid/x", json={"blocked": True})).status_code == 404


async def test_what_found_no_place_is_shown(api: Api) -> None:
    station = await api.add_station("CP-1")
    api.store.run(quarantine.put, api.origin(station["id"]), "stop", "unknown", {"id": 7})
    (kept,) = (await api("GET", "/quarantine")).json()["items"]
    assert (kept["kind"], kept["reason"], kept["payload"]) == ("stop", "unknown", {"id": 7})
