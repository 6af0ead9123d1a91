"""Ends that no station has reported: estimates, at the last sign of life."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from csms.core import ends
from csms.core.billing import State, TransactionPrice
from csms.core.errors import NotFound, Refused
from csms.core.metering import Sample
from csms.core.tokens import Shown
from csms.core.transactions import STARTED, UPDATED, Transaction, TransactionReport
from tests.support.charging import Site, at, wh

POWER = ({"value": "5", "measurand": "Power.Active.Import", "unit": "W"},)


def test_a_new_start_on_a_connector_ends_the_older_by_estimate(site: Site) -> None:
    first = site.start(0).transaction_id
    site.meter([wh(1_500, 600)], first, seconds=600)
    other = site.start(0, evse=2).transaction_id
    second = site.start(7_200, 2_000).transaction_id
    row = site.transaction(first)
    assert (row.open, row.end_kind, row.ended_at) == (False, "superseded", at(600))
    assert (row.energy_wh, row.flags) == (500, ("superseded",))
    assert site.transaction(second).open
    assert site.transaction(other).open


def test_the_late_stop_of_a_superseded_transaction_is_its_end(site: Site) -> None:
    first = site.start(0).transaction_id
    site.start(7_200, 2_000)
    site.stop(first, 3_600, 1_900, received=7_300)
    row = site.transaction(first)
    assert (row.end_kind, row.ended_at, row.energy_wh) == ("reported", at(3_600), 900)
    assert row.flags == ()


def test_a_clock_that_was_set_back_ends_nothing_before_its_start(site: Site) -> None:
    first = site.start(0, clock=at(36_000)).transaction_id
    site.meter([wh(1_500, 600)], first, seconds=600)
    site.start(7_200, 2_000)
    assert site.transaction(first).ended_at == at(36_000)


# -- an operator decides ---------------------------------------------------------------------------


def test_an_operator_ends_a_charge_at_its_last_reading(site: Site) -> None:
    number = site.start(0).transaction_id
    site.meter([wh(2_000, 60)], number)
    row = site.run(ends.close, number, at(4_000))
    assert (row.end_kind, row.ended_at, row.energy_wh) == ("closed", at(60), 1_000)
    with pytest.raises(Refused):
        site.run(ends.close, number, at(4_001))
    with pytest.raises(NotFound):
        site.run(ends.close, 4_711, at(4_001))


def test_readings_after_an_estimated_end_count_and_are_priced(site: Site) -> None:
    """What a station kept offline comes after somebody has given up on it."""
    closed = site.start(0).transaction_id
    site.meter([wh(2_000, 60)], closed)
    site.run(ends.close, closed, at(4_000))
    superseded = site.start(0, evse=2).transaction_id
    site.start(7_200, 9_000, evse=2)
    for number in (closed, superseded):
        site.price(number)
        site.meter([wh(21_000, 3_600)], number, seconds=8_000)
        row = site.transaction(number)
        assert (row.energy_wh, row.ended_at) == (20_000, at(3_600))
        assert site.get(TransactionPrice, number).state == State.DUE


# -- the station says that it is over --------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "ended"),
    [(datetime(2099, 1, 1, tzinfo=UTC), at(1_800)), (at(80_000), at(7_200))],
)
def test_a_lost_charge_does_not_last_until_a_time_that_has_not_come(
    site: Site, said: datetime, ended: datetime
) -> None:
    """Samples keep the time of their station's clock, whatever that is worth."""
    site.event(TransactionReport("W", STARTED, 0, at(0), 1, 1, Shown("CARD")))
    sample = Sample(said, POWER)
    site.event(TransactionReport("W", UPDATED, 1, at(1_800), samples=(wh(5_000, 1_800), sample)))
    row = site.run(lambda tx: ends.lose(tx, tx.get(Transaction, 1), at(7_200)))
    assert (row.end_kind, row.ended_at) == ("lost", ended)
