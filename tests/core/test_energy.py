"""The energy of a transaction: between two registers that were reported, and never more than a
charger could have moved (no float, no guess; OCPP 2.0.1 E02, J02; what meters do in the field).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.core.metering import (
    BEGIN_READING,
    END_READING,
    MAX_WH,
    METER_START,
    METER_STOP,
    ORDINARY,
    TOTAL,
    Register,
    jumps,
)
from csms.core.tokens import Shown
from csms.core.transactions import (
    ENDED,
    STARTED,
    UPDATED,
    Transaction,
    TransactionReport,
    measure,
)
from tests.support.charging import NOW, Site, at, wh

UNSET = datetime(1970, 1, 1, tzinfo=UTC)
SUSPECT = ("register_suspect",)


def blank(**fields: Any) -> Transaction:
    return Transaction(1, "s1", "CA*NTH", "1", 1, 1, True, NOW, NOW, "accepted", **fields)


def test_no_energy_without_two_registers() -> None:
    assert measure(blank(), []).energy_wh == 0
    assert measure(blank(), [Register(METER_START, NOW, 10**6)]).energy_wh == 0
    assert measure(blank(), [Register(METER_STOP, NOW, 10**6)]).energy_wh == 0
    assert measure(blank(), [Register(ORDINARY, NOW, 10**6)]).energy_wh == 0


def test_start_and_stop_values_go_before_samples() -> None:
    """Samples of some stations are session-relative while start and stop are lifetime values."""
    row = measure(
        blank(),
        [
            Register(METER_START, at(0), 5_000_000),
            Register(ORDINARY, at(60), 12),
            Register(ORDINARY, at(120), 900),
        ],
    )
    assert (row.energy_wh, row.flags) == (888, ("register_suspect",))
    row = measure(row, [Register(METER_STOP, at(180), 5_001_000)])
    assert (row.energy_wh, row.flags) == (1_000, ())


def test_a_register_that_ran_backwards_gives_nothing() -> None:
    row = measure(blank(), [Register(METER_START, at(0), 500), Register(METER_STOP, at(60), 0)])
    assert (row.energy_wh, row.flags) == (0, ("register_suspect",))


@pytest.mark.parametrize("begin", [METER_START, BEGIN_READING])
def test_a_begin_of_0_before_a_lifetime_register_is_no_base(begin: int) -> None:
    row = measure(
        blank(),
        [
            Register(begin, at(0), 0),
            Register(ORDINARY, at(60), 7_654_321),
            Register(METER_STOP, at(3_600), 7_660_000),
        ],
    )
    assert (row.energy_wh, row.flags) == (5_679, ("register_suspect",))


@pytest.mark.parametrize("end", [END_READING, METER_STOP])
def test_nor_is_it_without_any_sample_between(end: int) -> None:
    """Never more than was charged: without a believable base there is no energy, and a flag."""
    found = [Register(METER_START, at(0), 0), Register(end, at(3_600), 7_660_000)]
    row = measure(blank(), found)
    assert (row.energy_wh, row.flags) == (0, ("register_suspect",))


def test_a_begin_of_0_that_a_charger_could_have_moved_from_is_a_base() -> None:
    found = [Register(METER_START, at(0), 0), Register(METER_STOP, at(3_600), 150_000)]
    assert measure(blank(), found).energy_wh == 150_000


REGISTERS = st.builds(
    Register,
    st.sampled_from([METER_START, BEGIN_READING, ORDINARY, END_READING, METER_STOP]),
    st.integers(0, 10_000).map(lambda s: NOW + timedelta(seconds=s)),
    st.integers(0, 10**12),
    st.sampled_from([1, 3, TOTAL]),
)


def test_sums_of_fewer_phases_do_not_count_beside_those_of_more() -> None:
    """One phase alone and then all three: two meters, whose difference nobody charged."""
    alone = Register(ORDINARY, at(60), 1_000, 1)
    three = [Register(ORDINARY, at(s), wh, 3) for s, wh in ((120, 3_300), (180, 3_900))]
    for found in ([alone, *three], [*three, alone], [three[0], alone, three[1]]):
        row = measure(blank(), found)
        assert (row.energy_wh, row.phases, row.plain_wh) == (600, 3, 3_300)


@given(st.lists(REGISTERS, max_size=8), st.data())
def test_registers_fold_in_any_order_and_number(found: list[Register], data: st.DataObject) -> None:
    other = data.draw(st.permutations(found)) + found[:3]
    one_by_one = blank()
    for register in other:
        one_by_one = measure(one_by_one, [register])
    assert one_by_one == measure(blank(), found)
    assert one_by_one.energy_wh >= 0


def possible(found: list[Register]) -> set[int]:
    """What a charger could have moved the register by, from any reading to any other."""
    return {
        high.wh - low.wh
        for low, high in product(found, repeat=2)
        if low.wh <= high.wh and not jumps(low.wh, low.at, high.wh, high.at)
    }


@given(st.lists(REGISTERS, max_size=8))
@settings(max_examples=300)
def test_energy_is_between_two_registers_that_a_charger_could_connect(
    found: list[Register],
) -> None:
    assert measure(blank(), found).energy_wh in possible(found) | {0}


# -- jumps that no charger can do ------------------------------------------------------------------


@pytest.mark.parametrize("begin", [METER_START, BEGIN_READING, ORDINARY])
@pytest.mark.parametrize("end", [ORDINARY, END_READING, METER_STOP])
@pytest.mark.parametrize("first_wh", [0, 1, 1_000, 5_000_000])
def test_a_jump_is_not_billed_whatever_the_first_register_is(
    begin: int, end: int, first_wh: int
) -> None:
    found = [Register(begin, at(0), first_wh), Register(end, at(3_600), MAX_WH - 1)]
    row = measure(blank(), found)
    assert (row.energy_wh, row.flags) == (0, SUSPECT)


def test_a_stop_at_the_end_of_the_scale_bills_nothing(site: Site) -> None:
    tid = site.start(0, 1_000).transaction_id
    site.stop(tid, 3_600, 999_999_999_999)
    row = site.transaction(tid)
    assert (row.open, row.energy_wh, row.flags) == (False, 0, SUSPECT)


@pytest.mark.parametrize("begin", [METER_START, BEGIN_READING])
def test_a_begin_of_1_before_a_lifetime_register_is_no_base(begin: int) -> None:
    """Not only 0: some meters start a charge at 1."""
    found = [
        Register(begin, at(0), 1),
        Register(ORDINARY, at(60), 5_000_000),
        Register(METER_STOP, at(3_600), 5_000_500),
    ]
    row = measure(blank(), found)
    assert (row.energy_wh, row.flags) == (500, SUSPECT)


def test_so_it_is_in_2x(site: Site) -> None:
    samples = (wh(1, 0, "Transaction.Begin"), wh(5_000_000, 60))
    site.event(TransactionReport("T", STARTED, 0, at(0), token=Shown("CARD"), samples=samples[:1]))
    site.event(TransactionReport("T", UPDATED, 1, at(60), samples=samples[1:]))
    ended = (wh(5_000_500, 3_600, "Transaction.End"),)
    site.event(TransactionReport("T", ENDED, 2, at(3_600), samples=ended))
    row = site.wire("T")
    assert (row.energy_wh, row.flags) == (500, SUSPECT)


def test_the_bound_is_the_power_of_the_strongest_charger(site: Site) -> None:
    """4 MW for an hour, and some room for coarse times."""
    for first_wh, energy_wh in ((0, 4_020_000), (7, 4_020_000)):
        last = Register(METER_STOP, at(3_600), first_wh + energy_wh)
        found = [Register(METER_START, at(0), first_wh), last]
        assert measure(blank(), found).energy_wh == energy_wh
        found[1] = last._replace(wh=last.wh + 1)
        assert measure(blank(), found).energy_wh == 0


def test_a_clock_that_is_set_back_in_a_charge_costs_no_energy() -> None:
    """By hours, as a central system's clock that jumped makes of its stations': a sample that lies
    before the begin was taken for a leap of the register, and what was charged until then was
    billed to nobody."""
    found = [
        Register(BEGIN_READING, at(0), 10_000),
        Register(ORDINARY, at(-3 * 3_600), 32_000),
        Register(END_READING, at(3 * 3_600), 43_000),
    ]
    row = measure(blank(), found)
    assert (row.energy_wh, row.flags) == (33_000, ())


def test_a_begin_of_1_is_no_base_though_the_sample_is_a_moment_before() -> None:
    found = [
        Register(BEGIN_READING, at(60), 1),
        Register(ORDINARY, at(0), 3_000_000),
        Register(END_READING, at(3_600), 3_000_500),
    ]
    row = measure(blank(), found)
    assert (row.energy_wh, row.flags) == (500, SUSPECT)


# -- without a clock there is no power -------------------------------------------------------------


@pytest.mark.parametrize(
    ("first_wh", "last_wh", "energy_wh", "flags"),
    [
        (0, 40_000, 40_000, ("clock_suspect",)),
        (1_000, 90_000, 89_000, ("clock_suspect",)),
        (0, 1_000_000, 1_000_000, ("clock_suspect",)),
        (0, 1_000_001, 0, ("clock_suspect", "register_suspect")),
        (5, 999_999_999_999, 0, ("clock_suspect", "register_suspect")),
    ],
)
def test_times_that_cannot_be_believed_judge_nothing(
    site: Site, first_wh: int, last_wh: int, energy_wh: int, flags: tuple[str, ...]
) -> None:
    """Both messages come together, from a queue: by their receipt it took no time at all."""
    tid = site.start(0, first_wh, clock=UNSET).transaction_id
    site.stop(tid, 1, last_wh, clock=UNSET)
    row = site.transaction(tid)
    assert (row.energy_wh, row.flags) == (energy_wh, flags)


def test_a_clock_that_is_lost_in_between_judges_nothing(site: Site) -> None:
    tid = site.start(0, 0).transaction_id
    site.stop(tid, 1, 40_000, clock=UNSET)
    row = site.transaction(tid)
    assert (row.energy_wh, row.flags) == (40_000, ("clock_suspect",))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)], ids=str)
def test_whenever_it_is_learned_that_the_clock_is_lost(site: Site, order: tuple[int, ...]) -> None:
    """The fold of a transaction does not depend on the order of its reports."""
    reports = [
        TransactionReport("T", STARTED, 0, at(0), samples=(wh(0, 0),)),
        TransactionReport("T", UPDATED, 1, at(1), samples=(wh(400_000, 1),)),
        TransactionReport("T", ENDED, 2, at(2), clock_suspect=True),
    ]
    for n in order:
        site.event(reports[n], 10)
    row = site.wire("T")
    assert (row.energy_wh, row.flags) == (400_000, ("clock_suspect",))


# -- after the end ---------------------------------------------------------------------------------


@pytest.mark.parametrize("meter_wh", [2_000, None])
def test_a_repeated_stop_with_more_samples_adds_those_and_changes_no_bill(
    site: Site, meter_wh: int | None
) -> None:
    tid = site.start(0, 1_000).transaction_id
    site.stop(tid, 3_600, meter_wh, samples=[wh(1_500, 60)])
    billed = site.transaction(tid).energy_wh
    for received in (3_700, 3_800):
        more = [wh(1_500, 60), wh(1_800, 120), wh(9_000, 4_000)]
        site.stop(tid, 3_600, meter_wh, samples=more, received=received)
        row = site.transaction(tid)
        assert (row.energy_wh, row.end_received_at) == (billed, at(3_600))
        assert site.samples() == [(60, 1_500), (120, 1_800), (4_000, 9_000)]
    assert site.reasons() == []


@pytest.mark.parametrize("meter_wh", [2_000, None])
def test_values_that_come_after_the_end_change_no_bill(site: Site, meter_wh: int | None) -> None:
    tid = site.start(0, 1_000).transaction_id
    site.stop(tid, 3_600, meter_wh, samples=[wh(1_500, 60)])
    billed = site.transaction(tid).energy_wh
    site.meter([wh(9_000, 3_700)], tid, seconds=3_700)
    assert site.transaction(tid).energy_wh == billed
    assert (3_700, 9_000) in site.samples()
