"""Operators' writes: done once however often they are sent, and audited (rule 2, DESIGN 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from csms.core import stations, writes
from csms.core.audit import Actor, AuditEntry
from csms.core.errors import AlreadyExists, Invalid
from csms.core.stations import UnknownStation
from csms.core.writes import RememberedWrite, Write
from tests.support.charging import NOW, Site

OPS = Actor("ops", "operators", "192.0.2.9")


def knock(tx: Any, identity: str) -> Mapping[str, Any]:
    stations.knock(tx, identity, "192.0.2.1", NOW)
    return {"attempts": tx.get(UnknownStation, identity).attempts}


def write(site: Site, key: str | None, request: str = "r", identity: str = "A") -> Any:
    return site.run(
        writes.once,
        Write(OPS, "knock", identity, NOW, request, key, facts={"identity": identity}),
        knock,
        identity,
    )


def test_a_repeated_write_gets_the_first_answer(site: Site) -> None:
    assert [write(site, "k") for _ in range(3)] == [{"attempts": 1}] * 3
    assert site.get(UnknownStation, "A").attempts == 1
    assert site.journal().count("audit_recorded") == 1
    assert site.marks() == ["write_repeated"] * 2


def test_a_write_is_in_the_audit_trail_once(site: Site) -> None:
    for _ in range(2):
        write(site, "k")
    number = site.run(lambda tx: tx.next_number("audit")) - 1
    entry = site.get(AuditEntry, number)
    assert (entry.actor, entry.actor_name, entry.remote_address) == (
        "ops",
        "operators",
        "192.0.2.9",
    )
    assert (entry.action, entry.target, entry.facts) == ("knock", "A", {"identity": "A"})
    assert site.get(AuditEntry, number - 1) is None


def test_a_write_without_a_key_is_done_each_time(site: Site) -> None:
    assert [write(site, None)["attempts"] for _ in range(2)] == [1, 2]
    assert site.journal().count("audit_recorded") == 2


def test_a_key_is_for_one_request(site: Site) -> None:
    write(site, "k")
    with pytest.raises(Invalid):
        write(site, "k", "another")
    assert write(site, "k2", "another")["attempts"] == 2


def test_a_write_that_fails_is_not_remembered(site: Site) -> None:
    def fail(tx: Any) -> Mapping[str, Any]:
        knock(tx, "A")
        raise AlreadyExists("on purpose")

    with pytest.raises(AlreadyExists):
        site.run(writes.once, Write(OPS, "knock", "A", NOW, "r", "k"), fail)
    assert site.get(RememberedWrite, "k") is None
    assert site.get(UnknownStation, "A") is None
    assert "audit_recorded" not in site.journal()
    assert write(site, "k") == {"attempts": 1}
