"""The CDRs module (mod_cdrs): what charges at our places cost told to the networks of their
drivers, what charges of our drivers cost elsewhere taken in.

Told in 2.2.1: a total before and after taxes instead of tax lines; the tariff in the words of that
version, left out where it has none for it; names of places cut to the length that is allowed. A
record is sent from an outbox (`core.exchanged`) until the partner has settled it; it never changes,
so sending it again is safe. A partner's record is kept once, as it came, beside what it would cost
by the tariff that we hold.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import httpx
import orjson
import structlog

from csms.core import disclosures, exchanged, partners
from csms.core.cdrs import Cdr
from csms.core.contracts import Contract
from csms.core.disclosures import Module as Disclosing
from csms.core.disclosures import Told
from csms.core.errors import CsmsError, Invalid, Refused
from csms.core.exchanged import OPEN, CdrDelivery, Delivery, ReceivedCdr
from csms.core.forgetting import is_pseudonym, token_of
from csms.core.ids import folded
from csms.core.partners import Partner
from csms.core.ports import Tx
from csms.core.redaction import Names, Redactor
from csms.core.tariffs import Tariff
from csms.core.tokens import Token, uid_key
from csms.flows import drivers
from csms.ocpi import lists, paging, tariffs
from csms.ocpi.disclosing import disclose, of_charge
from csms.ocpi.envelope import INVALID, UNKNOWN_TOKEN, Answer, Heard
from csms.ocpi.headers import Routing
from csms.ocpi.lists import Pulled
from csms.ocpi.locations import checked
from csms.ocpi.network import CPO, EMSP, RECEIVER, SENDER, Network
from csms.ocpi.repricing import Repriced, reprice
from csms.ocpi.routing import Call, Gone, Module, may_tell
from csms.ocpi.wire import reading
from csms.ocpi.wire.reading import Read
from csms.ocpi.wire.v221 import cdrs as wire

log = structlog.get_logger("ocpi.cdrs")
NAME = "cdrs"
MAX_URL = 2_000
AT_ONCE = 1_000
# Of so many records together it is seen which are in an outbox.
LOOKED_FOR = 200
# An answer with one of these is final; what else goes wrong may be right later (2000 is also what
# a suspended connection answers).
FINAL = range(INVALID, 3000)
# Longest texts of a CdrLocation (mod_cdrs).
_LONGEST = {"name": 255, "address": 45, "city": 45, "postal_code": 10, "state": 20}
_AMOUNTS = (
    "total_cost",
    "total_fixed_cost",
    "total_energy_cost",
    "total_time_cost",
    "total_parking_cost",
    "total_reservation_cost",
)
_QUANTITIES = ("total_energy", "total_time", "total_parking_time")
_SAME = (
    "start_date_time",
    "end_date_time",
    "session_id",
    "auth_method",
    "authorization_reference",
    "currency",
    "cdr_token",
)


class UnknownToken(CsmsError):
    """The token of a record is none of ours."""

    code = "not_found"


# -- ours ------------------------------------------------------------------------------------------


def shown(cdr: Cdr) -> dict[str, Any] | None:
    """A record as others see it; the same each time. None for one that 2.2.1 cannot carry."""
    data = cdr.data
    country, _, party_id = cdr.party_id.partition("*")
    told: dict[str, Any] = {name: data[name] for name in _SAME if name in data}
    told |= {name: _price(data[name]) for name in _AMOUNTS if name in data}
    told |= {name: Decimal(data[name]) for name in _QUANTITIES if name in data}
    told |= {
        "country_code": country,
        "party_id": party_id,
        "id": cdr.id,
        "cdr_location": _place(data["cdr_location"]),
        "tariffs": [made for each in data["tariffs"] if (made := _tariff(cdr, each))],
        "charging_periods": [_period(each) for each in data["charging_periods"]],
        "last_updated": reading.moment(cdr.created_at),
    }
    if "remark" in data:
        told["remark"] = data["remark"][:255]
    if cdr.credit_of is not None:
        told |= {"credit": True, "credit_reference_id": cdr.credit_of}
    signed = data.get("signed_data")
    if signed is not None and checked(wire.SignedData, signed) is not None:
        told["signed_data"] = signed
    return checked(wire.CDR, told)


def _price(given: Mapping[str, Any]) -> dict[str, Decimal]:
    before = Decimal(given["before_taxes"])
    taxes = sum((Decimal(line["amount"]) for line in given.get("taxes", ())), Decimal(0))
    return {"excl_vat": before, "incl_vat": before + taxes}


def _place(given: Mapping[str, Any]) -> dict[str, Any]:
    """A place, its texts cut to the length that the version allows."""
    return {n: value[: _LONGEST[n]] if n in _LONGEST else value for n, value in given.items()}


def _tariff(cdr: Cdr, data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The tariff of a record. It was that way when the charge began, which is all that is known of
    its age here."""
    name, at = str(data["id"]), cdr.started_at
    owner = f"{data['country_code']}*{data['party_id']}"
    currency = str(data["currency"])
    row = Tariff(owner, folded(name), 0, name, True, at, at, currency, data=data)
    return tariffs.shown(row)


