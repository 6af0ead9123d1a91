"""Locations: the places where stations stand, as drivers and other networks see them.

A location belongs to a party and has EVSEs; an EVSE is served by an EVSE of a station, which may be
swapped without anybody outside noticing: its `uid` is random, never changes and derives from
neither the station's id nor its identity. What this module understands has fields of its own; the
rest of what was given is kept in `data` as it came, in the shape of OCPI 2.3.0.

A change below moves `last_updated` of everything above (OCPI 2.2.1 mod_locations: an EVSE's update
is an update of its location). An unchanged status is no change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from csms.core import availability, events
from csms.core.availability import UNKNOWN, Connector, ConnectorReport
from csms.core.desired_availability import DesiredAvailability, in_use
from csms.core.entities import entity
from csms.core.errors import AlreadyExists, NotFound, Refused
from csms.core.ids import Origin, folded
from csms.core.occupancy import Lifecycle, Status, published
from csms.core.ports import Need, Tx
from csms.core.stations import Station

MAX_EVSES_OF_LOCATION = 500


@entity("locations", key=("party_id", "id_key"))
class Location(NamedTuple):
    """One place. `id_key` is the id as compared; `country` is ISO 3166-1 alpha-3; coordinates are
    decimal text; `time_zone` is an IANA name: prices that depend on the time of day need it."""

    party_id: str
    id_key: str
    id: str
    created_at: datetime
    last_updated: datetime
    address: str
    city: str
    country: str
    latitude: str
    longitude: str
    time_zone: str
    publish: bool = True
    name: str | None = None
    postal_code: str | None = None
    state: str | None = None
    data: Mapping[str, Any] = {}


@entity(
    "location_evses",
    key=("party_id", "uid_key"),
    finders={
        "location": ("party_id", "location_key"),
        "served_by": ("station_id", "evse"),
        "station": ("station_id",),
    },
    unique=("served_by",),
)
class LocationEvse(NamedTuple):
    """One EVSE of a location. `station_id` and `evse` say which hardware serves it, None: none
    does. `status` is what is published (`occupancy.Status`); `operative` is the operator's wish.
    `connectors`: a list in the shape of OCPI, each with its `id` and `last_updated`."""

    party_id: str
    uid_key: str
    uid: str
    location_key: str
    created_at: datetime
    last_updated: datetime
    status: str = Status.UNKNOWN
    lifecycle: str = Lifecycle.ACTIVE
    operative: bool = True
    station_id: str | None = None
    evse: int | None = None
    evse_id: str | None = None
    connectors: Sequence[Mapping[str, Any]] = ()
    data: Mapping[str, Any] = {}


def needs_evse(station_id: str, evse: int) -> Need:
    """Declares the read of the EVSE that a station's EVSE serves."""
    return Need(LocationEvse, "served_by", (station_id, evse))


def require(tx: Tx, party_id: str, location_id: str) -> Location:
    """The location, or `NotFound`."""
    found = tx.get(Location, party_id, folded(location_id))
    if found is None:
        raise NotFound(f"no location {location_id} of {party_id}")
    return found


def require_evse(tx: Tx, party_id: str, uid: str) -> LocationEvse:
    """The EVSE, or `NotFound`."""
    found = tx.get(LocationEvse, party_id, folded(uid))
    if found is None:
        raise NotFound(f"no EVSE {uid} of {party_id}")
    return found


def evses_of(tx: Tx, location: Location) -> Sequence[LocationEvse]:
    """All EVSEs of a location, removed ones as well."""
    return tx.find(LocationEvse, "location", location.party_id, location.id_key)


def serving(tx: Tx, station_id: str, evse: int) -> LocationEvse | None:
    """The EVSE of a location that a station's EVSE serves, None when it stands nowhere."""
    found = tx.find(LocationEvse, "served_by", station_id, evse)
    return found[0] if found else None


# -- by the operator -----------------------------------------------------------------------------


