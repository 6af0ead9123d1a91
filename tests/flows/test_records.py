"""Every priced charge is billed by one record, corrected when what it is made of changes."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from csms.core import ends, partners, visitors
from csms.core.billing import State
from csms.core.cdrs import Cdr
from csms.core.contracts import Contract
from csms.core.locations import Location
from csms.core.partners import Partner
from csms.core.partners import State as PartnerState
from csms.core.pricing.money import Treatment
from csms.core.tokens import Shown
from csms.core.transactions import TransactionReport
from csms.core.visitors import HomeAnswer, VisitorToken
from csms.flows.records import MAX_SIGNED, Biller, _most_telling
from tests.core.test_locations import HERE
from tests.core.test_orders import GUEST
from tests.flows.test_prices import TARIFF, VAT, Shop
from tests.support.charging import NOW, PARTY, at, wh


class Office(Shop):
    """The shop, and what writes its bills."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        numbers = count(1)
        self.biller = Biller(self.site.store, self.pricer, self.clock, lambda: f"R{next(numbers)}")

    async def close(self) -> list[Cdr]:
        """Price and bill what there is; all records."""
        await self.pricer.settle_due()
        await self.biller.bill_priced()
        return self.site.rows(Cdr)


async def test_a_charge_is_billed_once_with_its_tax_lines() -> None:
    office = Office()
    number = office.site.start().transaction_id
    office.site.meter([wh(6_000, 900)], number)
    assert await office.close() == [], "it still runs"
    office.site.stop(number)
    (cdr,) = await office.close()
    assert (cdr.before_taxes, cdr.after_taxes, cdr.energy_wh) == ("3.00", "3.45", 10_000)
    assert [(x["name"], x["amount"]) for x in cdr.data["total_cost"]["taxes"]] == [
        ("GST", "0.15"),
        ("QST", "0.30"),
    ]
    assert (cdr.token_party, cdr.token_uid, cdr.partner_id) == (PARTY, "CARD", None)
    assert cdr.data["auth_method"] == "WHITELIST"
    assert office.row(number).state == State.BILLED
    assert await office.biller.bill_priced() == 0
    assert await office.close() == [cdr]


async def test_what_is_known_later_is_credited_and_billed_anew() -> None:
    """A transaction that an operator closed, and whose stop came after all."""
    office = Office()
    number = office.site.start().transaction_id
    office.site.meter([wh(6_000, 900)], number)
    office.site.run(ends.close, number, at(1_000))
    (first,) = await office.close()
    assert first.before_taxes == "1.50"
    office.site.stop(number)
    found = {cdr.id: cdr for cdr in await office.close()}
    assert set(found) == {"R1", "R1-C", "R2"}
    assert found["R1-C"].before_taxes == "-1.50"
    assert found["R2"].before_taxes == "3.00"
    assert office.row(number).state == State.BILLED


async def test_a_visitor_is_billed_by_contract_and_reference() -> None:
    """M11: the reference of the home network's answer is in the record, and no later one."""
    office = Office()
    partner = Partner("p1", "South", PartnerState.REGISTERED, NOW)
    office.site.run(lambda tx: tx.save(partner))
    visitor = VisitorToken(
        party_id="US*STH",
        uid_key="visitor",
        type="RFID",
        uid="VISITOR",
        partner_id="p1",
        contract_id="US-STH-C1",
        issuer="South",
        valid=True,
        whitelist="NEVER",
        last_updated=NOW,
        received_at=NOW,
        answer="accepted",
        answered_at=NOW,
        answer_station_id="s1",
        reference="REF-7",
    )
    office.site.run(visitors.put, visitor)
    number = office.site.start(card="VISITOR").transaction_id
    asked = visitors.question(visitor)
    office.site.run(visitors.answered, asked, HomeAnswer("accepted", "REF-8"), at(60))
    office.site.stop(number)
    (cdr,) = await office.close()
    assert cdr.data["cdr_token"]["contract_id"] == "US-STH-C1"
    assert cdr.data["authorization_reference"] == "REF-7"
    assert cdr.data["auth_method"] == "AUTH_REQUEST"
    assert (cdr.party_id, cdr.token_party, cdr.partner_id) == (PARTY, "US*STH", "p1")


async def test_the_bill_says_where_it_was_when_the_charge_began() -> None:
    """M14: a place that is renamed meanwhile is on no bill of before."""
    office = Office()
    number = office.site.start().transaction_id

    def move(tx: Any) -> None:
        place = tx.get(Location, PARTY, "loc-1")
        tx.save(place._replace(address="2 Other Street", city="Elsewhere"))

    office.site.run(move)
    office.site.stop(number)
    (cdr,) = await office.close()
    assert cdr.data["cdr_location"]["address"] == HERE.address
    assert cdr.data["cdr_location"]["city"] == HERE.city


async def test_the_tariff_of_a_bill_says_the_vat_that_its_total_has() -> None:
    """OCPI 2.2.1 mod_tariffs, PriceComponent.vat: omitted means that no VAT applies."""
    office = Office(taxes=VAT)
    number = office.site.start().transaction_id
    office.site.stop(number)
    (cdr,) = await office.close()
    assert (cdr.before_taxes, cdr.after_taxes) == ("3.00", "3.57")
    (said,) = cdr.data["tariffs"]
    assert [c["vat"] for c in said["elements"][0]["price_components"]] == ["19", "19"]


