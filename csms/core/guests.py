"""Guests: stations that came by themselves and are let in to be looked at.

Where unknown stations may wait (`ocpp.unknown_stations = "pending"`), one gets a row like any
other, is told Pending when it boots, and is known by the secret that it showed first. It becomes a
station of the network when an operator accepts it; until then it may be put out for another.
"""

from __future__ import annotations

from datetime import datetime

from csms.core import events, logins
from csms.core.availability import Connector
from csms.core.errors import Refused
from csms.core.ids import party_id
from csms.core.ports import Tx
from csms.core.security import Credential, add
from csms.core.stations import (
    Registration,
    Station,
    UnknownStation,
    by_identity,
    require,
)


def welcome(
    tx: Tx,
    guest: Station,
    credential: Credential | None,
    now: datetime,
    put_out: tuple[str, ...] = (),
) -> Station:
    """Let a station in that nobody has added: its row, new or as it is. `credential`: the secret
    that it showed; who comes later under its name has to show the same. `put_out`: guests that make
    room for it."""
    found = by_identity(tx, guest.identity)
    if found is not None:
        return found
    for station_id in put_out:
        forget(tx, station_id)
    guest = guest._replace(registration=Registration.PENDING.value, guest=True)
    tx.save(guest)
    if credential is not None:
        add(tx, credential._replace(station_id=guest.id), now)
    tx.mark("guest_let_in")
    return guest


def forget(tx: Tx, station_id: str) -> bool:
    """Put a guest out that has no link: False, and nothing changes, for any other station."""
    station = tx.get(Station, station_id)
    if station is None or not station.guest or station.node is not None:
        return False
    for credential in tx.find(Credential, "station", station_id):
        tx.delete(Credential, credential.id)
    for connector in tx.find(Connector, "station", station_id):
        tx.delete(Connector, connector.station_id, connector.evse, connector.connector)
    tx.delete(Station, station_id)
    tx.mark("guest_put_out")
    return True


def take_over(
    tx: Tx,
    station_id: str,
    owner: str,
    now: datetime,
    credential: Credential,
    *,
    keep_weak: bool = False,
) -> bool:
    """Make a guest a station of the network; True when it gets `credential`, because it showed no
    secret, or a weak one that is not to be kept.

    A weak secret works until the station has used another, as an exception that people see: it
    must not be locked out at the moment that it is accepted. Raises `Refused` for a station that is
    no guest.
    """
    station = require(tx, station_id)
    if not station.guest:
        raise Refused(f"{station.identity} is a station of the network already")
    accepted = station._replace(
        guest=False, registration=Registration.ACCEPTED.value, party_id=party_id(owner)
    )
    tx.save(accepted)
    if tx.get(UnknownStation, station.identity) is not None:
        tx.delete(UnknownStation, station.identity)
    tx.record(
        events.StationOnboarded(
            at=now, station_id=station_id, identity=station.identity, party_id=accepted.party_id
        )
    )
    shown = tx.find(Credential, "station", station_id)
    if any(c.weak for c in shown):
        logins.set_exceptions(tx, station_id, {logins.WEAK_SECRET: True}, now)
    if any(not c.weak for c in shown) or (shown and keep_weak):
        return False
    logins.offer(tx, credential._replace(station_id=station_id), now)
    return True
