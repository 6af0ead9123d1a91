"""The end of the roaming demonstration: what both networks hold of each charge, side by side.

Every number comes from the operator APIs of the two networks. What does not agree to the cent, or
is missing on one side, fails the demonstration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import httpx

from csms.cli.demo import DemoFailed

SETTLE_S = 40.0
LOOK_EVERY_S = 0.25
# Both currencies have cents; the total is rounded, its parts are not.
CENT = Decimal("0.01")
WIRE = Decimal("0.0001")
_PARTS = ("fixed", "energy", "time", "parking", "reservation")


@dataclass(frozen=True, slots=True)
class Books:
    """One network's own records for visitors (`cdrs`, with their content) and what the other one
    holds of them (`received`), by id."""

    cdrs: Mapping[str, Any]
    received: Mapping[str, Any]


async def everything(client: httpx.AsyncClient, path: str, **params: Any) -> list[Any]:
    """All items of a list of the API."""
    found: list[Any] = []
    cursor: str | None = None
    while True:
        asked = {"limit": 500, **params, **({"cursor": cursor} if cursor else {})}
        answer = await client.get(path, params=asked)
        answer.raise_for_status()
        found += answer.json()["items"]
        cursor = answer.json()["next"]
        if cursor is None:
            return found


async def balanced(cpo: httpx.AsyncClient, emsp: httpx.AsyncClient, party: str) -> Books:
    """Wait until every charge that ended is billed, and the other network has every bill. Raises
    `DemoFailed` naming what is missing."""
    waiting: str | None = "nothing was looked at"
    try:
        async with asyncio.timeout(SETTLE_S):
            while True:
                books, waiting = await _look(cpo, emsp, party)
                if not waiting:
                    return books
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise DemoFailed(f"{party}: {waiting} after {SETTLE_S:g} s") from None


async def _look(
    cpo: httpx.AsyncClient, emsp: httpx.AsyncClient, party: str
) -> tuple[Books, str | None]:
    transactions = await everything(cpo, "/transactions")
    cdrs = await everything(cpo, "/cdrs")
    billed = {cdr["transaction_id"] for cdr in cdrs}
    open_ = [t["id"] for t in transactions if t["open"]]
    missing = [t["id"] for t in transactions if not t["open"] and t["id"] not in billed]
    theirs = {cdr["id"]: cdr for cdr in cdrs if cdr["token_party"] not in (None, party)}
    sent = {d["cdr_id"]: d["state"] for d in await everything(cpo, "/roaming/deliveries")}
    listed = await everything(emsp, "/roaming/cdrs")
    received = {cdr["id"]: cdr for cdr in listed if cdr["party_id"] == party}
    if open_ or missing:
        return Books({}, {}), f"transactions {open_ + missing} are not billed"
    refused = [name for name, state in sent.items() if state == "refused"]
    if refused:
        raise DemoFailed(f"{party}: the other network refused the records {refused}")
    lacking = sorted(set(theirs) - {i for i in received if sent.get(i) == "confirmed"})
    return Books(theirs, received), f"records {lacking} have not arrived" if lacking else None


async def compared(books: Books, cpo: httpx.AsyncClient, emsp: httpx.AsyncClient) -> dict[str, Any]:
    """The sums of both sides. Raises `DemoFailed` where they differ, naming the record."""
    sums: dict[str, Any] = {
        "cdrs": len(books.cdrs),
        "energy_kwh": Decimal(0),
        "before_taxes": Decimal(0),
        "after_taxes": Decimal(0),
        "difference": Decimal(0),
        "roaming_fee": Decimal(0),
    }
    taxes: dict[str, Decimal] = {}
    for cdr_id, row in books.cdrs.items():
        ours = (await cpo.get(f"/cdrs/{row['party_id']}/{cdr_id}")).json()
        theirs = (await emsp.get(f"/roaming/cdrs/{row['party_id']}/{cdr_id}")).json()
        _check(cdr_id, ours, theirs)
        for line in ours["cdr"]["total_cost"]["taxes"]:
            taxes[line["name"]] = taxes.get(line["name"], Decimal(0)) + Decimal(line["amount"])
        sums["energy_kwh"] += Decimal(theirs["energy_kwh"])
        for name in ("before_taxes", "after_taxes", "difference"):
            sums[name] += Decimal(theirs[name])
        sums["roaming_fee"] += fee(theirs["cdr"])
    told = {n: _text(v) if isinstance(v, Decimal) else v for n, v in sums.items()}
    return {**told, "taxes": {name: _text(amount) for name, amount in sorted(taxes.items())}}


def fee(cdr: Mapping[str, Any]) -> Decimal:
    """What a record asks beyond what energy, time, idling and the rest cost. The total is rounded
    to a cent, each part to what the wire carries: within that they say the same."""
    parts = [_amount(cdr, f"total_{part}_cost") for part in _PARTS]
    beyond = _amount(cdr, "total_cost") - sum(parts, Decimal(0))
    if abs(beyond) <= (CENT + len(parts) * WIRE) / 2:
        return Decimal(0)
    return beyond.quantize(CENT, ROUND_HALF_UP)


def _amount(cdr: Mapping[str, Any], name: str) -> Decimal:
    return Decimal(str((cdr.get(name) or {}).get("excl_vat", 0)))


def _check(cdr_id: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    taxes = sum(
        (Decimal(line["amount"]) for line in ours["cdr"]["total_cost"]["taxes"]), Decimal(0)
    )
    before, after = Decimal(ours["before_taxes"]), Decimal(ours["after_taxes"])
    wh = Decimal(theirs["energy_kwh"]) * 1000
    facts: Sequence[tuple[str, object, object]] = (
        ("energy", wh, Decimal(ours["energy_wh"])),
        ("price before taxes", Decimal(theirs["before_taxes"]), before),
        ("price after taxes", Decimal(theirs["after_taxes"] or 0), after),
        ("taxes", taxes, after - before),
        ("difference to the price by the tariff", Decimal(theirs["difference"] or "nan"), 0),
        ("roaming fee", fee(theirs["cdr"]), 0),
    )
    for what, found, expected in facts:
        if found != expected:
            raise DemoFailed(f"record {cdr_id}: {what}: {found}, expected {expected}")


def _text(amount: Decimal) -> str:
    return format(amount, "f") if amount else "0"
