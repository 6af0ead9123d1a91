"""The fold: any order, duplication or loss of a station's reports ends in the same transaction.

OCPP 2.0.1 E01 to E06, E13; what stations do in the field: retries that overtake, sequence numbers
that stick at 0 or repeat with other content, sparse fields, an end before the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.core.charging import ID_USED_AGAIN
from csms.core.flags import SEQUENCE_REPEATED, without
from csms.core.metering import MeterSample, jumps
from csms.core.quarantine import Quarantined
from csms.core.stations import Station
from csms.core.tokens import Shown
from csms.core.transactions import (
    ENDED,
    MAX_SEEN_TEXT,
    STARTED,
    UPDATED,
    Transaction,
    TransactionReport,
    add_seen,
    each_seen,
    missing,
)
from tests.support.charging import Site, at, wh

# What may differ between two ways through the same reports: our number and our clock.
OURS = ("id", "received_at", "end_received_at", "heard_at")


def report(event: str, seq: int, seconds: float, **fields: Any) -> TransactionReport:
    """A TransactionEvent of transaction `T`."""
    return TransactionReport("T", event, seq, at(seconds), **fields)


def told(reports: Sequence[TransactionReport]) -> Site:
    """A network that received these, a second apart."""
    site = Site()
    for n, one in enumerate(reports):
        site.event(one, 10_000 + n)
    return site


def outcome(site: Site) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """The transaction without what is ours, and the samples stored with it."""
    (row,) = site.rows(Transaction)
    fields = {k: v for k, v in row._asdict().items() if k not in OURS}
    samples = [(s.station_id, s.evse, s.at, s.digest, s.readings) for s in site.rows(MeterSample)]
    return fields, samples


@st.composite
def charges(draw: st.DrawFn, honest: bool = True, corrupt: bool = False) -> list[TransactionReport]:
    """The TransactionEvents of one charge as a station sends them, in its order.

    An honest station counts its events; others stick at 0, or repeat a number, within one second.
    `corrupt`: any register may be any number.
    """
    count = draw(st.integers(2, 7))
    first_seq = draw(st.integers(0, 20))
    stuck = not honest and draw(st.booleans())
    register = draw(st.integers(0, 10**7))
    token_at = draw(st.integers(0, count - 1))
    evse_at = draw(st.integers(0, count - 1))
    ends = draw(st.booleans())
    seq, seconds = first_seq, 0
    reports = []
    for n in range(count):
        last = n == count - 1
        event = STARTED if n == 0 else ENDED if last and ends else UPDATED
        context = {STARTED: "Transaction.Begin", ENDED: "Transaction.End"}.get(event)
        read = register
        if corrupt and draw(st.booleans()):
            read = draw(st.integers(0, 10**12))
        samples = [wh(read, seconds, draw(st.sampled_from([None, context])))] * draw(
            st.integers(0, 2)
        )
        reports.append(
            report(
                event,
                0 if stuck else seq,
                seconds,
                evse=1 if n == evse_at else None,
                connector=1 if n == evse_at else None,
                token=Shown("CARD") if n == token_at else None,
                charging_state=draw(st.sampled_from([None, "Charging", "SuspendedEV", "Idle"])),
                stop_reason=draw(st.sampled_from([None, "EVDisconnected"])) if last else None,
                remote_start_id=7 if n == evse_at else None,
                offline=draw(st.booleans()),
                samples=tuple(samples),
                details=draw(st.sampled_from([None, {"trigger": "LimitSet"}, {"limit": {"a": 1}}])),
            )
        )
        register += draw(st.integers(0, 5_000))
        seconds += draw(st.integers(1 if honest else 0, 600))
        seq += 1 if honest or draw(st.booleans()) else 0
    return reports


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_order_and_duplication_ends_in_the_same_transaction(data: st.DataObject) -> None:
    """E13.FR.02: a station repeats what was not answered, also after later messages."""
    reports = data.draw(charges())
    arrival = data.draw(st.permutations(reports)) + data.draw(
        st.lists(st.sampled_from(reports), max_size=4)
    )
    assert outcome(told(arrival)) == outcome(told(reports))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_so_it_does_when_sequence_numbers_cannot_be_trusted(data: st.DataObject) -> None:
    """Stuck at 0, repeated with other content, several events in one second."""
    reports = data.draw(charges(honest=False))
    arrival = data.draw(st.permutations(reports)) + data.draw(
        st.lists(st.sampled_from(reports), max_size=4)
    )
    (came, samples), (sent, all_samples) = outcome(told(arrival)), outcome(told(reports))
    # The mark of a repeated number needs a report that changes something when it comes.
    for fields in (came, sent):
        fields["flags"] = without(fields["flags"], SEQUENCE_REPEATED)
    assert (came, samples) == (sent, all_samples)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_retries_alone_never_look_like_repeated_numbers(data: st.DataObject) -> None:
    reports = data.draw(charges())
    again = data.draw(st.lists(st.sampled_from(reports), max_size=8))
    fields, _ = outcome(told([*reports, *again]))
    assert SEQUENCE_REPEATED not in fields["flags"]


def test_two_messages_with_one_number_both_count_and_are_marked(site: Site) -> None:
    site.event(report(STARTED, 0, 0, evse=1, samples=(wh(100, 0),)))
    site.event(report(UPDATED, 1, 60, samples=(wh(200, 60),)))
    site.event(report(UPDATED, 1, 120, samples=(wh(300, 120),)))
    row = site.wire("T")
    assert (row.energy_wh, row.flags, len(site.rows(MeterSample))) == (
        200,
        ("sequence_repeated",),
        3,
    )


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_loss_never_invents_energy(data: st.DataObject) -> None:
    """E04.FR.07: a station short of memory drops events, and some of its registers are nonsense:
    what is billed is between two registers that were reported, and a charger could have done it."""
    reports = data.draw(charges(corrupt=data.draw(st.booleans())))
    left = [one for one in reports if data.draw(st.booleans())] or reports[-1:]
    read = [(int(s.readings[0]["value"]), s.at) for one in left for s in one.samples if s.at]
    possible = {
        high - low
        for (low, low_at), (high, high_at) in product(read, repeat=2)
        if low <= high and not jumps(low, low_at, high, high_at)
    }
    (row,) = told(data.draw(st.permutations(left))).rows(Transaction)
    assert row.energy_wh in possible | {0}


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_repeated_report_writes_nothing(data: st.DataObject) -> None:
    """Rule 2, exactly once: row, samples, journal and quarantine stay as they are."""
    reports = data.draw(charges(honest=False))
    site = told(reports)
    before = outcome(site), site.journal(), site.rows(Quarantined)
    for n, one in enumerate(data.draw(st.permutations(reports))):
        site.event(one, 20_000 + n)
    assert (outcome(site), site.journal(), site.rows(Quarantined)) == before


# -- single cases ----------------------------------------------------------------------------------


def test_the_end_may_come_before_the_start(site: Site) -> None:
    site.event(report(ENDED, 2, 3_600, stop_reason="EVDisconnected", samples=(wh(9_000, 3_600),)))
    early = site.wire("T")
    assert not early.open
    assert early.energy_wh == 0
    site.event(report(STARTED, 0, 0, evse=2, token=Shown("CARD"), samples=(wh(2_000, 0),)))
    row = site.wire("T")
    assert (row.open, row.started_at, row.ended_at) == (False, at(0), at(3_600))
    assert (row.evse, row.token_uid, row.energy_wh) == (2, "CARD", 7_000)
    assert missing(row.seen) == 1


def test_the_token_that_ends_a_transaction_is_not_its_driver(site: Site) -> None:
    """E07: the stop token is kept beside; its worth says nothing of how the charge began."""
    site.event(report(ENDED, 1, 60, token=Shown("UNKNOWN")))
    site.event(report(STARTED, 0, 0))
    row = site.wire("T")
    assert (row.token_uid, row.stop_token_uid, row.outcome) == (None, "UNKNOWN", "accepted")


def test_fields_are_sparse_and_stay(site: Site) -> None:
    """E01.FR.16: evse once, token once, reservation once, state only on change."""
    site.event(
        report(STARTED, 0, 0, evse=2, connector=1, reservation_id=0, charging_state="EVConnected")
    )
    site.event(report(UPDATED, 1, 10, token=Shown("CARD"), charging_state="Charging"))
    site.event(report(UPDATED, 2, 20))
    row = site.wire("T")
    assert (row.evse, row.connector, row.reservation_id) == (2, 1, 0)
    assert (row.token_uid, row.charging_state) == ("CARD", "Charging")


def test_the_evse_may_come_later(site: Site) -> None:
    """TC_E_04, TC_J_08: start points Authorized and ParkingBayOccupancy."""
    site.event(report(STARTED, 0, 0, token=Shown("CARD")))
    assert site.wire("T").evse == 0
    site.event(report(UPDATED, 1, 10, evse=1, connector=2))
    assert (site.wire("T").evse, site.wire("T").connector) == (1, 2)


def test_a_late_start_moves_the_beginning_back(site: Site) -> None:
    site.event(report(UPDATED, 3, 300, samples=(wh(1_300, 300),)))
    assert site.wire("T").started_at == at(300)
    site.event(report(UPDATED, 2, 200))
    assert site.wire("T").started_at == at(200)
    site.event(report(STARTED, 0, 0, samples=(wh(1_000, 0, "Transaction.Begin"),)))
    row = site.wire("T")
    assert (row.started_at, row.energy_wh, row.first_wh) == (at(0), 300, 1_000)
    site.event(report(UPDATED, 1, -5))
    assert site.wire("T").started_at == at(0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "reversed"])
def test_two_ends_that_differ_leave_one_transaction_and_evidence(
    site: Site, order: tuple[int, int]
) -> None:
    """The first by the station's own order wins; the other is kept as evidence."""
    site.event(report(STARTED, 0, 0))
    ends = [
        report(ENDED, 5, 500, stop_reason="EVDisconnected"),
        report(ENDED, 6, 600, stop_reason="Remote"),
    ]
    for n in order:
        site.event(ends[n], 1_000)
    row = site.wire("T")
    assert (row.ended_at, row.stop_reason) == (at(500), "EVDisconnected")
    (evidence,) = site.rows(Quarantined)
    assert "Remote" in str(evidence.payload)
    for one in ends:
        site.event(one, 2_000)
    assert site.wire("T") == row
    assert all("Remote" in str(q.payload) for q in site.rows(Quarantined))


