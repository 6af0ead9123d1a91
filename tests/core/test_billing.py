"""What a transaction costs: fixed at its start, due at its end, computed once."""

from __future__ import annotations

import pytest

from csms.core import billing, ends, locations, tariffs
from csms.core.authorization import Outcome
from csms.core.billing import ChargingState, Computed, State, TransactionPrice
from csms.core.transactions import TransactionReport
from tests.core.test_locations import EVSE, HERE
from tests.core.test_tariffs import FIRST
from tests.support.charging import NOW, PARTY, Site, at, wh


@pytest.fixture
def place(site: Site) -> Site:
    site.run(locations.put, HERE._replace(state="Quebec"), [EVSE], NOW)
    site.run(tariffs.put, FIRST, NOW)
    site.run(tariffs.assign, PARTY, "DAY", "LOC-1", None, NOW)
    return site


def price(site: Site, transaction_id: int) -> TransactionPrice | None:
    found: TransactionPrice | None = site.get(TransactionPrice, transaction_id)
    return found


def test_a_start_fixes_the_tariff_for_good(place: Site) -> None:
    """P12; 23 CFR 680.116(a)(2): the price that was shown does not change during the session."""
    started = place.start()
    place.run(tariffs.put, FIRST._replace(data={"price": "9.99"}), at(60))
    found = price(place, started.transaction_id)
    assert found is not None
    assert (found.tariff_id, found.tariff_version, found.currency) == ("DAY", 1, "CAD")
    assert (found.location_id, found.evse_uid, found.time_zone) == ("LOC-1", "E-1", "UTC")
    assert (found.country, found.region, found.state) == ("CA", "Quebec", State.RUNNING)
    place.start()
    assert price(place, started.transaction_id) == found


def test_where_no_tariff_applies_there_is_no_price(place: Site) -> None:
    assert price(place, place.start(evse=2).transaction_id) is None
    assert price(place, place.start(station="s2").transaction_id) is None
    place.stop(1)
    assert price(place, 1) is None


def test_an_end_makes_the_cost_due(place: Site) -> None:
    number = place.start().transaction_id
    place.meter([wh(1_500, 60)], number)
    running = price(place, number)
    assert running is not None
    assert (running.state, running.revision) == (State.RUNNING, 0)
    place.stop(number)
    ended = price(place, number)
    assert ended is not None
    assert (ended.state, ended.revision) == (State.DUE, 1)
    place.stop(number)
    assert price(place, number) == ended


@pytest.mark.parametrize("how", ["closed", "superseded"])
def test_an_end_that_nobody_reported_is_due_as_well_and_again_when_it_is(
    place: Site, how: str
) -> None:
    number = place.start().transaction_id
    if how == "closed":
        place.run(ends.close, number, at(5_000))
    else:
        place.start(4_000)
    found = price(place, number)
    assert found is not None
    assert (found.state, found.revision) == (State.DUE, 1)
    place.stop(number)
    found = price(place, number)
    assert found is not None
    assert (found.state, found.revision) == (State.DUE, 2)


def test_an_evse_that_becomes_known_later_gives_the_price_then(place: Site) -> None:
    """OCPP 2.0.1 E01: a transaction may start before a cable says where."""
    place.event(TransactionReport("T", "started", 0, at(0)))
    number = place.wire("T").id
    assert price(place, number) is None
    place.event(TransactionReport("T", "updated", 1, at(5), evse=1))
    found = price(place, number)
    assert found is not None
    assert found.state == State.RUNNING
    place.event(TransactionReport("T", "ended", 3, at(60)))
    place.event(TransactionReport("T", "updated", 2, at(30), samples=(wh(7, 30),)))
    found = price(place, number)
    assert found is not None
    assert (found.state, found.revision) == (State.DUE, 2)


def test_a_transaction_that_is_first_heard_of_at_its_end_has_a_price(place: Site) -> None:
    place.event(TransactionReport("T", "ended", 3, at(60), evse=1))
    found = price(place, place.wire("T").id)
    assert found is not None
    assert found.state == State.DUE


