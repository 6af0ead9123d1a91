"""Authorize of a 2.x station (OCPP 2.0.1 C01 to C12)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.ocpp import NOW, Inbound, event, rfid, told_unusable


def ask(station: Inbound, uid: object, kind: object = "ISO14443") -> dict[str, Any]:
    answer = station.answers("Authorize", idToken={"idToken": uid, "type": kind})
    return answer["idTokenInfo"]


def test_the_outcomes_are_told_apart(station2: Inbound) -> None:
    """TC_C_02, C_06, C_07."""
    station2.adds_token("GOOD")
    station2.adds_token("BLOCKED", blocked=True)
    station2.adds_token("OLD", expires_at=NOW - timedelta(seconds=1))
    assert ask(station2, "GOOD") == {"status": "Accepted"}
    assert ask(station2, "BLOCKED") == {"status": "Blocked"}
    expired = {"status": "Expired", "cacheExpiryDateTime": "2024-05-01T11:59:59Z"}
    assert ask(station2, "OLD") == expired
    assert ask(station2, "NOBODY") == {"status": "Invalid"}


def test_the_group_is_in_every_answer(station2: Inbound) -> None:
    """C09.FR.09, C09.FR.12; TC_C_39."""
    station2.adds_token("GOOD", group_id="FLEET")
    group = {"idToken": "FLEET", "type": "Central"}
    assert ask(station2, "GOOD") == {"status": "Accepted", "groupIdToken": group}
    answer = station2.answers("TransactionEvent", event("Started", 0, idToken=rfid("GOOD")))
    assert answer["idTokenInfo"]["groupIdToken"] == group


def test_a_group_that_does_not_fit_is_left_out(station2: Inbound) -> None:
    station2.adds_token("GOOD", group_id="G" * 37)
    assert ask(station2, "GOOD") == {"status": "Accepted"}


@pytest.mark.parametrize("uid", ["", "x"])
def test_no_authorization_is_accepted(station2: Inbound, uid: str) -> None:
    """C02.FR.02."""
    assert ask(station2, uid, "NoAuthorization") == {"status": "Accepted"}


def test_an_open_transaction_is_no_reason_to_refuse_the_question(station2: Inbound) -> None:
    """Reference 2d: Accepted both times, Authorize and then TransactionEvent(Authorized)."""
    station2.adds_token("04A2")
    token = rfid("04A2")
    assert ask(station2, "04A2")["status"] == "Accepted"
    for seq in (0, 1):
        kind = "Started" if seq == 0 else "Updated"
        answer = station2.answers(
            "TransactionEvent", event(kind, seq, evse={"id": 1}, idToken=token)
        )
        assert answer["idTokenInfo"]["status"] == "Accepted"
    assert ask(station2, "04A2")["status"] == "Accepted"
    elsewhere = event("Started", 0, evse={"id": 2}, idToken=token, info={"transactionId": "tx-2"})
    answer = station2.answers("TransactionEvent", elsewhere)
    assert answer["idTokenInfo"]["status"] == "ConcurrentTx"


# -- bent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "uid"),
    [
        ("\x10\x0eF6CA0CC5", "F6CA0CC5"),
        (" F6 CA 0C C5 ", "F6 CA 0C C5"),
        ("F" * 37, "F" * 37),
        (12345678, "12345678"),
    ],
)
def test_a_bent_token_is_the_one_that_is_meant(station2: Inbound, sent: object, uid: str) -> None:
    station2.adds_token(uid)
    assert ask(station2, sent) == {"status": "Accepted"}


def test_a_token_that_is_longer_than_any_is_not_cut_to_one_that_exists(station2: Inbound) -> None:
    station2.adds_token("F" * 255)
    refusal = station2.refuses("Authorize", idToken=rfid("F" * 256))
    assert refusal.description == "/idToken/idToken: not usable"


@pytest.mark.parametrize("kind", [None, 5, "Rfid", ""])
def test_an_unknown_technology_does_not_matter(station2: Inbound, kind: object) -> None:
    station2.adds_token("GOOD")
    assert ask(station2, "GOOD", kind) == {"status": "Accepted"}


@pytest.mark.parametrize(
    "payload", [{}, {"idToken": None}, {"idToken": "GOOD"}, {"idToken": {"type": "ISO14443"}}]
)
def test_without_a_token_there_is_nothing_to_answer(
    station2: Inbound, payload: dict[str, Any]
) -> None:
    refusal = station2.refuses("Authorize", payload)
    shown = payload.get("idToken")
    said = shown.get("idToken") if isinstance(shown, dict) else None
    told_unusable(refusal, "/idToken/idToken", said)
