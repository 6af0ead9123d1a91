"""Metering: what stations send as values, and what is believed of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.core import metering
from csms.core.metering import (
    BEGIN_READING,
    END_READING,
    MAX_WH,
    NO_EVSE,
    NO_TRANSACTION,
    ORDINARY,
    REGISTER,
    TOTAL,
    MeterSample,
    Reading,
    Sample,
    jumps,
    register_wh,
    registers,
    watt_hours,
)
from tests.support.charging import Site, at, origin, wh


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("1500", None, 1500),
        ("1500", "", 1500),
        ("1500", "Wh", 1500),
        ("1.5", "kWh", 1500),
        ("0.15002000000000001", "kWh", 150),
        ("2.5", "Wh", 2),
        ("-3", "Wh", -3),
        ("1E3", "Wh", 1000),
        (str(MAX_WH), "Wh", MAX_WH),
        (str(MAX_WH + 1), "Wh", None),
        ("1E+999999", "Wh", None),
        ("1E+999999", "kWh", None),
        ("-1E+999999", "kWh", None),
        ("1E-999999", "kWh", 0),
        ("1E+99999999999999999999", "kWh", None),
        ("NaN", "Wh", None),
        ("sNaN", "kWh", None),
        ("Infinity", "kWh", None),
        ("12,5", "kWh", None),
        ("", "Wh", None),
        ("1500", "A", None),
        ("1500", "varh", None),
    ],
)
def test_registers_in_watt_hours(value: str, unit: str | None, expected: int | None) -> None:
    assert watt_hours(value, unit) == expected


@given(st.text(max_size=20) | st.decimals().map(str), st.sampled_from([None, "Wh", "kWh"]))
def test_no_text_is_too_strange(value: str, unit: str | None) -> None:
    found = watt_hours(value, unit)
    assert found is None or -MAX_WH <= found <= MAX_WH


@given(st.integers(0, 10**9))
def test_kilowatt_hours_and_watt_hours_agree(value: int) -> None:
    assert watt_hours(str(Decimal(value) / 1000), "kWh") == value


def reading(value: object, **fields: Any) -> Reading:
    return {"value": str(value), "measurand": REGISTER, **fields}


def test_the_total_is_the_reading_without_a_phase() -> None:
    readings = [reading(1, phase="L1"), reading(9), reading(2, phase="L2")]
    assert register_wh(readings) == (9, None, TOTAL)


def test_phases_alone_are_added_up() -> None:
    readings = [reading(n, phase=f"L{n}", context="Transaction.End") for n in (1, 2, 3)]
    assert register_wh(readings) == (6, "Transaction.End", 3)


def test_other_measurands_places_and_faults_do_not_count() -> None:
    readings = [
        reading(7, measurand="Power.Active.Import", unit="W"),
        reading(8, location="Inlet"),
        reading(8, location="EV"),
        reading(-1),
        reading("x"),
    ]
    assert register_wh(readings) is None
    assert register_wh([*readings, reading(5, location="Outlet")]) == (5, None, TOTAL)


def test_contexts_are_ranks() -> None:
    contexts = ["Transaction.Begin", "Sample.Periodic", None, "Transaction.End", "Made.Up"]
    found = registers([wh(n, n, context) for n, context in enumerate(contexts)])
    ranks = [BEGIN_READING, ORDINARY, ORDINARY, END_READING, ORDINARY]
    assert [(r.rank, r.at, r.wh) for r in found] == [(k, at(n), n) for n, k in enumerate(ranks)]
    assert registers([Sample(None, (reading(1),)), Sample(at(0), ())]) == []


def test_no_charger_moves_a_register_that_far() -> None:
    assert not jumps(0, at(0), 20_000, at(0))
    assert jumps(0, at(0), 20_001, at(0))
    assert not jumps(0, at(0), 4_020_000, at(3_600))
    assert jumps(0, at(0), 4_020_001, at(3_600))
    assert not jumps(0, at(3_600), 4_020_000, at(0)), "its clock was set back between them"
    assert jumps(0, at(3_600), 4_020_001, at(0))


# -- storing -------------------------------------------------------------------------------------


def record(
    site: Site,
    samples: list[Sample],
    seconds: float = 60,
    transaction: int = NO_TRANSACTION,
    newest: datetime | None = None,
) -> tuple[list[Sample], datetime | None]:
    evse = NO_EVSE if transaction else 1
    return site.run(metering.record, origin(seconds), evse, transaction, samples, newest)


def test_a_sample_is_stored_as_it_came(site: Site) -> None:
    signed = {"signedMeterData": "AAECAw==", "encodingMethod": "OCMF"}
    sample = Sample(at(5), (reading("1.50", unit="kWh", signed=signed),))
    assert record(site, [sample], transaction=1) == ([sample], at(5))
    (row,) = site.rows(MeterSample)
    assert (row.at, row.received_at) == (at(5), at(60))
    assert orjson.loads(row.readings) == [
        {
            "value": "1.50",
            "measurand": "Energy.Active.Import.Register",
            "unit": "kWh",
            "signed": signed,
        }
    ]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8), st.data())
@settings(max_examples=60, deadline=None)
def test_samples_are_stored_exactly_once(
    wanted: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Rule 2: by station, EVSE, transaction, time and digest, under any repetition: of an EVSE by a
    look-up, of a transaction by the newest time that it carries along."""
    site = Site()
    sent = data.draw(st.permutations(wanted * 2)) if wanted else []
    transaction = data.draw(st.sampled_from([NO_TRANSACTION, 1]))
    newest = None
    added = 0
    while sent:
        size = data.draw(st.integers(1, 3))
        message, sent = sent[:size], sent[size:]
        samples = [wh(value, seconds) for seconds, value in message]
        new, latest = record(site, samples, transaction=transaction, newest=newest)
        added += len(new)
        if transaction:
            newest = latest
    kept = [(row.at, orjson.loads(row.readings)[0]["value"]) for row in site.rows(MeterSample)]
    assert sorted(kept) == sorted({(at(seconds), str(value)) for seconds, value in wanted})
    assert added == len(kept)


def test_split_meter_data_of_one_moment_is_kept_apart(site: Site) -> None:
    """E03.FR.09: several messages may share one timestamp."""
    record(site, [wh(1, 0)])
    record(site, [Sample(at(0), (reading(230, measurand="Voltage"),))])
    assert len(site.rows(MeterSample)) == 2


def test_a_time_that_cannot_be_believed_is_kept_and_does_not_count(site: Site) -> None:
    unset = datetime(1970, 1, 1, tzinfo=UTC)
    (counted,), _ = record(site, [Sample(unset, (reading(1),))])
    (row,) = site.rows(MeterSample)
    assert (counted.at, row.at, row.received_at) == (at(60), unset, at(60))
    assert record(site, [Sample(unset, (reading(1),))], 90)[0] == []


@pytest.mark.parametrize("transaction", [NO_TRANSACTION, 1])
def test_a_sample_without_a_time_counts_at_receipt_and_is_stored_once(
    site: Site, transaction: int
) -> None:
    """With the time of receipt in its key every repetition would be another sample."""
    newest = None
    for seconds, value, new in ((120, 1, True), (180, 1, False), (240, 2, True), (300, 1, False)):
        sample = Sample(None, (reading(value),))
        counted, newest = record(site, [sample], seconds, transaction, newest)
        assert [one.at for one in counted] == ([at(seconds)] if new else [])
    assert sorted(row.received_at for row in site.rows(MeterSample)) == [at(120), at(240)]
