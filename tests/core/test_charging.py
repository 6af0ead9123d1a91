"""What a station's start, stop and readings do (OCPP 1.6 4.2, 4.7, 4.8, 4.10, errata 3.18, 3.54).

The station is always answered, its report is kept, and a repetition changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from csms.core.authorization import Outcome
from csms.core.charging import START_RETRY_WINDOW
from csms.core.errors import NotFound
from csms.core.metering import MeterSample, Sample
from csms.core.quarantine import Quarantined
from csms.core.transactions import Transaction, TransactionReport
from tests.support.charging import Site, at, wh

UNSET = datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)


# -- start ---------------------------------------------------------------------------------------


def test_a_start_opens_a_transaction(site: Site) -> None:
    started = site.start(0, 1_000)
    row = site.transaction(started.transaction_id)
    assert started.authorization.outcome is Outcome.ACCEPTED
    assert 0 < row.id < 2**31
    assert row.wire_id == f"#{row.id}"
    assert (row.open, row.evse, row.connector, row.started_at) == (True, 1, 1, at(0))
    assert (row.token_uid, row.token_key, row.outcome) == ("CARD", "card", "accepted")
    assert (row.party_id, row.first_wh, row.energy_wh, row.flags) == ("CA*NTH", 1_000, 0, ())


@pytest.mark.parametrize("card", ["CARD", "card", "NOBODY"])
def test_a_start_sent_again_gets_the_same_answer(site: Site, card: str) -> None:
    """Key: station, connector, token, time, meter; the message id takes no part
    (matth-x/MicroOcpp#237)."""
    first = site.start(0, card=card)
    before = site.state()
    assert site.start(0, card=card, received=30) == first
    assert site.start(0, card=card, received=86_000) == first
    assert site.state() == before
    assert site.marks().count("start_deduplicated") == 2


@pytest.mark.parametrize(
    "other",
    [{"seconds": 1}, {"meter_wh": 1_001}, {"evse": 2}, {"card": "NOBODY"}, {"station": "s2"}],
    ids=str,
)
def test_a_start_that_differs_in_its_key_is_another_one(site: Site, other: dict[str, Any]) -> None:
    first = site.start(0)
    assert site.start(**{"seconds": 0, **other}).transaction_id != first.transaction_id


def test_an_unset_clock_makes_a_start_a_retry_only_for_a_while(site: Site) -> None:
    """1970 cannot tell two starts apart (rule 2): only the window of receipt can."""
    window = START_RETRY_WINDOW.total_seconds()
    first = site.start(0, clock=UNSET)
    row = site.transaction(first.transaction_id)
    assert (row.started_at, row.flags, row.start_key) == (at(0), ("clock_suspect",), None)
    assert site.start(window, clock=UNSET) == first
    again = site.start(window + 1, clock=UNSET)
    assert again.transaction_id != first.transaction_id
    assert not site.transaction(first.transaction_id).open
    assert again.authorization.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    "clock", [UNSET, None, datetime(2014, 12, 31, tzinfo=UTC), at(86_401)], ids=str
)
def test_which_clocks_cannot_be_believed(site: Site, clock: datetime | None) -> None:
    first = site.start(0, clock=clock)
    assert site.transaction(first.transaction_id).started_at == at(0)
    assert site.start(5, clock=clock) == first


def test_an_unset_clock_and_another_meter_is_another_start(site: Site) -> None:
    first = site.start(0, 1_000, clock=UNSET)
    assert site.start(5, 2_000, clock=UNSET).transaction_id != first.transaction_id


def test_what_an_older_clock_hears_is_no_older(site: Site) -> None:
    """Nodes' clocks differ by seconds: a partner that was told of a charge by one would take its
    end, told by another, for outdated."""
    number = site.start(0).transaction_id
    site.meter([wh(2_000, 60)], number, seconds=60)
    site.stop(number, 70, 3_000, received=57)
    row = site.transaction(number)
    assert (row.open, row.heard_at) == (False, at(60))


