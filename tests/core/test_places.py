"""Locations as they are given: OCPI mod_locations, its own example, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from csms.core.errors import Invalid
from csms.core.occupancy import Lifecycle
from csms.core.places import read, shown
from tests.support.charging import NOW, PARTY

CONNECTOR = {
    "id": "1",
    "standard": "IEC_62196_T2",
    "format": "CABLE",
    "power_type": "AC_3_PHASE",
    "max_voltage": 230,
    "max_amperage": 32,
    "tariff_ids": ["11"],
}
GIVEN: dict[str, Any] = {
    "country_code": "CA",
    "party_id": "NTH",
    "id": "LOC1",
    "name": "Dépôt",
    "address": "1 Main St",
    "city": "Montréal",
    "postal_code": "H2X 1Y4",
    "state": "QC",
    "country": "CAN",
    "coordinates": {"latitude": "45.5", "longitude": "-73.567256"},
    "parking_type": "ON_STREET",
    "time_zone": "America/Toronto",
    "help_phone": "+15145550100",
    "new_in_a_later_version": {"kept": True},
    "evses": [
        {
            "uid": "3256",
            "evse_id": "CA*NTH*E1",
            "status": "CHARGING",
            "capabilities": ["RESERVABLE"],
            "connectors": [CONNECTOR],
            "station_id": "s1",
            "evse": 1,
        },
        {"status": "PLANNED"},
    ],
    "last_updated": "2015-06-29T20:39:09Z",
}


def fresh() -> Iterator[str]:
    return (f"uid-{n}" for n in range(1, 10))


def test_what_is_understood_has_fields_and_the_rest_is_kept() -> None:
    location, evses = read(PARTY, GIVEN, fresh(), NOW)
    assert (location.id_key, location.city, location.country) == ("loc1", "Montréal", "CAN")
    assert (location.latitude, location.longitude) == ("45.50000", "-73.567256")
    assert location.data == {
        "parking_type": "ON_STREET",
        "help_phone": "+15145550100",
        "new_in_a_later_version": {"kept": True},
    }
    first, second = evses
    assert (first.uid, first.station_id, first.evse) == ("3256", "s1", 1)
    assert first.data == {"capabilities": ["RESERVABLE"]}
    # Statuses and tariffs are not taken from what is said, but from what is known.
    assert "tariff_ids" not in first.connectors[0]
    assert (second.uid, second.lifecycle) == ("uid-1", Lifecycle.PLANNED)


def test_it_is_shown_as_it_was_given() -> None:
    location, evses = read(PARTY, GIVEN, fresh(), NOW)
    back = shown(location, evses)
    for name in ("id", "name", "address", "state", "country", "time_zone", "help_phone"):
        assert back[name] == GIVEN[name]
    assert (back["country_code"], back["party_id"]) == ("CA", "NTH")
    assert back["evses"][0]["status"] == "UNKNOWN"
    again, evses_again = read(PARTY, back, fresh(), NOW)
    assert again == location
    assert [e.connectors for e in evses_again] == [e.connectors for e in evses]


def test_two_letters_of_a_country_will_do() -> None:
    """OCPI says three; in the field there are two."""
    assert read(PARTY, GIVEN | {"country": "ca"}, fresh(), NOW)[0].country == "CAN"


def test_a_removed_evse_serves_nothing() -> None:
    gone = GIVEN["evses"][0] | {"status": "REMOVED"}
    _, (evse,) = read(PARTY, GIVEN | {"evses": [gone]}, fresh(), NOW)
    assert (evse.lifecycle, evse.station_id) == (Lifecycle.REMOVED, None)


def with_evse(**fields: Any) -> dict[str, Any]:
    return GIVEN | {"evses": [GIVEN["evses"][0] | fields]}


def with_connector(**fields: Any) -> dict[str, Any]:
    return with_evse(connectors=[CONNECTOR | fields])


REFUSED: list[tuple[dict[str, Any], str]] = [
    (GIVEN | {"id": ""}, "location: id: 1 to 36"),
    (GIVEN | {"id": "x" * 37}, "location: id"),
    (GIVEN | {"id": "ümlaut"}, "location: id"),
    (GIVEN | {"address": None}, "LOC1: address is missing"),
    (GIVEN | {"city": "x" * 46}, "LOC1: city: at most 45"),
    (GIVEN | {"name": "a\nb"}, "LOC1: name"),
    (GIVEN | {"country": "Canada"}, "LOC1: country: three letters"),
    (GIVEN | {"coordinates": None}, "LOC1: coordinates: latitude"),
    (GIVEN | {"coordinates": {"latitude": "91", "longitude": "0"}}, "coordinates: latitude"),
    (GIVEN | {"coordinates": {"latitude": "1", "longitude": "1e2"}}, "coordinates: longitude"),
    (GIVEN | {"time_zone": "Mars/Olympus"}, "LOC1: time_zone: a name such as"),
    (GIVEN | {"time_zone": "../../etc/passwd"}, "LOC1: time_zone"),
    (GIVEN | {"publish": "yes"}, "LOC1: publish"),
    (GIVEN | {"evses": {}}, "LOC1: evses: a list"),
    (GIVEN | {"evses": ["x"]}, "LOC1: an EVSE is an object"),
    (GIVEN | {"evses": GIVEN["evses"][:1] * 2}, "two EVSEs have the same uid"),
    (with_evse(evse=None), "EVSE 3256: a station and the number"),
    (with_evse(evse=0), "EVSE 3256: evse: the number"),
    (with_evse(connectors={}), "EVSE 3256: connectors"),
    (with_evse(connectors=["x"]), "a connector is an object"),
    (with_evse(connectors=[CONNECTOR, CONNECTOR]), "two connectors have the same id"),
    (with_connector(standard=None), "connector 1: standard"),
    (with_connector(format="ROPE"), "connector 1: format"),
    (with_connector(power_type="AC"), "connector 1: power_type"),
    (with_connector(max_voltage="230"), "connector 1: max_voltage"),
    (with_connector(max_amperage=0), "connector 1: max_amperage"),
]


@pytest.mark.parametrize(("given", "fault"), REFUSED, ids=[f for _, f in REFUSED])
def test_what_is_wrong_is_refused_by_name(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(Invalid, match=fault):
        read(PARTY, given, fresh(), NOW)
