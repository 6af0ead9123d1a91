"""Policies: what an operator has decided about one station, beyond its registration.

A station without a row has the defaults. The row is read when a link is opened, not with every
message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from csms.core.entities import entity
from csms.core.ports import Need, Tx


@entity("station_policies", key=("station_id",))
class Policy(NamedTuple):
    """`min_profile`: links of a lower OCPP security profile are refused. `wanted_profile`: the one
    that the station is being brought to; it becomes the lowest when the station has booted on it,
    so that one that falls back before (OCPP 1.6 Security Whitepaper A05.FR.08) is not locked out.
    `switches`: how to treat
    what the station does wrong, over what is known of its make. `exceptions`: what it may do that
    others may not, set by an admin one by one (a weak secret, a foreign user name, no secret from
    given networks; their names are in `logins`)."""

    station_id: str
    min_profile: int = 0
    switches: Mapping[str, Any] = {}
    exceptions: Mapping[str, Any] = {}
    wanted_profile: int | None = None


def needs(station_id: str) -> Need:
    """Declares the read of one policy row."""
    return Need(Policy, None, (station_id,))


def of(tx: Tx, station_id: str) -> Policy:
    """The policy of a station; the defaults where none was set."""
    return tx.get(Policy, station_id) or Policy(station_id)