def test_a_repeated_number_with_other_content_keeps_both(site: Site) -> None:
    site.event(report(STARTED, 0, 0, samples=(wh(1_000, 0),)))
    site.event(report(UPDATED, 1, 60, samples=(wh(1_100, 60),)))
    site.event(report(UPDATED, 1, 120, charging_state="SuspendedEV", samples=(wh(1_200, 120),)))
    row = site.wire("T")
    assert (row.energy_wh, row.charging_state, row.seen) == (200, "SuspendedEV", "0-1")
    assert len(site.rows(MeterSample)) == 3


def test_a_number_stuck_at_0_is_ordered_by_time(site: Site) -> None:
    site.event(report(STARTED, 0, 0, charging_state="EVConnected", samples=(wh(0, 0),)))
    site.event(report(ENDED, 0, 120, charging_state="Idle", samples=(wh(90, 120),)))
    site.event(report(UPDATED, 0, 60, charging_state="Charging", samples=(wh(50, 60),)))
    row = site.wire("T")
    assert (row.charging_state, row.energy_wh, row.open, row.seen) == ("Idle", 90, False, "0")


def test_an_end_without_a_clock_is_repeated_without_evidence(site: Site) -> None:
    """Its time is that of receipt, so each repetition looks different."""
    site.event(report(STARTED, 0, 0))
    for n in range(3):
        site.event(report(ENDED, 1, 100 + n, clock_suspect=True), 100 + n)
    assert site.wire("T").ended_at == at(100)
    assert site.rows(Quarantined) == []


