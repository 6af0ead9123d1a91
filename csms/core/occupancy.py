"""What is published of an EVSE: one table from what we know of it to one word.

What we know: what the operator has decided about it, whether its station can be heard, and the
states that the station reported. The table is read from the top; the first row that fits decides.

| when | published |
| --- | --- |
| it was taken away | removed |
| it is not built yet | planned |
| its station has been silent for longer than the grace, or never reported it | unknown |
| the station or the EVSE as a whole is faulted | out_of_order |
| a connector is in use (preparing to finishing) | charging |
| the operator wants it out of service, or it or its station says so | inoperative |
| a connector is reserved | reserved |
| a connector is available | available |
| a connector is faulted (and none can be used) | out_of_order |
| a connector is unavailable | inoperative |
| anything else | unknown |

An operator wants it by the EVSE itself or by a wish about its station, until the station refuses
(`core.desired_availability`).

The words are those of OCPI 2.2.1 mod_locations, Status, in lower case. `blocked` needs a sensor for
cars that only park, so nothing here leads to it.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class Lifecycle(StrEnum):
    """Where an EVSE is between the drawing board and the scrap yard."""

    PLANNED = "planned"
    ACTIVE = "active"
    REMOVED = "removed"


class Status(StrEnum):
    """The published status of an EVSE (OCPI 2.2.1 mod_locations, Status)."""

    AVAILABLE = "available"
    CHARGING = "charging"
    INOPERATIVE = "inoperative"
    OUT_OF_ORDER = "out_of_order"
    PLANNED = "planned"
    REMOVED = "removed"
    RESERVED = "reserved"
    UNKNOWN = "unknown"


IN_USE = frozenset(
    {"preparing", "charging", "suspended_ev", "suspended_evse", "finishing", "occupied"}
)


def published(
    lifecycle: str,
    operative: bool,
    heard: bool,
    connectors: Collection[str],
    whole: Collection[str] = (),
) -> Status:
    """The status by the table above.

    `operative`: the operator's wish. `heard`: the station has a link, or lost it less than the
    grace ago. `connectors`: the states of its connectors (they exclude each other: one EVSE, one
    car); `whole`: what the station said of itself and of the EVSE as a whole (connector 0).
    """
    if lifecycle == Lifecycle.REMOVED:
        return Status.REMOVED
    if lifecycle == Lifecycle.PLANNED:
        return Status.PLANNED
    if not heard or not {*connectors, *whole} - {"unknown"}:
        return Status.UNKNOWN
    if "faulted" in whole:
        return Status.OUT_OF_ORDER
    if IN_USE.intersection(connectors) or "occupied" in whole:
        return Status.CHARGING
    if not operative or "unavailable" in whole:
        return Status.INOPERATIVE
    for state, status in (
        ("reserved", Status.RESERVED),
        ("available", Status.AVAILABLE),
        ("faulted", Status.OUT_OF_ORDER),
        ("unavailable", Status.INOPERATIVE),
    ):
        if state in connectors or (state in whole and not connectors):
            return status
    return Status.UNKNOWN
