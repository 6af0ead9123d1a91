"""The places of other networks, as our drivers see them: where, what is free, at which prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from csms.api.auth import Provided, Viewer
from csms.api.paging import Cursor, Limit, Page, page
from csms.core.errors import Invalid, NotFound
from csms.core.geography import MAX_RADIUS_KM, cells_around, distance_km
from csms.core.ids import folded
from csms.core.neighbours import NeighbourObject
from csms.core.ports import Reader

router = APIRouter(tags=["roaming"])
LOCATIONS, TARIFFS = "locations", "tariffs"
CELLS_AT_ONCE = 200
AVAILABLE = "AVAILABLE"


class NeighbourLocationOut(BaseModel):
    """A place of another network. `evses`: how many there are by status (OCPI Status);
    `distance_km` where a point was named."""

    party_id: str
    id: str
    partner_id: str = Field(description="The connection that tells of it")
    name: str | None
    address: str | None
    city: str | None
    country: str | None
    latitude: str | None
    longitude: str | None
    distance_km: float | None
    evses: dict[str, int]
    tariff_ids: list[str]
    last_updated: datetime
    received_at: datetime

    @classmethod
    def of(
        cls, row: NeighbourObject, place: Mapping[str, Any], distance: float | None = None
    ) -> NeighbourLocationOut:
        at = place.get("coordinates") or {}
        told = {name: _text(place.get(name)) for name in ("name", "address", "city", "country")}
        counted: dict[str, int] = {}
        for evse in _evses(place):
            status = str(evse.get("status"))
            counted[status] = counted.get(status, 0) + 1
        return cls(
            party_id=row.party_id,
            id=row.id,
            partner_id=row.partner_id,
            latitude=_text(at.get("latitude")),
            longitude=_text(at.get("longitude")),
            distance_km=None if distance is None else round(distance, 1),
            evses=counted,
            tariff_ids=_tariffs(place),
            last_updated=row.last_updated,
            received_at=row.received_at,
            **told,
        )


class NeighbourLocationDetails(NeighbourLocationOut):
    """`location` is the place as it was told; `tariffs`: the prices that apply there."""

    location: dict[str, Any]
    tariffs: list[dict[str, Any]]


Point = Annotated[
    str | None,
    Query(description="LATITUDE,LONGITUDE in degrees", examples=["45.50,-73.57"], max_length=64),
]


@router.get("/roaming/locations")
async def list_neighbour_locations(
    who: Viewer,
    provided: Provided,
    near: Point = None,
    radius_km: Annotated[float, Query(gt=0, le=MAX_RADIUS_KM)] = 25.0,
    available: Annotated[bool, Query(description="Only with an EVSE that is free")] = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[NeighbourLocationOut]:
    """Places of other networks where our drivers can charge: around a point, the nearest first, or
    all, by owner and id. A page may hold less than asked for; around a point there is one page."""
    reader = provided.store.reader
    if near is not None:
        found = await _around(reader, _point(near), radius_km)
        rows = [NeighbourLocationOut.of(*one) for one in found]
        return Page(items=[row for row in rows if not available or AVAILABLE in row.evses][:limit])
    listed = await page(
        reader,
        NeighbourObject,
        lambda row: NeighbourLocationOut.of(row, orjson.loads(row.body)),
        cursor=cursor,
        limit=limit,
        where={"module": LOCATIONS},
    )
    items = [row for row in listed.items if not available or AVAILABLE in row.evses]
    return Page(items=items, next=listed.next)


@router.get("/roaming/locations/{party}/{location_id}")
async def show_neighbour_location(
    party: str, location_id: str, who: Viewer, provided: Provided
) -> NeighbourLocationDetails:
    """One place of another network, with its EVSEs and prices."""
    reader = provided.store.reader
    row = await reader.get(NeighbourObject, LOCATIONS, party.upper(), folded(location_id))
    if row is None:
        raise NotFound(f"no location {location_id} of {party}; csms roaming locations lists them")
    place = orjson.loads(row.body)
    prices = []
    for tariff_id in _tariffs(place):
        tariff = await reader.get(NeighbourObject, TARIFFS, row.party_id, folded(tariff_id))
        if tariff is not None:
            prices.append(orjson.loads(tariff.body))
    shown = NeighbourLocationOut.of(row, place).model_dump()
    return NeighbourLocationDetails(location=place, tariffs=prices, **shown)


async def _around(
    reader: Reader, point: tuple[float, float], radius_km: float
) -> list[tuple[NeighbourObject, dict[str, Any], float]]:
    """The places within a circle, with their distance, the nearest first."""
    found: list[tuple[NeighbourObject, dict[str, Any], float]] = []
    cells = cells_around(*point, radius_km)
    for n in range(0, len(cells), CELLS_AT_ONCE):
        where = {"module": LOCATIONS, "cell": tuple(cells[n : n + CELLS_AT_ONCE])}
        after: Sequence[Any] | None = None
        while True:
            rows = await reader.page(NeighbourObject, where, after=after, limit=500)
            for row in rows:
                place = orjson.loads(row.body)
                at = place["coordinates"]
                away = distance_km(*point, float(at["latitude"]), float(at["longitude"]))
                if away <= radius_km:
                    found.append((row, place, away))
            if len(rows) < 500:
                break
            after = (rows[-1].module, rows[-1].party_id, rows[-1].id_key)
    return sorted(found, key=lambda one: (one[2], one[0].party_id, one[0].id_key))


def _point(text: str) -> tuple[float, float]:
    """Raises `Invalid`."""
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        latitude, longitude = float("nan"), float("nan")
    # A comparison with what is no number is false.
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise Invalid("near: LATITUDE,LONGITUDE in degrees are expected, like 45.50,-73.57")
    return latitude, longitude


def _evses(place: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [e for e in place.get("evses") or () if e.get("status") != "REMOVED"]


def _tariffs(place: Mapping[str, Any]) -> list[str]:
    """The tariffs that its connectors name, each once."""
    named: dict[str, None] = {}
    for evse in _evses(place):
        for connector in evse.get("connectors") or ():
            named.update(dict.fromkeys(str(t) for t in connector.get("tariff_ids") or ()))
    return list(named)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
