"""Every table that grows names how long it is kept (rule 13); what is not settled stays."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from csms.core import retention
from csms.core.commands import Command
from csms.core.entities import SHAPES
from csms.core.exchanged import CdrDelivery
from csms.core.messages import IN, Message
from csms.core.metering import MeterSample
from csms.core.retention import RULES
from csms.core.stations import UnknownStation
from csms.core.transactions import Transaction
from csms.settings import RetentionSettings
from tests.support.charging import NOW, Site, at

CUTOFF = at(1_000)
OLD, NEW = at(0), at(2_000)


def test_every_rule_has_a_setting_and_every_setting_a_rule() -> None:
    named = {rule.setting for rule in RULES} | {retention.JOURNAL_SETTING}
    assert named == set(RetentionSettings().ages())


def judged(row: Any, beside: Any = None) -> Any:
    (rule,) = [rule for rule in RULES if rule.kind is type(row)]
    return rule.judge(row, CUTOFF, beside)


def a_transaction(received: datetime, ended: datetime | None, number: int = 7) -> Transaction:
    row = Transaction(
        number, "s1", "CA*NTH", "w", 1, 1, ended is None, received, received, "accepted"
    )
    return row._replace(ended_at=ended, end_received_at=ended)


@pytest.mark.parametrize(
    ("received", "ended", "verdict"),
    [(OLD, OLD, True), (OLD, NEW, False), (OLD, None, False), (NEW, NEW, None), (NEW, None, None)],
)
def test_a_transaction_ends_with_its_end(received: Any, ended: Any, verdict: Any) -> None:
    assert judged(a_transaction(received, ended)) is verdict


@pytest.mark.parametrize(
    ("transaction", "goes", "next_transaction"),
    [
        (a_transaction(OLD, OLD), True, 0),
        (a_transaction(OLD, NEW), False, 7),
        (a_transaction(OLD, None), False, 7),
        (a_transaction(NEW, NEW), False, 2**31 - 1),
        (None, True, 0),
    ],
)
def test_samples_end_with_their_transaction(
    transaction: Any, goes: bool, next_transaction: int
) -> None:
    sample = MeterSample("s1", 0, 7, OLD, "d", OLD, "[]")
    verdict = judged(sample, transaction)
    if goes:
        assert verdict is True
    else:
        assert verdict[:3] == ("s1", 0, next_transaction)
        assert verdict > sample[:5]


def test_samples_of_an_evse_end_by_their_own_time() -> None:
    sample = MeterSample("s1", 2, 0, OLD, "d", OLD, "[]")
    assert judged(sample) is True
    assert judged(sample._replace(received_at=NEW))[:3] == ("s1", 2, 0)


@pytest.mark.parametrize(
    ("status", "finished", "verdict"),
    [
        ("accepted", OLD, True),
        ("timed_out", OLD, True),
        ("unknown", OLD, True),
        ("queued", None, False),
        ("sent", None, False),
        ("accepted", NEW, False),
    ],
)
def test_a_command_ends_when_it_is_over(status: str, finished: Any, verdict: Any) -> None:
    row = Command("c1", 1, "s1", "reset", {}, status, OLD, "me", finished_at=finished)
    assert judged(row) is verdict
    assert judged(row._replace(created_at=NEW)) is None


def test_the_log_of_one_station_says_nothing_of_the_next() -> None:
    row = Message("s1", OLD, 1, IN, "call", None, "", 0)
    assert judged(row) is True
    beyond = judged(row._replace(at=NEW))
    assert row[:3] < beyond < ("s2", OLD, 1)


def test_what_has_changed_since_it_was_seen_stays(site: Site) -> None:
    rows = [UnknownStation(f"A{n}", NOW, NOW, 1, "192.0.2.1") for n in range(3)]
    for row in rows:
        site.run(lambda tx, row=row: tx.save(row))

    def knock(tx: Any) -> None:
        tx.save(tx.get(UnknownStation, "A1")._replace(attempts=2, last_seen_at=at(1)))

    site.run(knock)
    assert site.run(retention.purge, [*rows, rows[0]._replace(identity="A9")]) == 2
    assert [site.get(UnknownStation, f"A{n}") is None for n in range(3)] == [True, False, True]


def test_what_will_be_deleted_is_loaded_in_one_query() -> None:
    row = UnknownStation("A", NOW, NOW, 1, "192.0.2.1")
    (need,) = retention.needs([row])
    assert (need.kind, need.finder, need.values) == (UnknownStation, None, ("A",))
    assert SHAPES[UnknownStation].key_of(row) == need.values


def test_the_journal_is_trimmed_from_its_oldest_end(site: Site) -> None:
    kinds = site.journal()
    site.run(retention.trim, 10_000, 1)
    assert site.journal() == kinds[1:]


@pytest.mark.parametrize(
    ("state", "settled", "verdict"),
    [
        ("due", None, False),
        ("sent", None, False),
        ("confirmed", OLD, True),
        ("refused", NEW, False),
    ],
)
def test_what_a_partner_has_not_settled_stays(state: str, settled: Any, verdict: bool) -> None:
    row = CdrDelivery("p1", "CA*NTH", "r1", "R1", state, OLD, OLD, "{}", settled_at=settled)
    assert judged(row) is verdict
