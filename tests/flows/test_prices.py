"""Prices of transactions: asked for while they run, settled when they have ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from csms.core import billing, locations, tariffs
from csms.core.billing import State, TransactionPrice
from csms.core.flags import MEANING
from csms.core.taxes import TaxTable, table
from csms.core.tokens import Shown
from csms.core.transactions import ENDED, STARTED, UPDATED, TransactionReport
from csms.flows.prices import Pricer
from tests.core.test_locations import EVSE, HERE
from tests.core.test_tariffs import FIRST
from tests.support.charging import NOW, PARTY, Site, at, wh

IDLE = {"type": "PARKING_TIME", "price": 6, "step_size": 60}
TARIFF = {
    "currency": "CAD",
    "tax_included": "NO",
    "elements": [
        {
            "price_components": [
                {"type": "ENERGY", "price": 0.3, "step_size": 1},
                IDLE,
            ]
        }
    ],
}
TAXES = table(
    [
        (
            "t.csv",
            "country,region,locality,tax,percentage,valid_from,valid_to,base,source\n"
            "CA,QC,,GST,5,2013-04-01,,price,x\nCA,QC,,QST,9.975,2013-01-01,,price,x\n",
        )
    ],
    {"GST": "R1"},
)


class Shop:
    """A location in Quebec with a tariff, and what computes prices there."""

    def __init__(self, taxes: TaxTable = TAXES, data: dict[str, Any] = TARIFF) -> None:
        self.site = Site()
        self.now = at(1_800)
        where = HERE._replace(state="QC", time_zone="America/Toronto")
        self.site.run(locations.put, where, [EVSE], NOW)
        self.site.run(tariffs.put, FIRST._replace(data=data), NOW)
        self.site.run(tariffs.assign, PARTY, "DAY", "LOC-1", None, NOW)
        self.pricer = Pricer(self.site.store, taxes, self.clock)

    def clock(self) -> datetime:
        return self.now

    def row(self, number: int) -> TransactionPrice:
        found: TransactionPrice = self.site.get(TransactionPrice, number)
        return found


async def test_a_running_transaction_costs_what_it_has_cost_so_far() -> None:
    shop = Shop()
    number = shop.site.start().transaction_id
    shop.site.meter([wh(6_000, 900)], number)
    found = await shop.pricer.price(number)
    assert found is not None
    total = found.cost.total
    assert (str(total.before_taxes), str(total.after_taxes)) == ("1.50", "1.72")
    assert [(x.name, str(x.amount), x.account_number) for x in total.taxes] == [
        ("GST", "0.08", "R1"),
        ("QST", "0.14", None),
    ]
    assert shop.row(number).state == State.RUNNING


async def test_an_ended_transaction_is_settled_once() -> None:
    shop = Shop()
    number = shop.site.start().transaction_id
    assert await shop.pricer.settle_due() == 0
    shop.site.stop(number)
    assert await shop.pricer.settle_due() == 1
    row = shop.row(number)
    assert (row.state, row.before_taxes, row.after_taxes) == (State.PRICED, "3.00", "3.45")
    assert row.details is not None
    assert row.details["lines"][0]["measured"] == "10"
    assert await shop.pricer.settle_due() == 0
    assert shop.site.journal().count("transaction_priced") == 1


async def test_what_arrives_late_is_priced_again() -> None:
    shop = Shop()
    site = shop.site
    site.event(TransactionReport("T", "started", 0, at(0), evse=1, samples=(wh(1_000, 0),)))
    site.event(TransactionReport("T", "ended", 2, at(3_600), samples=(wh(2_000, 3_600),)))
    number = site.wire("T").id
    assert await shop.pricer.settle_due() == 1
    assert shop.row(number).before_taxes == "0.30"
    late = (wh(5_000, 3_600, "Transaction.End"),)
    site.event(TransactionReport("T", "updated", 1, at(1_800), samples=late), 4_000)
    assert await shop.pricer.settle_due() == 1
    assert shop.row(number).before_taxes == "1.20"


async def test_idle_time_is_charged_by_what_the_vehicle_asked_for() -> None:
    shop = Shop()
    number = shop.site.start().transaction_id
    for seconds, status in ((10, "charging"), (1_800, "suspended_evse"), (2_700, "suspended_ev")):
        shop.site.run(billing.connector_changed, "s1", 1, at(seconds), status)
    shop.site.stop(number)
    found = await shop.pricer.price(number)
    assert found is not None
    assert (found.cost.parking_s, found.cost.time_s) == (900, 2_700)
    assert str(found.cost.parts["parking"].before_taxes) == "1.5"  # type: ignore[index]


HEAD = "country,region,locality,tax,percentage,valid_from,valid_to,base,source\n"
VAT = table([("t.csv", f"{HEAD}CA,,,VAT,19,2013-01-01,,price,x\n")])


@pytest.mark.parametrize(
    ("taxes", "included", "vat"),
    [(VAT, "NO", 19), (VAT, "YES", 19), (VAT, "N/A", None), (TAXES, "NO", None)],
)
async def test_a_price_knows_the_single_rate_that_its_place_added(
    taxes: TaxTable, included: str, vat: int | None
) -> None:
    """None where taxes are stacked, and where none are charged."""
    shop = Shop(taxes, {**TARIFF, "tax_included": included})
    found = await shop.pricer.price(shop.site.start().transaction_id)
    assert found is not None
    assert found.vat == vat


async def test_who_was_refused_and_drew_nothing_is_asked_for_nothing() -> None:
    """Neither a fee for the start, nor time, nor the minimum: no amount that looks like a debt."""
    fees = [{"type": "FLAT", "price": 1.5}, {"type": "TIME", "price": 6}]
    least = {"min_price": {"before_taxes": 2}}
    shop = Shop(data={**TARIFF, **least, "elements": [{"price_components": fees}]})
    shop.site.card("LOST", blocked=True)
    number = shop.site.start(card="LOST").transaction_id
    for _ in range(2):
        found = await shop.pricer.price(number)
        assert found is not None
        assert (str(found.cost.total.after_taxes), found.cost.parts) == ("0.00", {})
        assert found.cost.notes == (
            "nothing is charged: the driver was refused, and drew no energy to speak of",
        )
        shop.site.stop(number, 60, 1_000)
    await shop.pricer.settle_due()
    assert shop.row(number).after_taxes == "0.00"
    assert [f["after_taxes"] for f in shop.site.facts("transaction_priced")] == ["0.00"]


async def test_who_was_refused_and_drew_energy_all_the_same_pays_for_it() -> None:
    shop = Shop()
    shop.site.card("LOST", blocked=True)
    number = shop.site.start(card="LOST").transaction_id
    shop.site.stop(number)
    found = await shop.pricer.price(number)
    assert found is not None
    assert (str(found.cost.total.before_taxes), found.cost.notes) == ("3.00", ())


async def test_a_transaction_without_a_tariff_has_no_price() -> None:
    shop = Shop()
    number = shop.site.start(evse=2).transaction_id
    assert await shop.pricer.price(number) is None
    assert await shop.pricer.price(999) is None


async def test_what_is_doubtful_is_said() -> None:
    shop = Shop(TaxTable({}, {}))
    number = shop.site.start(meter_wh=50_000).transaction_id
    shop.site.stop(number, meter_wh=40_000)
    found = await shop.pricer.price(number)
    assert found is not None
    assert found.cost.warnings == (
        "there is no tax table for CA",
        f"register_suspect: {MEANING['register_suspect']}",
    )


async def test_energy_that_nobody_measured_is_told_from_none() -> None:
    shop = Shop()
    number = shop.site.start(meter_wh=None).transaction_id
    running = await shop.pricer.price(number)
    shop.site.stop(number, meter_wh=None)
    ended = await shop.pricer.price(number)
    assert running is not None
    assert ended is not None
    unknown = "the station reported no meter reading: the energy is not known"
    assert (running.cost.warnings, ended.cost.warnings) == ((), (unknown,))


async def test_vat_in_the_tariff_needs_no_tax_table() -> None:
    energy = {"type": "ENERGY", "price": 1, "vat": 20, "step_size": 1}
    data = TARIFF | {"elements": [{"price_components": [energy]}]}
    shop = Shop(TaxTable({}, {}), data)
    shop.site.stop(shop.site.start().transaction_id)
    found = await shop.pricer.price(1)
    assert found is not None
    assert (str(found.cost.total.after_taxes), found.cost.warnings) == ("12.00", ())


async def test_many_samples_are_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop()
    number = shop.site.start().transaction_id
    shop.site.meter([wh(1_000 + n, n) for n in range(1, 30)], number)
    monkeypatch.setattr("csms.flows.prices.PAGE", 7)
    found = await shop.pricer.price(number)
    assert found is not None
    assert found.cost.energy_wh == 29


async def test_so_are_many_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long charge whose car asks for less and less changes its state all the time: what was not
    read was taken for one long pause, and billed as idle time."""
    shop = Shop(TaxTable({}, {}), TARIFF | {"elements": [{"price_components": [IDLE]}]})
    shop.site.event(TransactionReport("W", STARTED, 0, at(0), 1, 1, Shown("CARD")))
    for n in range(1, 30):
        state = ("Charging", "SuspendedEV")[n % 2]
        report = TransactionReport("W", UPDATED, n, at(60 * n), charging_state=state)
        shop.site.event(report)
    shop.site.event(TransactionReport("W", ENDED, 30, at(1_800)))
    whole = await shop.pricer.price(shop.site.wire("W").id)
    monkeypatch.setattr("csms.flows.prices.PAGE", 7)
    paged = await shop.pricer.price(shop.site.wire("W").id)
    assert whole is not None
    assert whole.cost.total.after_taxes > 0
    assert paged == whole
    monkeypatch.setattr("csms.flows.prices.MAX_PAGES", 2)
    cut = await shop.pricer.price(shop.site.wire("W").id)
    assert cut is not None
    assert any("not all" in warning for warning in cut.cost.warnings)


async def test_one_price_that_cannot_be_computed_keeps_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = Shop()
    first = shop.site.start().transaction_id
    shop.site.stop(first)
    second = shop.site.start(4_000).transaction_id
    shop.site.stop(second, 7_600)
    broken = shop.row(first)._replace(time_zone="Nowhere/Land")

    def break_it(tx: Any) -> None:
        tx.get(TransactionPrice, first)
        tx.save(broken)

    shop.site.run(break_it)
    assert await shop.pricer.settle_due() == 1
    assert (shop.row(first).state, shop.row(second).state) == (State.DUE, State.PRICED)
    shop.site.run(billing.due, second)
    assert await shop.pricer.settle_due() == 1
