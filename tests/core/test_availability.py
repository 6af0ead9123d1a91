"""Availability: OCPP 1.6 4.9, OCPP 2.0.1 G01, all reports ending in one function."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import availability
from csms.core.availability import MAX_CONNECTORS, MAX_EVSES, STATUSES, Connector, ConnectorReport
from tests.support.charging import Site, at, origin


def say(site: Site, status: str, seconds: float = 0, **fields: Any) -> Connector | None:
    report = ConnectorReport(
        **{"evse": 1, "connector": 1, "reported_at": at(seconds), **fields, "status": status}
    )
    return site.run(availability.record, origin(seconds + 1), report)


def changes(site: Site) -> int:
    return site.journal().count("connector_status_changed")


@pytest.mark.parametrize("status", sorted(STATUSES - {"unknown"}))
def test_a_status_is_stored_with_both_times(site: Site, status: str) -> None:
    row = say(site, status, 5, error_code="GroundFailure", info="i", vendor_error="E1")
    assert row == Connector("s1", 1, 1, status, at(5), at(6), "GroundFailure", "i", "E1")
    assert site.get(Connector, "s1", 1, 1) == row
    assert changes(site) == 1


def test_an_unchanged_status_is_no_event_and_no_write(site: Site) -> None:
    """A restart of 33,000 stations does not flood partners (DESIGN 7)."""
    first = say(site, "available")
    assert say(site, "available", 100) == first
    assert site.get(Connector, "s1", 1, 1) == first
    assert changes(site) == 1


@pytest.mark.parametrize(
    "fields", [{"error_code": "OtherError"}, {"info": "x"}, {"vendor_error": "x"}], ids=str
)
def test_another_error_is_a_change(site: Site, fields: dict[str, Any]) -> None:
    say(site, "faulted")
    say(site, "faulted", 1, **fields)
    say(site, "faulted", 2)
    assert changes(site) == 3


def test_reports_count_in_the_order_of_arrival(site: Site) -> None:
    """Clocks of stations may be wrong; they send in order on one link."""
    say(site, "charging", 100)
    row = say(site, "available", 50)
    assert row is not None
    assert (row.status, row.reported_at) == ("available", at(50))
    row = say(site, "faulted", 60, reported_at=None)
    assert row is not None
    assert row.reported_at == row.received_at == at(61)


def test_the_station_and_an_evse_have_a_state_of_their_own(site: Site) -> None:
    say(site, "unavailable", evse=0, connector=0)
    say(site, "occupied", evse=2, connector=0)
    assert site.get(Connector, "s1", 0, 0).status == "unavailable"
    assert site.get(Connector, "s1", 2, 0).status == "occupied"
    assert site.get(Connector, "s1", 1, 1).status == "unknown"


def test_what_a_station_may_report_is_bounded(site: Site) -> None:
    assert say(site, "available", evse=MAX_EVSES, connector=MAX_CONNECTORS) is not None
    for fields in ({"evse": MAX_EVSES + 1}, {"connector": MAX_CONNECTORS + 1}, {"evse": -1}):
        assert say(site, "available", **fields) is None
    assert changes(site) == 1
    assert site.marks() == ["connector_out_of_range"] * 3


def test_stations_do_not_share_connectors(site: Site) -> None:
    say(site, "charging")
    assert site.get(Connector, "s2", 1, 1).status == "unknown"
