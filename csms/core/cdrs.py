"""Charge detail records (CDRs): what a finished charge is billed by, sealed once and never changed.

A record is made from the ended transaction, the tariff that it got at its start, and the cost by
`pricing.cost`. What turns out to be wrong later (a reading that came late) is corrected by a credit
record, which cancels the first, and a new one (OCPI 2.2.1 mod_cdrs, 10.1.2). The content is kept in
the shape of OCPI 2.3.0, amounts and energies as decimal text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from csms.core import billing, events
from csms.core.billing import KNOWN, State, TransactionPrice
from csms.core.contracts import Contract
from csms.core.entities import entity
from csms.core.errors import NotFound, Refused
from csms.core.ids import folded
from csms.core.ports import Need, Tx
from csms.core.pricing.cost import Cost, Part
from csms.core.pricing.money import Money, wire
from csms.core.pricing.periods import Period
from csms.core.tariffs import Tariff
from csms.core.transactions import Transaction
from csms.core.visits import WHITELIST

SECONDS_OF_HOUR = Decimal(3600)
WH_OF_KWH = Decimal(1000)
CREDIT_SUFFIX = "-C"
"""What a credit record's id adds to the id of the record it cancels: the same credit made twice is
one (an id has up to 39 characters, of which three are meant for this)."""

_TOTALS = {
    Part.FIXED: "total_fixed_cost",
    Part.ENERGY: "total_energy_cost",
    Part.TIME: "total_time_cost",
    Part.PARKING: "total_parking_cost",
    Part.RESERVATION: "total_reservation_cost",
}


@entity(
    "cdrs",
    key=("party_id", "id_key"),
    finders={
        "transaction": ("transaction_id",),
        "token_party": ("token_party",),
        "partner": ("partner_id",),
    },
)
class Cdr(NamedTuple):
    """One record. `credit_of`: the id of the record that this one cancels; `credited_by`: the id of
    the record that cancels this one, which is all that ever changes. `token_party` None: a driver
    of nobody (free charging). `partner_id`: the connection over which the driver came, which is to
    whom the record goes; None for a driver of ours or of nobody. Amounts are decimal text in
    `currency`."""

    party_id: str
    id_key: str
    id: str
    transaction_id: int
    created_at: datetime
    started_at: datetime
    ended_at: datetime
    token_party: str | None
    token_uid: str | None
    currency: str
    energy_wh: int
    before_taxes: str
    after_taxes: str
    credit_of: str | None = None
    credited_by: str | None = None
    data: Mapping[str, Any] = {}
    partner_id: str | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """Whom a record is for: the token as it was at the start, and nothing else of the person."""

    party_id: str
    uid: str
    kind: str
    contract_id: str | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """Everything that a record is made from. `vat`: the percentage that its place added where the
    tariff names none, if it is a single one."""

    transaction: Transaction
    price: TransactionPrice
    tariff: Tariff
    cost: Cost
    periods: Sequence[Period]
    driver: Driver | None = None
    auth_method: str = WHITELIST
    contract: Contract = field(default_factory=Contract)
    authorization_reference: str | None = None
    signed: Mapping[str, Any] | None = None
    vat: Decimal | None = None
    partner_id: str | None = None


def needs(transaction_id: int) -> Need:
    """Declares the read of a transaction's records."""
    return Need(Cdr, "transaction", (transaction_id,))


def session_id(transaction_id: int) -> str:
    """What partners know a transaction by."""
    return str(transaction_id)


# -- sealing -------------------------------------------------------------------------------------


def seal(tx: Tx, cdr_id: str, charge: Charge, now: datetime) -> Cdr | None:
    """Bill a transaction: make its record; the one there is when it says the same. When it says
    something else that one is credited and a new one takes its place. A driver who was refused
    (`billing.refused`) has no record: None, and the one there is is credited. May be repeated with
    the same arguments. None, and nothing changes, when the price became due once more meanwhile."""
    price = tx.get(TransactionPrice, charge.transaction.id)
    if price is None or price.revision != charge.price.revision or price.state not in KNOWN:
        tx.mark("stale_charge_not_billed")
        return None
    refused = billing.refused(charge.transaction)
    after = State.REFUSED if refused else State.BILLED
    if price.state != after:
        tx.save(price._replace(state=after))
    before = standing(tx, charge.transaction.id)
    if refused:
        if before is not None:
            credit(tx, before.party_id, before.id, now, billing.WHY_REFUSED)
        return None
    made = content(charge)
    if before is not None:
        if _said(before) == made:
            tx.mark("cdr_sealed_already")
            return before
        credit(tx, before.party_id, before.id, now, "the charge was priced again")
    t, driver = charge.transaction, charge.driver
    assert t.ended_at is not None, "only what has ended is sealed"
    cdr = Cdr(
        party_id=price.party_id,
        id_key=folded(cdr_id),
        id=cdr_id,
        transaction_id=t.id,
        created_at=now,
        started_at=t.started_at,
        ended_at=t.ended_at,
        token_party=driver.party_id if driver else None,
        token_uid=driver.uid if driver else None,
        currency=charge.cost.currency,
        energy_wh=t.energy_wh,
        before_taxes=str(charge.cost.total.before_taxes),
        after_taxes=str(charge.cost.total.after_taxes),
        data=made,
        partner_id=charge.partner_id,
    )
    _save(tx, cdr, t.station_id, now)
    return cdr