def test_what_an_older_clock_hears_in_an_event_is_no_older(site: Site) -> None:
    for event, seq, received in (("started", 0, 0), ("updated", 1, 60), ("ended", 2, 57)):
        said = TransactionReport("T", event, seq, at(seq), evse=1, samples=(wh(seq * 100, seq),))
        site.event(said, received)
    row = site.wire("T")
    assert (row.open, row.heard_at) == (False, at(60))


def test_a_start_of_a_station_that_does_not_exist_is_refused(site: Site) -> None:
    with pytest.raises(NotFound):
        site.start(0, station="nobody")
    assert site.rows(Transaction) == []


def test_an_offline_start_with_an_unknown_token_is_recorded(site: Site) -> None:
    """OCPP 1.6 4.8: the energy has flowed; the driver is refused, the record is not."""
    started = site.start(-3_600, card="NOBODY", received=0)
    assert started.authorization.outcome is Outcome.INVALID
    row = site.transaction(started.transaction_id)
    assert (row.open, row.outcome, row.token_uid) == (True, "invalid", "NOBODY")
    assert row.started_at == at(-3_600)
    site.stop(row.id, -60, 4_000)
    assert site.transaction(row.id).energy_wh == 3_000


def test_the_group_of_a_token_is_told(site: Site) -> None:
    site.card("FLEET", group_id="G1")
    started = site.start(0, card="FLEET")
    assert started.authorization.group_id == "G1"
    assert site.transaction(started.transaction_id).group_id == "G1"
    site.card("BOSS", group_id="G1")
    found = site.stop(started.transaction_id, card="BOSS")
    assert found is not None
    assert (found.outcome, found.group_id) == (Outcome.ACCEPTED, "G1")


# -- one charge at a time ------------------------------------------------------------------------


def test_concurrent_is_said_for_another_transaction_only(site: Site) -> None:
    """OCPP 1.6 ConcurrentTx; never held against the station's own retry (3 in 4a)."""
    first = site.start(0, evse=1)
    second = site.start(10, evse=2)
    elsewhere = site.start(10, station="s2")
    assert second.authorization.outcome is Outcome.CONCURRENT
    assert elsewhere.authorization.outcome is Outcome.CONCURRENT
    assert site.start(0, evse=1, received=20) == first
    assert site.start(10, evse=2, received=20) == second
    site.stop(first.transaction_id)
    assert site.start(7_200, evse=2).authorization.outcome is Outcome.ACCEPTED


def test_a_shared_card_may_charge_at_several_places(site: Site) -> None:
    site.card("SHARED", concurrent=True)
    assert site.start(0, evse=1, card="SHARED").authorization.outcome is Outcome.ACCEPTED
    assert site.start(0, evse=2, card="SHARED").authorization.outcome is Outcome.ACCEPTED


def test_a_refused_charge_holds_up_no_other(site: Site) -> None:
    site.card("LATER")
    site.start(0, evse=1, card="CARD")
    refused = site.start(0, evse=2, card="CARD")
    assert refused.authorization.outcome is Outcome.CONCURRENT
    site.stop(1)
    assert site.start(8_000, station="s2").authorization.outcome is Outcome.ACCEPTED


def test_a_start_that_supersedes_the_drivers_own_is_not_concurrent(site: Site) -> None:
    """The stop was lost; the same driver plugs in again at the same connector
    (steve-community/steve#1295)."""
    lost = site.start(0)
    again = site.start(7_200, 9_000)
    assert again.authorization.outcome is Outcome.ACCEPTED
    assert site.start(7_200, 9_000, received=7_300) == again
    assert not site.transaction(lost.transaction_id).open


# -- stop ----------------------------------------------------------------------------------------


def test_a_stop_ends_the_transaction(site: Site) -> None:
    tid = site.start(0).transaction_id
    assert site.stop(tid, 3_600, 11_000, reason="EVDisconnected") is None
    row = site.transaction(tid)
    assert (row.open, row.end_kind, row.ended_at) == (False, "reported", at(3_600))
    assert (row.energy_wh, row.stop_reason, row.stop_token_uid) == (10_000, "EVDisconnected", None)


