"""Authorization: deny by default, and say why (OCPP 1.6 4.1, TC_023; OCPP 2.0.1 C01, C02)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from csms.core import authorization
from csms.core.authorization import NO_AUTHORIZATION, Authorization, Outcome
from csms.core.flags import END_MISSING_PERHAPS
from csms.core.metering import Sample
from csms.core.ports import Tx
from csms.core.tokens import Shown, Token
from csms.core.transactions import (
    STARTED,
    UPDATED,
    Transaction,
    TransactionReport,
)
from tests.support.charging import NOW, Site, at, origin, wh


def worth(site: Site, uid: str, seconds: float = 0, kind: str = "rfid") -> Authorization:
    return site.run(authorization.authorize, Shown(uid, kind), at(seconds))


def test_outcomes_are_told_apart(site: Site) -> None:
    site.card("BLOCKED", blocked=True, expires_at=at(-9))
    site.card("OLD", expires_at=NOW, group_id="G")
    assert worth(site, "CARD").outcome is Outcome.ACCEPTED
    assert worth(site, "BLOCKED").outcome is Outcome.BLOCKED
    assert worth(site, "NOBODY") == Authorization(Outcome.INVALID)
    assert worth(site, "OLD") == Authorization(Outcome.EXPIRED, "G", NOW)
    assert worth(site, "OLD", -0.001).outcome is Outcome.ACCEPTED


def test_case_and_kind_as_reported_take_no_part(site: Site) -> None:
    for uid, kind in (("card", "rfid"), ("CARD ", "ISO15693"), ("Card", "app")):
        assert worth(site, uid, kind=kind).outcome is Outcome.ACCEPTED


def test_of_several_parties_tokens_the_good_one_counts(site: Site) -> None:
    for party, changes in (
        ("AA*AAA", {"blocked": True}),
        ("BB*BBB", {"expires_at": at(-1)}),
        ("CC*CCC", {"group_id": "good"}),
    ):
        site.card("SAME", party_id=party, **changes)
    assert worth(site, "SAME") == Authorization(Outcome.ACCEPTED, "good")


def test_of_tokens_that_are_no_good_the_one_not_blocked_is_told(site: Site) -> None:
    site.card("SAME", party_id="AA*AAA", blocked=True)
    site.card("SAME", party_id="BB*BBB", expires_at=at(-1))
    assert worth(site, "SAME").outcome is Outcome.EXPIRED


def test_a_free_station_asks_nobody(site: Site) -> None:
    """C02: NoAuthorization is no token, so it is never concurrent either."""
    free = Shown("", NO_AUTHORIZATION)
    site.start(0)
    for ask in (authorization.authorize, authorization.authorize_start):
        assert site.run(ask, free, NOW).outcome is Outcome.ACCEPTED


def test_asking_is_journaled_and_changes_nothing(site: Site) -> None:
    found = site.run(authorization.ask, origin(0), Shown("NOBODY"))
    assert found.outcome is Outcome.INVALID
    assert site.journal()[-1] == "token_authorized"
    site.start(0)
    assert site.run(authorization.ask, origin(5), Shown("CARD")).outcome is Outcome.ACCEPTED


def test_a_bad_token_is_told_its_own_fault_before_concurrency(site: Site) -> None:
    site.card("OLD", expires_at=at(100))
    site.start(0, card="OLD")
    found = site.run(authorization.authorize_start, Shown("OLD"), at(200))
    assert found.outcome is Outcome.EXPIRED


def test_needs_name_what_is_read() -> None:
    kinds = [(need.kind, need.finder, need.values) for need in authorization.needs(" CARD")]
    assert kinds == [(Token, "uid", ("card",)), (Transaction, "open_by_token", ("card", True))]


# -- transactions whose end never came -------------------------------------------------------------

DAY_S = 86_400


def elsewhere(site: Site, seconds: float) -> Outcome:
    """What a start at another station would be told then."""
    return site.run(authorization.authorize_start, Shown("CARD"), at(seconds)).outcome


def test_a_transaction_that_nobody_hears_of_does_not_hold_its_driver_back(site: Site) -> None:
    """Its station has lost the end of it."""
    site.start(0)
    assert elsewhere(site, DAY_S - 1) is Outcome.CONCURRENT
    assert elsewhere(site, DAY_S + 1) is Outcome.ACCEPTED
    assert site.start(DAY_S + 1, station="s2").authorization.outcome is Outcome.ACCEPTED


def test_a_transaction_that_has_perhaps_ended_does_not_hold_its_driver_back(site: Site) -> None:
    """Its connector has been free for a while and it is silent: the driver has left."""
    number = site.start(0).transaction_id
    assert elsewhere(site, 600) is Outcome.CONCURRENT

    def doubted(tx: Tx) -> None:
        tx.save(tx.get(Transaction, number)._replace(flags=(END_MISSING_PERHAPS,)))  # type: ignore[union-attr]

    site.run(doubted)
    assert elsewhere(site, 600) is Outcome.ACCEPTED


def told(event: str, seq: int, seconds: float, **fields: Any) -> TransactionReport:
    return TransactionReport("T", event, seq, at(seconds), **fields)


@pytest.mark.parametrize("how", ["samples", "samples without a time", "a state"])
def test_a_sign_of_life_keeps_it_concurrent(site: Site, how: str) -> None:
    heard = 20 * 3_600
    if how == "a state":
        site.event(told(STARTED, 0, 0, evse=1, token=Shown("CARD")))
        site.event(told(UPDATED, 1, heard, charging_state="SuspendedEV"))
    else:
        tid = site.start(0).transaction_id
        sample = wh(1_500, heard)
        if how == "samples without a time":
            sample = Sample(None, sample.readings)
        site.meter([sample], tid, seconds=heard)
    assert elsewhere(site, heard + DAY_S - 1) is Outcome.CONCURRENT
    assert elsewhere(site, heard + DAY_S + 1) is Outcome.ACCEPTED


def test_a_clock_that_runs_ahead_is_no_sign_of_life(site: Site) -> None:
    tid = site.start(0).transaction_id
    site.meter([Sample(datetime(2099, 1, 1, tzinfo=UTC), wh(1_500, 0).readings)], tid)
    assert elsewhere(site, 2 * DAY_S) is Outcome.ACCEPTED
