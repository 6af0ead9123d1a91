"""The ledger keeps both sides of a transaction apart: what was done, what was acknowledged."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from chargers.facts import Acknowledged, Cause, Kind, Reading, Token, TransactionMessage
from chargers.ledger import Ledger

AT = datetime(2024, 1, 1, tzinfo=UTC)


def message(kind: Kind, number: int, energy_wh: int) -> TransactionMessage:
    reading = Reading(AT, energy_wh, 0)
    return TransactionMessage(kind, "tx", number, 1, 1, Cause.LOCAL_STOP, reading, charging=True)


def test_a_transaction_is_acknowledged_when_nothing_of_it_is_missing() -> None:
    ledger = Ledger()
    start, sample, stop = (
        message(kind, number, 1000 + 10 * number)
        for number, kind in enumerate([Kind.STARTED, Kind.READING, Kind.STOPPED])
    )
    record = ledger.started(start, Token("T"))
    for one in (start, sample, stop):
        ledger.made(one)
    assert record.finished
    assert ledger.energy_counted_wh == record.energy_wh == 20
    ledger.acknowledge(start, Acknowledged("55"))
    ledger.acknowledge(stop, Acknowledged())
    assert not record.acknowledged
    ledger.acknowledge(sample, Acknowledged("66"))
    assert record.acknowledged
    # The first name a central system gave is the one it is held to.
    assert record.central_id == "55"
    assert record.as_json()["energy_wh"] == 20


def test_what_was_given_up_is_counted() -> None:
    ledger = Ledger()
    start = message(Kind.STARTED, 0, 1000)
    ledger.started(start, Token("T"))
    ledger.give_up(start)
    assert ledger.given_up == 1
    assert ledger.running[0].given_up == ["start"]
    assert ledger.energy_counted_wh == 0


def test_an_unknown_transaction() -> None:
    with pytest.raises(KeyError):
        Ledger().record("tx")
