"""Records between networks as operators see them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from csms.api.roaming import ReceivedCdrOut, differs
from csms.core.exchanged import CdrDelivery, Delivery, ReceivedCdr
from csms.core.neighbours import NeighbourObject
from csms.core.security import Role
from tests.api.conftest import NOW, Api


def received(party: str = "US*STH", cdr_id: str = "R1", **changes: Any) -> ReceivedCdr:
    """A record of another network for a driver of ours."""
    made = ReceivedCdr(
        party_id=party,
        id_key=cdr_id.casefold(),
        id=cdr_id,
        partner_id="p1",
        received_at=NOW,
        started_at=NOW,
        ended_at=NOW,
        token_party="CA*NTH",
        token_uid="CARD",
        currency="USD",
        energy_kwh="10",
        before_taxes="3.00",
        after_taxes=None,
        digest="d",
        body='{"id": "R1", "total_energy": 10}',
        repriced="3.00",
        difference="0",
        priced_by="tariff DAY",
    )
    return made._replace(**changes)


def delivery(party: str = "CA*NTH", cdr_id: str = "R1", **changes: Any) -> CdrDelivery:
    """A record of ours on its way."""
    key = cdr_id.casefold()
    made = CdrDelivery("p1", party, key, cdr_id, Delivery.DUE, NOW, NOW, "{}")
    return made._replace(**changes)


async def items(api: Api, path: str) -> list[Any]:
    answer = await api("GET", path, Role.VIEWER)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["items"]
    return found


async def test_what_others_bill_is_listed_and_shown_as_it_came(api: Api) -> None:
    dear = received(cdr_id="R2", before_taxes="3.50", difference="0.50")
    unknown = received(cdr_id="R3", repriced=None, difference=None, priced_by="several tariffs")
    # Within one cent, or half a percent: rounding, and no reason to look (P11).
    off = received(cdr_id="R4", difference="-0.01")
    for row in (received(), dear, unknown, off):
        api.store.run(lambda tx, row=row: tx.save(row))
    assert [row["id"] for row in await items(api, "/roaming/cdrs")] == ["R1", "R2", "R3", "R4"]
    (found,) = await items(api, "/roaming/cdrs?differing=true")
    assert (found["id"], found["difference"]) == ("R2", "0.50")
    shown = (await api("GET", "/roaming/cdrs/US*STH/r1", Role.VIEWER)).json()
    assert shown["cdr"] == {"id": "R1", "total_energy": 10}
    assert (await api("GET", "/roaming/cdrs/US*STH/R9", Role.VIEWER)).status_code == 404


async def test_deliveries_are_listed_by_state(api: Api) -> None:
    no = delivery(cdr_id="R2", state=Delivery.REFUSED, error="OCPI 2001: no")
    for row in (delivery(), no):
        api.store.run(lambda tx, row=row: tx.save(row))
    assert [row["cdr_id"] for row in await items(api, "/roaming/deliveries")] == ["R1", "R2"]
    (found,) = await items(api, "/roaming/deliveries?state=refused")
    assert found["error"] == "OCPI 2001: no"


async def test_sessions_elsewhere_are_listed_as_they_were_told(api: Api) -> None:
    for module in ("sessions", "locations"):
        body = '{"id": "S1", "status": "ACTIVE", "kwh": 1.5}'
        row = NeighbourObject(module, "US*STH", "s1", "S1", "p1", NOW, NOW, body)
        api.store.run(lambda tx, row=row: tx.save(row))
    (found,) = await items(api, "/roaming/sessions")
    assert (found["party_id"], found["id"], found["partner_id"]) == ("US*STH", "S1", "p1")
    assert found["session"] == {"id": "S1", "status": "ACTIVE", "kwh": 1.5}


async def test_sessions_that_nobody_bills_and_bills_of_sessions_that_nobody_told(api: Api) -> None:
    early = NOW - timedelta(hours=2)

    def session(session_id: str, status: str = "COMPLETED", at: datetime = early) -> Any:
        body = json.dumps({"id": session_id, "status": status})
        key = session_id.casefold()
        return NeighbourObject("sessions", "US*STH", key, session_id, "p1", at, at, body)

    rows = (
        session("S1"),
        session("S2"),
        session("S3", "ACTIVE"),
        session("S4", at=NOW),
        received(cdr_id="R1", session_key="s1"),
        received(cdr_id="R2", session_key="s9"),
        received(cdr_id="R3"),
    )
    for row in rows:
        api.store.run(lambda tx, row=row: tx.save(row))
    assert [row["id"] for row in await items(api, "/roaming/sessions/unbilled")] == ["S2"]
    assert [row["id"] for row in await items(api, "/roaming/cdrs/unmatched")] == ["R2", "R3"]


@pytest.mark.parametrize(
    ("expected", "difference", "currency", "differing"),
    [
        ("3.00", "0.01", "USD", False),
        ("3.00", "0.0151", "USD", True),
        ("3.00", "-0.02", "USD", True),
        ("100.00", "0.50", "USD", False),
        ("100.00", "-0.51", "USD", True),
        ("100", "1", "JPY", False),
        ("100", "2", "JPY", True),
        ("-100.00", "0.50", "USD", False),
    ],
)
def test_the_tolerance_is_a_smallest_unit_or_half_a_percent(
    expected: str, difference: str, currency: str, differing: bool
) -> None:
    row = received(repriced=expected, difference=difference, currency=currency)
    assert differs(ReceivedCdrOut.of(row), Decimal("0.5")) is differing
