"""Locations and their EVSEs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from csms.api.auth import OperatorWriter, Principal, Provided, Viewer
from csms.api.paging import Cursor, Limit, Page, page
from csms.api.shapes import Given
from csms.api.stations import find, identity_of
from csms.api.system import System
from csms.core import locations, places
from csms.core.errors import Invalid, NotFound
from csms.core.ids import folded
from csms.core.locations import MAX_EVSES_OF_LOCATION, Location, LocationEvse
from csms.core.occupancy import Lifecycle
from csms.core.ports import Tx

router = APIRouter(tags=["locations"])
UID_DIGITS = 24


class EvseChange(Given):
    """What an operator may set of an EVSE; fields left out stay."""

    operative: bool | None = Field(None, description="False: out of service")
    planned: bool | None = None
    station: str | None = Field(None, description="Identity or id of the station that serves it")
    evse: int | None = Field(None, ge=1, description="The number of the station's EVSE")
    evse_id: str | None = Field(None, max_length=places.MAX_EVSE_ID, examples=["CA*NTH*E1"])


async def _find(provided: System, who: Principal, party: str, location_id: str) -> Location:
    found = await provided.store.reader.get(Location, party, folded(location_id))
    if found is None or not who.sees(party):
        raise NotFound(
            f"no location {location_id} of {party}; csms location list shows those there are"
        )
    return found


async def _evses(provided: System, location: Location) -> Sequence[LocationEvse]:
    where = {"party_id": location.party_id, "location_key": location.id_key}
    return await provided.store.reader.page(LocationEvse, where, limit=MAX_EVSES_OF_LOCATION)


async def _show(provided: System, location: Location) -> dict[str, Any]:
    """In the shape of OCPI, each EVSE with the identity of its station for people."""
    shown = places.shown(location, await _evses(provided, location))
    for evse in shown["evses"]:
        if "station_id" in evse:
            evse["station"] = await identity_of(provided, evse["station_id"])
    return {"owner": location.party_id, **shown}


@router.get("/locations")
async def list_locations(
    who: Viewer, provided: Provided, cursor: Cursor = None, limit: Limit = 100
) -> Page[dict[str, Any]]:
    """All locations with their EVSEs, in the shape of OCPI 2.3.0; `owner` is the party."""
    reader = provided.store.reader
    where = {"party_id": who.only}
    found = await page(reader, Location, lambda x: x, cursor=cursor, limit=limit, where=where)
    return Page(items=[await _show(provided, x) for x in found.items], next=found.next)


@router.put("/locations")
async def put_location(
    given: dict[str, Any],
    writer: OperatorWriter,
    dry_run: Annotated[bool, Query(description="Say what would be stored, store nothing")] = False,
) -> dict[str, Any]:
    """Add a location with its EVSEs, or replace what is said of it, in the shape of OCPI 2.3.0. An
    EVSE names the station that serves it by `station` (identity or id) and `evse` (its number); one
    without `uid` gets a fresh one. EVSEs that are not named stay as they are."""
    provided, who = writer.provided, writer.who
    country, party = given.get("country_code"), given.get("party_id")
    named = f"{country}*{party}".upper() if country and party else None
    owner = who.party_for(named, provided.party)
    resolved = await _with_stations(provided, who, given)
    fresh = iter(_uids(provided))
    location, evses = places.read(owner, resolved, fresh, provided.clock())
    if dry_run:
        return {"owner": owner, **places.shown(location, evses)}
    await writer.run(
        "location_put",
        location.id,
        _put,
        location,
        evses,
        provided.clock(),
        party_id=owner,
        facts=given,
    )
    return await _show(provided, await _find(provided, who, owner, location.id))


def _uids(provided: System) -> list[str]:
    """Random uids for EVSEs: they derive from nothing that may change. The end of an id is random
    (its beginning is the time)."""
    return [provided.new_secret()[-UID_DIGITS:] for _ in range(MAX_EVSES_OF_LOCATION)]


async def _with_stations(
    provided: System, who: Principal, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The identities of stations replaced by their ids."""
    evses = given.get("evses")
    if not isinstance(evses, list):
        return dict(given)
    resolved = []
    for evse in evses:
        if isinstance(evse, dict) and evse.get("station"):
            station = await find(provided, str(evse["station"]), who)
            resolved.append({**evse, "station_id": station.id})
        else:
            resolved.append(evse)
    return {**given, "evses": resolved}


def _put(tx: Tx, location: Location, evses: Sequence[LocationEvse], now: Any) -> Mapping[str, Any]:
    return {"id": locations.put(tx, location, evses, now).id}


@router.get("/locations/{party}/{location_id}")
async def show_location(
    party: str, location_id: str, who: Viewer, provided: Provided
) -> dict[str, Any]:
    """One location with its EVSEs."""
    return await _show(provided, await _find(provided, who, party, location_id))


@router.patch("/locations/{party}/{location_id}/evses/{uid}")
async def change_evse(
    party: str, location_id: str, uid: str, change: EvseChange, writer: OperatorWriter
) -> dict[str, Any]:
    """Take an EVSE out of service, or say which station serves it (a swapped station keeps the
    uid)."""
    provided = writer.provided
    location = await _find(provided, writer.who, party, location_id)
    changes: dict[str, Any] = {}
    if change.operative is not None:
        changes["operative"] = change.operative
    if change.planned is not None:
        changes["lifecycle"] = Lifecycle.PLANNED if change.planned else Lifecycle.ACTIVE
    if change.evse_id is not None:
        changes["evse_id"] = change.evse_id or None
    if (change.station is None) != (change.evse is None):
        raise Invalid("station and evse are given together")
    if change.station is not None:
        station = await find(provided, change.station, writer.who)
        changes |= {"station_id": station.id, "evse": change.evse}
    await _of(provided, location, uid)
    await writer.run(
        "evse_changed", uid, _change, party, uid, changes, provided.clock(), party_id=party
    )
    return await _show(provided, await _find(provided, writer.who, party, location_id))


async def _of(provided: System, location: Location, uid: str) -> LocationEvse:
    found = await provided.store.reader.get(LocationEvse, location.party_id, folded(uid))
    if found is None or found.location_key != location.id_key:
        raise NotFound(f"no EVSE {uid} at {location.id}; csms location show lists them")
    return found


def _change(
    tx: Tx, party: str, uid: str, changes: Mapping[str, Any], now: Any
) -> Mapping[str, Any]:
    return {"uid": locations.change_evse(tx, party, uid, now, **changes).uid}


@router.delete("/locations/{party}/{location_id}/evses/{uid}")
async def remove_evse(
    party: str, location_id: str, uid: str, writer: OperatorWriter
) -> dict[str, Any]:
    """Take an EVSE away for good: it stays with the status REMOVED."""
    provided = writer.provided
    location = await _find(provided, writer.who, party, location_id)
    await _of(provided, location, uid)
    await writer.run("evse_removed", uid, _remove, party, uid, provided.clock(), party_id=party)
    return await _show(provided, await _find(provided, writer.who, party, location_id))


def _remove(tx: Tx, party: str, uid: str, now: Any) -> Mapping[str, Any]:
    return {"uid": locations.remove_evse(tx, party, uid, now).uid}
