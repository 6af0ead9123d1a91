"""Policies: the defaults of a station, and what an operator has set."""

from __future__ import annotations

from csms.core import policies
from csms.core.policies import Policy
from tests.support.charging import Site


def test_a_station_without_a_policy_has_the_defaults(site: Site) -> None:
    found = site.run(policies.of, "s1")
    assert found == Policy("s1", min_profile=0, switches={}, exceptions={})


def test_what_was_set_is_what_is_found(site: Site) -> None:
    wanted = Policy("s1", min_profile=2, switches={"ping": False}, exceptions={"no_auth": ["::1"]})
    site.run(lambda tx: tx.save(wanted))
    assert site.run(policies.of, "s1") == wanted
    assert site.run(policies.of, "s2") == Policy("s2")
