"""Logins: what a station proved when it connected, and how its secrets follow each other.

A station may have several secrets for a while. When it uses one, the older ones are over; a newer
one that it has not used yet stays, because the answer that would tell whether the station took it
may have been lost. So there is no moment at which a station can be locked out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from csms.core import events, policies
from csms.core.errors import Invalid, Refused
from csms.core.policies import Policy
from csms.core.ports import Tx
from csms.core.security import Credential, add

# The least that OCPP 1.6 and 2.x ask of a password (Security Whitepaper A00.FR.205), and what can
# hardly be a word: this many different bytes.
MIN_SECRET_BYTES, MIN_DIFFERENT_BYTES = 16, 6
# Secrets at once: the one in use and those that nobody has used yet.
MAX_SECRETS = 8

# The exceptions that a policy may hold.
WEAK_SECRET, USER, NO_AUTH = "weak_secret", "user", "no_auth"


class Profile(IntEnum):
    """OCPP security profiles, as a link shows them; mutual TLS (3) is not offered yet."""

    NO_SECRET = 0
    BASIC = 1
    BASIC_OVER_TLS = 2


@dataclass(frozen=True, slots=True)
class Login:
    """What was proved before the upgrade. `credential_id` None: nothing, by an exception."""

    profile: Profile
    credential_id: str | None


class Stale(Refused):
    """The secret was taken back between the proof and the link."""


def is_weak(secret: bytes) -> bool:
    """Whether a secret that somebody else made up may be guessed."""
    return len(secret) < MIN_SECRET_BYTES or len(set(secret)) < MIN_DIFFERENT_BYTES


def offer(tx: Tx, credential: Credential, now: datetime) -> None:
    """Give a station another secret; those it has keep working until it uses this one. Of more than
    `MAX_SECRETS` the oldest that nobody has used is over."""
    others = sorted(tx.find(Credential, "station", credential.station_id), key=_age)
    while len(others) >= MAX_SECRETS:
        unused = next((c for c in others if c.used_at is None), others[0])
        others.remove(unused)
        _drop(tx, unused, now, "replaced")
    add(tx, credential, now)


def withdraw(tx: Tx, station_id: str, credential_id: str, now: datetime) -> bool:
    """Take an offered secret back, because the station refused it. False, and nothing changes, when
    it was used meanwhile or is the only one: the station must be able to come back."""
    found = tx.find(Credential, "station", station_id)
    offered = next((c for c in found if c.id == credential_id), None)
    if offered is None or offered.used_at is not None or len(found) == 1:
        return False
    _drop(tx, offered, now, "refused")
    return True


def used(tx: Tx, station_id: str, login: Login, now: datetime) -> None:
    """A link was opened: the secrets that are older than the one shown are over, and with the last
    weak one its exception. Raises `Stale` when the one shown is over itself."""
    if login.credential_id is None:
        return
    found = sorted(tx.find(Credential, "station", station_id), key=_age)
    shown = next((c for c in found if c.id == login.credential_id), None)
    if shown is None:
        raise Stale("the token was replaced")
    if shown.used_at is None:
        tx.save(shown._replace(used_at=now))
    older = found[: found.index(shown)]
    for old in older:
        _drop(tx, old, now, "replaced")
    left = [c for c in found if c not in older]
    if any(c.weak for c in older) and not any(c.weak for c in left):
        policy = policies.of(tx, station_id)
        if WEAK_SECRET in policy.exceptions:
            kept = {k: v for k, v in policy.exceptions.items() if k != WEAK_SECRET}
            tx.save(policy._replace(exceptions=kept))


def _age(credential: Credential) -> tuple[datetime, str]:
    return credential.created_at, credential.id


def _drop(tx: Tx, credential: Credential, now: datetime, reason: str) -> None:
    tx.delete(Credential, credential.id)
    tx.record(
        events.CredentialWithdrawn(
            at=now,
            station_id=credential.station_id,
            credential_id=credential.id,
            reason=reason,
        )
    )


# -- security profiles -----------------------------------------------------------------------------


def want_profile(tx: Tx, station_id: str, profile: Profile, now: datetime) -> None:
    """The station is about to be brought to a higher profile; nothing is refused so far."""
    _set_profile(tx, station_id, now, wanted_profile=profile.value)


def unwant_profile(tx: Tx, station_id: str, now: datetime) -> None:
    """The station refused to change its profile."""
    _set_profile(tx, station_id, now, wanted_profile=None)


def require_profile(tx: Tx, station_id: str, profile: Profile, now: datetime) -> None:
    """From now on lower profiles are refused, higher ones than this are not."""
    _set_profile(tx, station_id, now, min_profile=profile.value, wanted_profile=None)


def booted(tx: Tx, station_id: str, profile: int | None, now: datetime) -> None:
    """An accepted station booted on a link of that profile: if it is what was wanted, it is the
    lowest from here on (OCPP 1.6 Security Whitepaper A05.FR.09, OCPP 2.0.1 A05.FR.07)."""
    wanted = policies.of(tx, station_id).wanted_profile
    if wanted is not None and profile is not None and profile >= wanted:
        require_profile(tx, station_id, Profile(wanted), now)
        tx.mark("profile_reached")


def _set_profile(tx: Tx, station_id: str, now: datetime, **changes: Any) -> None:
    before = policies.of(tx, station_id)
    after = before._replace(**changes)
    if after != before:
        tx.save(after)
        tx.record(
            events.ProfileChanged(
                at=now,
                station_id=station_id,
                min_profile=after.min_profile,
                wanted_profile=after.wanted_profile,
            )
        )


# -- exceptions ------------------------------------------------------------------------------------


def set_exceptions(tx: Tx, station_id: str, changes: Mapping[str, Any], now: datetime) -> Policy:
    """Set or (with None) take back what a station may do that others may not. Raises `Invalid`."""
    policy = policies.of(tx, station_id)
    kept = {**policy.exceptions, **checked_exceptions(changes)}
    after = policy._replace(exceptions={k: v for k, v in kept.items() if v is not None})
    if after != policy:
        tx.save(after)
        tx.record(events.StationChanged(at=now, station_id=station_id, fields=("exceptions",)))
    return after


def checked_exceptions(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The exceptions in the form that is stored. Raises `Invalid` naming what is not usable."""
    checked = dict(changes)
    unknown = changes.keys() - {WEAK_SECRET, USER, NO_AUTH}
    if unknown:
        raise Invalid(f"there is no exception {', '.join(sorted(unknown))}")
    user = changes.get(USER)
    if user is not None and (not user or ":" in user or len(user) > 255):
        raise Invalid("user: 1 to 255 characters without ':'")
    if changes.get(NO_AUTH) is not None:
        checked[NO_AUTH] = [_network(text) for text in changes[NO_AUTH]] or None
    return checked


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise Invalid(f"{text!r} is no network; examples are 10.0.0.0/8 and 192.0.2.7") from error
    if network.prefixlen == 0:
        raise Invalid(f"{text} is everybody: name the networks that the station connects from")
    return str(network)


def needs_no_secret(policy: Policy, address: str) -> bool:
    """Whether the station may come from that address without a secret."""
    networks: Sequence[str] = policy.exceptions.get(NO_AUTH) or ()
    try:
        own = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(own, "ipv4_mapped", None)
    return any((mapped or own) in ipaddress.ip_network(network) for network in networks)
