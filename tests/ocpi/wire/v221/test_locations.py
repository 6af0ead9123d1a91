"""Locations, EVSEs, connectors (mod_locations)."""

from __future__ import annotations

import pytest

from csms.core.errors import Invalid
from csms.ocpi.wire.reading import parse, plain
from csms.ocpi.wire.v221.locations import Location
from tests.support.ocpi_objects import NOW, connector, evse, location


def test_a_location_survives_with_fields_of_later_versions() -> None:
    given = location(help_phone="+31 1", evses=[evse(connectors=[connector(standard="MCS")])])
    read = parse(Location, given, NOW)
    assert plain(read.value) == given
    assert read.deviations == ()


def test_a_location_may_have_no_evse_and_an_evse_has_a_connector() -> None:
    assert parse(Location, location(evses=[]), NOW).value.evses == ()
    with pytest.raises(Invalid, match=r"evses\.0\.connectors"):
        parse(Location, location(evses=[evse(connectors=[])]), NOW)


def test_a_status_that_is_not_known_is_no_status() -> None:
    with pytest.raises(Invalid, match="status"):
        parse(Location, location(evses=[evse(status="BROKEN")]), NOW)


def test_what_peers_get_wrong_is_forgiven_and_told() -> None:
    given = location(postal_code="12345 678901", coordinates={"latitude": 52, "longitude": "5.1"})
    assert parse(Location, given, NOW).deviations == (
        "postal_code: too_long",
        "latitude: number_for_text",
    )