def credit(tx: Tx, party_id: str, cdr_id: str, now: datetime, reason: str) -> Cdr:
    """Cancel a record: a new one with all its data and the negative of its total cost (the parts
    stay as they were: OCPI 2.2.1 mod_cdrs, 10.1.2). Raises `NotFound`, and `Refused` for a record
    that is cancelled already or is a credit itself."""
    before = tx.get(Cdr, party_id, folded(cdr_id))
    if before is None:
        raise NotFound(f"no CDR {cdr_id} of {party_id}")
    if before.credit_of is not None:
        raise Refused(f"CDR {cdr_id} is a credit itself, of {before.credit_of}")
    if before.credited_by is not None:
        raise Refused(f"CDR {cdr_id} is credited already, by {before.credited_by}")
    credit_id = f"{before.id}{CREDIT_SUFFIX}"
    after = before._replace(
        id_key=folded(credit_id),
        id=credit_id,
        created_at=now,
        before_taxes=_negative(before.before_taxes),
        after_taxes=_negative(before.after_taxes),
        credit_of=before.id,
        data={
            **before.data,
            "total_cost": _negated(before.data["total_cost"]),
            "remark": reason,
        },
    )
    tx.save(before._replace(credited_by=credit_id))
    t = tx.get(Transaction, before.transaction_id)
    _save(tx, after, t.station_id if t else None, now)
    return after


def standing(tx: Tx, transaction_id: int) -> Cdr | None:
    """The record by which a transaction is billed: neither a credit nor credited."""
    for cdr in tx.find(Cdr, "transaction", transaction_id):
        if cdr.credit_of is None and cdr.credited_by is None:
            return cdr
    return None


def _save(tx: Tx, cdr: Cdr, station_id: str | None, now: datetime) -> None:
    tx.save(cdr)
    tx.record(
        events.CdrSealed(
            at=now,
            station_id=station_id,
            party_id=cdr.party_id,
            cdr_id=cdr.id,
            transaction_id=cdr.transaction_id,
            token_party=cdr.token_party,
            credit_of=cdr.credit_of,
        )
    )


def _said(cdr: Cdr) -> Mapping[str, Any]:
    """What a record says, as a plain mapping that compares with `content`."""
    return dict(cdr.data)


# -- content -------------------------------------------------------------------------------------


def content(charge: Charge) -> dict[str, Any]:
    """The record in the shape of OCPI 2.3.0 mod_cdrs, less what is said when it is sent (id, owner,
    credit, last_updated). Nothing in it depends on when it is made."""
    t, cost, price = charge.transaction, charge.cost, charge.price
    assert t.ended_at is not None
    made: dict[str, Any] = {
        "start_date_time": _moment(t.started_at),
        "end_date_time": _moment(t.ended_at),
        "session_id": session_id(t.id),
        "auth_method": charge.auth_method,
        "cdr_location": _place(price, t.connector),
        "currency": cost.currency,
        "tariffs": [_tariff(charge.tariff.data, charge.vat)],
        "charging_periods": [period_of(p, price.tariff_id) for p in charge.periods],
        "total_cost": _price(cost.total, exact=False),
        "total_energy": _number(Decimal(t.energy_wh) / WH_OF_KWH),
        "total_time": _number(
            (cost.time_s + cost.parking_s + cost.reservation_s) / SECONDS_OF_HOUR
        ),
        "total_parking_time": _number(cost.parking_s / SECONDS_OF_HOUR),
    }
    for part, name in _TOTALS.items():
        if part in cost.parts:
            made[name] = _price(cost.parts[part], exact=True)
    if charge.driver is not None:
        made["cdr_token"] = _token(charge.driver)
    if charge.authorization_reference is not None:
        made["authorization_reference"] = charge.authorization_reference
    if charge.signed is not None:
        made["signed_data"] = dict(charge.signed)
    if charge.contract != Contract():
        # Not told to anybody: by what the amounts were made.
        made["contract"] = charge.contract.stored()
    return made


