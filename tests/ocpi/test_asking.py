"""A station shows a visitor's token: its home network decides, over real HTTP."""

from __future__ import annotations

import pytest

from csms.core import partners
from csms.core import tokens as own
from csms.core.authorization import Outcome
from csms.core.ids import Origin
from csms.core.partners import State
from csms.core.ports import Ask
from csms.core.tokens import Token
from csms.core.visitors import HomeAsked
from csms.flows.exchange import exchange
from csms.ocpi import tokens
from csms.ocpi.asking import Homes
from csms.ocpp.routing import dispatch, serve
from csms.ocpp.rpc import Call
from tests.support.ocpi import Side, connected
from tests.support.ocpp import Inbound


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_the_home_network_decides(protocol: str, blocked: bool) -> None:
    north, south = (Side(party).offers(*tokens.MODULES) for party in ("CA*NTH", "US*STH"))
    async with connected(north, south):
        south.store.run(own.add, Token("US*STH", "", "app", "GUEST", south.now), south.now)
        partner = await north.partner(south)
        await tokens.pull(north.network, partner, None)
        if blocked:
            south.store.run(own.set_blocked, "US*STH", "GUEST", "app", True, south.now)
        station = Inbound(protocol, store=north.store.inner)
        one, two = {"idTag": "GUEST"}, {"idToken": {"idToken": "GUEST", "type": "Central"}}
        payload = one if protocol == "ocpp1.6" else two
        work = dispatch(station.protocol.dialect, Call("m", "Authorize", payload))
        origin = Origin(station.station_id, station.identity, "any", station.now)
        ask = await north.store.transact(serve, origin, work)
        assert isinstance(ask, Ask)
        reply = await exchange(north.store, Homes(lambda: north.network), ask)
        info = reply.value.get("idTagInfo") or reply.value["idTokenInfo"]
        assert info["status"] == ("Blocked" if blocked else "Accepted")


async def test_only_home_networks_are_asked_and_only_while_they_are_connected() -> None:
    async with connected(*(Side(p).offers(*tokens.MODULES) for p in ("CA*NTH", "US*STH"))) as (
        north,
        south,
    ):
        south.store.run(own.add, Token("US*STH", "", "rfid", "GUEST", south.now), south.now)
        homes = Homes(lambda: north.network)
        with pytest.raises(LookupError):
            await homes.ask("anything else")
        with pytest.raises(LookupError):
            await Homes(lambda: None).ask(HomeAsked("p", "US*STH", "GUEST", "RFID"))
        partner = await north.partner(south)
        question = HomeAsked(partner.id, "US*STH", "GUEST", "RFID")
        answer = await homes.ask(question)
        assert answer is not None
        assert answer.outcome is Outcome.ACCEPTED
        suspended = north.store.run(partners.suspend, partner.id, north.now)
        assert suspended.state == State.SUSPENDED
        assert await homes.ask(question) is None
