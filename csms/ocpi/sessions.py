"""The sessions module (mod_sessions): charges of others' drivers here, and of ours elsewhere.

What a running session costs comes from the function that prices it in the end. A session is told as
a whole when it begins and when it ends; in between only what grows is, because the charging periods
of a PATCH are appended, so that one which is sent twice would count twice. A charge to which no
tariff applies has no currency and cannot be told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from csms.core import billing, cdrs, errands, neighbours, partners
from csms.core.authorization import Outcome
from csms.core.billing import State, TransactionPrice
from csms.core.disclosures import Module as Disclosing
from csms.core.disclosures import Told
from csms.core.errors import Invalid
from csms.core.ids import folded
from csms.core.neighbours import NeighbourObject
from csms.core.partners import Partner
from csms.core.ports import Tx
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from csms.flows.drivers import Whose, earlier, is_theirs, whose
from csms.ocpi import lists, paging
from csms.ocpi.client import Access
from csms.ocpi.disclosing import disclose, of_charge
from csms.ocpi.envelope import Answer
from csms.ocpi.headers import Routing
from csms.ocpi.lists import Pulled
from csms.ocpi.locations import checked
from csms.ocpi.network import CPO, EMSP, RECEIVER, SENDER, Network
from csms.ocpi.routing import Call, Gone, Module, must_tell, patch_of, same_as_address
from csms.ocpi.tokens import refused
from csms.ocpi.wire import reading
from csms.ocpi.wire.reading import Read
from csms.ocpi.wire.v221 import sessions as wire

NAME = "sessions"
INVALID = "INVALID"
WH_OF_KWH = Decimal(1_000)
TOKENS_AT_ONCE = 400
# How far back a list is read in full: older sessions have their records.
FULL = timedelta(days=30)
# What a session tells as it goes on.
GROWING = ("kwh", "total_cost", "last_updated")


# -- ours ------------------------------------------------------------------------------------------


def changed_at(t: Transaction) -> datetime:
    """When what is told of a transaction last changed."""
    return max(at for at in (t.received_at, t.heard_at, t.end_received_at) if at is not None)


async def tell(network: Network, t: Transaction, owner: Whose) -> dict[str, Any] | None:
    """A transaction as its driver's network sees it; None for one that cannot be told."""
    if network.price is None or (t.open and t.outcome != Outcome.ACCEPTED):
        return None
    found = await network.price(t.id)
    if found is None or found.row.party_id not in network.parties(CPO):
        return None
    row, driver = found.row, owner.driver
    plug = cdrs.plug_of(row.place.get("connectors", ()), t.connector)
    country, _, party_id = row.party_id.partition("*")
    token_country, _, token_party = driver.party_id.partition("*")
    made: dict[str, Any] = {
        "country_code": country,
        "party_id": party_id,
        "id": cdrs.session_id(t.id),
        "start_date_time": t.started_at,
        "kwh": Decimal(t.energy_wh) / WH_OF_KWH,
        "cdr_token": {
            "country_code": token_country,
            "party_id": token_party,
            "uid": driver.uid,
            "type": driver.kind,
            "contract_id": driver.contract_id or driver.uid,
        },
        "auth_method": owner.auth_method,
        "location_id": row.location_id,
        "evse_uid": row.evse_uid,
        "connector_id": str(plug.get("id") or t.connector or 1),
        "currency": row.currency,
        "charging_periods": [_period(p, row.tariff_id) for p in found.periods],
        "status": _status(t),
        "last_updated": changed_at(t),
    }
    if made["status"] != INVALID:
        total = found.cost.total
        made["total_cost"] = {"excl_vat": total.before_taxes, "incl_vat": total.after_taxes}
    if t.ended_at is not None:
        made["end_date_time"] = t.ended_at
    if owner.reference is not None:
        made["authorization_reference"] = owner.reference
    return checked(wire.Session, made)


def _period(period: Any, tariff_id: str) -> dict[str, Any]:
    told = cdrs.period_of(period, tariff_id)
    told["dimensions"] = [{**d, "volume": Decimal(d["volume"])} for d in told["dimensions"]]
    return told


def _status(t: Transaction) -> str:
    """Every session ends: as completed, or as invalid, which will not be billed (SessionStatus)."""
    if t.open:
        return "ACTIVE"
    return INVALID if billing.refused(t) else "COMPLETED"


