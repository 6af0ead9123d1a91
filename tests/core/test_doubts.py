"""Ends whose sequence numbers leave a gap are a reason to ask."""

from __future__ import annotations

from datetime import timedelta

from csms.core import doubts
from csms.core.doubts import Doubt
from csms.core.flags import SEQUENCE_GAP, SEQUENCE_REPEATED
from csms.core.ports import Tx
from csms.core.transactions import Transaction
from csms.storage.open import open_inline
from tests.support.ocpp import NOW, PARTY, at_once


def transaction(seen: str, *, open: bool = False, flags: tuple[str, ...] = ()) -> Transaction:  # noqa: A002
    return Transaction(
        7, "s1", PARTY, "tx", 1, 1, open, NOW, NOW, "accepted", seen=seen, flags=flags
    )


def test_an_open_transaction_may_still_be_told_of() -> None:
    store = open_inline()
    t = transaction("0,3", open=True)
    assert store.run(doubts.judge_gap, t, NOW) is t


def test_a_gap_is_marked_asked_about_and_forgotten_when_it_closes() -> None:
    store = open_inline()
    marked = store.run(doubts.judge_gap, transaction("0-1,4"), NOW)
    assert marked.flags == (SEQUENCE_GAP,)
    assert at_once(store.reader.page(Doubt)) == [Doubt("s1", 7, NOW)]
    assert store.run(doubts.judge_gap, marked, NOW) is marked, "once"
    closed = store.run(doubts.judge_gap, marked._replace(seen="0-4"), NOW)
    assert closed.flags == ()
    assert at_once(store.reader.page(Doubt)) == []


def test_an_end_without_a_start_lacks_a_message() -> None:
    """OCPP 2.x: also where no number is missing between those that came."""
    store = open_inline()
    ended = transaction("7")._replace(end_order="7")
    marked = store.run(doubts.judge_gap, ended, NOW)
    assert marked.flags == (SEQUENCE_GAP,)
    assert (
        store.run(doubts.judge_gap, marked._replace(start_order="0", seen="0-7"), NOW).flags == ()
    )


def test_a_known_number_with_something_new_is_marked_and_a_retry_is_not() -> None:
    """DESIGN rule of exactly once: stations repeat a sequence number with other content."""
    before = transaction("0-2", open=True)
    retried = before._replace(heard_at=NOW)
    assert doubts.judge_repeated(before, retried, 2, 0) is retried
    assert doubts.judge_repeated(before, before, 2, 1).flags == (SEQUENCE_REPEATED,)
    changed = before._replace(charging_state="Idle")
    assert doubts.judge_repeated(before, changed, 2, 0).flags == (SEQUENCE_REPEATED,)
    assert doubts.judge_repeated(before, changed, 3, 0).flags == (), "a new number"
    assert doubts.judge_repeated(None, changed, 0, 0).flags == (), "the first message"


def test_a_station_is_asked_about_what_a_later_charge_has_overtaken() -> None:
    store = open_inline()
    older = transaction("0", open=True)
    newer = older._replace(id=8, wire_id="U", started_at=NOW + timedelta(minutes=5))
    elsewhere = newer._replace(id=9, wire_id="V", evse=2)

    def both(tx: Tx, *rows: Transaction) -> None:
        for row in rows:
            tx.save(row)
        doubts.judge_overtaken(tx, rows[0], NOW)

    store.run(both, older, elsewhere)
    assert at_once(store.reader.page(Doubt)) == []
    store.run(both, newer)
    assert at_once(store.reader.page(Doubt)) == [], "the newer one goes on"
    store.run(doubts.judge_overtaken, older, NOW)
    assert at_once(store.reader.page(Doubt)) == [Doubt("s1", 7, NOW)]
