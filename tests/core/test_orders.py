"""What a partner orders: once, good at its EVSE for a while, with one result (OCPI 2.2.1
mod_commands)."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import charging, commands, orders
from csms.core.authorization import Outcome, authorize
from csms.core.commands import Command, Kind
from csms.core.orders import MAX_TRIES, Order, State, Wish
from csms.core.tokens import Shown
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from tests.support.charging import NOW, Site, at

KEY = ("p1", "https://south.example/1")
# The home network says that it must always be asked, and the token is not even valid there.
GUEST = VisitorToken(
    party_id="US*STH",
    uid_key="guest",
    type="APP_USER",
    uid="GUEST",
    partner_id="p1",
    contract_id="US-STH-C1",
    issuer="South",
    valid=False,
    whitelist="NEVER",
    last_updated=NOW,
    received_at=NOW,
)


@pytest.fixture
def site() -> Site:
    return Site()


def order(**changes: Any) -> Order:
    made = Order(*KEY, Wish.START, State.OPEN, NOW, at(60), "ACCEPTED", station_id="s1", evse=1)
    return made._replace(
        **{"party_id": "US*STH", "uid_key": "guest", "token_type": "APP_USER", **changes}
    )


def enter(site: Site, driver: VisitorToken | None = GUEST, **changes: Any) -> tuple[Order, bool]:
    return site.run(orders.enter, order(**changes), driver)


def test_an_order_is_entered_once(site: Site) -> None:
    first, new = enter(site)
    assert new
    again, new = enter(site, received_at=at(5), evse=2)
    assert (again, new) == (first, False)


def test_a_token_of_ours_is_nobody_elses_to_start_with(site: Site) -> None:
    entered, _ = enter(site, GUEST._replace(uid="CARD", uid_key="card"), uid_key="card")
    assert (entered.state, entered.answer) == (State.REFUSED, "REJECTED")
    assert site.rows(VisitorToken) == []
    assert not site.run(orders.holding, "s1", "card", at(1), 1)


def test_its_token_is_good_at_that_evse_for_a_quarter_of_an_hour(site: Site) -> None:
    """M11: the driver's network has authorized it; it need not have been known."""
    shown = Shown("guest")
    assert site.run(authorize, shown, NOW, "s1", 1).outcome is Outcome.INVALID
    enter(site, GUEST._replace(type="RFID"), token_type="RFID")
    assert site.run(authorize, shown, at(900), "s1", 1).outcome is Outcome.ACCEPTED
    assert site.run(authorize, shown, at(900), "s1").outcome is Outcome.ACCEPTED
    for where in (("s1", 2), ("s2", 1), (None, None)):
        assert site.run(authorize, shown, at(1), *where).outcome is Outcome.INVALID
    assert site.run(authorize, shown, at(901), "s1", 1).outcome is Outcome.INVALID


def test_a_start_that_follows_belongs_to_the_order(site: Site) -> None:
    enter(site)
    wish = {"token": "GUEST", "evse": 1}
    command, _ = site.run(
        commands.submit, "c1", "s1", Kind.START_CHARGING, wish, "partner South", NOW
    )
    assert command.parameters["token_kind"] == "app"
    site.run(orders.given, *KEY, "c1")
    started = site.start(30, card="guest")
    assert started.authorization.outcome is Outcome.ACCEPTED
    assert site.get(Transaction, started.transaction_id).command_id == "c1"
    assert site.get(Command, "c1").transaction_id == started.transaction_id
    assert site.get(Order, *KEY).command_id == "c1"
    assert charging.START_RETRY_WINDOW < orders.TOKEN_HOLDS


@pytest.mark.parametrize("kind", ["APP_USER", "AD_HOC_USER"])
def test_the_token_of_an_app_is_good_for_longer(site: Site, kind: str) -> None:
    """M11: it is nothing that a reader could be shown."""
    enter(site, GUEST._replace(type=kind), token_type=kind)
    shown = Shown("guest")
    assert site.run(authorize, shown, at(86_400), "s1", 1).outcome is Outcome.ACCEPTED
    late = site.run(authorize, shown, at(86_401), "s1", 1)
    assert late.outcome is Outcome.INVALID


def test_a_result_is_fixed_once_and_told_once(site: Site) -> None:
    enter(site)
    assert site.run(orders.settle, *KEY, "ACCEPTED", at(1)).result == "ACCEPTED"
    assert site.run(orders.settle, *KEY, "TIMEOUT", at(60)) is None
    site.run(orders.told, *KEY)
    site.run(orders.not_heard, *KEY, at(61))
    told = site.get(Order, *KEY)
    assert (told.state, told.result, told.tries) == (State.TOLD, "ACCEPTED", 0)


def test_a_result_that_nobody_hears_is_given_up_in_the_end(site: Site) -> None:
    enter(site)
    site.run(orders.settle, *KEY, "ACCEPTED", NOW)
    waits = []
    for _ in range(MAX_TRIES):
        site.run(orders.not_heard, *KEY, NOW)
        waits.append(site.get(Order, *KEY).try_at)
    assert waits[:3] == [at(2), at(4), at(8)]
    assert waits[-1] is None
    assert site.get(Order, *KEY).state == State.GIVEN_UP


def test_a_refused_order_makes_nothing_good(site: Site) -> None:
    enter(site)
    assert site.run(orders.refused, *KEY, "the station is away").answer == "REJECTED"
    assert not site.run(orders.holding, "s1", "guest", at(1), 1)
    assert site.run(orders.settle, *KEY, "ACCEPTED", at(1)) is None
    assert site.run(orders.token_of, "s1", "guest") == GUEST
    assert site.run(orders.token_of, "s2", "guest") is None
