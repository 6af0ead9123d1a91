"""What the journal is told of a charge."""

from __future__ import annotations

from csms.core import charge_events
from csms.core.billing import State, TransactionPrice
from tests.support.charging import Site, at, wh


def test_a_charge_is_told_of_from_its_start_to_its_end(site: Site) -> None:
    number = site.start(0).transaction_id
    site.meter([wh(1_500, 60)], number)
    site.stop(number, 3_600, 2_000)
    (started,) = site.facts("transaction_started")
    (updated,) = site.facts("transaction_updated")
    (ended,) = site.facts("transaction_ended")
    assert (started["meter_start_wh"], started["outcome"]) == (1_000, "accepted")
    assert (updated["energy_wh"], updated["samples"]) == (500, 1)
    assert (ended["energy_wh"], ended["end_kind"]) == (1_000, "reported")


def test_an_end_makes_the_price_due(site: Site) -> None:
    number = site.start(0).transaction_id
    site.price(number)
    site.run(charge_events.ended, at(60), site.transaction(number))
    assert site.get(TransactionPrice, number).state == State.DUE
    assert site.journal()[-1] == "transaction_ended"
