"""Orders: what a partner asks a station of ours to do for its driver.

An order is known by the partner and by where it wants the result told, so the same request twice is
one order (OCPI 2.2.1 mod_commands). It goes through the ledger of commands like anybody's wish;
the row here says whose it is, what was answered at once, and what has to be told in the end. An
order to start makes its token good at that EVSE for a while, because the driver's own network has
authorized it already.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from csms.core.entities import entity
from csms.core.ports import Need, Tx
from csms.core.tokens import Token, uid_key
from csms.core.visitors import VisitorToken, put

# How long the token of an order to start is good where it was ordered.
TOKEN_HOLDS = timedelta(minutes=15)
# An app's token cannot be shown to a reader: only the order brings it there, however late its
# station hears it (OCPI 2.2.1 mod_commands, StartSession).
APP_TOKEN_HOLDS = timedelta(days=1)
APP_TYPES = frozenset({"APP_USER", "AD_HOC_USER"})
# How often the result is tried to be told.
MAX_TRIES = 8


class Wish(StrEnum):
    """What may be ordered, as the specification names it."""

    START = "START_SESSION"
    STOP = "STOP_SESSION"
    UNLOCK = "UNLOCK_CONNECTOR"


class State(StrEnum):
    """Refused at once; or under way, its result known, and told (or given up to be told)."""

    REFUSED = "refused"
    OPEN = "open"
    SETTLED = "settled"
    TOLD = "told"
    GIVEN_UP = "given_up"


@entity(
    "partner_orders",
    key=("partner_id", "response_url"),
    finders={
        "place": ("station_id", "uid_key"),
        "command": ("command_id",),
        "state": ("state",),
    },
)
class Order(NamedTuple):
    """One order. `answer`: what was answered at once; `result`: what is told in the end, by
    `expires_at` at the latest. The token (`party_id`, `uid_key`, `token_type`) is that of a start;
    `reference` is what its network wants to see again in the session and the bill."""

    partner_id: str
    response_url: str
    wish: str
    state: str
    received_at: datetime
    expires_at: datetime
    answer: str
    message: str | None = None
    station_id: str | None = None
    evse: int | None = None
    party_id: str | None = None
    uid_key: str | None = None
    token_type: str | None = None
    reference: str | None = None
    command_id: str | None = None
    result: str | None = None
    tries: int = 0
    try_at: datetime | None = None


def enter(tx: Tx, order: Order, driver: VisitorToken | None = None) -> tuple[Order, bool]:
    """Keep an order with the token that it is for; the first one and False when it was made
    before. A token of ours is nobody else's to start with: then it is refused."""
    earlier = tx.get(Order, order.partner_id, order.response_url)
    if earlier is not None:
        tx.mark("order_repeated")
        return earlier, False
    if driver is not None:
        if tx.find(Token, "uid", driver.uid_key):
            order = order._replace(
                state=State.REFUSED, answer="REJECTED", message="this token is not one of yours"
            )
        else:
            put(tx, driver)
    tx.save(order)
    return order, True


def refused(tx: Tx, partner_id: str, response_url: str, message: str) -> Order:
    """The order cannot be carried out, which its partner is told at once and never again."""
    order = tx.get(Order, partner_id, response_url)
    assert order is not None, "only an order that was entered is refused"
    order = order._replace(state=State.REFUSED, answer="REJECTED", message=message)
    tx.save(order)
    return order


def given(tx: Tx, partner_id: str, response_url: str, command_id: str) -> None:
    """The order is in the ledger."""
    order = tx.get(Order, partner_id, response_url)
    if order is not None and order.command_id is None:
        tx.save(order._replace(command_id=command_id))


def settle(tx: Tx, partner_id: str, response_url: str, result: str, now: datetime) -> Order | None:
    """Fix the result of an open order; None, and nothing changes, when it has one."""
    order = tx.get(Order, partner_id, response_url)
    if order is None or order.state != State.OPEN:
        return None
    order = order._replace(state=State.SETTLED, result=result, try_at=now)
    tx.save(order)
    return order


def told(tx: Tx, partner_id: str, response_url: str) -> None:
    """The partner has heard the result: it is never told again."""
    order = tx.get(Order, partner_id, response_url)
    if order is not None and order.state == State.SETTLED:
        tx.save(order._replace(state=State.TOLD, try_at=None))


def not_heard(tx: Tx, partner_id: str, response_url: str, now: datetime) -> None:
    """The partner could not be reached: the same result again, later each time."""
    order = tx.get(Order, partner_id, response_url)
    if order is None or order.state != State.SETTLED:
        return
    tries = order.tries + 1
    if tries >= MAX_TRIES:
        tx.mark("order_result_given_up")
        tx.save(order._replace(state=State.GIVEN_UP, tries=tries, try_at=None))
        return
    again = now + timedelta(seconds=2**tries)
    tx.save(order._replace(tries=tries, try_at=again))


def holding(tx: Tx, station_id: str, key: str, now: datetime, evse: int | None = None) -> bool:
    """Whether an order has made that token good at that EVSE (None or 0: the station has not said
    which)."""
    for order in tx.find(Order, "place", station_id, key):
        good = order.wish == Wish.START and order.state != State.REFUSED
        holds = APP_TOKEN_HOLDS if order.token_type in APP_TYPES else TOKEN_HOLDS
        if good and now - order.received_at <= holds and evse in (None, 0, order.evse):
            return True
    return False


def needs_place(station_id: str, uid: str) -> Need:
    """Declares the read of the orders of that token at a station."""
    return Need(Order, "place", (station_id, uid_key(uid)))


def token_of(tx: Tx, station_id: str, uid: str) -> VisitorToken | None:
    """The token that the newest order at that station is for."""
    found = [o for o in tx.find(Order, "place", station_id, uid_key(uid)) if o.party_id]
    if not found:
        return None
    newest = max(found, key=lambda order: order.received_at)
    return tx.get(VisitorToken, newest.party_id, newest.uid_key, newest.token_type)