def test_a_cost_is_settled_once_for_each_time_it_became_due(place: Site) -> None:
    number = place.start().transaction_id
    place.stop(number)
    arguments = (number, Computed(1, ("3.00", "3.45"), {"lines": []}, at(9_000)))
    assert place.run(billing.settle, *arguments)
    found = price(place, number)
    assert found is not None
    assert (found.before_taxes, found.after_taxes) == ("3.00", "3.45")
    assert (found.state, found.computed_at) == (State.PRICED, at(9_000))
    (fact,) = place.facts("transaction_priced")
    assert (fact["transaction_id"], fact["currency"]) == (number, "CAD")
    assert (fact["after_taxes"], fact["station_id"]) == ("3.45", "s1")
    assert not place.run(billing.settle, *arguments)


def test_a_computation_that_was_overtaken_is_ignored(place: Site) -> None:
    number = place.start().transaction_id
    place.stop(number)
    place.run(billing.due, number)
    assert not place.run(billing.settle, number, Computed(1, ("1.00", "1.00"), {}, at(9_000)))
    assert "stale_price_ignored" in place.marks()
    assert place.run(billing.settle, number, Computed(2, ("2.00", "2.00"), {}, at(9_001)))
    found = price(place, number)
    assert found is not None
    assert found.after_taxes == "2.00"


def test_a_location_that_is_not_there_any_more_gives_no_price(place: Site) -> None:
    place.run(locations.remove_evse, PARTY, "E-1", at(1))
    assert price(place, place.start(2).transaction_id) is None


# -- the charging states that idle fees need -------------------------------------------------------


def states(site: Site, transaction_id: int) -> list[tuple[float, str]]:
    rows = site.run(lambda tx: tx.find(ChargingState, "transaction", transaction_id))
    return [((row.at - NOW).total_seconds(), row.state) for row in rows]


def test_changes_of_the_charging_state_are_kept_in_whatever_order_they_come(place: Site) -> None:
    for seq, seconds, state in (
        (0, 0, "EVConnected"),
        (1, 10, "Charging"),
        (2, 20, "Charging"),
        (4, 40, "Charging"),
        (3, 30, "SuspendedEV"),
        (3, 30, "SuspendedEV"),
    ):
        kind = "updated" if seq else "started"
        report = TransactionReport("T", kind, seq, at(seconds), evse=1, charging_state=state)
        place.event(report, 100)
    found = states(place, place.wire("T").id)
    assert found == [(0, "EVConnected"), (10, "Charging"), (30, "SuspendedEV")]


def test_no_state_is_kept_where_nothing_has_a_price(place: Site) -> None:
    place.event(TransactionReport("T", "started", 0, at(0), evse=2, charging_state="Charging"))
    assert states(place, place.wire("T").id) == []


def test_the_status_of_a_connector_is_the_state_of_its_transaction(place: Site) -> None:
    """OCPP 1.6 4.9: SuspendedEV and SuspendedEVSE are told apart; only the first may cost."""
    number = place.start().transaction_id
    for seconds, status in enumerate(
        ("preparing", "charging", "suspended_evse", "suspended_ev", "finishing", "available")
    ):
        place.run(billing.connector_changed, "s1", 1, at(seconds), status)
        place.run(billing.connector_changed, "s1", 2, at(seconds), status)
    assert states(place, number) == [
        (1, "Charging"),
        (2, "SuspendedEVSE"),
        (3, "SuspendedEV"),
        (4, "EVConnected"),
    ]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_who_was_refused_and_drew_nothing_is_not_billed(site: Site, outcome: Outcome) -> None:
    """OCPI 2.2.1 mod_sessions, SessionStatus INVALID: it will not be billed. A second charge of a
    driver (concurrent) is refused as well."""
    t = site.transaction(site.start().transaction_id)._replace(outcome=outcome, energy_wh=0)
    assert billing.refused(t) is (outcome is not Outcome.ACCEPTED)
    assert not billing.refused(t._replace(energy_wh=1)), "what was drawn all the same is paid"


def test_what_came_until_the_station_had_obeyed_is_not_billed(site: Site) -> None:
    """OCPP 1.6 4.8: a station that is told no stops what it had begun meanwhile."""
    t = site.transaction(site.start().transaction_id)._replace(
        outcome=Outcome.CONCURRENT, energy_wh=2, stop_reason="DeAuthorized", ended_at=at(9)
    )
    assert billing.refused(t)
    assert not billing.refused(t._replace(outcome=Outcome.ACCEPTED))
    assert not billing.refused(t._replace(stop_reason="Local"))
    assert not billing.refused(t._replace(ended_at=at(3_600))), "it was offline, and charged"
