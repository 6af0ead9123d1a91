"""`csms cdr`."""

from __future__ import annotations

import json

from .conftest import Api, ok, page, problem

CDR = {
    "party_id": "CA*NTH",
    "id": "R1",
    "transaction_id": 17,
    "created_at": "2031-05-01T11:00:01Z",
    "started_at": "2031-05-01T10:00:00Z",
    "ended_at": "2031-05-01T11:00:00Z",
    "token_party": "US*STH",
    "token_uid": "CARD",
    "currency": "CAD",
    "energy_wh": 10_000,
    "before_taxes": "3.00",
    "after_taxes": "3.45",
    "credit_of": None,
    "credited_by": None,
}
SAID = {"cdr_location": {"id": "LOC1", "city": "Laval"}, "remark": "kindly"}


def test_list_filters_and_says_what_became_of_each(api: Api) -> None:
    credit = {**CDR, "id": "R1-C", "credit_of": "R1", "after_taxes": "-3.45"}
    api.on("GET", "/cdrs", page(credit, {**CDR, "credited_by": "R1-C"}))
    words = ("--token-party", "US*STH", "--transaction", "17", "--credited")
    lines = api.run("cdr", "list", *words).stdout.splitlines()
    assert "credit of R1" in lines[1]
    assert lines[2].split()[-1] == "credited"
    asked = api.requests[-1].url.params
    assert (asked["token_party"], asked["transaction"], asked["credited"]) == (
        "US*STH",
        "17",
        "true",
    )
    assert json.loads(api.run("cdr", "list", "-o", "json").stdout)[0]["id"] == "R1-C"


def test_show_says_where_and_what_for(api: Api) -> None:
    api.on("GET", "/cdrs/CA%2ANTH/R1", ok({**CDR, "cdr": SAID}))
    text = api.run("cdr", "show", "CA*NTH", "R1").stdout
    assert "LOC1, Laval" in text
    assert "kindly" in text
    told = json.loads(api.run("cdr", "show", "CA*NTH", "R1", "-o", "json").stdout)
    assert told["cdr"] == SAID


def test_credit_needs_a_reason_and_tells_the_amount(api: Api) -> None:
    made = {**CDR, "id": "R1-C", "credit_of": "R1", "after_taxes": "-3.45", "cdr": SAID}
    api.on("POST", "/cdrs/CA%2ANTH/R1/credit", ok(made, 201))
    assert api.run("cdr", "credit", "CA*NTH", "R1").exit_code == 2
    result = api.run("cdr", "credit", "CA*NTH", "R1", "--reason", "twice")
    assert api.body() == {"reason": "twice"}
    assert result.stdout == "R1 is credited by R1-C: -3.45 CAD\n"
    api.on("POST", "/cdrs/CA%2ANTH/R1/credit", problem(409, "refused", "credited already"))
    again = api.run("cdr", "credit", "CA*NTH", "R1", "--reason", "twice")
    assert (again.exit_code, "credited already" in again.stderr) == (1, True)


def test_missing_says_why(api: Api) -> None:
    row = {**{n: CDR[n] for n in ("party_id", "token_uid", "started_at", "ended_at", "energy_wh")}}
    api.on(
        "GET",
        "/cdrs/missing",
        page({**row, "transaction_id": 3, "station": "CP-1", "why": "no_tariff"}),
    )
    assert "no tariff applied where it started" in api.run("cdr", "missing").stdout
    refused = {**row, "transaction_id": 3, "station": "CP-1", "why": "refused"}
    api.on("GET", "/cdrs/missing", page(refused))
    assert (
        "its driver was refused, and drew no energy to speak of" in api.run("cdr", "missing").stdout
    )
    api.on("GET", "/cdrs/missing", page())
    assert "every charge that ended is billed" in api.run("cdr", "missing").output


def test_records_without_a_charge(api: Api) -> None:
    api.on("GET", "/cdrs/unmatched", page())
    assert "the charge of every record is here" in api.run("cdr", "unmatched").output


def test_records_that_nobody_sends(api: Api) -> None:
    api.on("GET", "/cdrs/undelivered", page({**CDR, "partner_id": "p1", "why": "removed"}))
    words = " ".join(api.run("cdr", "undelivered").stdout.split())
    assert "the connection was removed, and none of that name took its place" in words
    api.on("GET", "/cdrs/undelivered", page())
    assert "settled or on its way" in api.run("cdr", "undelivered").output
