"""`csms roaming`."""

from __future__ import annotations

import json

from .conftest import Api, ok, page

RECEIVED = {
    "party_id": "US*STH",
    "id": "C1",
    "partner_id": "p1",
    "received_at": "2031-05-01T11:00:01Z",
    "started_at": "2031-05-01T10:00:00Z",
    "ended_at": "2031-05-01T11:00:00Z",
    "token_party": "CA*NTH",
    "token_uid": "CARD",
    "currency": "USD",
    "energy_kwh": "10",
    "before_taxes": "3.50",
    "after_taxes": None,
    "credit_of": None,
    "repriced": "3.00",
    "difference": "0.50",
    "priced_by": "tariff DAY",
    "fee": "0.00",
}
SENT = {
    "party_id": "CA*NTH",
    "cdr_id": "R1",
    "partner_id": "p1",
    "state": "refused",
    "created_at": "2031-05-01T10:00:00Z",
    "attempts": 1,
    "sent_at": "2031-05-01T10:00:00Z",
    "next_at": "2031-05-01T10:00:02Z",
    "settled_at": "2031-05-01T10:00:01Z",
    "location": None,
    "error": "OCPI 2001: no such session",
}


def test_what_was_billed_stands_beside_what_was_expected(api: Api) -> None:
    api.on("GET", "/roaming/cdrs", page(RECEIVED))
    line = api.run("roaming", "cdrs", "--differing").stdout.splitlines()[1]
    assert line.split()[:3] == ["US*STH", "C1", "CARD"]
    assert line.split()[-5:] == ["3.00", "0.50", "0.00", "tariff", "DAY"]
    assert api.requests[-1].url.params["differing"] == "true"
    assert json.loads(api.run("roaming", "cdrs", "-o", "json").stdout) == [RECEIVED]
    api.on("GET", "/roaming/cdrs", page())
    assert "no network has billed us" in api.run("roaming", "cdrs").output


def test_one_record_as_it_came(api: Api) -> None:
    api.on("GET", "/roaming/cdrs/US%2ASTH/C1", ok({**RECEIVED, "cdr": {"id": "C1"}}))
    assert "tariff DAY" in api.run("roaming", "cdr", "US*STH", "C1").stdout
    told = json.loads(api.run("roaming", "cdr", "US*STH", "C1", "-o", "json").stdout)
    assert told["cdr"] == {"id": "C1"}


def test_deliveries_tell_the_words_of_a_refusal(api: Api) -> None:
    api.on("GET", "/roaming/deliveries", page(SENT))
    text = api.run("roaming", "deliveries", "--state", "refused").stdout
    assert "OCPI 2001: no such session" in text
    assert api.requests[-1].url.params["state"] == "refused"


def test_sessions_elsewhere_with_what_they_cost_so_far(api: Api) -> None:
    session = {
        "status": "ACTIVE",
        "cdr_token": {"uid": "CARD"},
        "location_id": "LOC-1",
        "evse_uid": "E1",
        "start_date_time": "2031-05-01T10:00:00Z",
        "kwh": 4.5,
        "total_cost": {"excl_vat": 1.35},
        "currency": "USD",
    }
    api.on("GET", "/roaming/sessions", page({"party_id": "US*STH", "id": "7", "session": session}))
    line = api.run("roaming", "sessions").stdout.splitlines()[1]
    for part in ("US*STH", "ACTIVE", "CARD", "LOC-1", "E1", "4.5", "1.35", "USD"):
        assert part in line
    api.on("GET", "/roaming/sessions", page())
    assert "no other network" in api.run("roaming", "sessions").stderr


def test_what_is_billed_by_nothing_and_what_bills_nothing(api: Api) -> None:
    api.on("GET", "/roaming/cdrs/unmatched", page(RECEIVED))
    assert "C1" in api.run("roaming", "unmatched").stdout
    api.on("GET", "/roaming/sessions/unbilled", page())
    assert "every charge that was completed is billed" in api.run("roaming", "unbilled").output
