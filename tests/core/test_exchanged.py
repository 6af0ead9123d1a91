"""The outbox of records, and the records of others (OCPI 2.2.1 mod_cdrs)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.core import exchanged
from csms.core.cdrs import Cdr
from csms.core.errors import Refused
from csms.core.exchanged import CdrDelivery, Delivery, ReceivedCdr
from csms.storage.open import open_inline

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = ("p1", "CA*NTH", "r1")
OURS = Cdr("CA*NTH", "r1", "R1", 7, NOW, NOW, NOW, "US*STH", "CARD", "CAD", 10_000, "3.00", "3.45")
THEIRS = ReceivedCdr(
    party_id="US*STH",
    id_key="",
    id="C1",
    partner_id="p1",
    received_at=NOW,
    started_at=NOW,
    ended_at=NOW,
    token_party="CA*NTH",
    token_uid="CARD",
    currency="USD",
    energy_kwh="10",
    before_taxes="3",
    after_taxes=None,
    digest="d1",
    body="{}",
)


@pytest.fixture
def run() -> Callable[..., Any]:
    return open_inline().run


def delivery(run: Callable[..., Any]) -> CdrDelivery:
    found: CdrDelivery = run(lambda tx: tx.get(CdrDelivery, *KEY))
    return found


def test_a_record_is_owed_once(run: Callable[..., Any]) -> None:
    assert run(exchanged.owe, "p1", OURS, "{}", NOW)
    assert not run(exchanged.owe, "p1", OURS, "{}", NOW)
    assert run(exchanged.owe, "p2", OURS, "{}", NOW)
    assert (delivery(run).state, delivery(run).next_at) == (Delivery.DUE, NOW)


def test_what_cannot_be_told_is_shown_as_refused(run: Callable[..., Any]) -> None:
    run(exchanged.owe, "p1", OURS, None, NOW)
    assert delivery(run).state == Delivery.REFUSED
    assert "2.2.1" in (delivery(run).error or "")
    assert run(exchanged.sending, KEY, NOW) is None


def test_an_attempt_is_noted_before_it_is_made_and_waits_grow_to_a_bound(
    run: Callable[..., Any],
) -> None:
    run(exchanged.owe, "p1", OURS, "{}", NOW)
    waits = []
    for _ in range(14):
        row = run(exchanged.sending, KEY, NOW)
        assert delivery(run) == row
        assert row.state == Delivery.SENT
        waits.append(row.next_at - NOW)
    assert waits[:3] == [timedelta(seconds=2), timedelta(seconds=4), timedelta(seconds=8)]
    assert waits[-1] == exchanged.LONGEST_WAIT


def test_what_is_settled_stays_settled(run: Callable[..., Any]) -> None:
    run(exchanged.owe, "p1", OURS, "{}", NOW)
    run(exchanged.sending, KEY, NOW)
    run(exchanged.unsettled, KEY, "HTTP 502", "https://south/1")
    assert (delivery(run).error, delivery(run).location) == ("HTTP 502", "https://south/1")
    run(exchanged.confirmed, KEY, None, NOW)
    settled = delivery(run)
    assert (settled.state, settled.error) == (Delivery.CONFIRMED, None)
    assert settled.location == "https://south/1"
    run(exchanged.refused, KEY, "no", NOW)
    run(exchanged.unsettled, KEY, "late", None)
    assert run(exchanged.sending, KEY, NOW) is None
    assert delivery(run) == settled


def test_a_record_of_theirs_is_kept_once_and_never_changes(run: Callable[..., Any]) -> None:
    assert run(exchanged.keep, THEIRS)
    later = THEIRS._replace(received_at=NOW + timedelta(days=1))
    assert not run(exchanged.keep, later)
    with pytest.raises(Refused, match="other content"):
        run(exchanged.keep, THEIRS._replace(id="c1", digest="d2"))
    found = run(lambda tx: tx.get(ReceivedCdr, "US*STH", "c1"))
    assert found == THEIRS._replace(id_key="c1")


def test_what_an_earlier_connection_has_settled_is_not_owed_again(run: Callable[..., Any]) -> None:
    run(exchanged.owe, "p1", OURS, "{}", NOW)
    run(exchanged.confirmed, KEY, None, NOW)
    assert not run(exchanged.owe, "p2", OURS, "{}", NOW, ("p0", "p1"))
    assert run(lambda tx: tx.find(CdrDelivery, "cdr", "CA*NTH", "r1")) == [delivery(run)]
    assert run(exchanged.owe, "p3", OURS, "{}", NOW, ("p0",)), "it was no connection of theirs"


def test_what_an_earlier_connection_owed_is_owed_by_the_one_after_it(
    run: Callable[..., Any],
) -> None:
    """With the text of the first attempt, and without the place that it had there: our token is for
    the host of this connection alone."""
    later = NOW + timedelta(days=1)
    run(exchanged.owe, "p1", OURS, "{}", NOW)
    run(exchanged.sending, KEY, NOW)
    run(exchanged.unsettled, KEY, "HTTP 502", "https://south/1")
    before = delivery(run)
    assert not run(exchanged.owe, "p2", OURS, "other", later, ("p1",))
    (row,) = run(lambda tx: tx.find(CdrDelivery, "cdr", "CA*NTH", "r1"))
    assert row == before._replace(partner_id="p2", next_at=later, location=None)
    assert not run(exchanged.move, KEY, "p2", later), "it was moved"
    run(exchanged.refused, row.key, "no", later)
    assert not run(exchanged.move, row.key, "p3", later), "it is settled"
