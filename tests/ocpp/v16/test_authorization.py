"""Authorize of a 1.6 station (OCPP 1.6 4.1, 7.28 to 7.30; TC_023)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.ocpp import NOW, Inbound, start, stop, told_unusable


def ask(station: Inbound, uid: object) -> dict[str, str]:
    return station.answers("Authorize", idTag=uid)["idTagInfo"]


def test_the_outcomes_are_told_apart(station16: Inbound) -> None:
    station16.adds_token("GOOD")
    station16.adds_token("BLOCKED", blocked=True)
    station16.adds_token("OLD", expires_at=NOW - timedelta(seconds=1))
    assert ask(station16, "GOOD") == {"status": "Accepted"}
    assert ask(station16, "BLOCKED") == {"status": "Blocked"}
    assert ask(station16, "OLD") == {"status": "Expired", "expiryDate": "2024-05-01T11:59:59Z"}
    assert ask(station16, "NOBODY") == {"status": "Invalid"}
    outcomes = [row["outcome"] for row in station16.journal("token_authorized")]
    assert outcomes == ["accepted", "blocked", "expired", "invalid"]


def test_the_group_is_the_parent(station16: Inbound) -> None:
    station16.adds_token("GOOD", group_id="FLEET")
    assert ask(station16, "GOOD") == {"status": "Accepted", "parentIdTag": "FLEET"}


def test_a_group_that_does_not_fit_is_left_out(station16: Inbound) -> None:
    station16.adds_token("GOOD", group_id="G" * 21)
    assert ask(station16, "GOOD") == {"status": "Accepted"}


def test_a_token_is_compared_without_case(station16: Inbound) -> None:
    station16.adds_token("aBcD")
    assert ask(station16, "AbCd")["status"] == "Accepted"


def test_an_open_transaction_is_no_reason_to_refuse_the_question(station16: Inbound) -> None:
    """Reference 2d: Authorize is accepted both times; ConcurrentTx belongs to the start."""
    station16.adds_token("04A2")
    first = station16.answers("StartTransaction", start())
    assert first["idTagInfo"]["status"] == "Accepted"
    assert ask(station16, "04A2")["status"] == "Accepted"
    second = station16.answers("StartTransaction", start(connectorId=2))
    assert second["idTagInfo"]["status"] == "ConcurrentTx"
    # Its own retry is not held against it (reference 4a.3).
    assert station16.answers("StartTransaction", start()) == first


def test_a_token_may_charge_again_after_its_stop(station16: Inbound) -> None:
    station16.adds_token("04A2")
    number = station16.answers("StartTransaction", start())["transactionId"]
    station16.answers("StopTransaction", stop(number))
    again = station16.answers("StartTransaction", start(connectorId=2, meterStart=2))
    assert again["idTagInfo"]["status"] == "Accepted"


# -- bent ------------------------------------------------------------------------------------------


# Quirks 44 to 46: control bytes, 21 and 22 characters, spaces, numbers, fields of other messages.
@pytest.mark.parametrize(
    ("sent", "uid"),
    [
        ("\x10\x0eF6CA0CC5", "F6CA0CC5"),
        (" F6 CA 0C C5", "F6 CA 0C C5"),
        ("F6CA0CC5\x00\r\n", "F6CA0CC5"),
        ("F" * 21 + "-", "F" * 21 + "-"),
        (12345678, "12345678"),
        ("ÉTÉ", "été"),
    ],
)
def test_a_bent_token_is_the_one_that_is_meant(station16: Inbound, sent: object, uid: str) -> None:
    station16.adds_token(uid)
    assert ask(station16, sent) == {"status": "Accepted"}


def test_two_long_tokens_are_never_taken_for_one(station16: Inbound) -> None:
    station16.adds_token("F" * 21)
    assert ask(station16, "F" * 20)["status"] == "Invalid"
    assert ask(station16, "F" * 22)["status"] == "Invalid"


def test_a_token_that_is_longer_than_any_is_not_cut_to_one_that_exists(station16: Inbound) -> None:
    station16.adds_token("F" * 255)
    refusal = station16.refuses("Authorize", idTag="F" * 256)
    assert refusal.description == "/idTag: not usable"


def test_a_field_too_many_does_no_harm(station16: Inbound) -> None:
    station16.adds_token("GOOD")
    answer = station16.answers("Authorize", idTag="GOOD", connectorId=1)
    assert answer["idTagInfo"]["status"] == "Accepted"
    assert station16.violations == {"unknown_field_dropped": 1}


@pytest.mark.parametrize("payload", [{}, {"idTag": ""}, {"idTag": " \x00"}, {"idTag": None}])
def test_without_a_token_there_is_nothing_to_answer(
    station16: Inbound, payload: dict[str, object]
) -> None:
    refusal = station16.refuses("Authorize", payload)
    told_unusable(refusal, "/idTag", payload.get("idTag"))
