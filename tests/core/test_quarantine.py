"""Quarantine: what cannot be placed is kept once and seen (OCPP 1.6 4.10, errata 3.18; rule 4)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from csms.core import quarantine
from csms.core.metering import REGISTER, Reading
from csms.core.quarantine import Quarantined
from tests.support.charging import Site, at, origin


def put(site: Site, payload: dict[str, Any], seconds: float = 0, **fields: str) -> str:
    where = {"kind": "stop", "reason": "unknown_transaction", **fields}
    return site.run(quarantine.put, origin(seconds), where["kind"], where["reason"], payload)


def test_a_report_is_kept_as_it_was(site: Site) -> None:
    found = site.get(Quarantined, put(site, {"a": [1, None, "x"]}))
    assert found.payload == {"a": [1, None, "x"]}
    assert (found.station_id, found.kind, found.received_at) == ("s1", "stop", at(0))
    assert found.reason == "unknown_transaction"


def test_a_repeated_report_is_one_entry(site: Site) -> None:
    ids = {put(site, {"a": 1}, seconds) for seconds in range(5)}
    assert len(ids) == len(site.rows(Quarantined)) == 1
    assert site.journal().count("report_quarantined") == 1
    assert site.marks() == ["report_quarantined"] * 5


def test_reports_that_differ_are_kept_apart(site: Site) -> None:
    put(site, {"a": 1})
    put(site, {"a": 2})
    put(site, {"a": 1}, kind="meter_values")
    put(site, {"a": 1}, reason="other")
    site.run(quarantine.put, origin(0, "s2"), "stop", "unknown_transaction", {"a": 1})
    assert len(site.rows(Quarantined)) == 5


def test_values_are_readable_by_people(site: Site) -> None:
    """Readings by field name, times as text, anything strange as text."""
    readings = (Reading(value="1.5", measurand=REGISTER, unit="kWh"),)
    found = site.get(Quarantined, put(site, {"r": readings, "t": at(0), "d": Decimal("1.0")}))
    assert found.payload["r"][0]["value"] == "1.5"
    assert found.payload["r"][0]["unit"] == "kWh"
    assert found.payload["t"].startswith("2024-05-01T12:00:00")
    assert found.payload["d"] == "1.0"


def test_whether_a_report_is_kept_can_be_asked(site: Site) -> None:
    def holds(payload: dict[str, Any]) -> bool:
        return site.run(quarantine.holds, origin(9), "stop", "unknown_transaction", payload)

    put(site, {"a": 1})
    assert holds({"a": 1})
    assert not holds({"a": 2})
