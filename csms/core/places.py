"""Locations as they are given: from the shape of OCPI 2.3.0 (or 2.2.1) to entities, checked.

What is not understood is kept as it came; what is wrong is refused with the name of the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from csms.core.countries import ALPHA_3, alpha_2
from csms.core.errors import Invalid
from csms.core.ids import folded
from csms.core.ids import party_id as checked_party
from csms.core.locations import MAX_EVSES_OF_LOCATION, Location, LocationEvse
from csms.core.occupancy import Lifecycle

MAX_ID = 36
MAX_EVSE_ID = 48
MAX_CONNECTORS = 16
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_OWN = {
    "country_code",
    "party_id",
    "id",
    "publish",
    "name",
    "address",
    "city",
    "postal_code",
    "state",
    "country",
    "coordinates",
    "time_zone",
    "evses",
    "last_updated",
}
_OWN_EVSE = {
    "uid",
    "evse_id",
    "status",
    "connectors",
    "last_updated",
    "station_id",
    "station",
    "evse",
}
# OCPI 2.2.1 mod_locations, Connector; the standards are an open list.
FORMATS = ("SOCKET", "CABLE")
POWER_TYPES = ("AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC")


def read(
    party_id: str, given: Mapping[str, Any], fresh: Iterator[str], now: datetime
) -> tuple[Location, list[LocationEvse]]:
    """A location and its EVSEs. `fresh`: random uids for EVSEs that have none. Our own additions to
    an EVSE: `station_id` and `evse` say which hardware serves it. Raises `Invalid`."""
    name = _id(given, "id", MAX_ID, "location")
    where = f"location {name}"
    latitude, longitude = _coordinates(given, where)
    evses = [] if given.get("evses") is None else given["evses"]
    if not isinstance(evses, list) or len(evses) > MAX_EVSES_OF_LOCATION:
        raise Invalid(f"{where}: evses: a list of at most {MAX_EVSES_OF_LOCATION} is expected")
    publish = given.get("publish", True)
    if not isinstance(publish, bool):
        raise Invalid(f"{where}: publish: true or false is expected")
    location = Location(
        party_id=checked_party(party_id),
        id_key=folded(name),
        id=name,
        created_at=now,
        last_updated=now,
        address=_text(given, "address", 255, where) or _missing(where, "address"),
        city=_text(given, "city", 45, where) or _missing(where, "city"),
        country=_country(given, where),
        latitude=latitude,
        longitude=longitude,
        time_zone=_zone(given, where),
        publish=publish,
        name=_text(given, "name", 255, where),
        postal_code=_text(given, "postal_code", 10, where),
        state=_text(given, "state", 45, where),
        data={k: v for k, v in given.items() if k not in _OWN and v is not None},
    )
    found = [read_evse(party_id, evse, fresh, now, where) for evse in evses]
    keys = [evse.uid_key for evse in found]
    if len(set(keys)) < len(keys):
        raise Invalid(f"{where}: two EVSEs have the same uid")
    return location, found


def read_evse(
    party_id: str, given: Any, fresh: Iterator[str], now: datetime, where: str
) -> LocationEvse:
    """One EVSE. Raises `Invalid`."""
    if not isinstance(given, Mapping):
        raise Invalid(f"{where}: an EVSE is an object")
    uid = _id(given, "uid", MAX_ID, where) if given.get("uid") else next(fresh)
    where = f"{where}: EVSE {uid}"
    station_id, evse = given.get("station_id"), given.get("evse")
    if (station_id is None) != (evse is None):
        raise Invalid(f"{where}: a station and the number of its EVSE are given together")
    if evse is not None and (type(evse) is not int or evse < 1):
        raise Invalid(f"{where}: evse: the number of the station's EVSE, from 1, is expected")
    status = str(given.get("status") or "").upper()
    lifecycle = Lifecycle.PLANNED if status == "PLANNED" else Lifecycle.ACTIVE
    return LocationEvse(
        party_id=party_id,
        uid_key=folded(uid),
        uid=uid,
        location_key="",
        created_at=now,
        last_updated=now,
        lifecycle=Lifecycle.REMOVED if status == "REMOVED" else lifecycle,
        station_id=None if status == "REMOVED" else station_id,
        evse=None if status == "REMOVED" else evse,
        evse_id=_text(given, "evse_id", MAX_EVSE_ID, where),
        connectors=_connectors(given.get("connectors"), where),
        data={k: v for k, v in given.items() if k not in _OWN_EVSE and v is not None},
    )


def _connectors(given: Any, where: str) -> Sequence[Mapping[str, Any]]:
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MAX_CONNECTORS:
        raise Invalid(f"{where}: connectors: a list of at most {MAX_CONNECTORS} is expected")
    found = []
    for index, connector in enumerate(given, 1):
        if not isinstance(connector, Mapping):
            raise Invalid(f"{where}: a connector is an object")
        here = f"{where}: connector {connector.get('id') or index}"
        if not _text(connector, "standard", 64, here):
            raise Invalid(f"{here}: standard: such as IEC_62196_T2 is expected")
        if connector.get("format") not in FORMATS:
            raise Invalid(f"{here}: format: {' or '.join(FORMATS)} is expected")
        if connector.get("power_type") not in POWER_TYPES:
            raise Invalid(f"{here}: power_type: one of {', '.join(POWER_TYPES)} is expected")
        for name in ("max_voltage", "max_amperage"):
            value = connector.get(name)
            if type(value) is not int or not 0 < value <= 10_000:
                raise Invalid(f"{here}: {name}: a whole number is expected")
        # Which tariffs apply is known by their assignments, not by what is said here.
        kept = {k: v for k, v in connector.items() if k not in ("tariff_ids", "last_updated")}
        found.append({"id": str(index), **kept})
    ids = [folded(str(c["id"])) for c in found]
    if len(set(ids)) < len(ids):
        raise Invalid(f"{where}: two connectors have the same id")
    return found


def _id(given: Mapping[str, Any], name: str, most: int, where: str) -> str:
    value = str(given.get(name) or "").strip()
    if not value or len(value) > most or not _PRINTABLE.fullmatch(value):
        raise Invalid(f"{where}: {name}: 1 to {most} printable ASCII characters are expected")
    return value


def _text(given: Mapping[str, Any], name: str, most: int, where: str) -> str | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise Invalid(f"{where}: {name}: at most {most} printable characters are expected")
    return value.strip()


def _missing(where: str, name: str) -> str:
    raise Invalid(f"{where}: {name} is missing")


def _country(given: Mapping[str, Any], where: str) -> str:
    code = alpha_2(str(given.get("country") or ""))
    if code is None:
        raise Invalid(f"{where}: country: three letters (ISO 3166-1), such as CAN, are expected")
    return ALPHA_3[code]


def _coordinates(given: Mapping[str, Any], where: str) -> tuple[str, str]:
    coordinates = given.get("coordinates")
    found = []
    for name, most in (("latitude", 90), ("longitude", 180)):
        value = coordinates.get(name) if isinstance(coordinates, Mapping) else None
        text = "" if isinstance(value, bool) or value is None else str(value)
        if not re.fullmatch(r"-?[0-9]{1,3}(\.[0-9]{1,15})?", text) or abs(float(text)) > most:
            raise Invalid(f"{where}: coordinates: {name}: decimal degrees are expected")
        whole, _, part = text.partition(".")
        # OCPI wants five to seven decimals.
        found.append(f"{whole}.{part[:7]:0<5}")
    return found[0], found[1]


def _zone(given: Mapping[str, Any], where: str) -> str:
    name = str(given.get("time_zone") or "")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            f"{where}: time_zone: a name such as America/Toronto (IANA) is expected"
        ) from None
    return name


# -- and back --------------------------------------------------------------------------------------


def shown(location: Location, evses: Sequence[LocationEvse]) -> dict[str, Any]:
    """A location in the shape of OCPI 2.3.0, with our own additions."""
    country, _, party = location.party_id.partition("*")
    given = {
        "country_code": country,
        "party_id": party,
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
        **location.data,
        "evses": [shown_evse(evse) for evse in evses],
        "last_updated": location.last_updated.isoformat(),
    }
    return {name: value for name, value in given.items() if value is not None}


def shown_evse(evse: LocationEvse) -> dict[str, Any]:
    """An EVSE likewise; `status` in the words of OCPI."""
    given = {
        "uid": evse.uid,
        "evse_id": evse.evse_id,
        "status": evse.status.replace("_", "").upper(),
        "operative": evse.operative,
        "station_id": evse.station_id,
        "evse": evse.evse,
        "connectors": list(evse.connectors),
        **evse.data,
        "last_updated": evse.last_updated.isoformat(),
    }
    return {name: value for name, value in given.items() if value is not None}
