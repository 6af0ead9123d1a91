"""What is published of an EVSE: the table of the module, row by row."""

from __future__ import annotations

import pytest

from csms.core.availability import STATUSES
from csms.core.occupancy import IN_USE, Lifecycle, Status, published

ACTIVE = Lifecycle.ACTIVE

TABLE = [
    # lifecycle, operative, heard, connectors, whole, published
    (Lifecycle.REMOVED, True, True, ["charging"], [], Status.REMOVED),
    (Lifecycle.PLANNED, True, True, ["available"], [], Status.PLANNED),
    (ACTIVE, True, False, ["available"], [], Status.UNKNOWN),
    (ACTIVE, True, False, ["charging"], [], Status.UNKNOWN),
    (ACTIVE, True, True, [], [], Status.UNKNOWN),
    (ACTIVE, True, True, ["unknown"], [], Status.UNKNOWN),
    (ACTIVE, True, True, ["available"], ["faulted"], Status.OUT_OF_ORDER),
    (ACTIVE, True, True, ["charging"], ["faulted"], Status.OUT_OF_ORDER),
    (ACTIVE, True, True, ["charging"], ["available"], Status.CHARGING),
    (ACTIVE, True, True, ["faulted", "suspended_ev"], [], Status.CHARGING),
    (ACTIVE, True, True, ["available", "preparing"], [], Status.CHARGING),
    (ACTIVE, False, True, ["charging"], [], Status.CHARGING),
    (ACTIVE, True, True, ["charging"], ["unavailable"], Status.CHARGING),
    (ACTIVE, False, True, ["available"], [], Status.INOPERATIVE),
    (ACTIVE, False, True, ["faulted"], [], Status.INOPERATIVE),
    (ACTIVE, True, True, ["available"], ["unavailable"], Status.INOPERATIVE),
    (ACTIVE, True, True, ["reserved", "available"], [], Status.RESERVED),
    (ACTIVE, True, True, ["available", "faulted"], ["available"], Status.AVAILABLE),
    (ACTIVE, True, True, ["available", "unavailable"], [], Status.AVAILABLE),
    (ACTIVE, True, True, ["faulted", "unavailable"], [], Status.OUT_OF_ORDER),
    (ACTIVE, True, True, ["unavailable"], [], Status.INOPERATIVE),
    (ACTIVE, True, True, ["unknown", "available"], [], Status.AVAILABLE),
    # A station that reports its EVSEs, not their connectors.
    (ACTIVE, True, True, [], ["available"], Status.AVAILABLE),
    (ACTIVE, True, True, [], ["occupied"], Status.CHARGING),
]


@pytest.mark.parametrize(
    ("lifecycle", "operative", "heard", "connectors", "whole", "status"), TABLE
)
def test_the_table(
    lifecycle: str,
    operative: bool,
    heard: bool,
    connectors: list[str],
    whole: list[str],
    status: Status,
) -> None:
    assert published(lifecycle, operative, heard, connectors, whole) is status


@pytest.mark.parametrize("state", sorted(STATUSES))
def test_every_state_of_a_connector_leads_somewhere(state: str) -> None:
    """OCPP 1.6 4.9 and 2.0.1 ConnectorStatusEnumType against OCPI 2.2.1 Status."""
    expected = {
        "unknown": Status.UNKNOWN,
        "available": Status.AVAILABLE,
        "reserved": Status.RESERVED,
        "unavailable": Status.INOPERATIVE,
        "faulted": Status.OUT_OF_ORDER,
    }
    status = published(ACTIVE, True, True, [state])
    assert status == (Status.CHARGING if state in IN_USE else expected[state])