def test_a_stop_without_reason_is_local(site: Site) -> None:
    tid = site.start(0).transaction_id
    found = site.stop(tid, card="NOBODY")
    assert found is not None
    assert found.outcome is Outcome.INVALID
    row = site.transaction(tid)
    assert (row.open, row.stop_reason, row.stop_token_uid) == (False, "Local", "NOBODY")


@pytest.mark.parametrize("meter_wh", [11_000, None])
def test_a_stop_sent_again_changes_nothing(site: Site, meter_wh: int | None) -> None:
    tid = site.start(0).transaction_id
    data = (wh(1_000, 0, "Transaction.Begin"), wh(9_000, 3_600, "Transaction.End"))
    first = site.stop(tid, 3_600, meter_wh, card="CARD", samples=data)
    before = site.state()
    assert site.stop(tid, 3_600, meter_wh, card="CARD", samples=data, received=9_999) == first
    assert site.state() == before
    assert "stop_deduplicated" in site.marks()


def test_a_stop_that_differs_is_kept_as_evidence(site: Site) -> None:
    """The first wins (steve-community/steve#1293, EVerest/libocpp#906)."""
    tid = site.start(0).transaction_id
    site.stop(tid, 3_600, 11_000)
    row = site.transaction(tid)
    for _ in range(2):
        site.stop(tid, 3_600, 12_000)
    assert site.transaction(tid) == row
    assert site.reasons() == ["differs_from_first_stop"]
    assert site.rows(Quarantined)[0].payload["meter_wh"] == 12_000


def test_a_stop_without_a_clock_sent_again_changes_nothing(site: Site) -> None:
    tid = site.start(0).transaction_id
    site.stop(tid, 3_600, 11_000, clock=UNSET)
    before = site.state()
    site.stop(tid, 3_700, 11_000, clock=UNSET)
    assert site.state() == before
    assert site.transaction(tid).ended_at == at(3_600)
    assert site.transaction(tid).flags == ("clock_suspect",)


@pytest.mark.parametrize("wire_id", [4_711, -7, -1, 0])
def test_a_stop_of_nothing_known_is_answered_and_kept_once(site: Site, wire_id: int) -> None:
    """Otherwise the station repeats it for ever (steve-community/steve#156,
    dallmann-consulting/OCPP.Core#31)."""
    for _ in range(3):
        found = site.stop(wire_id, card="CARD", samples=[wh("1.5", 10, unit="kWh")])
        assert found is not None
        assert found.outcome is Outcome.ACCEPTED
    assert site.reasons() == ["unknown_transaction"]
    payload = site.rows(Quarantined)[0].payload
    assert payload["transaction_id"] == wire_id
    assert payload["samples"][0]["readings"][0]["value"] == "1.5"
    assert site.rows(Transaction) == []


def test_a_stop_of_another_stations_transaction_is_unknown(site: Site) -> None:
    tid = site.start(0, station="s2").transaction_id
    site.stop(tid, station="s1")
    assert site.transaction(tid).open
    assert site.reasons() == ["unknown_transaction"]


@pytest.mark.parametrize("wire_id", [-1, 0, -5])
def test_a_stop_without_an_id_is_for_the_only_open_transaction(site: Site, wire_id: int) -> None:
    """Errata 3.18: the answer to the start never came. It is placed once, and seen."""
    tid = site.start(0).transaction_id
    site.stop(wire_id, 3_600, 2_000, card="CARD")
    row = site.transaction(tid)
    assert (row.open, row.energy_wh) == (False, 1_000)
    assert site.reasons() == ["placed_without_id"]
    before = site.state()
    site.stop(wire_id, 3_600, 2_000, card="CARD", received=3_700)
    assert site.state() == before
    following = site.start(7_200, 2_000).transaction_id
    site.stop(wire_id, 3_600, 2_000, card="CARD", received=7_300)
    assert site.transaction(following).open


def test_a_stop_without_an_id_is_not_guessed_among_several(site: Site) -> None:
    site.card("OTHER")
    both = [site.start(0).transaction_id, site.start(0, evse=2, card="OTHER").transaction_id]
    site.stop(-1)
    assert all(site.transaction(tid).open for tid in both)
    assert site.reasons() == ["unknown_transaction"]


