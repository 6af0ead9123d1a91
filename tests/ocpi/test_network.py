"""This network as its partners see it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from csms.core import partners
from csms.core.partners import Partner, State, TokenKind
from csms.ocpi.headers import Routing
from csms.ocpi.network import CPO
from tests.support.ocpi import NOW, Side


async def test_addresses_and_parties() -> None:
    side = Side("CA*NTH", ("CPO",))
    side.network.reachable_at("https://csms.example.com/ocpi/")
    assert side.network.versions_url == "https://csms.example.com/ocpi/versions"
    assert side.network.interface_url("tokens", "SENDER").endswith("/ocpi/2.2.1/sender/tokens")
    assert side.network.parties("CPO") == side.network.parties() == ("CA*NTH",)
    assert side.network.parties("EMSP") == ()
    side.listener.close()


async def test_a_token_is_found_by_its_keyed_hash_until_it_expires() -> None:
    side = Side("CA*NTH")
    secret = side.invite("South")
    held = await side.network.holder(secret)
    assert held is not None
    partner, token = held
    assert (partner.name, token.kind) == ("South", TokenKind.INVITATION)
    assert await side.network.holder(secret + "x") is None
    row = side.network.token_row("older", partner.id, TokenKind.CONNECTION)
    ends = side.now + timedelta(hours=1)
    side.store.run(partners.hand_out, row._replace(expires_at=ends), side.now)
    assert await side.network.holder("older") is not None
    side.later(hours=1)
    assert await side.network.holder("older") is None
    side.listener.close()


@pytest.mark.parametrize(
    ("roles", "to"),
    [
        ((("CPO", "DE*EST"), ("EMSP", "DE*EST")), ["DE*EST"]),
        ((("CPO", "DE*EST"), ("CPO", "DE*ES2"), ("HUB", "DE*HUB")), ["DE*EST", "DE*ES2"]),
        # A hub passes on; whoever else has none of these roles has nothing to do with it.
        ((("HUB", "DE*HUB"),), [None]),
        ((("NSP", "DE*MAP"),), []),
        ((("EMSP", "DE*EST"), ("NAP", "DE*EST"), ("OTHER", "DE*EST"), ("SCSP", "DE*EST")), []),
        ((), []),
    ],
)
async def test_only_a_hub_is_called_as_a_whole(
    roles: tuple[tuple[str, str], ...], to: list[str | None]
) -> None:
    """OCPI 2.2.1 transport_and_format, message routing."""
    side = Side("CA*NTH")
    side.listener.close()
    theirs = [{"role": role, "party": party, "name": "x"} for role, party in roles]
    partner = Partner("p", "East", State.REGISTERED, NOW, roles=theirs)
    found = side.network.ways(partner, (CPO,), ("CA*NTH",))
    assert found == [Routing(party, "CA*NTH") for party in to]