async def _list(call: Call) -> Answer:
    """The sessions of this partner's drivers, oldest first (`date_from` is required)."""
    network, asked = call.network, paging.query(call.query)
    if asked.date_from is None:
        raise Invalid("date_from is required")
    found: dict[int, tuple[Transaction, Whose]] = {}
    keys: list[str] = []
    before = await earlier(network.store.reader, call.partner)
    over = (call.partner.id, *(old.id for old in before))
    async for token in network.every(VisitorToken, {"partner_id": over}):
        keys.append(token.uid_key)
    for n in range(0, len(keys), TOKENS_AT_ONCE):
        where = {"token_key": tuple(dict.fromkeys(keys[n : n + TOKENS_AT_ONCE]))}
        async for t in network.every(Transaction, where):
            if not asked.takes(changed_at(t)):
                continue
            owner = await _owner(network, call.partner, t)
            if owner is not None:
                found[t.id] = t, owner
    ordered = [found[number] for number in sorted(found)]
    answer = paging.answer(ordered, asked, call.url, lambda pair: pair, network.limits.page)
    found_out = [await tell(network, t, owner) for t, owner in answer.data]
    told = [one for one in found_out if one is not None]
    await disclose(network, call.partner, [_disclosed(one) for one in told])
    return Answer(told, headers=answer.headers)


async def _owner(network: Network, partner: Partner, t: Transaction) -> Whose | None:
    """Whose a transaction is, when that is a driver of this partner."""
    reader = network.store.reader
    owner = await whose(reader, t)
    if owner is None:
        return None
    party = owner.driver.party_id
    return owner if await is_theirs(reader, partner, owner.partner_id, party) else None


def _disclosed(told: Mapping[str, Any]) -> Told:
    place = told["location_id"], told["evse_uid"]
    return of_charge(told["cdr_token"], Disclosing.SESSION, *place)


# -- theirs ----------------------------------------------------------------------------------------


def neighbour(value: wire.Session, partner_id: str, now: datetime) -> NeighbourObject:
    """A session elsewhere as the core keeps it."""
    return NeighbourObject(
        module=NAME,
        party_id=f"{value.country_code}*{value.party_id}".upper(),
        id_key=folded(value.id),
        id=value.id,
        partner_id=partner_id,
        last_updated=value.last_updated,
        received_at=now,
        body=reading.dump(value).decode(),
    )


def _kept(
    found: NeighbourObject | None, teller: Partner | None, partner: Partner
) -> dict[str, Any]:
    """The session of an address, as far as this partner may know. Raises `Gone`."""
    if found is None or not _is_its(found, teller, partner):
        raise Gone("this session is not known here")
    return dict(reading.load(found.body.encode()))


def _is_its(found: NeighbourObject, teller: Partner | None, partner: Partner) -> bool:
    """Whether a session is this partner's to change: it has told it (`teller`: who has), or took
    the place of the connection that had."""
    if found.partner_id == partner.id:
        return True
    return teller is not None and partners.succeeds(partner, teller, found.party_id, CPO)


async def _get(call: Call) -> Answer:
    key, reader = (NAME, call.owner(CPO), folded(call.rest[2])), call.network.store.reader
    found = await reader.get(NeighbourObject, *key)
    teller = await reader.get(Partner, found.partner_id) if found is not None else None
    return Answer(_kept(found, teller, call.partner))


async def _put(call: Call) -> Answer:
    new, deviations = await call.network.store.transact(
        _keep, call, call.owner(CPO), call.body, call.network.clock()
    )
    call.noted.extend(deviations)
    return Answer(http=201 if new else 200)


async def _patch(call: Call) -> Answer:
    change = patch_of(call)
    _, deviations = await call.network.store.transact(
        _change, call, call.owner(CPO), change, call.network.clock()
    )
    call.noted.extend(deviations)
    return Answer()


def _keep(
    tx: Tx, call: Call, party: str, session: Any, now: datetime
) -> tuple[bool, tuple[str, ...]]:
    read = reading.parse(wire.Session, session, now)
    value = read.value
    same_as_address(call, value.country_code, value.party_id, value.id)
    known = tx.get(NeighbourObject, NAME, party, folded(call.rest[2]))
    teller = tx.get(Partner, known.partner_id) if known is not None else None
    if known is not None and not _is_its(known, teller, call.partner):
        # Told by another connection (a hub, say): its own to change.
        raise Gone("this session is told by another connection")
    return _enter(tx, neighbour(value, call.partner.id, now), value), read.deviations


