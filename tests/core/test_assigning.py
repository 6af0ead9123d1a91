"""A kept report is placed by an operator, once, as if it had found its place by itself (rule 4)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import assigning, ends, quarantine
from csms.core.assigning import Assigned, Rehearsed
from csms.core.billing import State, TransactionPrice
from csms.core.errors import NotFound, Refused
from csms.core.metering import MeterSample
from csms.core.quarantine import Quarantined
from csms.core.transactions import Transaction
from tests.support.charging import Site, at, origin, wh


def assign(site: Site, kept: str, transaction_id: int, found: Any = ()) -> Assigned:
    done: Assigned = site.run(assigning.assign, kept, transaction_id, "ops", at(9_000), found)
    return done


def a_lost_stop(site: Site, **more: Any) -> str:
    """A stop that names a transaction that nobody knows."""
    site.stop(999, 3_600, 11_000, reason="EVDisconnected", **more)
    (kept,) = site.rows(Quarantined)
    return str(kept.id)


def test_a_stop_ends_the_transaction_as_the_station_reported(site: Site) -> None:
    number = site.start(0, 1_000).transaction_id
    kept = a_lost_stop(site, card="CARD", samples=[wh(6_000, 1_800)])
    done = assign(site, kept, number)
    t = site.transaction(number)
    assert done == Assigned(done.before, t, 1)
    assert done.before.open
    assert (t.open, t.energy_wh, t.ended_at) == (False, 10_000, at(3_600))
    assert (t.end_kind, t.stop_reason, t.stop_token_uid) == ("reported", "EVDisconnected", "CARD")
    assert "assigned" in t.flags
    assert site.samples() == [(1_800, 6_000)]
    assert site.facts("transaction_ended")[-1]["energy_wh"] == 10_000
    row = site.get(Quarantined, kept)
    assert (row.assigned_to, row.assigned_at, row.assigned_by) == (number, at(9_000), "ops")


def test_an_estimated_end_gives_way(site: Site) -> None:
    """A later start on the same connector had ended it by a guess."""
    number = site.start(0, 1_000).transaction_id
    site.start(4_000, 11_000)
    assert site.transaction(number).end_kind == "superseded"
    assign(site, a_lost_stop(site), number)
    t = site.transaction(number)
    assert (t.end_kind, t.energy_wh, t.flags) == ("reported", 10_000, ("assigned",))


def test_a_report_is_assigned_once(site: Site) -> None:
    number = site.start(0, 1_000).transaction_id
    other = site.start(0, 1_000, evse=2).transaction_id
    kept = a_lost_stop(site)
    assign(site, kept, number)
    before = site.state()
    for target in (number, other):
        with pytest.raises(Refused, match="already"):
            assign(site, kept, target)
    assert site.state() == before


def test_an_end_that_the_station_reported_is_not_changed(site: Site) -> None:
    number = site.start(0, 1_000).transaction_id
    site.stop(number, 600, 2_000)
    kept = a_lost_stop(site)
    with pytest.raises(Refused, match="reported"):
        assign(site, kept, number)
    assert site.transaction(number).energy_wh == 1_000


def test_a_report_stays_with_its_station(site: Site) -> None:
    elsewhere = site.start(0, 1_000, station="s2").transaction_id
    kept = a_lost_stop(site)
    for target in (elsewhere, 12_345):
        with pytest.raises(Refused, match="no transaction"):
            assign(site, kept, target)
    with pytest.raises(NotFound):
        assign(site, "nothing", elsewhere)


def test_meter_values_become_samples(site: Site) -> None:
    number = site.start(0, 1_000).transaction_id
    site.meter([wh(1_500, 600), wh(2_500, 1_200)], 999, seconds=1_200)
    (kept,) = site.rows(Quarantined)
    found = [row for row in site.rows(MeterSample) if row.transaction_id == 0]
    assert len(found) == 2
    done = assign(site, kept.id, number, found)
    assert done.samples == 2
    assert site.transaction(number).energy_wh == 1_500
    mine = [row for row in site.rows(MeterSample) if row.transaction_id == number]
    assert [row.readings for row in mine] == [row.readings for row in found]
    assert site.facts("transaction_updated")[-1]["samples"] == 2


def test_meter_values_change_the_price_of_an_estimated_end(site: Site) -> None:
    number = site.start(0, 1_000).transaction_id
    site.meter([wh(2_500, 1_200)], 999, seconds=1_200)
    (kept,) = site.rows(Quarantined)
    found = [row for row in site.rows(MeterSample) if row.transaction_id == 0]
    site.run(ends.close, number, at(4_000))
    site.price(number)
    done = assign(site, kept.id, number, found)
    assert (done.after.energy_wh, done.after.ended_at) == (1_500, at(1_200))
    assert site.get(TransactionPrice, number).state == State.DUE


def test_meter_values_after_the_reported_end_change_no_energy(site: Site) -> None:
    number = site.start(0, 1_000).transaction_id
    site.meter([wh(1_500, 600)], 999, seconds=600)
    site.stop(number, 1_000, 1_400)
    (kept,) = site.rows(Quarantined)
    found = [row for row in site.rows(MeterSample) if row.transaction_id == 0]
    assign(site, kept.id, number, found)
    assert site.transaction(number).energy_wh == 400


def test_what_has_no_content_cannot_be_placed(site: Site) -> None:
    number = site.start(0, 1_000).transaction_id
    facts = {"action": "X", "payload": {}}
    for kind, payload in (("call", facts), ("meter_values", {"evse": 1}), ("ended", {"id": 1})):
        kept = site.run(quarantine.put, origin(5), kind, "reason", payload)
        with pytest.raises(Refused):
            assign(site, kept, number)
        assert site.get(Quarantined, kept).assigned_to is None


def test_a_rehearsal_changes_nothing(site: Site) -> None:
    number = site.start(0, 1_000).transaction_id
    kept = a_lost_stop(site)
    before = site.state()
    with pytest.raises(Rehearsed) as rehearsed:
        site.run(assigning.rehearse, kept, number, "ops", at(9_000))
    assert rehearsed.value.result.after.energy_wh == 10_000
    assert site.state() == before
    assert site.get(Transaction, number).open
