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


async def a_lost_stop(api: Api) -> tuple[int, str]:
    """A transaction, and its stop in quarantine."""
    number = await charge(api)
    (station,) = (await api("GET", "/stations")).json()["items"]
    stop = StopReport(999, NOW + timedelta(hours=1), 5_000, Shown("CARD"))
    api.store.run(charging.stop, api.origin(station["id"]), stop)
    (kept,) = (await api("GET", "/quarantine")).json()["items"]
    assert kept["assigned_to"] is None
    return number, kept["id"]


async def test_a_kept_report_is_placed_once_and_audited(api: Api) -> None:
    number, kept = await a_lost_stop(api)
    path, wish = f"/quarantine/{kept}/assign", {"transaction_id": number}
    done = await api("POST", path, Role.OPERATOR, json=wish)
    assert done.status_code == 200, done.text
    assert done.json()["before"]["open"] is True
    assert (done.json()["after"]["open"], done.json()["after"]["energy_wh"]) == (False, 4_000)
    shown = (await api("GET", f"/quarantine/{kept}")).json()
    assert (shown["assigned_to"], shown["assigned_by"]) == (number, "ope")
    again = await api("POST", path, Role.OPERATOR, json=wish)
    assert (again.status_code, again.json()["code"]) == (409, "refused")
    (entry,) = (await api("GET", "/audit?action=quarantine_assigned")).json()["items"]
    assert (entry["target"], entry["facts"]["transaction_id"]) == (kept, number)


async def test_a_retry_of_an_assignment_is_no_second_one(api: Api) -> None:
    number, kept = await a_lost_stop(api)
    for _ in range(2):
        answer = await api(
            "POST",
            f"/quarantine/{kept}/assign",
            json={"transaction_id": number},
            headers={"Idempotency-Key": "k"},
        )
        assert (answer.status_code, answer.json()["after"]["energy_wh"]) == (200, 4_000)


async def test_a_dry_run_says_what_it_would_do(api: Api) -> None:
    number, kept = await a_lost_stop(api)
    before = await api.store.reader.journal_end()
    wish = {"transaction_id": number, "dry_run": True}
    answer = (await api("POST", f"/quarantine/{kept}/assign", json=wish)).json()
    assert (answer["dry_run"], answer["after"]["energy_wh"]) == (True, 4_000)
    assert (await api("GET", f"/transactions/{number}")).json()["open"] is True
    assert await api.store.reader.journal_end() == before


async def test_kept_meter_values_are_those_of_the_evse_while_it_ran(api: Api) -> None:
    number = await charge(api)
    (station,) = (await api("GET", "/stations")).json()["items"]
    origin = api.origin(station["id"])
    for minute in (-5, 30, 90):
        reading = Reading(value=str(2_000 + minute), measurand=REGISTER)
        sample = Sample(NOW + timedelta(minutes=minute), (reading,))
        api.store.run(charging.meter, origin, MeterReport(1, (sample,), 999))
    stop = StopReport(number, NOW + timedelta(hours=1), 5_000, Shown("CARD"))
    api.store.run(charging.stop, origin, stop)
    kept = (await api("GET", "/quarantine")).json()["items"][0]["id"]
    wish = {"transaction_id": number}
    answer = (await api("POST", f"/quarantine/{kept}/assign", json=wish)).json()
    assert (answer["samples"], answer["after"]["energy_wh"]) == (1, 4_000)
