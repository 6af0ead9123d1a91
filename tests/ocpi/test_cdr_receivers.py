"""To whom records go: to the network over whose connection their driver came (OCPI 2.2.1 mod_cdrs),
also when that is a hub."""

from __future__ import annotations

from csms.bus.local import LocalBus
from csms.core import partners
from csms.ocpi import cdrs, exchange
from csms.ocpi.exchange import Progress
from csms.ocpi.network import OwnRole
from csms.ocpi.publisher import Publisher
from tests.ocpi.test_cdrs import (
    FEED,
    SENDER,
    deliveries,
    networks,
    record,
    sealed,
    turn,
)
from tests.support.ocpi import Side, anew


async def listed(reader: Side, owner: Side) -> list[str]:
    answer = await reader.asks(owner, "GET", SENDER)
    return [cdr["id"] for cdr in answer.json()["data"]]


async def test_a_record_goes_to_the_hub_that_its_driver_came_over() -> None:
    """mod_cdrs: to the eMSP of the driver; where that is reached over a hub, there. A hub speaks
    for no party of its own in that role."""
    hub = Side("NL*HUB", roles=("HUB",)).offers(*cdrs.MODULES)
    async with networks(south=hub) as (north, _):
        await turn(north, hub)
        over = (await north.partner(hub)).id
        sealed(north, record("R1", "FR*OTH")._replace(partner_id=over), record("R2", "FR*OTH"))
        assert await turn(north, hub)
        (post,) = north.faults.sent
        assert (post.method, post.headers["ocpi-to-party-id"]) == ("POST", "OTH")
        assert set(await deliveries(north)) == {"R1"}
        assert await listed(hub, north) == ["R1"]


async def test_who_names_a_party_later_is_shown_no_record_of_before() -> None:
    """Neither in an exchange that nobody here has a hand in, nor with a connection of its own."""
    async with networks() as (north, south):
        sealed(north, record("R1"))
        east = Side("DE*EST").offers(*cdrs.MODULES)
        async with east.up():
            await east.register(north, north.invite(east.party))
            north.store.run(partners.remove, (await north.partner(south)).id, north.now)
            roles = (*east.network.roles, OwnRole("EMSP", "US*STH", "x"))
            object.__setattr__(east.network, "roles", roles)
            await exchange.rotate(east.network, await east.partner(north), Progress())
            assert (await north.partner(east)).speaks_for("US*STH", "EMSP")
            assert await listed(east, north) == []
            await anew(north, east)
            assert await listed(east, north) == []
            assert await turn(north, east)
            assert await deliveries(north) == {}


async def test_under_another_name_a_connection_is_another_network() -> None:
    async with networks() as (north, south):
        await turn(north, south)
        sealed(north, record("R1"))
        await anew(north, south, "Somebody")
        partner = await exchange.by_name(north.network, "Somebody")
        publisher = Publisher(north.network, LocalBus())
        for _ in range(2):
            assert await publisher.push(partner, FEED)
        assert await deliveries(north) == {}
        assert await listed(south, north) == []