async def test_what_is_agreed_with_the_drivers_network_stands_beside_the_amounts() -> None:
    """P10, P11: taxes and rounding by contract, as it was when the charge began."""
    office = Office(taxes=VAT)
    partner = Partner("p1", "South", PartnerState.REGISTERED, NOW)
    office.site.run(lambda tx: tx.save(partner))
    office.site.run(partners.agree, "p1", Contract(Treatment.REVERSE_CHARGE), NOW)
    office.site.run(visitors.put, GUEST._replace(valid=True, whitelist="ALWAYS"))
    number = office.site.start(card="GUEST").transaction_id
    office.site.run(partners.agree, "p1", Contract(), at(1))
    office.site.stop(number)
    (cdr,) = await office.close()
    assert (cdr.before_taxes, cdr.after_taxes) == ("3.00", "3.00")
    assert "taxes" not in cdr.data["total_cost"]
    assert cdr.data["contract"]["taxes"] == "reverse_charge"
    assert cdr.data["tariffs"] == [TARIFF], "no VAT was added"


def test_a_long_charge_keeps_the_signed_values_of_its_start_and_end() -> None:
    values = [{"nature": "Intermediate", "n": n} for n in range(250)]
    values[0] |= {"nature": "Start"}
    values[-1] |= {"nature": "End"}
    kept = _most_telling(values)
    assert len(kept) == MAX_SIGNED
    assert [kept[0]["n"], kept[-2]["n"], kept[-1]["n"]] == [0, 248, 249]
    assert [v["n"] for v in kept] == sorted(v["n"] for v in kept)
    ends = [{"nature": "End", "n": n} for n in range(150)]
    assert [v["n"] for v in _most_telling(ends)] == [0, *range(51, 150)]


FEES = [{"type": "FLAT", "price": 1.5}, {"type": "TIME", "price": 6}]
WITH_FEES = {**TARIFF, "elements": [{"price_components": FEES}]}


async def test_a_driver_who_was_refused_and_drew_nothing_is_not_billed() -> None:
    office = Office(data=WITH_FEES)
    office.site.card("LOST", blocked=True)
    number = office.site.start(card="LOST").transaction_id
    office.site.stop(number, 8, 1_000, reason="DeAuthorized")
    assert await office.close() == []
    assert office.row(number).state == State.REFUSED, "it is not looked at again"


async def test_what_a_refused_driver_drew_is_billed_also_when_that_is_known_later() -> None:
    office = Office(data=WITH_FEES)
    office.site.card("LOST", blocked=True)
    number = office.site.start(card="LOST").transaction_id
    office.site.run(ends.close, number, at(60))
    assert await office.close() == []
    office.site.stop(number)
    (cdr,) = await office.close()
    assert (cdr.energy_wh, cdr.before_taxes) == (10_000, "7.50")
    assert office.row(number).state == State.BILLED


async def test_a_bill_is_credited_when_it_is_learnt_that_its_driver_was_refused() -> None:
    """Reports of OCPP 2.x may come in any order: that of the start is the last one here."""
    office = Office(data=WITH_FEES)
    office.site.card("LOST", blocked=True)
    end = TransactionReport("T", "ended", 1, at(60), evse=1, samples=(wh(1_000, 60),))
    office.site.event(end)
    (first,) = await office.close()
    assert first.before_taxes != "0.00"
    start = TransactionReport("T", "started", 0, at(0), evse=1, token=Shown("LOST"))
    office.site.event(replace(start, samples=(wh(1_000, 0),)), 120)
    found = {cdr.id: cdr for cdr in await office.close()}
    assert set(found) == {"R1", "R1-C"}
    assert found["R1"].credited_by == "R1-C"


async def test_an_unknown_driver_is_nobody() -> None:
    office = Office()
    number = office.site.start(card="STRANGER").transaction_id
    office.site.stop(number)
    (cdr,) = await office.close()
    assert (cdr.token_party, "cdr_token" in cdr.data) == (None, False)


@pytest.mark.parametrize(
    ("signed", "method", "data"),
    [
        ("OCMF|{}|{}", "OCMF", "OCMF|{}|{}"),
        ({"signedMeterData": "AAAA", "encodingMethod": "EDL"}, "EDL", "AAAA"),
        ("who knows", "unknown", "who knows"),
    ],
)
async def test_signed_readings_are_carried_as_they_came(
    signed: Any, method: str, data: str
) -> None:
    """OCPI 2.2.1 mod_cdrs, SignedData: the driver's proof."""
    office = Office()
    number = office.site.start().transaction_id
    sample = wh(6_000, 900, "Transaction.Begin", signed=signed)
    office.site.meter([sample], number)
    office.site.stop(number)
    (cdr,) = await office.close()
    assert cdr.data["signed_data"] == {
        "encoding_method": method,
        "signed_values": [{"nature": "Start", "plain_data": "6000", "signed_data": data}],
    }


async def test_one_charge_that_cannot_be_billed_does_not_keep_the_others() -> None:
    office = Office()
    broken = office.site.start().transaction_id
    office.site.stop(broken)
    await office.pricer.settle_due()
    where = "UPDATE transaction_prices SET time_zone = 'Nowhere/Land' WHERE transaction_id = ?"
    office.site.store.reader._database.connection.execute(where, (broken,))  # type: ignore[attr-defined]
    good = office.site.start(seconds=4_000, card="CARD").transaction_id
    office.site.stop(good, 7_200)
    (cdr,) = await office.close()
    assert cdr.transaction_id == good
    assert office.row(broken).state == State.PRICED
