"""Stations: onboarding, registration (OCPP 1.6 4.2, OCPP 2.0.1 B01), links, violations."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import stations
from csms.core.availability import Connector
from csms.core.errors import AlreadyExists, Invalid, NotFound, StoreRefused
from csms.core.stations import (
    MAX_VIOLATION_KINDS,
    BootReport,
    NewStation,
    Registration,
    Station,
    UnknownStation,
)
from tests.support.charging import NOW, PARTY, Site, at, origin


def onboard(site: Site, station_id: str = "s9", identity: str = "CS-9", **fields: Any) -> Station:
    new = NewStation(identity, **{"party_id": PARTY, **fields})
    return site.run(stations.onboard, station_id, new, NOW)


def unknown(site: Site, identity: str) -> UnknownStation | None:
    return site.get(UnknownStation, identity)


# -- onboarding ----------------------------------------------------------------------------------


def test_a_station_is_added_with_its_connectors(site: Site) -> None:
    row = onboard(site, evses=2, connectors=3)
    assert site.get(Station, "s9") == row
    assert (row.registration, row.generation) == ("new", 0)
    found = site.store.run(lambda tx: tx.find(Connector, "station", "s9"))
    assert [(c.evse, c.connector) for c in found] == [(e, c) for e in (1, 2) for c in (1, 2, 3)]
    assert {c.status for c in found} == {"unknown"}
    assert site.journal()[-1] == "station_onboarded"


def test_the_internal_id_is_not_the_identity(site: Site) -> None:
    """Rule 12: a provider switch or a hardware swap changes the identity alone."""
    onboard(site, "internal", "On The Wire")
    assert site.store.run(stations.by_identity, "On The Wire").id == "internal"
    assert site.store.run(stations.by_identity, "internal") is None
    assert site.store.run(stations.by_identity, "on the wire") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"evses": 0},
        {"evses": 65},
        {"connectors": 0},
        {"connectors": 9},
        {"identity": ""},
        {"identity": "a:b"},
        {"identity": "a/b"},
        {"identity": " a"},
        {"identity": "a\n"},
        {"identity": "x" * 49},
        {"party_id": "nobody"},
        {"party_id": "CA*NTH\n"},
    ],
    ids=str,
)
def test_what_cannot_be_added(site: Site, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        onboard(site, **fields)
    assert site.get(Station, "s9") is None


def test_an_identity_is_used_once(site: Site) -> None:
    with pytest.raises(AlreadyExists):
        onboard(site, identity="CS-s1")
    with pytest.raises(StoreRefused):
        onboard(site, "s1", "CS-other")


def test_an_onboarded_station_is_unknown_no_more(site: Site) -> None:
    site.run(stations.knock, "CS-9", "192.0.2.1", NOW)
    onboard(site)
    assert unknown(site, "CS-9") is None


def test_an_operator_changes_what_is_given(site: Site) -> None:
    before = site.get(Station, "s1")
    after = site.run(stations.change, "s1", NOW, registration=Registration.REJECTED)
    assert after == before._replace(registration="rejected")
    events = site.journal()
    site.run(stations.change, "s1", NOW, registration=Registration.REJECTED)
    assert site.journal() == events
    with pytest.raises(NotFound):
        site.run(stations.change, "nobody", NOW)


def test_an_unknown_station_that_is_new_makes_the_oldest_go(site: Site) -> None:
    """Rule 8: a scan cannot fill the database; those listed already go on being counted."""
    site.run(stations.knock, "A", "192.0.2.1", NOW)
    site.run(stations.knock, "B", "192.0.2.1", NOW)
    site.run(stations.knock, "A", "192.0.2.2", at(5), "B")
    assert unknown(site, "A") == UnknownStation("A", NOW, at(5), 2, "192.0.2.2")
    assert unknown(site, "B") is not None
    site.run(stations.knock, "C", "192.0.2.3", at(6), "B")
    assert unknown(site, "B") is None
    assert site.marks() == ["unknown_station_dropped"]
    assert site.journal().count("unknown_station_seen") == 3


# -- links -----------------------------------------------------------------------------------------


def close(site: Site, generation: int, seconds: float = 100) -> bool:
    return site.run(stations.link_closed, "s1", generation, at(seconds), at(seconds), "gone")


def test_a_link_opens_and_closes(site: Site) -> None:
    row = site.run(stations.link_opened, origin(0), "n1", "192.0.2.1")
    assert (row.generation, row.node, row.connected_at) == (1, "n1", at(0))
    assert (row.protocol, row.remote_address, row.disconnected_at) == (
        "ocpp1.6",
        "192.0.2.1",
        None,
    )
    assert close(site, 1)
    row = site.get(Station, "s1")
    assert (row.node, row.disconnected_at, row.last_seen_at) == (None, at(100), at(100))
    assert site.journal()[-2:] == ["station_connected", "station_disconnected"]


def test_the_newest_link_wins(site: Site) -> None:
    """Rule 6: the clean-up of an old socket never touches the new one."""
    old = site.run(stations.link_opened, origin(0), "n1", "192.0.2.1").generation
    new = site.run(stations.link_opened, origin(10), "n2", "192.0.2.2").generation
    before = site.get(Station, "s1"), site.journal()
    assert new > old
    assert not close(site, old)
    assert (site.get(Station, "s1"), site.journal()) == before
    assert site.get(Station, "s1").node == "n2"
    assert close(site, new)
    assert not close(site, new)
    assert site.journal().count("station_disconnected") == 1
    assert site.marks().count("stale_link_end_ignored") == 2


def test_the_end_of_a_link_of_a_station_that_is_gone_is_ignored(site: Site) -> None:
    assert not site.run(stations.link_closed, "nobody", 1, NOW, NOW, "gone")
    with pytest.raises(NotFound):
        site.run(stations.link_opened, origin(0, "nobody"), "n1", "192.0.2.1")


# -- registration --------------------------------------------------------------------------------


def boot(site: Site, seconds: float = 0, **fields: Any) -> Registration:
    report = BootReport(**{"vendor": "V", "model": "M", **fields})
    return site.run(stations.boot, origin(seconds), report)


def test_the_first_boot_accepts_an_onboarded_station(site: Site) -> None:
    assert boot(site, firmware="1.0", serial="S") is Registration.ACCEPTED
    row = site.get(Station, "s1")
    assert (row.registration, row.booted_at) == ("accepted", at(0))
    assert (row.vendor, row.model, row.serial, row.firmware) == ("V", "M", "S", "1.0")
    assert boot(site, 5, vendor=None) is Registration.ACCEPTED
    row = site.get(Station, "s1")
    assert (row.vendor, row.firmware, row.booted_at) == ("V", "1.0", at(5))


@pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED])
def test_a_boot_does_not_overrule_the_operator(site: Site, registration: Registration) -> None:
    site.run(stations.change, "s1", NOW, registration=registration)
    assert boot(site) is registration
    with pytest.raises(NotFound):
        site.run(stations.boot, origin(0, "nobody"), BootReport("V", "M"))


# -- violations ------------------------------------------------------------------------------------


def test_violations_are_counted_by_kind(site: Site) -> None:
    site.run(stations.count_violations, "s1", ["a", "b", "a"])
    site.run(stations.count_violations, "s1", ["b"])
    site.run(stations.count_violations, "s1", [])
    assert site.get(Station, "s1").violations == {"a": 2, "b": 2}
    assert site.get(Station, "s2").violations == {}


def test_the_kinds_of_violations_are_bounded(site: Site) -> None:
    kinds = [f"kind{n}" for n in range(500)]
    for _ in range(2):
        site.run(stations.count_violations, "s1", kinds)
    counts = site.get(Station, "s1").violations
    assert len(counts) <= MAX_VIOLATION_KINDS + 1
    assert sum(counts.values()) == 1_000
    assert counts["kind0"] == 2
    assert counts["other"] == 2 * (500 - MAX_VIOLATION_KINDS)
