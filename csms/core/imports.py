"""Imports: stations that come over from somewhere else, many at a time, and more than once.

A row may be taken in again: what is there already stays, what is new is added. Secrets that the
stations have can come with them, so that nobody has to drive out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from csms.core import events, logins, stations
from csms.core.availability import UNKNOWN, Connector
from csms.core.errors import Refused
from csms.core.ports import Tx
from csms.core.security import Credential
from csms.core.stations import NewStation, Station


class Result(StrEnum):
    """What became of a row."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Row:
    """One station to take in. `given`: the secret is one that the station has already, otherwise it
    is a new one for a new station."""

    station: NewStation
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    given: bool = False
    weak_allowed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row, and the credential that it led to, if any."""

    result: Result
    detail: str | None = None
    credential_id: str | None = None


class Rehearsed(Exception):
    """Raised at the end of a rehearsal, so that nothing of it is stored."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.result)
        self.outcome = outcome


def take_in(tx: Tx, station_id: str, row: Row, credential: Credential, now: datetime) -> Outcome:
    """Add a station, or add to one that is there what the row says beyond it. `credential` is of
    the row's secret, or of a new one. Raises `Invalid`, and `Refused` with the reason."""
    if row.given and credential.weak and not row.weak_allowed:
        raise Refused(
            f"the secret may be guessed (under {logins.MIN_SECRET_BYTES} characters, or too even): "
            "leave it out to get a new one, or set weak_secret to yes"
        )
    there = stations.by_identity(tx, row.station.identity)
    if there is None:
        return _add(tx, station_id, row, credential, now)
    if there.guest:
        raise Refused(f"it waits to be accepted: csms station accept {there.identity}")
    if there.party_id != row.station.party_id:
        raise Refused(f"a station of that name belongs to {there.party_id}")
    return _update(tx, there, row, credential, now)


def rehearse(tx: Tx, station_id: str, row: Row, credential: Credential, now: datetime) -> Outcome:
    """What `take_in` would do; always raises, `Rehearsed` with the outcome."""
    raise Rehearsed(take_in(tx, station_id, row, credential, now))


def _add(tx: Tx, station_id: str, row: Row, credential: Credential, now: datetime) -> Outcome:
    station = stations.onboard(tx, station_id, row.station, now)
    tx.save(_described(station, row))
    _give(tx, station_id, row, credential, now)
    return Outcome(Result.ADDED, credential_id=credential.id)


def _update(tx: Tx, there: Station, row: Row, credential: Credential, now: datetime) -> Outcome:
    changed: list[str] = []
    after = _described(there, row)
    if after != there:
        tx.save(after)
        changed.append("description")
    known = {(c.evse, c.connector) for c in tx.find(Connector, "station", there.id)}
    wanted = {
        (evse, connector)
        for evse in range(1, row.station.evses + 1)
        for connector in range(1, row.station.connectors + 1)
    }
    for evse, connector in sorted(wanted - known):
        tx.save(Connector(there.id, evse, connector, UNKNOWN, now, now))
        changed.append(f"connector {evse}.{connector}")
    if row.given and not _has(tx, there.id, credential):
        _give(tx, there.id, row, credential, now)
        changed.append("secret")
    if not changed:
        return Outcome(Result.UNCHANGED)
    tx.record(events.StationChanged(at=now, station_id=there.id, fields=("import",)))
    return Outcome(Result.UPDATED, ", ".join(changed[:6]))


def _described(station: Station, row: Row) -> Station:
    """What the station says of itself when it boots is truer than a list; where it has not, the
    list is all there is."""
    return station._replace(
        vendor=station.vendor or row.vendor,
        model=station.model or row.model,
        serial=station.serial or row.serial,
    )


def _has(tx: Tx, station_id: str, credential: Credential) -> bool:
    found = tx.find(Credential, "station", station_id)
    return any((c.key_id, c.hash) == (credential.key_id, credential.hash) for c in found)


def _give(tx: Tx, station_id: str, row: Row, credential: Credential, now: datetime) -> None:
    if row.given and credential.weak:
        logins.set_exceptions(tx, station_id, {logins.WEAK_SECRET: True}, now)
    logins.offer(tx, credential._replace(station_id=station_id), now)
