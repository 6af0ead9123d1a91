"""Reading the lists of a partner that speaks for several parties (transport_and_format, GET)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from csms.core import tariffs as prices
from csms.core import tokens as own
from csms.core.neighbours import NeighbourObject
from csms.core.tariffs import Tariff
from csms.core.tokens import Token
from csms.core.visitors import VisitorToken
from csms.ocpi import cdrs, lists, locations, sessions, tariffs, tokens
from csms.ocpi.headers import Routing
from csms.ocpi.network import Limits
from tests.ocpi.test_locations import evse, place
from tests.support.ocpi import NOW, Lost, Side, connected, said

MODULES = (*tokens.MODULES, *locations.MODULES, *tariffs.MODULES, *sessions.MODULES, *cdrs.MODULES)
PARTIES = ("CA*NTH", "CA*NT2")


@asynccontextmanager
async def networks() -> AsyncIterator[tuple[Side, Side]]:
    """North speaks for two parties, South for two."""
    north = Side("CA*NTH", more=["CA*NT2"]).offers(*MODULES)
    south = Side("US*STH", more=["US*ST2"]).offers(*MODULES)
    async with connected(north, south) as both:
        yield both


def between(request: httpx.Request) -> tuple[str | None, str | None]:
    """To whom and from whom."""
    return Routing.of(request.headers)


def test_the_newest_object_of_a_list_is_remembered() -> None:
    pulled = lists.Pulled()
    for days in (1, 3, 2):
        pulled.seen(NOW + timedelta(days=days))
    assert pulled.newest == NOW + timedelta(days=3)


async def test_what_every_party_of_a_partner_lists_comes() -> None:
    async with networks() as (north, south):
        for number, party in enumerate(PARTIES):
            north.party = party
            place(north, f"LOC{number}", evse(f"E{number}"))
            data = {"currency": "CAD", "elements": []}
            row = Tariff(party, f"t{number}", 0, f"T{number}", True, NOW, NOW, "CAD", data=data)
            data["elements"] = [{"price_components": [{"type": "ENERGY", "price": 0.3}]}]
            north.store.run(prices.put, row, NOW)
            north.store.run(own.add, Token(party, "", "rfid", f"CARD{number}", NOW), NOW)
        north.party = PARTIES[0]
        partner = await south.partner(north)
        for module in (locations, tariffs, tokens):
            pulled = await module.pull(south.network, partner, None)
            assert pulled.faults == []
        found = await south.store.reader.page(NeighbourObject)
        assert {(row.module, row.party_id) for row in found} == {
            (module, party) for module in ("locations", "tariffs") for party in PARTIES
        }
        assert {t.party_id for t in await south.store.reader.page(VisitorToken)} == set(PARTIES)


async def test_sessions_and_records_are_asked_for_by_each_of_our_parties() -> None:
    """What is listed depends on whose drivers they are."""
    async with networks() as (north, south):
        partner = await south.partner(north)
        for module in (sessions, cdrs):
            south.faults.sent.clear()
            await module.pull(south.network, partner, None)
            assert {between(r) for r in south.faults.sent} == {
                (to, sender) for to in PARTIES for sender in ("US*STH", "US*ST2")
            }


async def test_every_party_of_a_partner_is_told() -> None:
    async with networks() as (north, south):
        place(north)
        north.store.run(own.add, Token("CA*NTH", "", "rfid", "CARD", NOW), NOW)
        partner = await north.partner(south)
        for push, key in ((locations.push, "LOC1"), (tariffs.push, "T1"), (tokens.push, "CARD")):
            north.faults.sent.clear()
            assert await push(north.network, partner, "CA*NTH", key) == []
            told = [between(r) for r in north.faults.sent]
            assert told == [("US*STH", "CA*NTH"), ("US*ST2", "CA*NTH")]


async def test_one_place_is_told_of_the_party_that_is_asked() -> None:
    async with networks() as (north, south):
        place(north)
        partner = await south.partner(north)
        url = f"{partner.endpoint('locations', 'SENDER')}/LOC1"
        for to, http in (("CA*NTH", 200), ("CA*NT2", 404), (None, 200)):
            access = south.network.access(partner, Routing(to, "US*STH"))
            assert (await south.network.client.call("GET", url, access)).http == http, to


def _breaks(request: httpx.Request) -> httpx.Response:
    raise Lost("the connection broke")


def _leads_away(request: httpx.Request) -> httpx.Response:
    link = {"Link": '<https://elsewhere.example.com/x>; rel="next"'}
    return httpx.Response(200, json={"status_code": 1000, "data": []}, headers=link)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda r: said(3000), "their tokens: OCPI 3000: on purpose"),
        (lambda r: httpx.Response(200, json={"status_code": 1000, "data": 1}), "data is no list"),
        (_breaks, "the connection broke"),
        (_leads_away, "leads to another host"),
    ],
)
async def test_a_party_that_does_not_answer_does_not_keep_the_others_from_being_read(
    answer: Any, why: str
) -> None:
    async with networks() as (north, south):
        for number, party in enumerate(PARTIES):
            north.store.run(own.add, Token(party, "", "rfid", f"CARD{number}", NOW), NOW)
        south.faults.instead = lambda r: answer(r) if between(r)[0] == PARTIES[0] else None
        pulled = await tokens.pull(south.network, await south.partner(north), None)
        assert list(pulled.failed) == [Routing(PARTIES[0], "US*STH")]
        assert why in pulled.failed[Routing(PARTIES[0], "US*STH")]
        assert [t.party_id for t in await south.store.reader.page(VisitorToken)] == [PARTIES[1]]


async def test_pages_are_asked_for_no_longer_than_our_own() -> None:
    """transport_and_format, pagination: a peer may give all that it has where no limit is named."""
    north = Side("CA*NTH").offers(*MODULES)
    south = Side("US*STH", limits=Limits(page=7)).offers(*MODULES)
    async with connected(north, south):
        partner = await south.partner(north)
        for module in (locations, tariffs, tokens, sessions, cdrs):
            south.faults.sent.clear()
            await module.pull(south.network, partner, NOW)
            (request,) = south.faults.sent
            assert request.url.params["limit"] == "7"
            assert "date_from" in request.url.params


async def test_a_module_that_none_of_their_roles_has_is_neither_told_nor_read() -> None:
    """mod_tokens, mod_locations, mod_tariffs: who sends and who receives. What they would list they
    may not tell of."""
    for roles, told, read in (
        (("NSP",), {locations, tariffs}, set()),
        (("CPO",), {tokens}, {locations, tariffs, sessions, cdrs}),
        (("EMSP",), {locations, tariffs}, {tokens}),
        (("SCSP",), {locations, tariffs}, set()),
        (("HUB",), {locations, tariffs, tokens}, {locations, tariffs, tokens, sessions, cdrs}),
    ):
        north = Side("CA*NTH").offers(*MODULES)
        east = Side("DE*EST", roles=roles).offers(*MODULES)
        async with connected(north, east):
            place(north)
            north.store.run(own.add, Token("CA*NTH", "", "rfid", "CARD", NOW), NOW)
            partner = await north.partner(east)
            for module, key in ((locations, "LOC1"), (tariffs, "T1"), (tokens, "CARD")):
                north.faults.sent.clear()
                found = await module.push(north.network, partner, "CA*NTH", key)
                assert (found is not None) is (module in told), (roles, module.NAME)
                assert bool(north.faults.sent) is (module in told), (roles, module.NAME)
            for module in (locations, tariffs, tokens, sessions, cdrs):
                north.faults.sent.clear()
                await module.pull(north.network, partner, None)
                assert bool(north.faults.sent) is (module in read), (roles, module.NAME)