def put(tx: Tx, given: Location, evses: Sequence[LocationEvse], now: datetime) -> Location:
    """Add a location with EVSEs, or replace what is said of it. An EVSE that is not named stays as
    it is: it has to be removed by name. What says nothing new changes nothing. Raises `Refused` for
    an EVSE of another location or too many of them, and what `_placed` raises."""
    before = tx.get(Location, given.party_id, given.id_key)
    born = before.created_at if before else now
    after = given._replace(created_at=born, last_updated=_not_before(before, now))
    if before is None or before != after._replace(last_updated=before.last_updated):
        tx.save(after)
        _journal(tx, after, now)
    else:
        after = before
    for evse in evses:
        put_evse(tx, after, evse, now)
    if len(evses_of(tx, after)) > MAX_EVSES_OF_LOCATION:
        raise Refused(f"a location has at most {MAX_EVSES_OF_LOCATION} EVSEs")
    return require(tx, after.party_id, after.id)


def put_evse(tx: Tx, location: Location, given: LocationEvse, now: datetime) -> LocationEvse:
    """Add an EVSE to a location, or replace what is said of it; its status follows by itself."""
    before = tx.get(LocationEvse, location.party_id, given.uid_key)
    if before is not None and before.location_key != location.id_key:
        raise Refused(f"the EVSE {given.uid} belongs to another location")
    after = given._replace(
        party_id=location.party_id,
        location_key=location.id_key,
        created_at=before.created_at if before else now,
        last_updated=now,
        status=before.status if before else Status.UNKNOWN,
        # As it comes back from the database, so that the same is the same.
        connectors=[*given.connectors],
    )
    return _save_evse(tx, before, after, now)


def change_evse(
    tx: Tx,
    party_id: str,
    uid: str,
    now: datetime,
    **changes: Any,
) -> LocationEvse:
    """Set fields of an EVSE (`operative`, `lifecycle`, `station_id` and `evse`, `evse_id`)."""
    before = require_evse(tx, party_id, uid)
    if before.lifecycle == Lifecycle.REMOVED:
        raise Refused(f"the EVSE {uid} is removed: add another one in its place")
    return _save_evse(tx, before, before._replace(**changes), now)


def remove_evse(tx: Tx, party_id: str, uid: str, now: datetime) -> LocationEvse:
    """Take an EVSE away for good: it stays as `removed` (OCPI has no deletion), and its station's
    EVSE may serve another one. May be repeated."""
    before = require_evse(tx, party_id, uid)
    if before.lifecycle == Lifecycle.REMOVED:
        return before
    after = before._replace(lifecycle=Lifecycle.REMOVED, station_id=None, evse=None)
    return _save_evse(tx, before, after, now)


def _save_evse(
    tx: Tx, before: LocationEvse | None, after: LocationEvse, now: datetime
) -> LocationEvse:
    if after.station_id is not None and after.evse is not None:
        _placed(tx, after)
    # Whether a silent station is still within its grace is for the round that watches it to say.
    heard = (
        before is not None
        and before.status not in (Status.UNKNOWN, Status.PLANNED)
        and (before.station_id, before.evse) == (after.station_id, after.evse)
    )
    after = after._replace(status=_status(tx, after, now, timedelta(0), reported=heard))
    if before is not None and after == before._replace(last_updated=after.last_updated):
        return before
    after = after._replace(last_updated=_not_before(before, now))
    tx.save(after)
    location = tx.get(Location, after.party_id, after.location_key)
    if location is not None:
        _bump(tx, location, now)
        _journal(tx, location, now, after, status_alone=_status_alone(before, after))
    return after


def _status_alone(before: LocationEvse | None, after: LocationEvse) -> bool:
    """Whether nothing that others see has changed but the status: which hardware serves an EVSE is
    nobody else's business."""
    return before is not None and after == before._replace(
        status=after.status,
        last_updated=after.last_updated,
        operative=after.operative,
        station_id=after.station_id,
        evse=after.evse,
    )


def _placed(tx: Tx, evse: LocationEvse) -> None:
    """Raises `NotFound` for a station that does not exist, `AlreadyExists` when its EVSE serves
    another one."""
    assert evse.station_id is not None
    assert evse.evse is not None
    station = tx.get(Station, evse.station_id)
    if station is None:
        raise NotFound(f"no station has the id {evse.station_id}")
    if station.party_id != evse.party_id:
        raise Refused(f"station {station.identity} belongs to {station.party_id}")
    other = serving(tx, evse.station_id, evse.evse)
    if other is not None and other.uid_key != evse.uid_key:
        raise AlreadyExists(
            f"EVSE {evse.evse} of station {station.identity} serves the EVSE {other.uid} already"
        )


# -- by what stations say ------------------------------------------------------------------------


