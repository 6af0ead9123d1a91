"""What a transaction costs: the tariff that it got at its start, and the cost once it has ended.

The row stands beside the transaction, so that meter values never touch it. It is written at the
start (or when the EVSE becomes known), marked `due` at the end, and filled in by whoever computes:
the computation needs all samples, which no function of a batch may read. A transaction without a
row has no price, which is not the same as free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from csms.core import events, locations, tariffs
from csms.core.authorization import Outcome
from csms.core.countries import alpha_2
from csms.core.entities import entity
from csms.core.locations import Location, LocationEvse
from csms.core.ports import Need, Tx
from csms.core.transactions import Transaction


class State(StrEnum):
    """Where a price is: the transaction runs, its cost has to be computed, it is known, it is
    billed by a charge detail record, or is billed by none for its driver was refused."""

    RUNNING = "running"
    DUE = "due"
    PRICED = "priced"
    BILLED = "billed"
    REFUSED = "refused"


KNOWN = frozenset({State.PRICED, State.BILLED, State.REFUSED})
"""The states in which it is known what a transaction costs."""


@entity("transaction_prices", key=("transaction_id",), finders={"state": ("state",)})
class TransactionPrice(NamedTuple):
    """The price of one transaction. Which tariff, where, and in which time zone is fixed at the
    start, and so is `place`: what the bill will say of location, EVSE and connectors. Amounts are
    decimal text in `currency`, None until computed; `details` is the breakdown as it is shown;
    `revision` counts how often it became due, so that an old computation cannot take the place of
    a new one."""

    transaction_id: int
    party_id: str
    tariff_id: str
    tariff_version: int
    currency: str
    location_id: str
    evse_uid: str
    time_zone: str
    country: str
    region: str | None
    fixed_at: datetime
    state: str = State.RUNNING
    revision: int = 0
    before_taxes: str | None = None
    after_taxes: str | None = None
    details: Mapping[str, Any] | None = None
    computed_at: datetime | None = None
    place: Mapping[str, Any] = {}


# How the statuses of a connector are said here (in OCPP 2.x a station says it of the transaction).
STATES = {
    "charging": "Charging",
    "suspended_ev": "SuspendedEV",
    "suspended_evse": "SuspendedEVSE",
    "finishing": "EVConnected",
}


@entity(
    "charging_states",
    key=("transaction_id", "at", "state"),
    finders={"transaction": ("transaction_id",)},
)
class ChargingState(NamedTuple):
    """That the charging state of a transaction changed, for idle fees; the words are those of OCPP
    2.0.1 ChargingStateEnumType. Kept only for transactions that have a price."""

    transaction_id: int
    at: datetime
    state: str


def needs(transaction_id: int) -> Need:
    """Declares the read of the price of a transaction."""
    return Need(TransactionPrice, None, (transaction_id,))


def fix(tx: Tx, t: Transaction, now: datetime) -> TransactionPrice | None:
    """Give a transaction the tariff that applies where and when it starts. May be repeated: the
    first one stays. None: nothing applies there."""
    if not t.evse:
        return None
    evse = locations.serving(tx, t.station_id, t.evse)
    if evse is None:
        return None
    known = tx.get(TransactionPrice, t.id)
    if known is not None:
        return known
    location = tx.get(Location, evse.party_id, evse.location_key)
    tariff = tariffs.at_start(tx, evse, t.started_at)
    if location is None or tariff is None:
        return None
    price = TransactionPrice(
        transaction_id=t.id,
        party_id=tariff.party_id,
        tariff_id=tariff.id,
        tariff_version=tariff.version,
        currency=tariff.currency,
        location_id=location.id,
        evse_uid=evse.uid,
        time_zone=location.time_zone,
        country=alpha_2(location.country) or "",
        region=location.state,
        fixed_at=now,
        state=State.RUNNING if t.open else State.DUE,
        place=_place(location, evse),
    )
    tx.save(price)
    return price


def _place(location: Location, evse: LocationEvse) -> dict[str, Any]:
    named = ("id", "name", "address", "city", "postal_code", "state", "country")
    place: dict[str, Any] = {name: getattr(location, name) for name in named}
    place["coordinates"] = {"latitude": location.latitude, "longitude": location.longitude}
    place |= {"evse_id": evse.evse_id, "connectors": [dict(plug) for plug in evse.connectors]}
    return {name: value for name, value in place.items() if value is not None}


WHY_REFUSED = "the driver was refused, and drew no energy to speak of"
DEAUTHORIZED = "DeAuthorized"
# A station that was told no ends the charge that it had begun meanwhile; contactors take seconds.
OBEYED_WITHIN = timedelta(minutes=1)


def refused(t: Transaction) -> bool:
    """Whether nothing is asked for a transaction, whatever its tariff says: its driver was not let
    in, for whichever reason, and drew no energy, or what little came until the station had obeyed
    (OCPI 2.2.1 mod_sessions, SessionStatus INVALID). What a station gave all the same, offline or
    against our answer, is paid."""
    if t.outcome == Outcome.ACCEPTED:
        return False
    lasted = (t.ended_at or t.started_at) - t.started_at
    obeyed = t.stop_reason == DEAUTHORIZED and lasted <= OBEYED_WITHIN
    return obeyed or not t.energy_wh


@dataclass(frozen=True, slots=True)
class PriceAsked:
    """A question for outside a transaction: what does this one cost? Answered with a `Computed`, or
    with None where it has no price."""

    transaction_id: int


@dataclass(frozen=True, slots=True)
class Computed:
    """A cost as it was computed: what `settle` takes."""

    revision: int
    amounts: tuple[str, str]
    details: Mapping[str, Any]
    at: datetime


def owed(tx: Tx, transaction_id: int) -> TransactionPrice | None:
    """The price of an ended transaction, settled or due; None when it has none."""
    price = tx.get(TransactionPrice, transaction_id)
    return None if price is None or price.state == State.RUNNING else price


def state_changed(tx: Tx, transaction_id: int, at: datetime, state: str) -> None:
    """Note a change of the charging state. May be repeated."""
    if tx.get(TransactionPrice, transaction_id) is None:
        return
    if tx.get(ChargingState, transaction_id, at, state) is None:
        tx.save(ChargingState(transaction_id, at, state))


def connector_changed(tx: Tx, station_id: str, evse: int, at: datetime, status: str) -> None:
    """A connector changed its status: of a transaction that runs there, this is its state."""
    state = STATES.get(status)
    if state is None or locations.serving(tx, station_id, evse) is None:
        return
    for t in tx.find(Transaction, "open_of_station", station_id, True):
        if t.evse == evse:
            state_changed(tx, t.id, at, state)


def due(tx: Tx, transaction_id: int) -> None:
    """The transaction has ended, or what is known of an ended one has changed: its cost has to be
    computed (again)."""
    price = tx.get(TransactionPrice, transaction_id)
    if price is not None:
        tx.save(price._replace(state=State.DUE, revision=price.revision + 1))


def settle(tx: Tx, transaction_id: int, found: Computed) -> bool:
    """Note what a transaction cost. False, and nothing changes, when it became due once more
    meanwhile, or is settled already."""
    price = tx.get(TransactionPrice, transaction_id)
    if price is None or price.revision != found.revision or price.state != State.DUE:
        tx.mark("stale_price_ignored")
        return False
    before_taxes, after_taxes = found.amounts
    tx.save(
        price._replace(
            state=State.PRICED,
            before_taxes=before_taxes,
            after_taxes=after_taxes,
            details=found.details,
            computed_at=found.at,
        )
    )
    t = tx.get(Transaction, transaction_id)
    tx.record(
        events.TransactionPriced(
            at=found.at,
            station_id=t.station_id if t else None,
            transaction_id=transaction_id,
            currency=price.currency,
            before_taxes=before_taxes,
            after_taxes=after_taxes,
        )
    )
    return True
