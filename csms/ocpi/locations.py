"""The locations module (mod_locations): our places told to others, theirs kept.

As CPO (sender) we list locations with the status of their EVSEs and push what changes: the status
of an EVSE alone as a PATCH, anything else as the whole location. What only 2.3.0 has is left out:
parking places, help phone, accepted service providers, capabilities of connectors. An EVSE whose
connectors do not say what OCPI requires of them is not told, because half of it cannot be.
As eMSP (receiver) we keep what they say, at the level at which they say it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from pydantic import ValidationError

from csms.core import geography, neighbours
from csms.core.errors import Invalid
from csms.core.ids import folded
from csms.core.locations import Location, LocationEvse
from csms.core.neighbours import NeighbourObject
from csms.core.partners import Partner
from csms.core.ports import Tx
from csms.core.tariffs import Assignment, Tariff, counting
from csms.ocpi import lists, paging
from csms.ocpi.envelope import Answer
from csms.ocpi.headers import Routing
from csms.ocpi.lists import Pulled
from csms.ocpi.network import CPO, EMSP, LOOKED_AT_ONCE, RECEIVER, SENDER, VERSION, Network
from csms.ocpi.routing import Call, Gone, Module, must_tell, patch_of, same_as_address
from csms.ocpi.tokens import refused
from csms.ocpi.wire import reading
from csms.ocpi.wire.reading import Read
from csms.ocpi.wire.types import Wire
from csms.ocpi.wire.v221 import locations as wire

log = structlog.get_logger("ocpi.locations")
NAME = "locations"
REMOVED = "REMOVED"
# Who is told of places and prices, in which nobody's driver is: all but who only has places itself.
READERS = (EMSP, "NSP", "NAP", "SCSP", "PTP", "OTHER", "HUB")
# Our word for a status, where the wire has another.
_STATUS = {"out_of_order": "OUTOFORDER"}


# -- ours ------------------------------------------------------------------------------------------


def status_of(evse: LocationEvse) -> str:
    """The status of an EVSE as the wire says it."""
    return _STATUS.get(evse.status, evse.status.upper())


def shown(
    location: Location, evses: Sequence[LocationEvse], tariffs: Mapping[str, Sequence[str]]
) -> dict[str, Any] | None:
    """A location as others see it; `tariffs`: uid key -> ids. None for one that OCPI cannot
    carry."""
    country, _, party_id = location.party_id.partition("*")
    told = {
        **known_fields(wire.Location, location.data),
        "country_code": country,
        "party_id": party_id,
        "id": location.id,
        "publish": location.publish,
        "name": location.name,
        "address": location.address,
        "city": location.city,
        "postal_code": location.postal_code,
        "state": location.state,
        "country": location.country,
        "coordinates": {"latitude": location.latitude, "longitude": location.longitude},
        "time_zone": location.time_zone,
        "last_updated": reading.moment(location.last_updated),
    }
    told["evses"] = [
        made
        for evse in sorted(evses, key=lambda e: (e.created_at, e.uid_key))
        if (made := _evse(evse, tariffs.get(evse.uid_key, ())))
    ]
    return checked(wire.Location, told)


def _evse(evse: LocationEvse, tariffs: Sequence[str]) -> dict[str, Any] | None:
    connectors = []
    for connector in evse.connectors:
        made = known_fields(wire.Connector, connector)
        made.setdefault("last_updated", reading.moment(evse.last_updated))
        if tariffs:
            made["tariff_ids"] = list(tariffs)
        connectors.append(made)
    told = {
        **known_fields(wire.EVSE, evse.data),
        "uid": evse.uid,
        "evse_id": evse.evse_id,
        "status": status_of(evse),
        "connectors": connectors,
        "last_updated": reading.moment(evse.last_updated),
    }
    return checked(wire.EVSE, told)


def known_fields(kind: type[Wire], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields that this version has, numbers exact again."""
    value = reading.load(orjson.dumps({n: v for n, v in given.items() if n in kind.model_fields}))
    return dict(value)