def _period(given: Mapping[str, Any]) -> dict[str, Any]:
    dimensions = [{**d, "volume": Decimal(d["volume"])} for d in given["dimensions"]]
    return {**given, "dimensions": dimensions}


async def _list(call: Call) -> Answer:
    """The records of charges by drivers who came over the partner's connection (or one that it took
    the place of), oldest first: for a hub those of whomever it passes on."""
    network, partner, asked = call.network, call.partner, paging.query(call.query)
    before = {old.id: old for old in await drivers.earlier(network.store.reader, partner)}
    found: list[tuple[Any, ...]] = []
    for party in network.parties(CPO):
        if call.routing.to in (None, party):
            where = {"partner_id": (partner.id, *before), "party_id": party}
            names = ("created_at", "partner_id", "token_party")
            for at, by, driver, *key in await network.every_key(Cdr, where, *names):
                theirs = by == partner.id or partners.succeeds(partner, before[by], driver, EMSP)
                if theirs and asked.takes(at):
                    found.append((at, *key))
    found.sort()
    answer = paging.answer(found, asked, call.url, lambda key: key, network.limits.page)
    told = []
    for _, party, id_key in answer.data:
        cdr = await network.store.reader.get(Cdr, party, id_key)
        one = shown(cdr) if cdr is not None else None
        if one is not None:
            told.append(one)
    await disclose(network, call.partner, [_disclosed(one) for one in told])
    return Answer(told, headers=answer.headers)


def _disclosed(told: Mapping[str, Any]) -> Told:
    place = told["cdr_location"]
    return of_charge(told["cdr_token"], Disclosing.CDR, place["id"], place["evse_uid"])


# -- theirs ----------------------------------------------------------------------------------------


def digest(value: wire.CDR) -> str:
    """Of the content of a record, however its JSON is written. When it was last updated is no part
    of what it bills: peers say another time when they send it again."""
    text = reading.dump({**reading.plain(value), "last_updated": None})
    # Numbers stay digits: as floats two amounts could become one.
    plain = json.loads(text, parse_float=str)
    text = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    return blake2b(text, digest_size=16).hexdigest()


async def _take(
    network: Network, partner: Partner, value: wire.CDR, body: Any
) -> tuple[ReceivedCdr, bool]:
    """Keep a partner's record; whether it is new. Raises `Invalid` for one that is not theirs to
    send, `UnknownToken`, and `Refused` for other content under a known id."""
    owner = f"{value.country_code}*{value.party_id}".upper()
    if not may_tell(network, partner, owner, CPO):
        raise Invalid(f"{owner} is not one of your parties in the role CPO")
    driver = f"{value.cdr_token.country_code}*{value.cdr_token.party_id}".upper()
    where = {"party_id": driver, "uid_key": uid_key(value.cdr_token.uid)}
    known = driver in network.parties(EMSP)
    named: str | None = value.cdr_token.uid
    if not known or not await network.store.reader.page(Token, where, limit=1):
        named = await _pseudonym(network, partner, owner, value) if known else None
    if named is None:
        raise UnknownToken(f"cdr_token: no token of {driver} with that uid is known here")
    found = await reprice(network, owner, value)
    row = _row(partner, owner, driver, value, body, found, network.clock())
    if named != row.token_uid:
        names = Names([value.cdr_token.uid], [value.cdr_token.contract_id])
        text = Redactor(names, named).json(row.body)
        row = row._replace(token_uid=named, body=text)
    new = await network.store.transact(exchanged.keep, row)
    return row, new


async def _pseudonym(network: Network, partner: Partner, owner: str, value: wire.CDR) -> str | None:
    """Under which pseudonym a record about a driver who is forgotten belongs: it was taken before,
    or cancels one that was. None: it is about nobody we know."""
    for name in (value.id, value.credit_reference_id if value.credit else None):
        if name is None:
            continue
        known = await network.store.reader.get(ReceivedCdr, owner, folded(name))
        ours = known is not None and known.partner_id == partner.id
        if known is not None and ours and is_pseudonym(known.token_uid):
            return known.token_uid
    return None


