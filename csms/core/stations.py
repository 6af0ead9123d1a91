"""Stations: onboarding, registration, links, and how well a station keeps to its protocol.

A station has an internal id that never changes; the identity that it uses on the wire is an
attribute. Its registration outlives sockets and restarts, because real stations reconnect without
booting (OCPP 1.6 5.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from csms.core import events, logins
from csms.core.availability import MAX_CONNECTORS, MAX_EVSES, UNKNOWN, Connector
from csms.core.entities import entity
from csms.core.errors import AlreadyExists, Invalid, NotFound, Refused
from csms.core.ids import Origin, party_id, station_identity
from csms.core.logins import Login
from csms.core.ports import Need, Tx

MAX_VIOLATION_KINDS = 64


class Registration(StrEnum):
    """What the network thinks of a station (OCPP 1.6 4.2; OCPP 2.0.1 B01 to B03).

    `new`: onboarded and never booted; its first boot makes it `accepted`.
    """

    NEW = "new"
    ACCEPTED = "accepted"
    PENDING = "pending"
    REJECTED = "rejected"


@entity(
    "stations",
    key=("id",),
    finders={"identity": ("identity",)},
    unique=("identity",),
    often=True,
)
class Station(NamedTuple):
    """One charging station, whatever it is connected by.

    `node` is the process that holds its link, None while it is offline; `generation` counts its
    links, so that the end of an old one cannot touch the new one. `last_seen_at` is that of the
    last ended link (of a live one the node knows it). `violations` counts by kind how often it
    broke the protocol. `profile`: the OCPP security profile of its present or last link. `guest`:
    it came by itself, and nobody has accepted it so far.
    """

    id: str
    identity: str
    party_id: str
    registration: str
    created_at: datetime
    generation: int = 0
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    protocol: str | None = None
    booted_at: datetime | None = None
    node: str | None = None
    connected_at: datetime | None = None
    disconnected_at: datetime | None = None
    last_seen_at: datetime | None = None
    remote_address: str | None = None
    violations: Mapping[str, int] = {}
    profile: int | None = None
    guest: bool = False


@entity("unknown_stations", key=("identity",))
class UnknownStation(NamedTuple):
    """An identity that knocked and is not onboarded, for the operator to see and add."""

    identity: str
    first_seen_at: datetime
    last_seen_at: datetime
    attempts: int
    remote_address: str


@dataclass(frozen=True, slots=True)
class BootReport:
    """What a station says of itself when it boots."""

    vendor: str | None
    model: str | None
    serial: str | None = None
    firmware: str | None = None
    reason: str | None = None


def needs(station_id: str) -> Need:
    """Declares the read of one station row."""
    return Need(Station, None, (station_id,))


def require(tx: Tx, station_id: str) -> Station:
    """The station, or `NotFound`."""
    station = tx.get(Station, station_id)
    if station is None:
        raise NotFound(f"no station has the id {station_id}")
    return station


def by_identity(tx: Tx, identity: str) -> Station | None:
    """The station that uses that identity on the wire."""
    found = tx.find(Station, "identity", identity)
    return found[0] if found else None


# -- onboarding ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewStation:
    """What an operator gives to add a station; connectors are per EVSE."""

    identity: str
    party_id: str
    evses: int = 1
    connectors: int = 1


def onboard(tx: Tx, station_id: str, new: NewStation, now: datetime) -> Station:
    """Add a station. Raises `Invalid` or `AlreadyExists`; not repeatable with the same identity."""
    if not 1 <= new.evses <= MAX_EVSES:
        raise Invalid(f"a station has 1 to {MAX_EVSES} EVSEs")
    if not 1 <= new.connectors <= MAX_CONNECTORS:
        raise Invalid(f"an EVSE has 1 to {MAX_CONNECTORS} connectors")
    identity = station_identity(new.identity)
    there = by_identity(tx, identity)
    if there is not None:
        waits = f" and waits: csms station accept {identity}" if there.guest else ""
        raise AlreadyExists(f"a station named {identity} exists{waits}")
    station = Station(
        id=station_id,
        identity=identity,
        party_id=party_id(new.party_id),
        registration=Registration.NEW,
        created_at=now,
    )
    tx.save(station)
    for evse in range(1, new.evses + 1):
        for connector in range(1, new.connectors + 1):
            tx.save(Connector(station_id, evse, connector, UNKNOWN, now, now))
    if tx.get(UnknownStation, identity) is not None:
        tx.delete(UnknownStation, identity)
    tx.record(
        events.StationOnboarded(
            at=now, station_id=station_id, identity=identity, party_id=station.party_id
        )
    )
    return station


def change(
    tx: Tx,
    station_id: str,
    now: datetime,
    *,
    registration: Registration | None = None,
) -> Station:
    """Set what an operator may set; None leaves a field as it is."""
    before = require(tx, station_id)
    if before.guest and registration in (Registration.ACCEPTED, Registration.NEW):
        raise Refused(f"{before.identity} came by itself: csms station accept {before.identity}")
    after = before._replace(
        registration=before.registration if registration is None else registration,
    )
    if after != before:
        tx.save(after)
        tx.record(events.StationChanged(at=now, station_id=station_id, fields=("registration",)))
    return after


def knock(
    tx: Tx, identity: str, remote_address: str, now: datetime, oldest: str | None = None
) -> None:
    """Remember that an unknown identity tried to connect. `oldest`: the one that makes room for a
    new one, so that a scan cannot fill the database and still does not hide who knocks now. The
    caller bounds how often this is called."""
    known = tx.get(UnknownStation, identity)
    if known is None:
        if oldest is not None:
            tx.delete(UnknownStation, oldest)
            tx.mark("unknown_station_dropped")
        tx.save(UnknownStation(identity, now, now, 1, remote_address))
        tx.record(
            events.UnknownStationSeen(at=now, identity=identity, remote_address=remote_address)
        )
    else:
        tx.save(
            known._replace(
                last_seen_at=now, attempts=known.attempts + 1, remote_address=remote_address
            )
        )


def link_refused(tx: Tx, station_id: str, reason: str, remote_address: str, now: datetime) -> None:
    """Journal that a station could not log in, for an operator who wonders why it is silent."""
    tx.record(
        events.LinkRefused(
            at=now, station_id=station_id, reason=reason, remote_address=remote_address
        )
    )


# -- the link ------------------------------------------------------------------------------------


def link_opened(
    tx: Tx, origin: Origin, node: str, remote_address: str, login: Login | None = None
) -> Station:
    """A link came up; the station with its new generation. The newest link wins. `login`: what the
    station showed; its older secrets are over. Raises `logins.Stale` when that is over itself."""
    station = require(tx, origin.station_id)
    if login is not None:
        logins.used(tx, station.id, login, origin.at)
    station = station._replace(
        generation=station.generation + 1,
        node=node,
        protocol=origin.protocol,
        connected_at=origin.at,
        disconnected_at=None,
        remote_address=remote_address,
        profile=None if login is None else login.profile.value,
    )
    tx.save(station)
    tx.record(
        events.StationConnected(
            at=origin.at,
            station_id=station.id,
            generation=station.generation,
            protocol=origin.protocol,
            node=node,
            remote_address=remote_address,
            profile=station.profile,
        )
    )
    return station


def link_closed(
    tx: Tx, station_id: str, generation: int, last_seen_at: datetime, now: datetime, reason: str
) -> bool:
    """A link ended. False, and nothing changes, when a newer link has taken its place."""
    station = tx.get(Station, station_id)
    if station is None or station.generation != generation or station.node is None:
        tx.mark("stale_link_end_ignored")
        return False
    tx.save(station._replace(node=None, disconnected_at=now, last_seen_at=last_seen_at))
    tx.record(
        events.StationDisconnected(
            at=now, station_id=station_id, generation=generation, reason=reason
        )
    )
    return True


# -- registration --------------------------------------------------------------------------------


def boot(tx: Tx, origin: Origin, report: BootReport) -> Registration:
    """A station booted (OCPP 1.6 4.2, OCPP 2.0.1 B01): its registration. May be repeated."""
    before = require(tx, origin.station_id)
    registration = Registration(before.registration)
    if registration is Registration.NEW:
        registration = Registration.ACCEPTED
    tx.save(
        before._replace(
            registration=registration,
            vendor=report.vendor or before.vendor,
            model=report.model or before.model,
            serial=report.serial or before.serial,
            firmware=report.firmware or before.firmware,
            booted_at=origin.at,
        )
    )
    tx.record(
        events.StationBooted(
            at=origin.at,
            station_id=before.id,
            registration=registration,
            vendor=report.vendor,
            model=report.model,
            firmware=report.firmware,
            reason=report.reason,
        )
    )
    if registration is Registration.ACCEPTED:
        logins.booted(tx, before.id, before.profile, origin.at)
    return registration


def count_violations(tx: Tx, station_id: str, kinds: Iterable[str]) -> None:
    """Add to the station's counters; kinds beyond `MAX_VIOLATION_KINDS` count as `other`."""
    station = require(tx, station_id)
    counts = dict(station.violations)
    for kind in kinds:
        name = kind if kind in counts or len(counts) < MAX_VIOLATION_KINDS else "other"
        counts[name] = counts.get(name, 0) + 1
    if counts != station.violations:
        tx.save(station._replace(violations=counts))
