"""Whose a visitor's charge is, is decided when it begins (OCPI 2.2.1 mod_cdrs, M11)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import charging, visitors, visits
from csms.core.authorization import Outcome
from csms.core.ids import Origin
from csms.core.orders import Order, State, Wish
from csms.core.partners import Partner
from csms.core.partners import State as PartnerState
from csms.core.tokens import Shown
from csms.core.transactions import Transaction
from csms.core.visitors import HomeAnswer
from csms.core.visits import Visit
from tests.core.test_orders import GUEST
from tests.support.charging import NOW, Site, at

ALWAYS = GUEST._replace(valid=True, whitelist="ALWAYS")
ASKED = GUEST._replace(
    answer="accepted", answered_at=NOW, answer_station_id="s1", reference="REF-1"
)


@pytest.fixture
def site() -> Site:
    made = Site()
    for partner_id in ("p1", "p9"):
        row = Partner(partner_id, partner_id, PartnerState.REGISTERED, NOW)
        made.run(lambda tx, row=row: tx.save(row))
    return made


def visit(site: Site, number: int) -> Visit:
    found: Visit = site.get(Visit, number)
    return found


def updates(site: Site) -> int:
    return site.journal().count("transaction_updated")


def order(site: Site, **changes: Any) -> None:
    made = Order("p1", "https://x", Wish.START, State.TOLD, NOW, at(60), "ACCEPTED")
    named = {"party_id": "US*STH", "uid_key": "guest", "token_type": "APP_USER"}
    made = made._replace(**{**named, "command_id": "c1", "reference": "ORDERED", **changes})
    site.run(lambda tx: tx.save(made))


def test_a_token_of_ours_is_no_visit(site: Site) -> None:
    site.run(visitors.put, ALWAYS._replace(uid="CARD", uid_key="card"))
    assert visit(site, site.start().transaction_id) is None


def test_a_token_on_the_whitelist(site: Site) -> None:
    site.run(visitors.put, ALWAYS._replace(reference="OLD"))
    found = visit(site, site.start(card="GUEST").transaction_id)
    assert (found.party_id, found.partner_id, found.contract_id) == ("US*STH", "p1", "US-STH-C1")
    assert (found.auth_method, found.reference) == ("WHITELIST", None)


def test_an_answer_from_before_the_charge(site: Site) -> None:
    """Also one without a reference was an answer."""
    site.run(visitors.put, ASKED)
    found = visit(site, site.start(60, card="GUEST").transaction_id)
    assert (found.auth_method, found.reference) == ("AUTH_REQUEST", "REF-1")
    site.run(visitors.put, ASKED._replace(uid="G2", uid_key="g2", reference=None))
    found = visit(site, site.start(60, card="G2", evse=2).transaction_id)
    assert (found.auth_method, found.reference) == ("AUTH_REQUEST", None)


def test_the_token_that_was_let_in_is_billed_whoever_else_has_that_uid(site: Site) -> None:
    site.run(visitors.put, ALWAYS)
    other = ALWAYS._replace(party_id="AA*AAA", partner_id="p9")
    site.run(visitors.put, other)
    suspended = Partner("p9", "p9", PartnerState.SUSPENDED, NOW)

    def suspend(tx: Any) -> None:
        tx.get(Partner, "p9")
        tx.save(suspended)

    site.run(suspend)
    number = site.start(card="GUEST").transaction_id
    assert site.get(Transaction, number).outcome == Outcome.ACCEPTED
    assert visit(site, number).party_id == "US*STH"


def test_an_answer_that_comes_after_the_start(site: Site) -> None:
    site.run(visitors.put, GUEST)
    number = site.start(card="GUEST").transaction_id
    assert visit(site, number).auth_method == "WHITELIST"
    origin = Origin("s1", "CS-s1", "ocpp1.6", at(1))
    asked, answer = visitors.question(GUEST), HomeAnswer("accepted", "REF-2")
    before = updates(site)
    site.run(charging.settle, origin, number, Shown("GUEST"), asked, answer)
    assert site.get(Transaction, number).outcome == Outcome.ACCEPTED
    assert (visit(site, number).auth_method, visit(site, number).reference) == (
        "AUTH_REQUEST",
        "REF-2",
    )
    assert updates(site) == before + 1, "its home network is told now"
    # A later question is about another charge.
    site.run(visitors.answered, asked, HomeAnswer("accepted", "REF-3"), at(100))
    t = site.get(Transaction, number)
    site.run(visits.begin, t, at(101))
    assert visit(site, number).reference == "REF-2"


def test_an_order_names_its_token_and_its_reference_wins(site: Site) -> None:
    site.run(visitors.put, GUEST._replace(party_id="US*AAA", partner_id="p9", valid=True))
    site.run(visitors.put, ASKED)
    order(site)
    number = site.start(card="GUEST").transaction_id
    t = site.get(Transaction, number)._replace(command_id="c1")
    site.run(visits.begin, t, at(1))
    found = visit(site, number)
    assert (found.party_id, found.auth_method, found.reference) == ("US*STH", "COMMAND", "ORDERED")
    # Said again without the order, nothing changes.
    site.run(visits.begin, t._replace(command_id=None), at(2))
    assert visit(site, number) == found


def test_an_unknown_token_is_nobodys(site: Site) -> None:
    assert visit(site, site.start(card="STRANGER").transaction_id) is None
