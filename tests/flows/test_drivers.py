"""Whose a charge is."""

from __future__ import annotations

from csms.core import visitors
from csms.core.orders import Order, State, Wish
from csms.core.transactions import Transaction
from csms.flows.drivers import whose
from tests.core.test_orders import GUEST
from tests.support.charging import NOW, PARTY, Site, at


async def test_our_own_token_goes_before_another_of_its_uid() -> None:
    site = Site()
    site.run(visitors.put, GUEST._replace(uid="CARD", uid_key="card"))
    t = site.get(Transaction, site.start().transaction_id)
    found = await whose(site.store.reader, t)
    assert found is not None
    assert (found.driver.party_id, found.partner_id, found.ordered) == (PARTY, None, False)


async def test_a_visitor_belongs_to_the_connection_that_told_of_it() -> None:
    site = Site()
    site.run(visitors.put, GUEST._replace(reference="ASKED"))
    t = site.get(Transaction, site.start(card="GUEST").transaction_id)
    found = await whose(site.store.reader, t)
    assert found is not None
    assert (found.driver.contract_id, found.partner_id) == ("US-STH-C1", "p1")
    assert found.reference == "ASKED"
    nobody = t._replace(token_key="none", token_uid="none")
    assert await whose(site.store.reader, nobody) is None


async def test_what_was_ordered_is_for_the_token_of_the_order() -> None:
    """Also where two networks have a token of that uid (M11: the last reference wins)."""
    site = Site()
    site.run(visitors.put, GUEST._replace(party_id="US*AAA", partner_id="p9", valid=True))
    site.run(visitors.put, GUEST._replace(reference="ASKED"))
    order = Order("p1", "https://x", Wish.START, State.TOLD, NOW, at(60), "ACCEPTED")
    order = order._replace(
        party_id="US*STH",
        uid_key="guest",
        token_type="APP_USER",
        reference="ORDERED",
        command_id="c1",
    )
    site.run(lambda tx: tx.save(order))
    t = site.get(Transaction, site.start(card="GUEST").transaction_id)._replace(command_id="c1")
    found = await whose(site.store.reader, t)
    assert found is not None
    assert (found.driver.party_id, found.partner_id) == ("US*STH", "p1")
    assert (found.reference, found.ordered) == ("ORDERED", True)
