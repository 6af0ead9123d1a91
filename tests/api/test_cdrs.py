"""Charge detail records as operators see them, and the charges without one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from csms.core import charging
from csms.core.billing import State, TransactionPrice
from csms.core.cdrs import Cdr
from csms.core.charging import StartReport, StopReport
from csms.core.exchanged import CdrDelivery, Delivery
from csms.core.partners import Partner
from csms.core.partners import State as Connection
from csms.core.security import Role
from csms.core.tokens import Shown
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from tests.api.conftest import NOW, Api

MINE = "CA*NTH"


def record(party: str = MINE, cdr_id: str = "R1", **changes: Any) -> Cdr:
    """A sealed record."""
    made = Cdr(
        party_id=party,
        id_key=cdr_id.casefold(),
        id=cdr_id,
        transaction_id=7,
        created_at=NOW,
        started_at=NOW - timedelta(hours=1),
        ended_at=NOW,
        token_party="US*STH",
        token_uid="CARD",
        currency="CAD",
        energy_wh=10_000,
        before_taxes="3.00",
        after_taxes="3.45",
        data={"total_cost": {"before_taxes": "3.00"}, "total_energy": "10"},
    )
    return made._replace(**changes)


def keep(api: Api, *rows: Any) -> None:
    for row in rows:
        api.store.run(lambda tx, row=row: tx.save(row))


async def ids(api: Api, query: str = "") -> list[str]:
    answer = await api("GET", f"/cdrs{query}", Role.VIEWER)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_records_are_listed_the_newest_first_and_found(api: Api) -> None:
    others = record(cdr_id="R2", transaction_id=8, token_party="DE*EST")
    keep(api, record(), others, record(cdr_id="R3", transaction_id=8))
    assert await ids(api) == ["R3", "R2", "R1"]
    assert await ids(api, "?transaction=8") == ["R3", "R2"]
    assert await ids(api, "?token_party=US*STH") == ["R3", "R1"]
    assert await ids(api, "?transaction=9") == []
    first = (await api("GET", "/cdrs?limit=2", Role.VIEWER)).json()
    assert await ids(api, f"?limit=2&cursor={first['next']}") == ["R1"]


async def test_a_record_is_shown_with_what_it_says(api: Api) -> None:
    keep(api, record())
    shown = (await api("GET", f"/cdrs/{MINE}/r1", Role.VIEWER)).json()
    assert shown["cdr"] == {"total_cost": {"before_taxes": "3.00"}, "total_energy": "10"}
    assert (shown["token_party"], shown["after_taxes"]) == ("US*STH", "3.45")
    assert (await api("GET", f"/cdrs/{MINE}/R9", Role.VIEWER)).status_code == 404


async def test_a_record_is_credited_once_with_a_reason(api: Api) -> None:
    keep(api, record(), record(cdr_id="R2"))
    path, body = f"/cdrs/{MINE}/R1/credit", {"reason": "wrong driver"}
    assert (await api("POST", path, Role.VIEWER, json=body)).status_code == 403
    assert (await api("POST", path, Role.OPERATOR, json={"reason": ""})).status_code == 422
    key = {"Idempotency-Key": "k1"}
    made = await api("POST", path, Role.OPERATOR, json=body, headers=key)
    assert made.status_code == 201
    credit = made.json()
    assert (credit["id"], credit["credit_of"]) == ("R1-C", "R1")
    assert (credit["before_taxes"], credit["after_taxes"]) == ("-3.00", "-3.45")
    assert credit["cdr"]["remark"] == "wrong driver"
    again = await api("POST", path, Role.OPERATOR, json=body, headers=key)
    assert again.json() == credit
    assert (await api("POST", path, Role.OPERATOR, json=body)).status_code == 409
    assert await ids(api, "?credited=true") == ["R1-C", "R1"]
    assert await ids(api, "?credited=false") == ["R2"]
    (audit,) = await api.audits()
    assert (audit["action"], audit["target"]) == ("cdr_credited", "R1")


async def charge(api: Api, station: dict[str, Any], evse: int, drawn_wh: int = 5_000) -> int:
    origin = api.origin(station["id"])
    started = api.store.run(charging.start, origin, StartReport(evse, Shown("CARD"), NOW, 0))
    number: int = started.transaction_id
    api.store.run(charging.stop, origin, StopReport(number, NOW, drawn_wh))
    return number


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (None, "no_tariff"),
        (State.DUE, "not_priced"),
        (State.PRICED, "not_billed"),
        (State.BILLED, None),
    ],
)
async def test_charges_without_a_record_are_listed_with_the_reason(
    api: Api, state: State | None, why: str | None
) -> None:
    station = await api.add_station()
    await api("POST", "/tokens", json={"uid": "CARD"})
    number = await charge(api, station, 1)
    if state is not None:
        keep(
            api,
            TransactionPrice(
                number, MINE, "DAY", 1, "CAD", "LOC-1", "E-1", "UTC", "CA", None, NOW, state
            ),
        )

    async def missing() -> list[tuple[int, str]]:
        answer = await api("GET", "/cdrs/missing", Role.VIEWER)
        assert answer.status_code == 200, answer.text
        return [(t["transaction_id"], t["why"]) for t in answer.json()["items"]]

    assert await missing() == [], "it has just ended"
    long_ago = NOW - timedelta(minutes=2)

    def earlier(tx: Any) -> None:
        t = tx.get(Transaction, number)
        tx.save(t._replace(received_at=long_ago, end_received_at=long_ago))

    api.store.run(earlier)
    assert await missing() == ([(number, why)] if why else [])
    body = {"name": "s", "role": "viewer", "parties": ["US*CPT"]}
    stranger = (await api("POST", "/keys", json=body)).json()["key"]
    headers = {"Authorization": f"Bearer {stranger}"}
    assert (await api("GET", "/cdrs/missing", None, headers=headers)).json()["items"] == []


@pytest.mark.parametrize("state", [None, State.DUE, State.REFUSED])
async def test_a_charge_that_was_refused_is_listed_with_that_reason(
    api: Api, state: State | None
) -> None:
    station = await api.add_station()
    number = await charge(api, station, 1, drawn_wh=0)
    long_ago = NOW - timedelta(minutes=2)

    def earlier(tx: Any) -> None:
        t = tx.get(Transaction, number)
        tx.save(t._replace(received_at=long_ago, end_received_at=long_ago))

    api.store.run(earlier)
    if state is not None:
        fixed = (number, MINE, "DAY", 1, "CAD", "LOC-1", "E-1", "UTC", "CA", None, NOW, state)
        keep(api, TransactionPrice(*fixed))
    (listed,) = (await api("GET", "/cdrs/missing", Role.VIEWER)).json()["items"]
    assert (listed["transaction_id"], listed["why"]) == (number, "refused")


async def test_records_whose_charge_is_gone_are_listed(api: Api) -> None:
    station = await api.add_station()
    report = StartReport(1, Shown("CARD"), NOW, 0)
    started = api.store.run(charging.start, api.origin(station["id"]), report)
    here = record(cdr_id="R1", transaction_id=started.transaction_id)
    keep(api, here, record(cdr_id="R2", transaction_id=999_999))
    answer = await api("GET", "/cdrs/unmatched", Role.VIEWER)
    assert [item["id"] for item in answer.json()["items"]] == ["R2"]


async def undelivered(api: Api, headers: dict[str, str] | None = None) -> dict[str, str]:
    role = Role.VIEWER if headers is None else None
    answer = await api("GET", "/cdrs/undelivered", role, headers=headers or {})
    assert answer.status_code == 200, answer.text
    return {item["id"]: item["why"] for item in answer.json()["items"]}


def connection(partner_id: str, state: Connection, name: str, *modules: str) -> Partner:
    roles = [{"role": "EMSP", "party": "US*STH", "name": "x"}]
    offers = [{"module": m, "interface": "RECEIVER", "url": "https://x"} for m in modules]
    return Partner(partner_id, name, state, NOW, roles=roles, endpoints=offers)


async def test_a_record_that_nobody_sends_is_listed_with_the_reason(api: Api) -> None:
    """One whose receiver is not known, or gone, is owed for ever and told to nobody."""
    told = VisitorToken("US*STH", "card", "RFID", "CARD", "p0", "C", "x", True, "ALLOWED", NOW, NOW)
    early = NOW - timedelta(minutes=2)
    theirs = {
        "GONE": connection("gone", Connection.REMOVED, "Gone"),
        "AWAY": connection("away", Connection.SUSPENDED, "Away", "cdrs"),
        "SENT": connection("here", Connection.REGISTERED, "Here", "cdrs"),
        "READ": connection("read", Connection.REGISTERED, "Read"),
    }
    keep(api, told, *theirs.values())
    for name, partner in theirs.items():
        keep(api, record(cdr_id=name, partner_id=partner.id, created_at=early))
    keep(
        api,
        record(cdr_id="LATE", partner_id="here", created_at=early),
        record(cdr_id="NEW", partner_id="here"),
        record(cdr_id="WHOSE", created_at=early),
        record(cdr_id="OURS", token_party=MINE, created_at=early),
        record(cdr_id="NOBODYS", token_party=None, token_uid=None, created_at=early),
    )
    sent = CdrDelivery("here", MINE, "sent", "SENT", Delivery.SENT, NOW, NOW, "{}")
    keep(api, sent)
    assert await undelivered(api) == {
        "WHOSE": "unknown_network",
        "GONE": "removed",
        "AWAY": "suspended",
        "LATE": "waiting",
    }
    # It is owed still when it had been begun with.
    keep(api, sent._replace(partner_id="gone", id_key="gone", cdr_id="GONE"))
    assert (await undelivered(api))["GONE"] == "removed"
    keep(api, connection("anew", Connection.REGISTERED, "Gone", "cdrs"))
    assert "GONE" not in await undelivered(api)
    body = {"name": "s", "role": "viewer", "parties": ["US*CPT"]}
    stranger = (await api("POST", "/keys", json=body)).json()["key"]
    assert await undelivered(api, {"Authorization": f"Bearer {stranger}"}) == {}


async def test_what_an_earlier_connection_has_settled_is_delivered(api: Api) -> None:
    keep(api, connection("gone", Connection.REMOVED, "South"))
    keep(api, record(partner_id="gone", created_at=NOW - timedelta(minutes=2)))
    assert await undelivered(api) == {"R1": "removed"}
    keep(api, CdrDelivery("gone", MINE, "r1", "R1", Delivery.CONFIRMED, NOW, NOW, "{}"))
    assert await undelivered(api) == {}
