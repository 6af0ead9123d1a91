"""The tariffs module (mod_tariffs): our prices told to others, theirs kept.

Told in 2.2.1: prices without taxes, with the VAT of each component as it is written there. The
taxes of a place are not told: a tariff may apply at many, and a rate begins on a day without the
tariff being another one; the copy in a record has them (`core.cdrs`). A tariff of ours that says
its prices with taxes is told without them where every component names its VAT; where one does not,
the tariff is not told, because a price that is wrong is worse than none. What only 2.3.0 has
(`tax_included`, limits after taxes under their new names) is said in the words of 2.2.1. A price of
ours with more than the four decimals of OCPI's number (types, number) is told as it is: what was
rounded would be another price than the one that is charged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import orjson
import structlog

from csms.core import neighbours
from csms.core.ids import folded
from csms.core.neighbours import NeighbourObject
from csms.core.partners import Partner
from csms.core.tariffs import Tariff
from csms.ocpi import lists, paging
from csms.ocpi.envelope import CLIENT_ERROR, Answer
from csms.ocpi.headers import Routing
from csms.ocpi.lists import Pulled
from csms.ocpi.locations import READERS, checked, known_fields
from csms.ocpi.network import CPO, EMSP, RECEIVER, SENDER, VERSION, Network
from csms.ocpi.routing import Call, Gone, Module, must_tell, same_as_address
from csms.ocpi.tokens import refused
from csms.ocpi.wire import reading
from csms.ocpi.wire.reading import Read
from csms.ocpi.wire.v221 import tariffs as wire

log = structlog.get_logger("ocpi.tariffs")
NAME = "tariffs"
PLACES = Decimal("0.0001")
_LIMITS = ("min_price", "max_price")
_WHOLE = frozenset({"step_size", "min_duration", "max_duration"})
_NUMBERS = _WHOLE | {
    "price",
    "vat",
    "before_taxes",
    "after_taxes",
    "excl_vat",
    "incl_vat",
    "percentage",
    *(f"{end}_{what}" for end in ("min", "max") for what in ("kwh", "current", "power")),
}


# -- ours ------------------------------------------------------------------------------------------


def shown(tariff: Tariff) -> dict[str, Any] | None:
    """The current version of a tariff as others see it; None for one that 2.2.1 cannot carry."""
    country, _, party_id = tariff.party_id.partition("*")
    data = reading.load(orjson.dumps(tariff.data))
    told = exact(known_fields(wire.Tariff, tariff.data))
    if data.get("tax_included") == "YES" and not _without_taxes(told):
        log.warning(
            "object_not_told",
            kind="Tariff",
            field=tariff.id,
            why="prices include taxes without a rate",
        )
        return None
    for name in _LIMITS:
        if isinstance(told.get(name), dict):
            told[name] = _limit(told[name])
    for element in told.get("elements", ()):
        for component in element.get("price_components", ()):
            component.setdefault("step_size", 1)
    told |= {
        "country_code": country,
        "party_id": party_id,
        "id": tariff.id,
        "currency": tariff.currency,
        "last_updated": reading.moment(tariff.last_updated),
    }
    return checked(wire.Tariff, told)


def exact(value: Any, name: str = "") -> Any:
    """A tariff with its numbers as numbers: those that are kept as text are told as what they
    are."""
    if isinstance(value, Mapping):
        return {n: exact(v, n) for n, v in value.items()}
    if isinstance(value, list | tuple):
        return [exact(v, name) for v in value]
    if isinstance(value, str) and name in _NUMBERS:
        number = Decimal(value)
        return int(number) if name in _WHOLE else number
    return value


def _without_taxes(told: dict[str, Any]) -> bool:
    """Take the VAT out of every price; False when a component does not say how much it is."""
    for element in told.get("elements", ()):
        for component in element.get("price_components", ()):
            vat = component.get("vat")
            if vat is None:
                return False
            price = Decimal(component["price"]) / (1 + Decimal(vat) / 100)
            component["price"] = price.quantize(PLACES, ROUND_HALF_UP)
    return True


def _limit(given: Mapping[str, Any]) -> dict[str, Any]:
    """A limit in the words of 2.2.1."""
    before = given.get("before_taxes", given.get("excl_vat"))
    after = given.get("after_taxes", given.get("incl_vat"))
    return {"excl_vat": before, **({"incl_vat": after} if after is not None else {})}


async def _list(call: Call) -> Answer:
    """The current tariffs of our CPO parties, oldest first."""
    network, asked = call.network, paging.query(call.query)
    found: list[tuple[Tariff, dict[str, Any]]] = []
    for party in network.parties(CPO):
        if call.routing.to not in (None, party):
            continue
        async for tariff in network.every(Tariff, {"party_id": party, "current": True}):
            told = shown(tariff) if asked.takes(tariff.last_updated) else None
            if told is not None:
                found.append((tariff, told))
    found.sort(key=lambda pair: (pair[0].created_at, pair[0].party_id, pair[0].id_key))
    return paging.answer(found, asked, call.url, lambda pair: pair[1], network.limits.page)


# -- theirs ----------------------------------------------------------------------------------------


def neighbour(value: wire.Tariff, partner_id: str, now: datetime) -> NeighbourObject:
    """A tariff of another network as the core keeps it."""
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


async def _theirs(call: Call) -> NeighbourObject:
    """The tariff of an address, as far as this partner may know. Raises `Gone`, `Foreign`."""
    party = call.owner(CPO)
    found = await call.network.store.reader.get(NeighbourObject, NAME, party, folded(call.rest[2]))
    if found is None or found.partner_id != call.partner.id:
        raise Gone("this tariff is not known here")
    return found


async def _get(call: Call) -> Answer:
    return Answer(reading.load((await _theirs(call)).body.encode()))


async def _put(call: Call) -> Answer:
    call.owner(CPO)
    now = call.network.clock()
    read = reading.parse(wire.Tariff, call.body, now)
    call.noted.extend(read.deviations)
    same_as_address(call, read.value.country_code, read.value.party_id, read.value.id)
    row = neighbour(read.value, call.partner.id, now)
    new = await call.network.store.transact(neighbours.put, row)
    return Answer(http=201 if new else 200)


async def _delete(call: Call) -> Answer:
    """A tariff that is no longer in use; what was charged by it has its own copy."""
    found = await _theirs(call)
    key = NAME, found.party_id, found.id
    await call.network.store.transact(neighbours.forget, *key, call.network.clock())
    return Answer()


MODULES = (
    Module(NAME, SENDER, {("GET", 0): _list}),
    Module(NAME, RECEIVER, {("GET", 3): _get, ("PUT", 3): _put, ("DELETE", 3): _delete}),
)


# -- as a client -----------------------------------------------------------------------------------


async def push(network: Network, partner: Partner, party: str, tariff_id: str) -> list[str] | None:
    """Tell a partner the present state of a tariff of ours, or that it is gone; what it refused.
    Raises `PartnerUnreachable` when it should be tried again."""
    url = partner.endpoint(NAME, RECEIVER)
    ways = network.ways(partner, READERS, (party,))
    if url is None or party not in network.parties(CPO) or not ways:
        return None
    where = {"party_id": party, "id_key": folded(tariff_id), "current": True}
    current = await network.store.reader.page(Tariff, where, limit=1)
    told = shown(current[0]) if current else None
    wrong = []
    if current and told is None:
        wrong.append(f"{tariff_id} cannot be told in {VERSION}: the log (object_not_told) says why")
    country, _, party_id = party.partition("*")
    address = paging.below(url, country, party_id, tariff_id)
    for way in ways:
        access = network.access(partner, way)
        heard = await network.client.call("PUT" if told else "DELETE", address, access, told)
        # Not known there is as good as gone.
        gone = told is None and (heard.http == 404 or heard.status == CLIENT_ERROR)
        if not gone:
            wrong += await refused(network, partner, heard)
    return wrong


def ways_to_read(network: Network, partner: Partner) -> list[Routing]:
    """In which ways their list is asked for."""
    return network.ways(partner, (CPO,), network.parties(EMSP)[:1])


async def pull(
    network: Network,
    partner: Partner,
    date_from: datetime | None,
    ways: Sequence[Routing] | None = None,
) -> Pulled:
    """Take in the tariffs that a partner lists, in all ways or in these."""

    async def take(body: Any) -> Read[wire.Tariff]:
        read = reading.parse(wire.Tariff, body, network.clock())
        row = neighbour(read.value, partner.id, network.clock())
        must_tell(network, partner, row.party_id, CPO)
        await network.store.transact(neighbours.put, row)
        return read

    asked = ways_to_read(network, partner) if ways is None else ways
    return await lists.pull(network, partner, NAME, asked, date_from, take)