def test_a_stop_before_its_start_ends_at_the_start(site: Site) -> None:
    tid = site.start(0).transaction_id
    site.stop(tid, -50, received=60)
    assert site.transaction(tid).ended_at == at(0)


# -- energy ----------------------------------------------------------------------------------------


def test_a_meter_that_ran_backwards_gives_nothing_and_a_flag(site: Site) -> None:
    """lorenzodonini/ocpp-go#114, dallmann-consulting/OCPP.Core#33, matth-x/MicroOcpp#73."""
    tid = site.start(0, 5_000).transaction_id
    site.stop(tid, 3_600, 0)
    row = site.transaction(tid)
    assert (row.energy_wh, row.flags) == (0, ("register_suspect",))


def test_a_stop_without_a_usable_meter_falls_back_to_samples(site: Site) -> None:
    tid = site.start(0, 1_000).transaction_id
    site.meter([wh(1_500, 60)], tid)
    site.stop(tid, 3_600, None, samples=[wh(2_500, 3_500)])
    assert site.transaction(tid).energy_wh == 1_500


def test_a_start_without_a_usable_meter_falls_back_to_samples(site: Site) -> None:
    tid = site.start(0, None).transaction_id
    site.meter([wh(4_000, 60)], tid)
    site.stop(tid, 3_600, 5_000)
    assert site.transaction(tid).energy_wh == 1_000


def test_a_start_at_0_of_a_lifetime_register_does_not_bill_a_life(site: Site) -> None:
    tid = site.start(0, 0).transaction_id
    site.meter([wh(7_654_321, 60)], tid)
    site.stop(tid, 3_600, 7_660_000)
    row = site.transaction(tid)
    assert (row.energy_wh, row.flags) == (5_679, ("register_suspect",))


def test_units_are_mixed_and_decimals_long(site: Site) -> None:
    tid = site.start(0, 100).transaction_id
    site.meter([wh("0.15002000000000001", 60, unit="kWh")], tid)
    assert site.transaction(tid).energy_wh == 50
    site.meter([wh("200.4", 120, unit="Wh")], tid, seconds=120)
    assert site.transaction(tid).energy_wh == 100
    site.meter([wh("0.3005", 180, unit="kWh")], tid, seconds=180)
    assert site.transaction(tid).energy_wh == 200


def test_phases_are_added_up(site: Site) -> None:
    tid = site.start(0, None).transaction_id
    for seconds, value in ((60, 100), (120, 150)):
        (reading,) = wh(value, seconds).readings
        phases = tuple({**reading, "phase": f"L{n}"} for n in (1, 2, 3))
        site.meter([Sample(at(seconds), phases)], tid, seconds=seconds)
    assert site.transaction(tid).energy_wh == 150


@pytest.mark.parametrize("unit", [None, "Wh", "kWh"])
@pytest.mark.parametrize(
    "value", ["1E+999999", "-1E+999999", "1E-999999", "NaN", "Infinity", "x", "", "9" * 400]
)
def test_absurd_numbers_are_kept_and_do_not_count(site: Site, value: str, unit: str | None) -> None:
    tid = site.start(0, 0).transaction_id
    site.meter([wh(value, 60, unit=unit)], tid)
    assert site.transaction(tid).energy_wh == 0
    (row,) = site.rows(MeterSample)
    assert f'"value":"{value}"' in row.readings


# -- meter values by themselves --------------------------------------------------------------------


def test_samples_are_for_the_transaction_they_name(site: Site) -> None:
    tid = site.start(0).transaction_id
    site.meter([wh(1_100, 60)], tid, evse=2)
    (row,) = site.rows(MeterSample)
    assert (row.station_id, row.transaction_id, row.evse) == ("s1", tid, 0)
    assert site.transaction(tid).energy_wh == 100