def _row(
    partner: Partner,
    owner: str,
    driver: str,
    value: wire.CDR,
    body: Any,
    found: Repriced,
    now: datetime,
) -> ReceivedCdr:
    after = value.total_cost.incl_vat
    return ReceivedCdr(
        party_id=owner,
        id_key=folded(value.id),
        id=value.id,
        partner_id=partner.id,
        received_at=now,
        started_at=value.start_date_time,
        ended_at=value.end_date_time,
        token_party=driver,
        token_uid=value.cdr_token.uid,
        currency=value.currency.upper(),
        energy_kwh=format(value.total_energy, "f"),
        before_taxes=format(value.total_cost.excl_vat, "f"),
        after_taxes=None if after is None else format(after, "f"),
        digest=digest(value),
        body=reading.dump(body).decode(),
        credit_of=value.credit_reference_id if value.credit else None,
        repriced=found.before_taxes,
        difference=found.difference,
        priced_by=found.by,
        session_key=folded(value.session_id) if value.session_id else None,
        fee=format(Contract.of(partner.contract).fee(value.total_cost.excl_vat), "f"),
    )


async def _post(call: Call) -> Answer:
    """A record from the network that sold the energy (mod_cdrs, POST)."""
    read = reading.parse(wire.CDR, call.body, call.network.clock())
    call.noted.extend(read.deviations)
    try:
        row, new = await _take(call.network, call.partner, read.value, call.body)
    except UnknownToken as error:
        return Answer(status=UNKNOWN_TOKEN, message=error.detail)
    except Refused as error:
        return Answer(status=INVALID, message=error.detail)
    country, _, party_id = row.party_id.partition("*")
    # The same place for the same record, however often and in whatever case it is sent.
    location = paging.below(call.url, country, party_id, row.id_key)
    return Answer(http=201 if new else 200, headers={"Location": location})


async def _get(call: Call) -> Answer:
    """A record that the partner has sent; to all others it does not exist."""
    party = call.owner(CPO)
    key = party, folded(call.rest[2])
    found = await call.network.store.reader.get(ReceivedCdr, *key)
    if found is None or found.partner_id != call.partner.id:
        raise Gone("this CDR is not known here")
    return Answer(reading.load(found.body.encode()))


MODULES = (
    Module(NAME, SENDER, {("GET", 0): _list}),
    Module(NAME, RECEIVER, {("POST", 0): _post, ("GET", 3): _get}),
)


# -- as a client -----------------------------------------------------------------------------------


async def push(network: Network, partner: Partner, party: str, cdr_id: str) -> list[str] | None:
    """Put a record of ours into the outbox of the partner over whose connection its driver came,
    unless it is settled; `deliver` sends it."""
    reader = network.store.reader
    cdr = await reader.get(Cdr, party, folded(cdr_id))
    if cdr is None or cdr.token_party is None or party not in network.parties(CPO):
        return None
    if not await drivers.is_theirs(reader, partner, cdr.partner_id, cdr.token_party):
        return None
    told = shown(cdr)
    body = reading.dump(told).decode() if told is not None else None
    before = tuple(old.id for old in await drivers.earlier(reader, partner))
    await network.store.transact(exchanged.owe, partner.id, cdr, body, network.clock(), before)
    return None if body is not None else [f"CDR {cdr.id} cannot be told in 2.2.1"]


async def owed(network: Network, partner: Partner) -> AsyncIterator[tuple[str, ...]]:
    """The records that a partner has to get and that are in no outbox of its network, however old
    they are. What an earlier connection to that network still owed is this one's from here on."""
    before = await drivers.earlier(network.store.reader, partner)
    for old in before:
        async for row in network.every(CdrDelivery, {"partner_id": old.id, "state": OPEN}):
            token = token_of(row.body)
            if token is not None and partners.succeeds(partner, old, token.party_id, EMSP):
                await network.store.transact(exchanged.move, row.key, partner.id, network.clock())
    connections = (partner.id, *(old.id for old in before))
    for party in network.parties(CPO):
        after: tuple[Any, ...] | None = None
        while True:
            where: dict[str, Any] = {"partner_id": connections, "party_id": party}
            names = ("id", "id_key")
            some = await network.store.reader.fields(
                Cdr, names, where, after=after, limit=LOOKED_FOR
            )
            where["id_key"] = tuple(id_key for _, id_key in some)
            known = {key[2] for key in await network.every_key(CdrDelivery, where)}
            for cdr_id, id_key in some:
                if id_key not in known:
                    yield party, cdr_id
            if len(some) < LOOKED_FOR:
                break
            after = party, some[-1][1]


