"""The comparison at the end of the roaming demonstration: what does not agree fails it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest

from csms.cli import demo_books
from csms.cli.demo import DemoFailed
from csms.cli.demo_books import Books, balanced, compared, fee

TOTAL = {
    "before_taxes": "3.65",
    "taxes": [{"name": "GST", "amount": "0.18"}, {"name": "QST", "amount": "0.36"}],
}
OURS: dict[str, Any] = {
    "id": "C1",
    "party_id": "CA*NTH",
    "transaction_id": 1,
    "token_party": "US*STH",
    "energy_wh": 2560,
    "before_taxes": "3.65",
    "after_taxes": "4.19",
    "cdr": {"total_cost": TOTAL},
}
WIRE = {
    "total_cost": {"excl_vat": 3.65, "incl_vat": 4.19},
    "total_fixed_cost": {"excl_vat": 2.5},
    "total_energy_cost": {"excl_vat": 1.152},
}
THEIRS: dict[str, Any] = {
    "id": "C1",
    "party_id": "CA*NTH",
    "energy_kwh": "2.560",
    "before_taxes": "3.65",
    "after_taxes": "4.19",
    "difference": "0",
    "cdr": WIRE,
}


def network(**lists: Any) -> httpx.AsyncClient:
    """An API that answers a path with a list, or with one object."""

    def answer(request: httpx.Request) -> httpx.Response:
        name = request.url.path.strip("/")
        if name.endswith("C1"):
            return httpx.Response(200, json=lists["one"])
        found = lists.get(name.replace("/", "_"), [])
        return httpx.Response(200, json={"items": found, "next": None})

    return httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://api")


def cpo(**changes: Any) -> httpx.AsyncClient:
    lists = {
        "transactions": [{"id": 1, "open": False}],
        "cdrs": [OURS],
        "roaming_deliveries": [{"cdr_id": "C1", "state": "confirmed"}],
        "one": OURS,
    }
    return network(**{**lists, **changes})


async def test_books_that_agree_are_summed() -> None:
    emsp = network(roaming_cdrs=[THEIRS], one=THEIRS)
    books = await balanced(cpo(), emsp, "CA*NTH")
    assert await compared(books, cpo(), emsp) == {
        "cdrs": 1,
        "energy_kwh": "2.560",
        "before_taxes": "3.65",
        "after_taxes": "4.19",
        "difference": "0",
        "roaming_fee": "0",
        "taxes": {"GST": "0.18", "QST": "0.36"},
    }


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"energy_kwh": "2.561"}, "energy"),
        ({"before_taxes": "3.66"}, "price before taxes"),
        ({"after_taxes": "4.20"}, "price after taxes"),
        ({"difference": "0.01"}, "difference to the price"),
        ({"difference": None}, "difference to the price"),
        ({"cdr": {**WIRE, "total_cost": {"excl_vat": 4.15}}}, "roaming fee: 0.50"),
    ],
)
async def test_what_differs_names_the_record(changes: Any, what: str) -> None:
    emsp = network(one={**THEIRS, **changes})
    with pytest.raises(DemoFailed, match=f"record C1: {what}"):
        await compared(Books({"C1": OURS}, {"C1": THEIRS}), cpo(), emsp)


async def test_tax_lines_that_do_not_add_up_fail() -> None:
    ours = {**OURS, "cdr": {"total_cost": {**TOTAL, "taxes": TOTAL["taxes"][:1]}}}
    with pytest.raises(DemoFailed, match="record C1: taxes"):
        await compared(Books({"C1": OURS}, {"C1": THEIRS}), cpo(one=ours), network(one=THEIRS))


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ({"cdrs": []}, r"transactions \[1\] are not billed"),
        ({"transactions": [{"id": 1, "open": True}]}, r"transactions \[1\] are not billed"),
        ({"roaming_deliveries": [{"cdr_id": "C1", "state": "sent"}]}, "have not arrived"),
    ],
)
async def test_what_is_missing_is_waited_for_and_named(
    ours: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_books, "SETTLE_S", 0.3)
    with pytest.raises(DemoFailed, match=said):
        await balanced(cpo(**ours), network(roaming_cdrs=[THEIRS]), "CA*NTH")


async def test_a_refused_record_fails_at_once() -> None:
    refusing = cpo(roaming_deliveries=[{"cdr_id": "C1", "state": "refused"}])
    with pytest.raises(DemoFailed, match=r"refused the records \['C1'\]"):
        await balanced(refusing, network(), "CA*NTH")


def test_a_fee_is_what_is_beyond_the_parts() -> None:
    assert fee(WIRE) == 0, "the total is rounded, its parts are not"
    assert fee({**WIRE, "total_cost": {"excl_vat": 4}}) == Decimal("0.35")
    assert fee({**WIRE, "total_cost": {"excl_vat": 3.66}}) == Decimal("0.01")


def test_parts_that_were_rounded_themselves_are_no_fee() -> None:
    """2.324951 in all is 2.32; its parts are told as 1.1625 and 1.1625, together 2.3250."""
    parts = {"total_energy_cost": {"excl_vat": 1.1625}, "total_parking_cost": {"excl_vat": 1.1625}}
    assert fee({"total_cost": {"excl_vat": 2.32}, **parts}) == 0
    assert fee({"total_cost": {"excl_vat": 2.33}, **parts}) == 0
    assert fee({"total_cost": {"excl_vat": 2.34}, **parts}) == Decimal("0.02")