def checked(kind: type[Wire], told: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        made: dict[str, Any] = reading.plain(kind.model_validate(told))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        log.warning("object_not_told", kind=kind.__name__, field=where, why=fault["msg"])
        return None
    return made


async def tell(network: Network, location: Location) -> dict[str, Any] | None:
    """A location of ours with its EVSEs and tariffs, as it is now."""
    (told,) = await _tell_all(network, location.party_id, [location])
    return told


async def _tell_all(
    network: Network, party: str, places: Sequence[Location]
) -> list[dict[str, Any] | None]:
    """Locations of one party as others see them, in that order; a query per table for all."""
    where = {"party_id": party, "location_key": tuple(place.id_key for place in places)}
    evses: dict[str, list[LocationEvse]] = {}
    async for evse in network.every(LocationEvse, where):
        evses.setdefault(evse.location_key, []).append(evse)
    assigned: dict[str, list[Assignment]] = {}
    async for row in network.every(Assignment, where):
        assigned.setdefault(row.location_key, []).append(row)
    keys = tuple(dict.fromkeys(row.tariff_key for rows in assigned.values() for row in rows))
    current = {"party_id": party, "id_key": keys, "current": True}
    names = {t.id_key: t.id async for t in network.every(Tariff, current)} if keys else {}

    def named(evse: LocationEvse) -> list[str]:
        # What a charge there would be priced by, and nothing else (Connector.tariff_ids).
        rows = counting(assigned.get(evse.location_key, ()), evse.uid_key)
        return [names[row.tariff_key] for row in rows if row.tariff_key in names]

    told = []
    for place in places:
        here = evses.get(place.id_key, ())
        told.append(shown(place, here, {evse.uid_key: named(evse) for evse in here}))
    return told


async def _list(call: Call) -> Answer:
    """All locations of our CPO parties, oldest first; a filter takes whole locations."""
    network, asked = call.network, paging.query(call.query)
    found: list[tuple[datetime, str, str]] = []
    for party in network.parties(CPO):
        if call.routing.to in (None, party):
            rows = await network.every_key(
                Location, {"party_id": party}, "created_at", "last_updated"
            )
            found += [(made, *key) for made, updated, *key in rows if asked.takes(updated)]
    found.sort()
    answer = paging.answer(found, asked, call.url, lambda key: key, network.limits.page)
    told: dict[tuple[str, str], dict[str, Any] | None] = {}
    for party in dict.fromkeys(owner for _, owner, _ in answer.data):
        keys = tuple(key for _, owner, key in answer.data if owner == party)
        where = {"party_id": party, "id_key": keys}
        places = [place async for place in network.every(Location, where)]
        shown_ = await _tell_all(network, party, places)
        told |= {(party, p.id_key): one for p, one in zip(places, shown_, strict=True)}
    listed = [told.get((owner, key)) for _, owner, key in answer.data]
    return Answer([one for one in listed if one is not None], headers=answer.headers)


async def _one(call: Call) -> Answer:
    """One location, EVSE or connector of ours."""
    for party in call.network.parties(CPO):
        if call.routing.to not in (None, party):
            continue
        place = await call.network.store.reader.get(Location, party, folded(call.rest[0]))
        told = await tell(call.network, place) if place is not None else None
        if told is not None:
            return Answer(_inside(told, call.rest[1:]))
    raise Gone("no such location")


def _inside(place: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The EVSE or connector of a location. Raises `Gone`."""
    found: Any = place
    for name, key, wanted in zip(("evses", "connectors"), ("uid", "id"), path, strict=False):
        inner = [o for o in found.get(name, ()) if folded(str(o.get(key))) == folded(wanted)]
        if not inner:
            raise Gone(f"no such {name[:-1]}")
        found = inner[0]
    return found


# -- theirs ----------------------------------------------------------------------------------------


def neighbour(value: wire.Location, partner_id: str, now: datetime) -> NeighbourObject:
    """A location of another network as the core keeps it."""
    return NeighbourObject(
        module=NAME,
        party_id=f"{value.country_code}*{value.party_id}".upper(),
        id_key=folded(value.id),
        id=value.id,
        partner_id=partner_id,
        last_updated=value.last_updated,
        received_at=now,
        body=reading.dump(value).decode(),
        cell=_cell(value.coordinates),
    )


def _cell(at: wire.GeoLocation) -> str | None:
    """Where it is, None for what is nowhere."""
    try:
        latitude, longitude = float(at.latitude), float(at.longitude)
    except ValueError:
        return None
    inside = abs(latitude) <= 90 and abs(longitude) <= 180
    return geography.cell(latitude, longitude) if inside else None


def _kept(found: NeighbourObject | None, call: Call) -> dict[str, Any]:
    """The location of an address, as far as this partner may know. Raises `Gone`."""
    if found is None or found.partner_id != call.partner.id:
        raise Gone("this location is not known here")
    return dict(reading.load(found.body.encode()))


async def _get(call: Call) -> Answer:
    key = NAME, call.owner(CPO), folded(call.rest[2])
    place = _kept(await call.network.store.reader.get(NeighbourObject, *key), call)
    return Answer(_inside(place, call.rest[3:]))


async def _put(call: Call) -> Answer:
    """A location, EVSE or connector as a whole."""
    return await _write(call, call.body if len(call.rest) == 3 else None, _replaced)


async def _patch(call: Call) -> Answer:
    """Some fields of a location, EVSE or connector; what stands above it was updated as well."""
    patch_of(call)
    return await _write(call, None, _patched)


Change = Callable[[dict[str, Any], Call], bool]


async def _write(call: Call, whole: Any, change: Change) -> Answer:
    """Keep a whole location, or change the one that is kept, in one transaction."""
    party, now = call.owner(CPO), call.network.clock()
    new, deviations = await call.network.store.transact(_keep, call, party, whole, change, now)
    call.noted.extend(deviations)
    return Answer(http=201 if new and len(call.rest) == 3 else 200)


def _keep(
    tx: Tx, call: Call, party: str, whole: Any, change: Change, now: datetime
) -> tuple[bool, tuple[str, ...]]:
    place = whole
    if whole is None:
        place = _kept(tx.get(NeighbourObject, NAME, party, folded(call.rest[2])), call)
        if not change(place, call):
            tx.mark("neighbour_object_outdated")
            return False, ()
    read = reading.parse(wire.Location, place, now)
    same_as_address(call, read.value.country_code, read.value.party_id, read.value.id)
    return _enter(tx, read, call.partner.id, now)


def _enter(
    tx: Tx, read: Read[wire.Location], partner_id: str, now: datetime
) -> tuple[bool, tuple[str, ...]]:
    """Keep a place; whether it is new, and what was forgiven. An EVSE that is gone without having
    been removed stays as removed, so that what refers to it finds it (mod_locations, EVSE: nothing
    is deleted)."""
    row = neighbour(read.value, partner_id, now)
    before = tx.get(NeighbourObject, NAME, row.party_id, row.id_key)
    if before is None or before.partner_id != partner_id:
        return neighbours.put(tx, row), read.deviations
    place = reading.load(row.body.encode())
    named = {folded(str(evse["uid"])) for evse in place.get("evses") or ()}
    known = reading.load(before.body.encode()).get("evses") or ()
    gone = [evse for evse in known if folded(str(evse["uid"])) not in named]
    vanished = [evse for evse in gone if evse["status"] != REMOVED]
    if not gone:
        return neighbours.put(tx, row), read.deviations
    for evse in vanished:
        evse |= {"status": REMOVED, "last_updated": reading.moment(row.last_updated)}
    place["evses"] = [*(place.get("evses") or ()), *gone]
    new = neighbours.put(tx, row._replace(body=reading.dump(place).decode()))
    silent = ("evses: gone without REMOVED",) if vanished else ()
    return new, (*read.deviations, *silent)


def _replaced(place: dict[str, Any], call: Call) -> bool:
    """An EVSE or connector takes the place of the one of its name."""
    if not isinstance(call.body, Mapping):
        raise Invalid("the body must be an object")
    body, wanted = dict(call.body), folded(call.rest[-1])
    above = _inside(place, call.rest[3:-1])
    name, key = ("evses", "uid") if len(call.rest) == 4 else ("connectors", "id")
    if folded(str(body.get(key))) != wanted:
        raise Invalid(f"{key}: differs from the address")
    before = [o for o in above.get(name, ()) if folded(str(o.get(key))) == wanted]
    if before and _time(body) < _time(before[0]):
        return False
    above[name] = [*(o for o in above.get(name, ()) if o not in before), body]
    _bump(place, call, _time(body))
    return True


def _patched(place: dict[str, Any], call: Call) -> bool:
    """Some fields of what the address names."""
    found = _inside(place, call.rest[3:])
    at = _time(call.body)
    if at < _time(found):
        return False
    found.update(call.body)
    _bump(place, call, at)
    return True


def _bump(place: dict[str, Any], call: Call, at: datetime) -> None:
    """`last_updated` of what stands above a change follows it, and never goes back."""
    above = [place] if len(call.rest) == 4 else []
    if len(call.rest) == 5:
        above = [place, _inside(place, call.rest[3:4])]
    for each in above:
        each["last_updated"] = reading.moment(max(_time(each), at))


def _time(given: Mapping[str, Any]) -> datetime:
    """`last_updated` of an object. Raises `Invalid`."""
    text = given.get("last_updated")
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise Invalid("last_updated: must be a DateTime such as 2018-01-01T01:08:01Z") from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


_METHODS = (("GET", _get), ("PUT", _put), ("PATCH", _patch))
MODULES = (
    Module(NAME, SENDER, {("GET", 0): _list, ("GET", 1): _one, ("GET", 2): _one, ("GET", 3): _one}),
    Module(
        NAME,
        RECEIVER,
        {
            (m, n): h
            for n in (3, 4, 5)
            for m, h in (("GET", _get), ("PUT", _put), ("PATCH", _patch))
        },
    ),
)


# -- as a client -----------------------------------------------------------------------------------


Seen = tuple[Location | None, LocationEvse | None]


async def look(network: Network, things: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], Seen]:
    """The present state of those things that are one EVSE each, with its place: `party`, id of the
    location, uid. Two queries for all of a party."""
    found: dict[tuple[str, ...], Seen] = {}
    for party in dict.fromkeys(thing[0] for thing in things if thing[2]):
        alone = [thing for thing in things if thing[0] == party and thing[2]]
        keys = [tuple(folded(thing[n]) for thing in alone) for n in (1, 2)]
        places, evses = await asyncio.gather(
            _by_key(network, Location, party, "id_key", keys[0]),
            _by_key(network, LocationEvse, party, "uid_key", keys[1]),
        )
        for thing, place, evse in zip(alone, *keys, strict=True):
            found[thing] = (places.get(place), evses.get(evse))
    return found


async def _by_key(
    network: Network, kind: type[Any], party: str, name: str, keys: tuple[str, ...]
) -> dict[str, Any]:
    # One text of the query for any number.
    padded = keys + keys[-1:] * (-len(keys) % LOOKED_AT_ONCE)
    found = {}
    for first in range(0, len(padded), LOOKED_AT_ONCE):
        where = {"party_id": party, name: padded[first : first + LOOKED_AT_ONCE]}
        for row in await network.store.reader.page(kind, where, limit=LOOKED_AT_ONCE):
            found[getattr(row, name)] = row
    return found


async def push(
    network: Network,
    partner: Partner,
    party: str,
    location_id: str,
    evse_uid: str = "",
    *,
    seen: Seen | None = None,
) -> list[str] | None:
    """Tell a partner the present state of a location of ours, or the status of one EVSE alone; what
    it refused. `seen`: what `look` has found. Raises `PartnerUnreachable` when it should be tried
    again."""
    url = partner.endpoint(NAME, RECEIVER)
    ways = network.ways(partner, READERS, (party,))
    if url is None or party not in network.parties(CPO) or not ways:
        return None
    if seen is None and evse_uid:
        seen = (await look(network, [(party, location_id, evse_uid)]))[party, location_id, evse_uid]
    place, evse = seen or (
        await network.store.reader.get(Location, party, folded(location_id)),
        None,
    )
    if place is None:
        return None
    country, _, party_id = party.partition("*")
    address = paging.below(url, country, party_id, place.id)
    wrong = []
    for way in ways:
        access = network.access(partner, way)
        if evse is not None:
            body = {"status": status_of(evse), "last_updated": evse.last_updated}
            if (
                await network.client.call("PATCH", paging.below(address, evse.uid), access, body)
            ).ok:
                continue
        # What they do not know they cannot patch (transport_and_format, PATCH).
        told = await tell(network, place)
        if told is None:
            return [f"{place.id} cannot be told in {VERSION}: the log (object_not_told) says why"]
        heard = await network.client.call("PUT", address, access, told)
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
    """Take in the locations that a partner lists, in all ways or in these."""

    async def take(body: Any) -> Read[wire.Location]:
        read = reading.parse(wire.Location, body, network.clock())
        party = f"{read.value.country_code}*{read.value.party_id}".upper()
        must_tell(network, partner, party, CPO)
        _, deviations = await network.store.transact(_enter, read, partner.id, network.clock())
        return Read(read.value, deviations)

    asked = ways_to_read(network, partner) if ways is None else ways
    return await lists.pull(network, partner, NAME, asked, date_from, take)
