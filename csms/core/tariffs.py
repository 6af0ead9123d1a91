"""Tariffs as operators keep them: versions, and where each applies.

A tariff is replaced, never changed: every version stays, because a transaction is charged by the
version that was shown when it started (OCPI 2.2.1 mod_tariffs, note on start_date_time; 23 CFR
680.116(a)(2)). What a tariff means is the business of `core.pricing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from csms.core import events
from csms.core.entities import entity
from csms.core.errors import NotFound, Refused
from csms.core.ids import folded
from csms.core.locations import LocationEvse, require, require_evse
from csms.core.ports import Tx

ALL_EVSES = ""
MAX_VERSIONS = 900


@entity(
    "tariffs",
    key=("party_id", "id_key", "version"),
    finders={"current": ("party_id", "id_key", "current"), "versions": ("party_id", "id_key")},
)
class Tariff(NamedTuple):
    """One version of a tariff. `current`: the one that new transactions get, of which there is at
    most one; `data` is the tariff in the shape of OCPI 2.3.0, as it was given."""

    party_id: str
    id_key: str
    version: int
    id: str
    current: bool
    created_at: datetime
    last_updated: datetime
    currency: str
    kind: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    data: Mapping[str, Any] = {}


@entity(
    "tariff_assignments",
    key=("party_id", "location_key", "uid_key", "tariff_key"),
    finders={"place": ("party_id", "location_key"), "tariff": ("party_id", "tariff_key")},
)
class Assignment(NamedTuple):
    """That a tariff applies at a location, or at one of its EVSEs (`uid_key`, empty for all)."""

    party_id: str
    location_key: str
    uid_key: str
    tariff_key: str
    created_at: datetime


# -- versions ------------------------------------------------------------------------------------


def current(tx: Tx, party_id: str, tariff_id: str) -> Tariff | None:
    """The version that new transactions get, None when there is none or it was retired."""
    found = tx.find(Tariff, "current", party_id, folded(tariff_id), True)
    return found[0] if found else None


def put(tx: Tx, given: Tariff, now: datetime) -> Tariff:
    """Add a tariff, or a new version of it; the same again changes nothing. `given` has been
    checked by `pricing.tariff.parse`. Raises `Refused` after `MAX_VERSIONS` versions."""
    versions = tx.find(Tariff, "versions", given.party_id, given.id_key)
    before = next((t for t in versions if t.current), None)
    if before is not None and before.data == given.data:
        return before
    if len(versions) >= MAX_VERSIONS:
        raise Refused(f"tariff {given.id} has {len(versions)} versions: use another id")
    if before is not None:
        tx.save(before._replace(current=False))
    number = max((t.version for t in versions), default=0) + 1
    after = given._replace(version=number, current=True, created_at=now, last_updated=now)
    tx.save(after)
    tx.record(
        events.TariffChanged(
            at=now, party_id=after.party_id, tariff_id=after.id, version=number, retired=False
        )
    )
    return after


def retire(tx: Tx, party_id: str, tariff_id: str, now: datetime) -> Tariff:
    """No new transaction gets this tariff; those that have it keep it, and its versions stay.
    Raises `NotFound`."""
    before = current(tx, party_id, tariff_id)
    if before is None:
        raise NotFound(f"no tariff {tariff_id} of {party_id}")
    after = before._replace(current=False, last_updated=now)
    tx.save(after)
    for row in tx.find(Assignment, "tariff", party_id, before.id_key):
        tx.delete(Assignment, *row[:4])
        _moved(tx, row, now)
    tx.record(
        events.TariffChanged(
            at=now, party_id=party_id, tariff_id=after.id, version=after.version, retired=True
        )
    )
    return after


# -- where it applies ----------------------------------------------------------------------------


def assign(
    tx: Tx, party_id: str, tariff_id: str, location_id: str, uid: str | None, now: datetime
) -> Assignment:
    """Let a tariff apply at a location, or at one EVSE of it. May be repeated. Raises
    `NotFound`."""
    row = _assignment(tx, party_id, tariff_id, location_id, uid, now)
    if current(tx, party_id, tariff_id) is None:
        raise NotFound(f"no tariff {tariff_id} of {party_id}")
    known = tx.get(Assignment, *row[:4])
    if known is not None:
        return known
    tx.save(row)
    _moved(tx, row, now)
    return row


def unassign(
    tx: Tx, party_id: str, tariff_id: str, location_id: str, uid: str | None, now: datetime
) -> bool:
    """Let it apply there no longer; False when it did not. Raises `NotFound` for the place."""
    row = _assignment(tx, party_id, tariff_id, location_id, uid, now)
    if tx.get(Assignment, *row[:4]) is None:
        return False
    tx.delete(Assignment, *row[:4])
    _moved(tx, row, now)
    return True


def _assignment(
    tx: Tx, party_id: str, tariff_id: str, location_id: str, uid: str | None, now: datetime
) -> Assignment:
    location = require(tx, party_id, location_id)
    uid_key = ALL_EVSES
    if uid is not None:
        evse = require_evse(tx, party_id, uid)
        if evse.location_key != location.id_key:
            raise NotFound(f"no EVSE {uid} at {location_id}")
        uid_key = evse.uid_key
    return Assignment(party_id, location.id_key, uid_key, folded(tariff_id), now)


def _moved(tx: Tx, row: Assignment, now: datetime) -> None:
    """What applies where is part of what others see of a place: its connectors name tariffs."""
    location = require(tx, row.party_id, row.location_key)
    alone = row.uid_key != ALL_EVSES
    uid = require_evse(tx, row.party_id, row.uid_key).uid if alone else None
    if location.last_updated < now:
        tx.save(location._replace(last_updated=now))
    for evse in tx.find(LocationEvse, "location", row.party_id, row.location_key):
        if row.uid_key in (ALL_EVSES, evse.uid_key) and evse.last_updated < now:
            tx.save(evse._replace(last_updated=now))
    tx.record(
        events.LocationChanged(
            at=now, party_id=row.party_id, location_id=location.id, evse_uid=uid, status=None
        )
    )


def counting(rows: Sequence[Assignment], uid_key: str) -> Sequence[Assignment]:
    """Of all assignments at a location those that count for one of its EVSEs: its own, or else
    those for all."""
    own = [r for r in rows if r.uid_key == uid_key]
    return own or [r for r in rows if r.uid_key == ALL_EVSES]


def applying(tx: Tx, evse: LocationEvse) -> Sequence[Tariff]:
    """The current tariffs of an EVSE, by id: those assigned to it, or else to its location."""
    rows = tx.find(Assignment, "place", evse.party_id, evse.location_key)
    found = (current(tx, r.party_id, r.tariff_key) for r in counting(rows, evse.uid_key))
    return [tariff for tariff in found if tariff is not None]


def at_start(
    tx: Tx, evse: LocationEvse, started_at: datetime, kinds: Sequence[str] = ("REGULAR",)
) -> Tariff | None:
    """The tariff of a transaction that starts there and then (OCPI 2.2.1 mod_tariffs, TariffType).

    Among those that are valid at that moment, one whose kind is the first of `kinds` goes before
    the next kind, any of these before one for all, then the one valid since the latest, then the
    first by id. None: no price is known, which is not the same as free.
    """
    fitting = [
        t
        for t in applying(tx, evse)
        if (t.starts_at is None or t.starts_at <= started_at)
        and (t.ends_at is None or started_at < t.ends_at)
        and (t.kind is None or t.kind in kinds)
    ]
    if not fitting:
        return None

    def rank(t: Tariff) -> tuple[int, float, str]:
        kind = kinds.index(t.kind) if t.kind is not None else len(kinds)
        return kind, -(t.starts_at.timestamp() if t.starts_at else 0.0), t.id_key

    return min(fitting, key=rank)
