"""The places of other networks, as our drivers see them: where, what is free, at which prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from csms.api.auth import Principal, Provided, Viewer
from csms.api.paging import Cursor, Limit, Page, page
from csms.core.errors import Invalid, NotFound
from csms.core.geography import MAX_RADIUS_KM, cells_around, distance_km
from csms.core.ids import folded
from csms.core.neighbours import NeighbourObject
from csms.core.ports import Reader
from csms.core.tokens import Token, uid_key

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
    missing_since: datetime | None = Field(
        description="When its network's list was first read in full without it: it may be gone"
    )

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
            missing_since=row.missing_since,
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
    all, by owner and id. A page may hold less than asked for; around a point there is one page.
    What its owner does not publish is listed only for whose tokens it names."""
    reader, following = provided.store.reader, None
    if near is not None:
        found = await _around(reader, _point(near), radius_km)
    else:
        listed: Page[NeighbourObject] = await page(
            reader,
            NeighbourObject,
            lambda row: row,
            cursor=cursor,
            limit=limit,
            where={"module": LOCATIONS},
        )
        found = [(row, orjson.loads(row.body), None) for row in listed.items]
        following = listed.next
    items: list[NeighbourLocationOut] = []
    for row, place, distance in found:
        shown = NeighbourLocationOut.of(row, place, distance)
        wanted = AVAILABLE in shown.evses if available else bool(shown.evses)
        if wanted and len(items) < limit and await _published(reader, who, place):
            items.append(shown)
    return Page(items=items, next=following)


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
    if not await _published(reader, who, place):
        raise NotFound(f"{party} does not publish {location_id}")
    prices = []
    for tariff_id in _tariffs(place):
        tariff = await reader.get(NeighbourObject, TARIFFS, row.party_id, folded(tariff_id))
        if tariff is not None:
            prices.append(orjson.loads(tariff.body))
    shown = NeighbourLocationOut.of(row, place).model_dump()
    return NeighbourLocationDetails(location=place, tariffs=prices, **shown)


async def _published(reader: Reader, who: Principal, place: Mapping[str, Any]) -> bool:
    """Whether a place may be shown to these people's drivers: it is published, or named for one of
    their tokens (OCPI 2.2.1 mod_locations, PublishTokenType; visual numbers are not known here)."""
    if place.get("publish") is not False:
        return True
    parties = {"party_id": who.parties} if who.parties else {}
    for named in place.get("publish_allowed_to") or ():
        where: dict[str, Any] = {}
        if named.get("uid"):
            where["uid_key"] = uid_key(str(named["uid"]))
        elif named.get("group_id"):
            where["group_id"] = str(named["group_id"])
        if where and await reader.page(Token, {**where, **parties}, limit=1):
            return True
    return False


async def _around(
    reader: Reader, point: tuple[float, float], radius_km: float
) -> list[tuple[NeighbourObject, dict[str, Any], float | None]]:
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
    found.sort(key=lambda one: (one[2], one[0].party_id, one[0].id_key))
    return [*found]


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