def record(tx: Tx, origin: Origin, report: ConnectorReport) -> Connector | None:
    """Store the state of a connector (`availability.record`), and publish what follows from it."""
    row = availability.record(tx, origin, report)
    if row is not None and row.received_at == origin.at:
        if report.evse == 0:
            refresh(tx, origin.station_id, origin.at, timedelta(0), reported=True)
        else:
            evse = serving(tx, origin.station_id, report.evse)
            if evse is not None:
                _follow(tx, evse, origin.at, timedelta(0), reported=True)
    return row


def refresh_needs(station_id: str) -> tuple[Need, ...]:
    """Declares what `refresh` reads of a station and its EVSEs."""
    return (
        Need(Station, None, (station_id,)),
        Need(LocationEvse, "station", (station_id,)),
        Need(Connector, "station", (station_id,)),
    )


def refresh(
    tx: Tx, station_id: str, now: datetime, grace: timedelta, *, reported: bool = False
) -> int:
    """Bring what is published of a station's EVSEs up to date; how many changed. `reported`: the
    station has just said something, so it can be heard."""
    found = tx.find(LocationEvse, "station", station_id)
    return sum(_follow(tx, evse, now, grace, reported) for evse in found)


def wished(tx: Tx, station_id: str, now: datetime) -> None:
    """Publish what follows from a wish about a station (`core.desired_availability`). Whether a
    silent station is still within its grace is for the round that watches it to say."""
    for evse in tx.find(LocationEvse, "station", station_id):
        _follow(tx, evse, now, timedelta(0), reported=evse.status != UNKNOWN)


def _follow(
    tx: Tx, evse: LocationEvse, now: datetime, grace: timedelta, reported: bool = False
) -> bool:
    status = _status(tx, evse, now, grace, reported)
    if status == evse.status:
        return False
    after = evse._replace(status=status, last_updated=_not_before(evse, now))
    tx.save(after)
    location = tx.get(Location, evse.party_id, evse.location_key)
    if location is not None:
        _bump(tx, location, now)
        _journal(tx, location, now, after)
    return True


def _status(tx: Tx, evse: LocationEvse, now: datetime, grace: timedelta, reported: bool) -> Status:
    if evse.station_id is None or evse.evse is None:
        return published(evse.lifecycle, evse.operative, False, ())
    station = tx.get(Station, evse.station_id)
    heard = reported or (
        station is not None and is_heard(station.node, station.disconnected_at, now, grace)
    )
    rows = tx.find(Connector, "station", evse.station_id)
    own = [c.status for c in rows if c.evse == evse.evse and c.connector]
    if not {*own} - {UNKNOWN}:
        # A station that counts its connectors from 0: what it says of the EVSE is all there is.
        own = [c.status for c in rows if c.evse == evse.evse and not c.connector] or own
    whole = [c.status for c in rows if c.evse in (0, evse.evse) and not c.connector]
    wishes = tx.find(DesiredAvailability, "station", evse.station_id)
    plugs = {c.connector for c in rows if c.evse == evse.evse and c.connector}
    operative = evse.operative and in_use(wishes, evse.evse, plugs)
    return published(evse.lifecycle, operative, heard, own, whole)


def is_heard(
    node: str | None, disconnected_at: datetime | None, now: datetime, grace: timedelta
) -> bool:
    """Whether a station has a link, or lost it less than the grace ago; by these of its fields."""
    if node is not None:
        return True
    return disconnected_at is not None and now - disconnected_at < grace


# -- shared --------------------------------------------------------------------------------------


def _not_before(before: Location | LocationEvse | None, now: datetime) -> datetime:
    """When a change is said to have been. Clocks of nodes differ by seconds, and partners take what
    is older than what they know for outdated: the newest change would never reach them."""
    return now if before is None else max(before.last_updated, now)


def _bump(tx: Tx, location: Location, now: datetime) -> None:
    """A child changed. Never backwards: partners read from a time on."""
    if location.last_updated < now:
        tx.save(location._replace(last_updated=now))


def _journal(
    tx: Tx,
    location: Location,
    now: datetime,
    evse: LocationEvse | None = None,
    *,
    status_alone: bool = True,
) -> None:
    tx.record(
        events.LocationChanged(
            at=now,
            station_id=evse.station_id if evse else None,
            party_id=location.party_id,
            location_id=location.id,
            evse_uid=evse.uid if evse else None,
            status=evse.status if evse and status_alone else None,
        )
    )
