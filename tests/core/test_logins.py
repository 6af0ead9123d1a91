"""Logins: secrets that follow each other without a lock-out, profiles, exceptions."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import logins, policies, security, stations
from csms.core.errors import Invalid
from csms.core.logins import Login, Profile, Stale, is_weak
from csms.core.security import BASIC, Credential
from csms.core.stations import BootReport
from tests.support.charging import NOW, Site, at, origin


def credential(name: str, seconds: float = 0, *, weak: bool = False) -> Credential:
    return Credential(name, "s1", BASIC, "k", f"hash of {name}", at(seconds), weak=weak)


def held(site: Site) -> list[str]:
    found = site.store.run(lambda tx: tx.find(Credential, "station", "s1"))
    return [row.id for row in found]


def logs_in(site: Site, name: str | None, profile: Profile = Profile.BASIC) -> Any:
    return site.run(stations.link_opened, origin(100), "n", "192.0.2.1", Login(profile, name))


def policy(site: Site) -> policies.Policy:
    found: policies.Policy = site.run(policies.of, "s1")
    return found


# -- secrets ---------------------------------------------------------------------------------------


def test_old_and_new_work_until_the_new_one_was_used(site: Site) -> None:
    """A01.FR.03 as it is safe in the field: the answer to a rotation may be lost."""
    site.run(security.issue, credential("old"), NOW)
    site.run(logins.offer, credential("new", 1), at(1))
    logs_in(site, "old")
    assert held(site) == ["new", "old"]
    logs_in(site, "new")
    assert held(site) == ["new"]
    with pytest.raises(Stale):
        logs_in(site, "old")


def test_the_end_of_the_old_one_is_in_the_journal(site: Site) -> None:
    site.run(security.issue, credential("old"), NOW)
    site.run(logins.offer, credential("new", 1), at(1))
    logs_in(site, "new")
    (event,) = site.facts("credential_withdrawn")
    assert (event["credential_id"], event["reason"]) == ("old", "replaced")
    assert "hash" not in str(site.facts("credential_issued"))


def test_one_in_the_middle_ends_those_before_it_only(site: Site) -> None:
    """Two rotations in a row; nobody knows which token the installer typed in."""
    for n, name in enumerate("abc"):
        site.run(logins.offer, credential(name, n), at(n))
    logs_in(site, "b")
    assert held(site) == ["b", "c"]


def test_a_refused_secret_is_taken_back(site: Site) -> None:
    """A01.FR.04, TC_A_10."""
    site.run(security.issue, credential("old"), NOW)
    site.run(logins.offer, credential("new", 1), at(1))
    assert site.run(logins.withdraw, "s1", "new", at(2)) is True
    assert held(site) == ["old"]
    assert site.run(logins.withdraw, "s1", "new", at(3)) is False


def test_what_the_station_has_used_or_only_has_is_not_taken_back(site: Site) -> None:
    site.run(logins.offer, credential("only"), NOW)
    assert site.run(logins.withdraw, "s1", "only", at(1)) is False
    logs_in(site, "only")
    site.run(logins.offer, credential("new", 1), at(1))
    assert site.run(logins.withdraw, "s1", "only", at(2)) is False
    assert held(site) == ["new", "only"]


def test_the_secrets_of_a_station_are_bounded_and_the_one_in_use_stays(site: Site) -> None:
    site.run(security.issue, credential("used"), NOW)
    logs_in(site, "used")
    for n in range(1, 20):
        site.run(logins.offer, credential(f"x{n:02}", n), at(n))
    assert len(held(site)) == logins.MAX_SECRETS
    assert {"used", "x19", "x18"} <= set(held(site))


def test_a_login_again_writes_nothing_about_secrets(site: Site) -> None:
    site.run(security.issue, credential("c"), NOW)
    logs_in(site, "c")
    (first,) = site.store.run(lambda tx: tx.find(Credential, "station", "s1"))
    logs_in(site, "c")
    (again,) = site.store.run(lambda tx: tx.find(Credential, "station", "s1"))
    assert first == again
    assert first.used_at == at(100)


@pytest.mark.parametrize(
    ("secret", "weak"),
    [
        (b"73654322", True),
        (b"", True),
        (b"aaaaaaaaaaaaaaaaaaaaaaaa", True),
        (b"0123456789abcde", True),
        (b"0123456789abcdef", False),
        (bytes.fromhex("6f4a5b3c2d1e0f9988776655443322110f1e2d3c"), False),
    ],
)
def test_what_may_be_guessed(secret: bytes, weak: bool) -> None:
    """A00.FR.205: at least 16 bytes."""
    assert is_weak(secret) is weak


def test_the_exception_for_a_weak_secret_ends_with_it(site: Site) -> None:
    site.run(security.issue, credential("weak", weak=True), NOW)
    site.run(logins.set_exceptions, "s1", {"weak_secret": True, "user": "admin"}, NOW)
    site.run(logins.offer, credential("strong", 1), at(1))
    logs_in(site, "weak")
    assert policy(site).exceptions == {"weak_secret": True, "user": "admin"}
    logs_in(site, "strong")
    assert policy(site).exceptions == {"user": "admin"}


# -- profiles --------------------------------------------------------------------------------------


def boots(site: Site) -> None:
    site.run(stations.boot, origin(200), BootReport("v", "m"))


def test_a_profile_is_required_once_the_station_has_booted_on_it(site: Site) -> None:
    """A05.FR.08, FR.09: one that falls back before is not locked out."""
    site.run(logins.want_profile, "s1", Profile.BASIC_OVER_TLS, NOW)
    logs_in(site, None, Profile.BASIC)
    boots(site)
    assert (policy(site).min_profile, policy(site).wanted_profile) == (0, 2)
    logs_in(site, None, Profile.BASIC_OVER_TLS)
    assert policy(site).min_profile == 0
    boots(site)
    assert (policy(site).min_profile, policy(site).wanted_profile) == (2, None)
    assert site.facts("profile_changed")[-1]["min_profile"] == 2


def test_a_station_that_is_not_accepted_has_not_booted_on_it(site: Site) -> None:
    pending = stations.Registration.PENDING
    site.run(stations.change, "s1", NOW, registration=pending)
    site.run(logins.want_profile, "s1", Profile.BASIC_OVER_TLS, NOW)
    logs_in(site, None, Profile.BASIC_OVER_TLS)
    boots(site)
    assert policy(site).min_profile == 0


def test_a_refused_upgrade_changes_nothing(site: Site) -> None:
    site.run(logins.require_profile, "s1", Profile.BASIC, NOW)
    site.run(logins.want_profile, "s1", Profile.BASIC_OVER_TLS, NOW)
    site.run(logins.unwant_profile, "s1", NOW)
    assert (policy(site).min_profile, policy(site).wanted_profile) == (1, None)


def test_the_profile_of_a_link_is_kept_with_the_station(site: Site) -> None:
    assert logs_in(site, None, Profile.BASIC_OVER_TLS).profile == 2
    assert site.facts("station_connected")[-1]["profile"] == 2


# -- exceptions ------------------------------------------------------------------------------------


def test_exceptions_are_set_one_by_one_and_taken_back(site: Site) -> None:
    site.run(logins.set_exceptions, "s1", {"user": "admin"}, NOW)
    site.run(logins.set_exceptions, "s1", {"no_auth": ["10.0.0.0/8", "192.0.2.7"]}, NOW)
    assert policy(site).exceptions == {
        "user": "admin",
        "no_auth": ["10.0.0.0/8", "192.0.2.7/32"],
    }
    site.run(logins.set_exceptions, "s1", {"user": None, "no_auth": []}, NOW)
    assert policy(site).exceptions == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"anything": True}, "no exception anything"),
        ({"user": "a:b"}, "without ':'"),
        ({"user": ""}, "1 to 255"),
        ({"no_auth": ["10.0.0.1/8"]}, "is no network"),
        ({"no_auth": ["home"]}, "is no network"),
        ({"no_auth": ["0.0.0.0/0"]}, "is everybody"),
        ({"no_auth": ["::/0"]}, "is everybody"),
    ],
)
def test_an_exception_that_is_none(site: Site, changes: Any, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        site.run(logins.set_exceptions, "s1", changes, NOW)
