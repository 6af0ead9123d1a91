"""Ends whose sequence numbers leave a gap are a reason to ask."""

from __future__ import annotations

from csms.core import doubts
from csms.core.doubts import SEQUENCE_GAP, Doubt
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
