"""How a station is treated: its make and its operator's word, read from the store."""

from __future__ import annotations

import pytest

from csms.core import policies, quirks, stations
from csms.core.ids import Origin
from csms.core.quirks import DEFAULTS, Catalogue, Entry, Switches
from csms.core.stations import BootReport
from csms.ocpp import treatment
from csms.ocpp.treatment import Treatments
from tests.support.ocpp import NOW, Inbound, at_once

KNOWN = Catalogue((Entry("e", "EN+", "*", "*", {"ping": False}, "a/b#1"),))


def test_from_the_store() -> None:
    station = Inbound()
    treatments = Treatments(station.store, KNOWN)
    assert at_once(treatments.now("s1")) == DEFAULTS
    origin = Origin("s1", "CS s1", "1.6", NOW)
    station.store.run(stations.boot, origin, BootReport("EN+", "AC7000"))
    assert at_once(treatments.now("s1")) == Switches(ping=False)
    station.store.run(quirks.set_switch, "s1", "ping", True, NOW)
    policy = station.store.run(policies.of, "s1")
    assert treatments.of(station.station, policy) == DEFAULTS


def test_makes_are_worked_out_once_and_not_too_many_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(treatment, "MOST_MAKES", 2)
    station = Inbound()
    treatments = Treatments(station.store, KNOWN)
    policy = station.store.run(policies.of, "s1")
    for model in ("A", "B", "C", "A"):
        row = station.station._replace(vendor="EN+", model=model)
        first = treatments.of(row, policy)
        assert first == Switches(ping=False)
        assert treatments.of(row, policy) is first


def test_a_station_that_is_gone_is_not_treated() -> None:
    assert at_once(Treatments(Inbound().store).now("nobody")) is None
