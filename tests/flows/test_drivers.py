"""Whose a charge is."""

from __future__ import annotations

from csms.core import visitors
from csms.core.contracts import Contract
from csms.core.pricing.money import Treatment
from csms.core.transactions import Transaction
from csms.core.visits import Visit
from csms.flows.drivers import whose
from tests.core.test_orders import GUEST
from tests.support.charging import PARTY, Site

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
