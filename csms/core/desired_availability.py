"""Desired availability: what an operator wants to be in use, which outlives links and restarts.

A wish about a station, an EVSE or a connector stands until the next one about the same place, or
about what holds it: the newest decides. A station that was away is told when it comes back; one
that is here is told again what it did not answer, and what it had taken and contradicts by what it
reports (it ought to be kept over a restart, OCPP 2.0.1 G03.FR.05 and 1.6 5.2, and some forget), at
most every `AGAIN`. A refusal is an answer: it is shown and not repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from csms.core.availability import MAX_CONNECTORS, MAX_EVSES, Connector
from csms.core.entities import entity
from csms.core.errors import Refused
from csms.core.ports import Need, Tx

# EVSE and connector that a wish is about.
Place = tuple[int, int]

# Who asks when a wish is told again.
BY_ITSELF = "desired availability"
# Some stations restart when they are told; one wish is told again at most so often.
AGAIN = timedelta(minutes=10)


class State(StrEnum):
    """Where a wish stands: `wanted`: to be told when the station can be reached; `taken`: the
    station said yes, at once or after the charge; `refused`: it said no."""

    WANTED = "wanted"
    TAKEN = "taken"
    REFUSED = "refused"


@entity(
    "desired_availability",
    key=("station_id", "evse", "connector"),
    finders={"station": ("station_id",)},
)
class DesiredAvailability(NamedTuple):
    """A wish about a place: EVSE 0 is the station, connector 0 the whole EVSE.

    `command_id`: the command that told it last, `told_at` when that was asked for; `detail`: the
    station's word where it is not plain yes.
    """

    station_id: str
    evse: int
    connector: int
    available: bool
    since: datetime
    requested_by: str
    state: str
    told_at: datetime | None = None
    command_id: str | None = None
    detail: str | None = None


def needs(station_id: str) -> tuple[Need, ...]:
    """Declares the reads of `due`."""
    return (
        Need(DesiredAvailability, "station", (station_id,)),
        Need(Connector, "station", (station_id,)),
    )


def place_of(parameters: Mapping[str, Any]) -> Place:
    """The place that a command names. Raises `Refused` for one that no station has."""
    evse, connector = parameters.get("evse"), parameters.get("connector")
    if evse == 0 or (evse is None and connector is not None):
        raise Refused("name the EVSE, counted from 1, or leave EVSE and connector out")
    if (evse or 0) > MAX_EVSES or (connector or 0) > MAX_CONNECTORS:
        raise Refused(f"a station has {MAX_EVSES} EVSEs of {MAX_CONNECTORS} connectors at most")
    return evse or 0, connector or 0


def want(
    tx: Tx,
    station_id: str,
    parameters: Mapping[str, Any],
    command_id: str,
    requested_by: str,
    now: datetime,
) -> None:
    """Remember a wish that a command is about to tell. Told again, it stays the wish it was. Raises
    `Refused` for a place that no station has."""
    evse, connector = place_of(parameters)
    before = tx.get(DesiredAvailability, station_id, evse, connector)
    if requested_by == BY_ITSELF and before is not None:
        tx.save(before._replace(state=State.WANTED, told_at=now, command_id=command_id))
        return
    wish = DesiredAvailability(
        station_id,
        evse,
        connector,
        bool(parameters["available"]),
        now,
        requested_by,
        State.WANTED,
        now,
        command_id,
    )
    for narrower in tx.find(DesiredAvailability, "station", station_id):
        if _inside(narrower, wish):
            tx.delete(DesiredAvailability, station_id, narrower.evse, narrower.connector)
    tx.save(wish)


def answered(
    tx: Tx,
    station_id: str,
    parameters: Mapping[str, Any],
    command_id: str,
    taken: bool | None,
    detail: str | None,
) -> None:
    """What became of telling it; `taken` None: it did not reach the station, or nobody knows, so
    that it will be told again. Of an older command nothing is taken note of."""
    wish = tx.get(DesiredAvailability, station_id, *place_of(parameters))
    if wish is None or wish.command_id != command_id:
        return
    if taken is None:
        tx.save(wish._replace(told_at=None))
        return
    state = State.TAKEN if taken else State.REFUSED
    tx.save(wish._replace(state=state, detail=detail))


def in_use(wishes: Sequence[DesiredAvailability], evse: int, connectors: Collection[int]) -> bool:
    """Whether an EVSE with these connectors shall be used: by the narrowest wish about each. What a
    station has refused is no wish any more."""
    standing = _standing(wishes)
    deciding = [_deciding(standing, evse, connector) for connector in connectors or (0,)]
    return any(wish is None or wish.available for wish in deciding)


def due(
    tx: Tx, station_id: str, now: datetime, tried: Mapping[Place, datetime] | None = None
) -> tuple[DesiredAvailability, ...]:
    """The wishes to tell a station that can be reached, the widest first; see `due_of`."""
    wishes = tx.find(DesiredAvailability, "station", station_id)
    if not wishes:
        return ()
    return due_of(wishes, tx.find(Connector, "station", station_id), now, tried)


def due_of(
    wishes: Sequence[DesiredAvailability],
    connectors: Sequence[Connector],
    now: datetime,
    tried: Mapping[Place, datetime] | None = None,
) -> tuple[DesiredAvailability, ...]:
    """Of all wishes about a station those to tell it, in their order. `connectors`: its own, at
    least those that are available; `tried`: see `may_be_due`. With a wide wish go those inside:
    where a place has one state only the last word about it counts."""
    standing = _standing(wishes)
    found = [
        wish
        for wish in wishes
        if may_be_due(wish, now, tried)
        and (wish.state == State.WANTED or _contradicted(wish, standing, connectors))
    ]
    return tuple(
        wish
        for wish in wishes
        if wish in found
        or (wish.state != State.REFUSED and any(_inside(wish, wider) for wider in found))
    )


def may_be_due(
    wish: DesiredAvailability, now: datetime, tried: Mapping[Place, datetime] | None = None
) -> bool:
    """Whether it is time to tell a wish, if the station does not do it. `tried`: when wishes were
    told last by themselves to a station that has been here since; None for one that has just come
    back, which is told at once what did not reach it."""
    if wish.state == State.REFUSED or (wish.state == State.TAKEN and wish.available):
        return False
    last = wish.told_at
    if tried is not None:
        last = max(last or wish.since, tried.get((wish.evse, wish.connector), wish.since))
    return last is None or now - last >= AGAIN


def _contradicted(
    wish: DesiredAvailability,
    standing: Mapping[Place, DesiredAvailability],
    connectors: Sequence[Connector],
) -> bool:
    """Whether something is reported as free that shall not be used by this wish. The other way
    round proves nothing: a place may be out of use for reasons of its own."""
    return not wish.available and any(
        c.status == "available" and _deciding(standing, c.evse, c.connector) is wish
        for c in connectors
    )


def _standing(wishes: Sequence[DesiredAvailability]) -> dict[Place, DesiredAvailability]:
    return {(w.evse, w.connector): w for w in wishes if w.state != State.REFUSED}


def _deciding(
    standing: Mapping[Place, DesiredAvailability], evse: int, connector: int
) -> DesiredAvailability | None:
    """The narrowest wish about a connector."""
    places = ((evse, connector), (evse, 0), (0, 0))
    return next((standing[place] for place in places if place in standing), None)


def _inside(narrow: DesiredAvailability, wide: DesiredAvailability) -> bool:
    """Whether a wish is about a part of what another is about."""
    if wide.evse == 0:
        return narrow.evse != 0
    return narrow.evse == wide.evse and wide.connector == 0 and narrow.connector != 0
