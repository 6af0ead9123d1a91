"""Desired availability: what an operator wants to be in use, which outlives links and restarts.

A wish about a station, an EVSE or a connector stands until the next one about the same place, or
about what holds it: the newest decides. A station that was away is told when it comes back, and
again when it reports what contradicts a wish that it had taken (stations ought to keep it over a
restart, OCPP 2.0.1 G03.FR.05 and 1.6 5.2, and some do not). A refusal is an answer: it is shown and
not repeated.
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


def place_of(parameters: Mapping[str, Any]) -> tuple[int, int]:
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
    for narrower in tx.find(DesiredAvailability, "station", station_id):
        inside = evse == 0 or (narrower.evse == evse and connector == 0)
        if inside and (narrower.evse, narrower.connector) != (evse, connector):
            tx.delete(DesiredAvailability, station_id, narrower.evse, narrower.connector)
    tx.save(
        DesiredAvailability(
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
    )


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
    wanted = {(w.evse, w.connector): w.available for w in wishes if w.state != State.REFUSED}

    def wanted_of(connector: int) -> bool:
        places = ((evse, connector), (evse, 0), (0, 0))
        return next((wanted[place] for place in places if place in wanted), True)

    return any(wanted_of(connector) for connector in connectors or (0,))


def due(tx: Tx, station_id: str, now: datetime) -> tuple[DesiredAvailability, ...]:
    """The wishes to tell a station that can be reached, the widest first."""
    wishes = tx.find(DesiredAvailability, "station", station_id)
    if not wishes:
        return ()
    connectors = tx.find(Connector, "station", station_id)
    return tuple(
        wish
        for wish in wishes
        if (wish.told_at is None or now - wish.told_at >= AGAIN)
        and (
            wish.state == State.WANTED
            or (wish.state == State.TAKEN and _contradicted(wish, connectors))
        )
    )


def _contradicted(wish: DesiredAvailability, connectors: Sequence[Connector]) -> bool:
    """Whether something there is reported as free that shall not be used. The other way round
    proves nothing: a place may be out of use for reasons of its own."""
    return not wish.available and any(
        c.status == "available"
        for c in connectors
        if wish.evse in (0, c.evse) and wish.connector in (0, c.connector)
    )