async def deliver(network: Network, partner: Partner) -> str | None:
    """Send what the partner has to get and is due; a credit never before what it cancels. What is
    in the way, if anything; records that it holds up come again later."""
    url = partner.endpoint(NAME, RECEIVER)
    if url is None:
        return None
    # What was sent and never settled is sent again: the specification would leave it to their
    # reading (transport_and_format, push), and a setting does.
    states = OPEN if network.limits.redeliver else (Delivery.DUE,)
    where = {"partner_id": partner.id, "state": states}
    rows = await network.store.reader.page(CdrDelivery, where, limit=AT_ONCE)
    waiting = {(row.party_id, row.cdr_id) for row in rows}
    fault: str | None = None
    for row in sorted(rows, key=lambda row: (row.created_at, row.party_id, row.id_key)):
        if row.next_at > network.clock() or (row.party_id, row.credit_of) in waiting:
            continue
        try:
            wrong = await _send(network, partner, url, row)
        except CsmsError as error:
            # They cannot be reached, or the store is away: the others would fare no better.
            why = error.detail or error.code
            await network.store.transact(exchanged.unsettled, row.key, why, None)
            return why
        if wrong is None:
            waiting.discard((row.party_id, row.cdr_id))
        fault = fault or wrong
    return fault


async def _send(network: Network, partner: Partner, url: str, before: CdrDelivery) -> str | None:
    """One attempt; why it is not settled. Raises `PartnerUnreachable`, `Invalid`."""
    store = network.store
    body = reading.load(before.body.encode())
    row = await store.transact(_sending, before.key, _disclosed(body), network.clock())
    if row is None:
        return None
    token = body["cdr_token"]
    driver = f"{token['country_code']}*{token['party_id']}".upper()
    access = network.access(partner, Routing(driver, row.party_id))
    if row.location is not None:
        # An attempt before this one may have arrived.
        there = await network.client.call("GET", row.location, access)
        found = there.one.get("id") if isinstance(there.one, Mapping) else None
        if there.ok and folded(str(found)) == row.id_key:
            await network.forgive(partner, there.deviations)
            await store.transact(exchanged.confirmed, row.key, row.location, network.clock())
            return None
    heard = await network.client.call("POST", url, access, body)
    location = _location(heard, url)
    if heard.ok:
        await store.transact(exchanged.confirmed, row.key, location, network.clock())
        return None
    if heard.status in FINAL:
        log.warning("cdr_refused", partner=partner.name, cdr=row.cdr_id, why=heard.why)
        await store.transact(exchanged.refused, row.key, heard.why, network.clock())
        return None
    await store.transact(exchanged.unsettled, row.key, heard.why, location)
    return heard.why


def _sending(tx: Tx, key: tuple[str, str, str], told: Told, now: datetime) -> CdrDelivery | None:
    """An attempt begins, which is noted as what the partner is told of the driver."""
    row = exchanged.sending(tx, key, now)
    if row is not None:
        disclosures.note(tx, row.partner_id, [told], now)
    return row


def _location(heard: Heard, url: str) -> str | None:
    """Where they say that the record is; only on the host that our token is for."""
    text = heard.headers.get("location")
    if not text or len(text) > MAX_URL:
        return None
    try:
        there, here = httpx.URL(url).join(text), httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return None
    same = (there.scheme, there.host, there.port) == (here.scheme, here.host, here.port)
    return str(there) if same else None


def ways_to_read(network: Network, partner: Partner) -> list[Routing]:
    """In which ways their list is asked for: each of our parties asks for the records of its own
    drivers."""
    return network.ways(partner, (CPO,), network.parties(EMSP))


async def pull(
    network: Network,
    partner: Partner,
    date_from: datetime | None,
    ways: Sequence[Routing] | None = None,
) -> Pulled:
    """Take in the records that a partner lists, in all ways or in these: one that was never sent to
    us is found here."""

    async def take(body: Any) -> Read[wire.CDR]:
        read = reading.parse(wire.CDR, body, network.clock())
        try:
            await _take(network, partner, read.value, body)
        except UnknownToken as error:
            raise Refused(error.detail) from error
        return read

    asked = ways_to_read(network, partner) if ways is None else ways
    return await lists.pull(network, partner, NAME, asked, date_from, take)
