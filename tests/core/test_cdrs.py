"""Charge detail records: sealed once, corrected by a credit and a new one (OCPI 2.2.1 mod_cdrs)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.core import billing, cdrs, locations, tariffs
from csms.core.billing import Computed, State, TransactionPrice
from csms.core.cdrs import Cdr, Charge, Driver
from csms.core.errors import NotFound, Refused
from csms.core.pricing.cost import Policy, price
from csms.core.pricing.money import Tax
from csms.core.pricing.periods import Period
from csms.core.pricing.tariff import parse
from csms.core.tariffs import Tariff
from csms.core.transactions import Transaction
from tests.core.test_locations import EVSE, HERE
from tests.core.test_tariffs import FIRST
from tests.support.charging import NOW, PARTY, Site, at

TARIFF: dict[str, Any] = {
    "currency": "CAD",
    "tax_included": "NO",
    "elements": [
        {
            "price_components": [
                {"type": "FLAT", "price": "1.00", "step_size": 1},
                {"type": "ENERGY", "price": "0.30", "step_size": 1},
                {"type": "PARKING_TIME", "price": "2.00", "step_size": 1},
            ]
        }
    ],
}
QUEBEC = (Tax("GST", Decimal(5), "R1"), Tax("QST", Decimal("9.975"), "Q1"))
PLUG = {"id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE"}
DRIVER = Driver("US*STH", "04E1A2B3", "RFID", "US-STH-C123")


@pytest.fixture
def place(site: Site) -> Site:
    site.run(locations.put, HERE._replace(state="Quebec"), [EVSE._replace(connectors=[PLUG])], NOW)
    site.run(tariffs.put, FIRST._replace(data=TARIFF), NOW)
    site.run(tariffs.assign, PARTY, "DAY", "LOC-1", None, NOW)
    return site


def priced(place: Site, number: int) -> TransactionPrice:
    """The price is known now; what it is does not matter to the record, which has its own cost."""
    row = place.get(TransactionPrice, number)
    place.run(billing.settle, number, Computed(row.revision, ("1.00", "1.15"), {}, at(4_600)))
    found: TransactionPrice = place.get(TransactionPrice, number)
    return found


def charged(place: Site, wh: int = 10_000, driver: Driver | None = DRIVER) -> Charge:
    """A charge of an hour, with a quarter of an hour of standing after it."""
    number = place.start(meter_wh=0).transaction_id
    place.stop(number, meter_wh=wh, seconds=4_500)
    priced(place, number)
    t = place.get(Transaction, number)
    periods = (
        Period(NOW, at(3_600), Decimal(wh), Decimal(3_600), max_power=Decimal("11")),
        Period(at(3_600), at(4_500), parking_s=Decimal(900)),
    )
    cost = price(parse(TARIFF), periods, ZoneInfo("America/Toronto"), Policy(QUEBEC))
    return Charge(
        t._replace(ended_at=at(4_500)),
        place.get(TransactionPrice, number),
        place.get(Tariff, PARTY, "day", 1),
        cost,
        periods,
        driver,
    )


def seal(place: Site, charge: Charge, cdr_id: str = "R1", seconds: float = 5_000) -> Cdr:
    found: Cdr = place.run(cdrs.seal, cdr_id, charge, at(seconds))
    return found


def test_a_record_says_what_was_charged_and_what_it_costs(place: Site) -> None:
    cdr = seal(place, charged(place))
    assert (cdr.party_id, cdr.id, cdr.energy_wh) == (PARTY, "R1", 10_000)
    assert (cdr.token_party, cdr.token_uid) == ("US*STH", "04E1A2B3")
    # 1 + 10 kWh x 0.30 + 0.25 h x 2; GST 5 % and QST 9.975 % of it, the last with the residue.
    assert (cdr.before_taxes, cdr.after_taxes) == ("4.50", "5.17")
    data = cdr.data
    assert data["total_cost"] == {
        "before_taxes": "4.50",
        "taxes": [
            {"name": "GST", "amount": "0.23", "percentage": "5", "account_number": "R1"},
            {"name": "QST", "amount": "0.44", "percentage": "9.975", "account_number": "Q1"},
        ],
    }
    assert data["total_fixed_cost"]["before_taxes"] == "1"
    assert data["total_energy_cost"]["before_taxes"] == "3"
    assert data["total_parking_cost"]["before_taxes"] == "0.5"
    assert "total_reservation_cost" not in data
    assert (data["total_energy"], data["total_time"], data["total_parking_time"]) == (
        "10",
        "1.25",
        "0.25",
    )
    assert data["tariffs"] == [TARIFF]
    assert data["session_id"] == cdrs.session_id(cdr.transaction_id)


def test_a_record_names_the_place_and_the_plug_as_they_were(place: Site) -> None:
    data = seal(place, charged(place)).data
    assert data["cdr_location"]["evse_uid"] == "E-1"
    assert data["cdr_location"]["connector_standard"] == "IEC_62196_T2"
    assert data["cdr_location"]["coordinates"].keys() == {"latitude", "longitude"}
    assert None not in data["cdr_location"].values(), "nothing is sent as null"


def test_periods_say_what_was_used_and_by_which_tariff(place: Site) -> None:
    """M15: no dimension that only a session may have."""
    first, second = seal(place, charged(place)).data["charging_periods"]
    assert first["dimensions"] == [
        {"type": "ENERGY", "volume": "10"},
        {"type": "TIME", "volume": "1"},
        {"type": "MAX_POWER", "volume": "11"},
    ]
    assert second["dimensions"] == [{"type": "PARKING_TIME", "volume": "0.25"}]
    assert first["tariff_id"] == second["tariff_id"] == "DAY"


def test_a_record_for_nobody_has_no_token(place: Site) -> None:
    cdr = seal(place, charged(place, driver=None))
    assert (cdr.token_party, cdr.token_uid) == (None, None)
    assert "cdr_token" not in cdr.data


def test_a_token_without_a_contract_is_its_own_contract(place: Site) -> None:
    """OCPI 2.2.1 mod_cdrs, CdrToken: contract_id is mandatory."""
    cdr = seal(place, charged(place, driver=Driver("US*STH", "U1", "RFID")))
    assert cdr.data["cdr_token"] == {
        "country_code": "US",
        "party_id": "STH",
        "uid": "U1",
        "type": "RFID",
        "contract_id": "U1",
    }


def test_sealing_again_changes_nothing(place: Site) -> None:
    charge = charged(place)
    first = seal(place, charge)
    assert seal(place, charge, "R2", 6_000) == first
    assert len(place.rows(Cdr)) == 1
    assert place.journal().count("cdr_sealed") == 1
    assert "cdr_sealed_already" in place.marks()


def test_what_was_priced_again_is_credited_and_replaced(place: Site) -> None:
    """M14: a record is never changed; a credit has all its data and only the total negated."""
    charge = charged(place)
    first = seal(place, charge)
    more = (replace(charge.periods[0], energy_wh=Decimal(11_000)), charge.periods[1])
    place.run(billing.due, charge.transaction.id)
    again = replace(
        charge,
        price=priced(place, charge.transaction.id),
        periods=more,
        cost=price(parse(TARIFF), more, ZoneInfo("UTC"), Policy(QUEBEC)),
        transaction=charge.transaction._replace(energy_wh=11_000),
    )
    second = seal(place, again, "R2", 6_000)
    rows = {row.id: row for row in place.rows(Cdr)}
    assert set(rows) == {"R1", "R1-C", "R2"}
    cancelled, cancels = rows["R1"], rows["R1-C"]
    assert cancelled == first._replace(credited_by="R1-C")
    assert (cancels.credit_of, cancels.before_taxes, cancels.after_taxes) == (
        "R1",
        "-4.50",
        "-5.17",
    )
    assert cancels.data["total_cost"]["before_taxes"] == "-4.50"
    assert [line["amount"] for line in cancels.data["total_cost"]["taxes"]] == ["-0.23", "-0.44"]
    kept = {k: v for k, v in cancels.data.items() if k not in ("total_cost", "remark")}
    assert kept == {k: v for k, v in first.data.items() if k != "total_cost"}
    assert place.run(cdrs.standing, charge.transaction.id) == second
    total = sum((Decimal(row.after_taxes) for row in rows.values()), Decimal(0))
    assert total == Decimal(second.after_taxes), "the three together are what is owed"


def test_a_charge_is_billed_by_its_record(place: Site) -> None:
    charge = charged(place)
    seal(place, charge)
    assert place.get(TransactionPrice, charge.transaction.id).state == State.BILLED


def test_what_became_due_once_more_is_not_sealed_as_it_was(place: Site) -> None:
    charge = charged(place)
    place.run(billing.due, charge.transaction.id)
    assert place.run(cdrs.seal, "R1", charge, at(5_000)) is None
    priced(place, charge.transaction.id)
    assert place.run(cdrs.seal, "R1", charge, at(5_000)) is None, (
        "another price than it was made of"
    )
    assert place.rows(Cdr) == []
    assert place.marks().count("stale_charge_not_billed") == 2


def test_a_record_is_credited_once(place: Site) -> None:
    seal(place, charged(place))
    assert place.run(cdrs.credit, PARTY, "R1", at(1), "wrong driver").id == "R1-C"
    with pytest.raises(Refused, match="credited already, by R1-C"):
        place.run(cdrs.credit, PARTY, "r1", at(2), "again")
    with pytest.raises(Refused, match="is a credit itself, of R1"):
        place.run(cdrs.credit, PARTY, "R1-C", at(2), "back")
    with pytest.raises(NotFound, match="no CDR R9"):
        place.run(cdrs.credit, PARTY, "R9", at(2), "which?")


def test_after_a_credit_by_hand_the_charge_can_be_sealed_anew(place: Site) -> None:
    charge = charged(place)
    seal(place, charge)
    place.run(cdrs.credit, PARTY, "R1", at(1), "wrong driver")
    assert place.run(cdrs.standing, charge.transaction.id) is None
    assert seal(place, replace(charge, driver=None), "R2").id == "R2"


def test_a_charge_of_nothing_costs_nothing_and_says_so(place: Site) -> None:
    """I03.FR.02, M14: free is 0.00, not absent."""
    charge = charged(place)
    free = {"currency": "CAD", "elements": [{"price_components": [{"type": "FLAT", "price": 0}]}]}
    periods = (Period(NOW, NOW + timedelta(seconds=1)),)
    cost = price(parse(free), periods, ZoneInfo("UTC"))
    cdr = seal(place, replace(charge, periods=periods, cost=cost))
    assert (cdr.before_taxes, cdr.after_taxes) == ("0.00", "0.00")
    assert cdr.data["total_cost"] == {"before_taxes": "0.00"}
    place.run(cdrs.credit, PARTY, "R1", at(1), "never mind")
    assert place.get(Cdr, PARTY, "r1-c").before_taxes == "0.00", "there is no negative nothing"


@given(st.integers(0, 200_000), st.integers(0, 100_000))
def test_a_record_and_its_credit_cancel_out(wh: int, seconds: int) -> None:
    periods = (Period(NOW, NOW, Decimal(wh), Decimal(seconds), parking_s=Decimal(seconds)),)
    cost = price(parse(TARIFF), periods, ZoneInfo("UTC"), Policy(QUEBEC))
    total = cdrs._price(cost.total, exact=False)
    back = cdrs._negated(total)
    parts = [(total["before_taxes"], back["before_taxes"])]
    parts += [
        (a["amount"], b["amount"]) for a, b in zip(total["taxes"], back["taxes"], strict=True)
    ]
    assert all(Decimal(a) + Decimal(b) == 0 for a, b in parts)
    taxes = sum((Decimal(line["amount"]) for line in total["taxes"]), Decimal(0))
    assert Decimal(total["before_taxes"]) + taxes == cost.total.after_taxes, "to the cent"


def test_a_driver_who_was_refused_and_drew_nothing_has_no_record(place: Site) -> None:
    """OCPI 2.2.1 mod_sessions, SessionStatus INVALID: it will not be billed."""
    charge = charged(place, wh=0)
    charge = replace(charge, transaction=charge.transaction._replace(outcome="blocked"))
    for _ in range(2):
        assert seal(place, charge) is None
        assert place.rows(Cdr) == []
        assert place.get(TransactionPrice, charge.transaction.id).state == State.REFUSED


def test_a_record_is_credited_when_it_turns_out_that_its_driver_was_refused(place: Site) -> None:
    charge = charged(place, wh=0)
    assert seal(place, charge) is not None
    refused = replace(charge, transaction=charge.transaction._replace(outcome="blocked"))
    for _ in range(2):
        assert seal(place, refused, "R2", 6_000) is None
        first, credit = place.rows(Cdr)
        assert (first.credited_by, credit.credit_of) == (credit.id, first.id)
        assert credit.data["remark"] == "the driver was refused, and drew no energy to speak of"


def test_the_tariff_of_a_record_names_the_vat_that_the_place_added(place: Site) -> None:
    """OCPI 2.2.1 mod_tariffs, PriceComponent.vat: omitted means that no VAT applies. What the
    operator wrote stays, and so does the tariff itself."""
    own = {"type": "TIME", "price": "6.00", "vat": "7"}
    bare = {"type": "ENERGY", "price": "0.30"}
    charge = charged(place)
    written = replace(
        charge,
        tariff=charge.tariff._replace(data={"elements": [{"price_components": [own, bare]}]}),
    )
    (said,) = cdrs.content(replace(written, vat=Decimal("19.0")))["tariffs"]
    assert said["elements"][0]["price_components"] == [own, {**bare, "vat": "19"}]
    (said,) = cdrs.content(replace(written, vat=Decimal(0)))["tariffs"]
    assert said["elements"][0]["price_components"][1]["vat"] == "0", "which is not the same as none"
    assert "vat" not in bare
    assert cdrs.content(written)["tariffs"] == [written.tariff.data]
