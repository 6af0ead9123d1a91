"""The tariffs module between two networks over real HTTP (OCPI 2.2.1 mod_tariffs)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from csms.bus.local import LocalBus
from csms.core import tariffs as prices
from csms.core.neighbours import NeighbourObject
from csms.core.tariffs import Tariff
from csms.ocpi import tariffs
from csms.ocpi.feeds import FEEDS
from csms.ocpi.publisher import Publisher
from csms.ocpi.wire import reading
from tests.support import ocpi_objects as objects
from tests.support.ocpi import NOW, Side, connected

RECEIVER = "/2.2.1/receiver/tariffs"
SENDER = "/2.2.1/sender/tariffs"
(FEED,) = [feed for feed in FEEDS if feed.name == "tariffs"]


@asynccontextmanager
async def networks() -> AsyncIterator[tuple[Side, Side]]:
    north, south = (Side(party).offers(*tariffs.MODULES) for party in ("CA*NTH", "US*STH"))
    async with connected(north, south) as both:
        yield both


def data(price: Any = 0.25, **changes: Any) -> dict[str, Any]:
    component = {"type": "ENERGY", "price": price, "step_size": 1}
    return {"tax_included": "NO", "elements": [{"price_components": [component]}], **changes}


def row(tariff_id: str = "T1", **changes: Any) -> Tariff:
    given = data(**changes)
    return Tariff("CA*NTH", tariff_id.casefold(), 0, tariff_id, True, NOW, NOW, "CAD", data=given)


def priced(told: Any) -> Any:
    assert told is not None
    return told["elements"][0]["price_components"][0]["price"]


def theirs(tariff_id: str = "T9", **changes: Any) -> dict[str, Any]:
    made = objects.tariff(tariff_id, **{"country_code": "US", "party_id": "STH", **changes})
    made["elements"] = [{"price_components": [{"type": "TIME", "price": 2, "step_size": 60}]}]
    return made


async def kept(side: Side, party: str = "US*STH", key: str = "t9") -> Any:
    found = await side.store.reader.get(NeighbourObject, "tariffs", party, key)
    return reading.load(found.body.encode()) if found else None


# -- in the words of 2.2.1 -------------------------------------------------------------------------


def test_limits_and_taxes_are_said_as_2_2_1_knows_them() -> None:
    told = tariffs.shown(row(min_price={"before_taxes": 0.5, "after_taxes": 0.6}))
    assert told is not None
    assert told["min_price"] == {"excl_vat": Decimal("0.5"), "incl_vat": Decimal("0.6")}
    assert "tax_included" not in told
    assert (told["id"], told["currency"], told["country_code"]) == ("T1", "CAD", "CA")
    assert priced(told) == Decimal("0.25")


def test_prices_with_taxes_are_told_without_them_where_the_rate_is_known() -> None:
    component = {"type": "ENERGY", "price": 0.3, "vat": 20, "step_size": 1}
    element = {"price_components": [component]}
    told = tariffs.shown(row(tax_included="YES", elements=[element]))
    assert priced(told) == Decimal("0.2500")
    assert tariffs.shown(row(tax_included="YES")) is None


def test_a_step_that_is_not_said_is_one() -> None:
    element = {"price_components": [{"type": "FLAT", "price": 1}]}
    told = tariffs.shown(row(elements=[element]))
    assert told is not None
    assert told["elements"][0]["price_components"][0]["step_size"] == 1


# -- between two networks --------------------------------------------------------------------------


async def test_the_current_version_is_listed() -> None:
    async with networks() as (north, south):
        north.store.run(prices.put, row(), north.now)
        north.store.run(prices.put, row("GONE"), north.now)
        north.later(hours=1)
        north.store.run(prices.put, row(price=0.30), north.now)
        north.store.run(prices.retire, "CA*NTH", "GONE", north.now)
        listed = (await south.asks(north, "GET", SENDER)).json()["data"]
        assert [(t["id"], priced(t)) for t in listed] == [("T1", 0.3)]
        late = await south.asks(north, "GET", f"{SENDER}?date_from=2026-01-01T14:00:00Z")
        assert late.json()["data"] == []


async def test_a_tariff_is_put_read_and_withdrawn() -> None:
    async with networks() as (north, south):
        path = f"{RECEIVER}/US/STH/T9"
        assert (await south.asks(north, "PUT", path, theirs())).status_code == 201
        assert (await south.asks(north, "PUT", path, theirs())).status_code == 200
        assert (await south.asks(north, "GET", path)).json()["data"] == theirs()
        assert (await south.asks(north, "PATCH", path, {})).status_code == 405
        assert (await south.asks(north, "DELETE", path)).json()["status_code"] == 1000
        assert await kept(north) is None
        gone = await south.asks(north, "DELETE", path)
        assert (gone.status_code, gone.json()["status_code"]) == (200, 2000)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("US/STH/OTHER", theirs()),
        ("US/STH/T9", theirs(party_id="XXX")),
        ("US/STH/T9", theirs(currency=None)),
        ("US/STH/T9", None),
    ],
)
async def test_what_cannot_be_used_is_2001(path: str, body: Any) -> None:
    async with networks() as (north, south):
        answer = await south.asks(north, "PUT", f"{RECEIVER}/{path}", body)
        assert (answer.status_code, answer.json()["status_code"]) == (200, 2001)
        assert await kept(north) is None


async def test_a_partner_reaches_only_tariffs_of_its_own_parties() -> None:
    async with networks() as (north, south):
        east = Side("DE*EST").offers(*tariffs.MODULES)
        async with east.up():
            await east.register(north, north.invite(east.party))
            await south.asks(north, "PUT", f"{RECEIVER}/US/STH/T9", theirs())
            for method, body in (("GET", None), ("PUT", theirs()), ("DELETE", None)):
                answer = await east.asks(north, method, f"{RECEIVER}/US/STH/T9", body)
                assert answer.status_code == 404, method
            assert await kept(north) == theirs()


async def test_changes_arrive_by_the_pump_and_what_is_retired_goes() -> None:
    async with networks() as (north, south):
        publisher = Publisher(north.network, LocalBus())
        assert await publisher.push(await north.partner(south), FEED)
        north.store.run(prices.put, row(), north.now)
        north.store.run(prices.put, row(price=0.123456), north.now)
        north.faults.sent.clear()
        assert await publisher.push(await north.partner(south), FEED)
        assert [r.method for r in north.faults.sent] == ["PUT"]
        assert priced(await kept(south, "CA*NTH", "t1")) == Decimal("0.123456")
        north.store.run(prices.retire, "CA*NTH", "T1", north.now)
        assert await publisher.push(await north.partner(south), FEED)
        assert await kept(south, "CA*NTH", "t1") is None


async def test_a_list_is_pulled() -> None:
    async with networks() as (north, south):
        north.store.run(prices.put, row(), north.now)
        pulled = await tariffs.pull(south.network, await south.partner(north), None)
        assert (pulled.faults, pulled.newest) == ([], NOW)
        assert priced(await kept(south, "CA*NTH", "t1")) == Decimal("0.25")


def test_numbers_that_are_kept_as_text_are_told_as_numbers() -> None:
    component = {"type": "ENERGY", "price": "0.30", "step_size": "1"}
    element = {"price_components": [component], "restrictions": {"min_kwh": "2.5"}}
    told = tariffs.shown(row(elements=[element], min_price={"before_taxes": "0.50"}))
    assert priced(told) == Decimal("0.30")
    assert told is not None
    assert told["elements"][0]["restrictions"] == {"min_kwh": Decimal("2.5")}
    assert told["min_price"] == {"excl_vat": Decimal("0.50")}