def _enter(tx: Tx, row: NeighbourObject, value: wire.Session) -> bool:
    """Keep a session elsewhere, and know it again that a start of ours asked for."""
    reference = value.authorization_reference
    charge = errands.Charge(value.cdr_token.uid, value.evse_uid, value.start_date_time)
    errands.began(tx, reference, row.partner_id, row.id, row.received_at, charge)
    return neighbours.put(tx, row)


def _change(
    tx: Tx, call: Call, party: str, change: Mapping[str, Any], now: datetime
) -> tuple[bool, tuple[str, ...]]:
    """The charging periods of a PATCH are added, each once: known again by their start."""
    found = tx.get(NeighbourObject, NAME, party, folded(call.rest[2]))
    teller = tx.get(Partner, found.partner_id) if found is not None else None
    session = _kept(found, teller, call.partner)
    periods = list(session.get("charging_periods") or ())
    added = change.get("charging_periods") or []
    if not isinstance(added, list) or not all(isinstance(p, Mapping) for p in added):
        raise Invalid("charging_periods: must be a list of objects")
    starts = {_start(p) for p in periods}
    for period in added:
        if _start(period) not in starts:
            starts.add(_start(period))
            periods.append(period)
    merged = {**session, **change}
    if periods:
        merged["charging_periods"] = periods
    return _keep(tx, call, party, merged, now)


def _start(period: Mapping[str, Any]) -> object:
    text = str(period.get("start_date_time"))
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return text


MODULES = (
    Module(NAME, SENDER, {("GET", 0): _list}),
    Module(NAME, RECEIVER, {("GET", 3): _get, ("PUT", 3): _put, ("PATCH", 3): _patch}),
)


# -- as a client -----------------------------------------------------------------------------------


async def push(
    network: Network, partner: Partner, _: str, transaction_id: str, part: str = ""
) -> list[str] | None:
    """Tell a partner of its driver's charge: whole, or (`part`) what has grown; what it refused.
    Raises `PartnerUnreachable` when it should be tried again."""
    url = partner.endpoint(NAME, RECEIVER)
    t = await network.store.reader.get(Transaction, int(transaction_id))
    owner = await _owner(network, partner, t) if t is not None else None
    if url is None or t is None or owner is None:
        return None
    told = await tell(network, t, owner)
    if told is None:
        return None
    address = paging.below(url, told["country_code"], told["party_id"], told["id"])
    party = f"{told['country_code']}*{told['party_id']}"
    access = _access(network, partner, party, owner.driver.party_id)
    await disclose(network, partner, [_disclosed(told)])
    if part and t.open:
        body = {name: told[name] for name in GROWING}
        if (await network.client.call("PATCH", address, access, body)).ok:
            return []
    # What they do not know they cannot patch (transport_and_format, PATCH).
    heard = await network.client.call("PUT", address, access, told)
    return await refused(network, partner, heard)


def _access(network: Network, partner: Partner, party: str, theirs: str) -> Access:
    """From our CPO to the driver's eMSP."""
    return network.access(partner, Routing(theirs, party))


async def running(network: Network, _: Partner) -> AsyncIterator[tuple[str, ...]]:
    """The sessions that go on; those that have ended have their records."""
    async for price in network.every(TransactionPrice, {"state": State.RUNNING}):
        yield NAME, str(price.transaction_id), ""


def ways_to_read(network: Network, partner: Partner) -> list[Routing]:
    """In which ways their list is asked for: each of our parties asks for the sessions of its own
    drivers."""
    return network.ways(partner, (CPO,), network.parties(EMSP))


async def pull(
    network: Network,
    partner: Partner,
    date_from: datetime | None,
    ways: Sequence[Routing] | None = None,
) -> Pulled:
    """Take in the sessions that a partner lists, in all ways or in these."""

    async def take(body: Any) -> Read[wire.Session]:
        read = reading.parse(wire.Session, body, network.clock())
        row = neighbour(read.value, partner.id, network.clock())
        must_tell(network, partner, row.party_id, CPO)
        await network.store.transact(_enter, row, read.value)
        return read

    since = date_from or network.clock() - FULL
    asked = ways_to_read(network, partner) if ways is None else ways
    return await lists.pull(network, partner, NAME, asked, since, take)