@pytest.mark.parametrize("named", [None, -1, 0])
def test_samples_without_an_id_are_for_what_runs_on_their_evse(
    site: Site, named: int | None
) -> None:
    """lbbrhzn/ocpp#1069, EVerest/libocpp#495."""
    tid = site.start(0).transaction_id
    site.meter([wh(1_100, 60)], named)
    assert site.transaction(tid).energy_wh == 100
    site.meter([wh(9_999, 60)], named, evse=2)
    site.meter([wh(9_999, 60)], named, evse=0)
    assert site.transaction(tid).energy_wh == 100
    kept = [(row.transaction_id, row.evse) for row in site.rows(MeterSample)]
    assert sorted(kept) == [(0, 0), (0, 2), (tid, 0)]


def test_samples_of_an_unknown_transaction_are_kept_and_seen(site: Site) -> None:
    """lbbrhzn/ocpp#1749: a transaction that the central system forgot."""
    for _ in range(2):
        site.meter([wh(1, 60)], 4_711)
    (row,) = site.rows(MeterSample)
    assert (row.transaction_id, row.evse) == (0, 1)
    assert site.reasons() == ["unknown_transaction"]
    assert site.journal().count("samples_recorded") == 1


def test_samples_after_the_end_are_kept_and_not_billed(site: Site) -> None:
    """lbbrhzn/ocpp#2075: registers go on counting. Their repetition is recognised as well."""
    tid = site.start(0).transaction_id
    site.meter([wh(1_500, 60)], tid)
    site.stop(tid, 3_600, 2_000)
    site.meter([wh(2_500, 3_700)], tid, seconds=3_700)
    before = site.state()
    assert site.transaction(tid).energy_wh == 1_000
    site.meter([wh(2_500, 3_700)], tid, seconds=3_800)
    assert site.state() == before
    assert len(site.rows(MeterSample)) == 2


def test_a_repeated_sample_is_stored_once_also_without_a_clock(site: Site) -> None:
    """The station's time is part of the key even where it cannot be believed."""
    tid = site.start(0).transaction_id
    reading = wh(1_500, 0).readings
    for clock in (UNSET, datetime(2099, 1, 1, tzinfo=UTC), at(0)):
        for seconds in (60, 120, 86_500 * 40_000):
            site.meter([Sample(clock, reading)] * 2, tid, seconds=seconds)
    assert len(site.rows(MeterSample)) == 3


def test_a_repeated_sample_does_not_turn_the_register_back(site: Site) -> None:
    tid = site.start(0, 1_000).transaction_id
    first, second = (Sample(UNSET.replace(second=s), wh(1_000 + s, 0).readings) for s in (8, 9))
    site.meter([first], tid, seconds=60)
    site.meter([second], tid, seconds=120)
    site.meter([first], tid, seconds=180)
    assert site.transaction(tid).energy_wh == 9


def test_equal_samples_in_one_report_are_one(site: Site) -> None:
    tid = site.start(0).transaction_id
    site.meter([wh(1_100, 60)], tid)
    site.meter([wh(1_200, 120)] * 3, tid, seconds=120)
    assert len(site.rows(MeterSample)) == 2
    assert site.journal().count("transaction_updated") == 2


def test_samples_of_a_clock_that_was_never_set_count_when_they_come(site: Site) -> None:
    """What was measured before a charge began is not its own; 1970 is no time before anything."""
    tid = site.start(0, clock=UNSET).transaction_id
    for n, value in enumerate((2_000, 5_000)):
        sample = Sample(UNSET.replace(minute=n), wh(value, 0).readings)
        site.meter([sample], seconds=60 * (n + 1))
    assert site.transaction(tid).energy_wh == 4_000


@pytest.mark.parametrize("ahead_h", [2, 10])
def test_a_clock_that_is_set_back_in_a_charge_costs_no_energy(site: Site, ahead_h: int) -> None:
    """Local time that is called UTC, until the answer to the next boot says what time it is."""
    tid = site.start(0, 1_000_000, clock=at(ahead_h * 3_600)).transaction_id
    site.stop(tid, 4_000, 1_040_000)
    row = site.transaction(tid)
    assert (row.energy_wh, row.flags) == (40_000, ())
    assert row.ended_at is not None
    assert row.ended_at >= row.started_at