def test_what_a_station_contradicts_is_marked_whichever_came_first(site: Site) -> None:
    """E01.FR.16 says each once; where two things are said, both ways end alike."""
    said = (
        report(STARTED, 0, 0, evse=2, connector=1, remote_start_id=7),
        report(UPDATED, 1, 60, evse=1, connector=2, remote_start_id=7),
    )
    there, back = outcome(told(said)), outcome(told(said[::-1]))
    assert there == back
    assert (there[0]["evse"], there[0]["connector"], there[0]["remote_start_id"]) == (1, 1, 7)
    assert there[0]["flags"] == ("contradicted",)


def test_ids_are_per_station(site: Site) -> None:
    """E01.FR.08: unique for the life of the station, not beyond it."""
    site.event(report(STARTED, 0, 0), station="s1")
    site.event(report(STARTED, 0, 0), station="s2")
    assert site.wire("T", "s1").id != site.wire("T", "s2").id


def test_a_new_start_supersedes_what_was_open_on_its_evse(site: Site) -> None:
    site.event(report(STARTED, 0, 0, evse=1, samples=(wh(100, 0), wh(150, 50))))
    site.event(replace(report(STARTED, 0, 100, evse=1), wire_id="U"))
    row = site.wire("T")
    assert (row.open, row.end_kind, row.ended_at) == (False, "superseded", at(50))
    assert row.flags == ("superseded",)
    site.event(report(ENDED, 4, 90))
    row = site.wire("T")
    assert (row.end_kind, row.ended_at, row.flags) == ("reported", at(90), ("sequence_gap",))
    assert site.wire("U").open


