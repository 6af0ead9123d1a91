"""Whose a charge is."""

from __future__ import annotations

from csms.core import visitors
from csms.core.contracts import Contract
from csms.core.partners import Partner, State
from csms.core.pricing.money import Treatment
from csms.core.transactions import Transaction
from csms.core.visits import Visit
from csms.flows import drivers
from csms.flows.drivers import whose
from tests.core.test_orders import GUEST
from tests.support.charging import NOW, PARTY, Site

VISIT = Visit(1, "US*STH", "guest", "APP_USER", "GUEST", "p1", "US-STH-C1", "AUTH_REQUEST", "R")


async def test_our_own_token_goes_before_another_of_its_uid() -> None:
    site = Site()
    site.run(visitors.put, GUEST._replace(uid="CARD", uid_key="card"))
    t = site.get(Transaction, site.start().transaction_id)
    found = await whose(site.store.reader, t)
    assert found is not None
    assert (found.driver.party_id, found.partner_id) == (PARTY, None)
    assert (found.auth_method, found.contract) == ("WHITELIST", Contract())


async def test_what_was_entered_when_the_charge_began_counts() -> None:
    site = Site()
    t = site.get(Transaction, site.start(card="GUEST").transaction_id)
    agreed = {"taxes": "reverse_charge"}
    visit = VISIT._replace(transaction_id=t.id, contract=agreed)
    site.run(lambda tx: tx.save(visit))
    found = await whose(site.store.reader, t)
    assert found is not None
    assert (found.driver.party_id, found.driver.contract_id) == ("US*STH", "US-STH-C1")
    assert (found.partner_id, found.auth_method, found.reference) == ("p1", "AUTH_REQUEST", "R")
    assert found.contract.taxes is Treatment.REVERSE_CHARGE


async def test_a_token_that_was_told_of_later_is_found_by_its_uid() -> None:
    site = Site()
    t = site.get(Transaction, site.start(card="GUEST").transaction_id)
    assert await whose(site.store.reader, t) is None
    site.run(visitors.put, GUEST)
    found = await whose(site.store.reader, t)
    assert found is not None
    assert (found.driver.contract_id, found.partner_id) == ("US-STH-C1", "p1")
    nobody = t._replace(token_key="none", token_uid="none")
    assert await whose(site.store.reader, nobody) is None


# -- by which connection ---------------------------------------------------------------------------


def connection(
    site: Site, partner_id: str, state: State, name: str = "South", role: str = "EMSP"
) -> Partner:
    roles = [{"role": role, "party": "US*STH", "name": "x"}]
    made = Partner(partner_id, name, state, NOW, roles=roles, endpoints=[])
    site.run(lambda tx: tx.save(made))
    return made


async def test_a_driver_is_of_the_connection_that_it_came_over() -> None:
    """Whoever else names its party."""
    site = Site()
    reader = site.store.reader
    south = connection(site, "p1", State.REGISTERED)
    hub = connection(site, "p2", State.REGISTERED, "Hub", "HUB")
    assert await drivers.is_theirs(reader, hub, "p2", "FR*OTH")
    assert not await drivers.is_theirs(reader, south, "p2", "US*STH")
    assert not await drivers.is_theirs(reader, south, None, "US*STH")
    assert not await drivers.is_theirs(reader, south, "unknown", "US*STH")
    assert await drivers.present(reader, "p2", "FR*OTH") == hub
    assert await drivers.present(reader, None, "US*STH") is None


async def test_a_connection_that_was_removed_is_followed_by_that_of_its_name() -> None:
    site = Site()
    reader = site.store.reader
    gone = connection(site, "p1", State.REMOVED)
    other = connection(site, "p2", State.REGISTERED, "East")
    assert await drivers.present(reader, "p1", "US*STH") == gone
    assert await drivers.earlier(reader, other) == []
    anew = connection(site, "p3", State.SUSPENDED)
    assert await drivers.present(reader, "p1", "US*STH") == anew
    assert await drivers.present(reader, "p1", "FR*OTH") == gone, "it does not speak for that one"
    assert await drivers.earlier(reader, anew) == [gone]
    assert await drivers.is_theirs(reader, anew, "p1", "US*STH")
    assert not await drivers.is_theirs(reader, other, "p1", "US*STH")
    assert not await drivers.is_theirs(reader, gone, "p3", "US*STH")