def _tariff(data: Mapping[str, Any], vat: Decimal | None) -> dict[str, Any]:
    """The tariff by which it was charged. A component without VAT would say that none applies
    (OCPI 2.2.1 mod_tariffs, PriceComponent), beside a total that has some; stacked taxes have no
    place there."""
    if vat is None:
        return dict(data)

    def named(component: Mapping[str, Any]) -> dict[str, Any]:
        own = component.get("vat")
        return {**component, "vat": _number(vat) if own is None else own}

    elements = [
        {**element, "price_components": [named(c) for c in element["price_components"]]}
        for element in data["elements"]
    ]
    return {**data, "elements": elements}


def _token(driver: Driver) -> dict[str, Any]:
    country, _, party = driver.party_id.partition("*")
    token = {"country_code": country, "party_id": party, "uid": driver.uid, "type": driver.kind}
    # The contract is what the driver's own network bills by; where none is named it is the token.
    return {**token, "contract_id": driver.contract_id or driver.uid}


def _place(price: TransactionPrice, connector: int | None) -> dict[str, Any]:
    """Where it was, as that place was when the charge began (OCPI 2.2.1 mod_cdrs, CdrLocation)."""
    said = dict(price.place)
    plug = plug_of(said.pop("connectors", ()), connector)
    place = {
        **said,
        "evse_uid": price.evse_uid,
        "evse_id": said.get("evse_id") or "#NA",
        "connector_id": plug.get("id"),
        "connector_standard": plug.get("standard"),
        "connector_format": plug.get("format"),
        "connector_power_type": plug.get("power_type"),
    }
    return {name: value for name, value in place.items() if value is not None}


def plug_of(connectors: Sequence[Mapping[str, Any]], number: int | None) -> Mapping[str, Any]:
    """The plug that was used: the one of that number, else the first."""
    wanted = str(number) if number is not None else None
    named = [plug for plug in connectors if plug.get("id") == wanted]
    return next(iter(named or connectors), {})


def period_of(period: Period, tariff_id: str) -> dict[str, Any]:
    """A charging period; only what was used, and the powers where they are known."""
    used = [
        ("ENERGY", period.energy_wh / WH_OF_KWH),
        ("TIME", period.time_s / SECONDS_OF_HOUR),
        ("PARKING_TIME", period.parking_s / SECONDS_OF_HOUR),
        ("RESERVATION_TIME", period.reservation_s / SECONDS_OF_HOUR),
    ]
    known = [
        ("MAX_CURRENT", period.max_current),
        ("MIN_CURRENT", period.min_current),
        ("MAX_POWER", period.max_power),
        ("MIN_POWER", period.min_power),
    ]
    dimensions = [(kind, volume) for kind, volume in used if volume]
    dimensions += [(kind, volume) for kind, volume in known if volume is not None]
    return {
        "start_date_time": _moment(period.start),
        "dimensions": [
            {"type": kind, "volume": _number(volume)}
            # A period in which nothing was used still says that time passed.
            for kind, volume in dimensions or [("TIME", Decimal(0))]
        ],
        "tariff_id": tariff_id,
    }


def _price(money: Money, *, exact: bool) -> dict[str, Any]:
    """A price; parts have four decimals, the total is rounded as it is paid."""

    def text(amount: Decimal) -> str:
        return _number(amount) if exact else format(amount, "f")

    price: dict[str, Any] = {"before_taxes": text(money.before_taxes)}
    if money.taxes:
        price["taxes"] = [
            {
                "name": line.name,
                "amount": text(line.amount),
                **({} if line.percentage is None else {"percentage": _number(line.percentage)}),
                **({} if line.account_number is None else {"account_number": line.account_number}),
            }
            for line in money.taxes
        ]
    return price


def _negated(price: Mapping[str, Any]) -> dict[str, Any]:
    taxes = [{**line, "amount": _negative(line["amount"])} for line in price.get("taxes", ())]
    negated: dict[str, Any] = {**price, "before_taxes": _negative(price["before_taxes"])}
    return {**negated, "taxes": taxes} if taxes else negated


def _negative(amount: str) -> str:
    number = Decimal(amount)
    return format(-number if number else number, "f")


def _number(amount: Decimal) -> str:
    """Four decimals at most (OCPI 2.2.1 types, number), no exponent, no trailing zeros."""
    text = format(wire(amount), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