def test_a_late_report_of_an_older_transaction_does_not_end_the_newer(site: Site) -> None:
    """Reports of 2.x stations come in any order: trust times, not arrival."""
    site.event(replace(report(STARTED, 0, 1_000, evse=1), wire_id="U"))
    site.event(report(STARTED, 0, 0, evse=1), 1_010)
    site.event(report(ENDED, 1, 900, evse=1), 1_020)
    assert site.wire("U").open
    assert not site.wire("T").open


def test_an_id_that_is_used_again_is_another_charge(site: Site) -> None:
    """E01.FR.08 makes ids unique. After a factory reset or on new hardware a station counts from 1
    again, and what the next driver takes is not the first one's."""
    site.card("OTHER")
    site.event(report(STARTED, 0, 0, evse=1, token=Shown("CARD"), samples=(wh(0, 0),)))
    site.event(report(ENDED, 1, 3_600, samples=(wh(9_000, 3_600),)))
    first = site.wire("T")
    again = report(STARTED, 0, 86_400, evse=1, token=Shown("OTHER"), samples=(wh(20_000, 86_400),))
    for _ in range(2):
        site.event(again)
    second = site.wire("T")
    assert second.id != first.id
    assert (second.open, second.token_uid, second.energy_wh) == (True, "OTHER", 0)
    site.event(report(ENDED, 1, 90_000, samples=(wh(25_000, 90_000),)))
    assert site.wire("T").energy_wh == 5_000
    assert site.transaction(first.id) == first._replace(wire_id=f"T~{first.id}")
    assert site.get(Station, "s1").violations == {ID_USED_AGAIN: 1}


def test_a_start_sent_again_after_the_end_is_the_same_charge(site: Site) -> None:
    start = report(STARTED, 0, 0, evse=1, token=Shown("CARD"))
    site.event(start)
    site.event(report(ENDED, 1, 3_600))
    site.event(start, 4_000)
    site.event(replace(start, at=at(5_000), clock_suspect=True), 5_000)
    assert len(site.rows(Transaction)) == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_clock_that_is_set_back_ends_nothing_before_its_start(
    site: Site, order: tuple[int, int]
) -> None:
    reports = [report(STARTED, 0, 36_000, evse=1), report(ENDED, 1, 7_200)]
    for n in order:
        site.event(reports[n], 36_000)
    row = site.wire("T")
    assert (row.started_at, row.ended_at) == (at(36_000), at(36_000))


def test_the_journal_tells_start_update_end_once(site: Site) -> None:
    for _ in range(2):
        site.event(report(STARTED, 0, 0))
        site.event(report(UPDATED, 1, 1, charging_state="Charging"))
        site.event(report(ENDED, 2, 2))
    told_kinds = [kind for kind in site.journal() if kind.startswith("transaction_")]
    assert told_kinds == ["transaction_started", "transaction_updated", "transaction_ended"]


# -- sequence numbers, flags ---------------------------------------------------------------------


@given(st.lists(st.integers(0, 60)))
def test_seen_is_the_set_of_numbers_as_ranges(numbers: list[int]) -> None:
    seen = ""
    for seq in numbers:
        seen = add_seen(seen, seq)
    unfolded = [
        n
        for part in seen.split(",")
        if part
        for n in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)
    ]
    assert unfolded == sorted(set(numbers))
    if numbers:
        assert missing(seen) == max(numbers) - min(numbers) + 1 - len(set(numbers))
    else:
        assert missing(seen) == 0


def test_seen_is_bounded() -> None:
    seen = ""
    for seq in range(0, 4_000, 2):
        seen = add_seen(seen, seq)
    assert len(seen) <= MAX_SEEN_TEXT
    assert add_seen("0-4", -1) == "0-4"


def test_an_id_of_the_stations_own_is_never_one_of_ours(site: Site) -> None:
    """A station upgraded from 1.6 makes up its ids itself, and may begin at 1 again."""
    old = site.start(0).transaction_id
    site.stop(old, 60, 2_000)
    before = site.transaction(old)
    for seq, event in enumerate((STARTED, ENDED)):
        one = TransactionReport(
            str(old), event, seq, at(100 + seq), samples=(wh(5_000, 100 + seq),)
        )
        site.event(one)
    new = site.wire(str(old))
    assert new.id != old
    assert (new.open, new.energy_wh) == (False, 0)
    assert site.transaction(old) == before


def test_ranges_are_told_one_by_one_up_to_a_limit() -> None:
    assert each_seen("0-2,5", 10) == [0, 1, 2, 5]
    assert each_seen("0-1000000", 3) == [0, 1, 2]
    assert each_seen("", 3) == []
