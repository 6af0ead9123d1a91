"""The audit trail: stored with the change, without its secrets (DESIGN 6)."""

from __future__ import annotations

from typing import Any

from csms.core import audit
from csms.core.audit import MAX_FACTS_BYTES, Actor, AuditEntry
from csms.core.security import HIDDEN
from tests.support.charging import NOW, Site, at

ME = Actor("k1", "night shift", "192.0.2.9")


def entries(site: Site) -> list[AuditEntry]:
    database = site.store.reader._database  # type: ignore[attr-defined]
    numbers = database.fetch("SELECT number FROM audit ORDER BY number", ())
    return [site.get(AuditEntry, number) for (number,) in numbers]


def test_an_entry_says_who_what_when_and_from_where(site: Site) -> None:
    facts = {"ping": False}
    site.run(
        audit.record,
        NOW,
        ME,
        "station_changed",
        "CS-s1",
        station_id="s1",
        party_id="CA*NTH",
        facts=facts,
    )
    (entry,) = entries(site)
    assert entry == AuditEntry(
        entry.number,
        NOW,
        "k1",
        "night shift",
        "station_changed",
        "CS-s1",
        "s1",
        "CA*NTH",
        facts,
        "192.0.2.9",
    )
    (event,) = site.facts("audit_recorded")
    assert (event["actor"], event["action"], event["station_id"]) == ("k1", "station_changed", "s1")


def test_numbers_grow(site: Site) -> None:
    for n in range(3):
        site.run(audit.record, at(n), ME, "noted", str(n))
    assert [entry.target for entry in entries(site)] == ["0", "1", "2"]


def test_secrets_are_not_kept(site: Site) -> None:
    facts = {"payload": {"key": "AuthorizationKey", "value": "hunter2"}, "password": "hunter2"}
    site.run(audit.record, NOW, ME, "call", "CS-s1", facts=facts)
    (entry,) = entries(site)
    assert "hunter2" not in str(entry)
    assert entry.facts["password"] == HIDDEN


def test_of_what_is_too_much_the_size_is_kept(site: Site) -> None:
    facts: dict[str, Any] = {"ids": ["x" * 100] * 100}
    site.run(audit.record, NOW, ME, "call", "CS-s1", facts=facts)
    (entry,) = entries(site)
    assert entry.facts["left_out_bytes"] > MAX_FACTS_BYTES
