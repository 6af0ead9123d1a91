"""Security: the secrets that stations and operators are known by, as keyed hashes.

Station tokens and API keys are random with at least 128 bits, so a keyed hash is right for them: a
slow password hash would turn a reconnect storm into an outage and add nothing. Each hash names the
key it was made with, so that two keys may be live.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from csms.core import events
from csms.core.entities import entity
from csms.core.errors import Invalid, NotFound, Refused
from csms.core.ids import party_id
from csms.core.ports import Need, Tx

BASIC = "basic"
MAX_PARTIES = 64


class Role(StrEnum):
    """What an API key may do: read; read and command; everything."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@entity("credentials", key=("id",), finders={"station": ("station_id",)})
class Credential(NamedTuple):
    """One secret that a station may present; how they follow each other is in `logins`.

    `weak`: too short to be let in without an exception. `used_at`: when the first link was opened
    with it, None for one that nobody has used so far.
    """

    id: str
    station_id: str
    kind: str
    key_id: str
    hash: str
    created_at: datetime
    weak: bool = False
    used_at: datetime | None = None


@entity("api_keys", key=("id",), finders={"role": ("role",)})
class ApiKey(NamedTuple):
    """One operator key. The key as shown is `<id>.<secret>`, so that it is found without a scan.

    `parties`: it sees and writes only what these own; none: everything there is.
    """

    id: str
    name: str
    role: str
    key_id: str
    hash: str
    created_at: datetime
    revoked_at: datetime | None = None
    parties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys for hashing: id -> secret bytes. `current` makes new hashes, all verify."""

    keys: Mapping[str, bytes]
    current: str

    def hash(self, secret: bytes) -> tuple[str, str]:
        """The key id and the keyed hash of a secret."""
        return self.current, _digest(self.keys[self.current], secret)

    def verify(self, key_id: str, expected: str, secret: bytes) -> bool:
        """Constant-time comparison; False when the key is not there any more."""
        key = self.keys.get(key_id)
        # Compare against something in any case, so that a missing key takes as long.
        actual = _digest(key or b"", secret)
        return hmac.compare_digest(actual, expected) and key is not None


def _digest(key: bytes, secret: bytes) -> str:
    return hmac.digest(key, secret, "sha256").hex()


def presented_forms(password: bytes) -> Sequence[bytes]:
    """The secrets that a presented password may stand for (OCPP 1.6J 6.2.2; the field sends the raw
    bytes, the hex text of the bytes in either case, or the bytes of the hex text): itself, encoded
    to hex, and if it is hex itself, in lower case and decoded."""
    forms = [password, password.hex().encode()]
    try:
        decoded = bytes.fromhex(password.decode("ascii"))
    except ValueError:
        return forms
    return [*forms, decoded, decoded.hex().encode()]


def verify_any(
    keyring: Keyring, credentials: Sequence[Credential], password: bytes
) -> Credential | None:
    """The credential that the password matches, None for none. Every credential and form is tried,
    so that the time taken tells nothing."""
    matched = None
    for form in presented_forms(password):
        for credential in credentials:
            if keyring.verify(credential.key_id, credential.hash, form):
                matched = matched or credential
    return matched


def issue(tx: Tx, credential: Credential, now: datetime) -> None:
    """Give a station a secret, in place of those it had: the old ones stop working at once."""
    for old in tx.find(Credential, "station", credential.station_id):
        tx.delete(Credential, old.id)
    add(tx, credential, now)


def add(tx: Tx, credential: Credential, now: datetime) -> None:
    """Give a station a secret beside those it has."""
    tx.save(credential)
    tx.record(
        events.CredentialIssued(
            at=now, station_id=credential.station_id, credential_id=credential.id
        )
    )


def needs_credentials(station_id: str) -> Need:
    """Declares the read of a station's credentials."""
    return Need(Credential, "station", (station_id,))


def add_key(tx: Tx, key: ApiKey) -> ApiKey:
    """Add an operator key; as it is stored. Raises `Invalid` for a role or party that is none."""
    if key.role not in set(Role):
        raise Invalid(f"a role is one of {', '.join(Role)}")
    if len(key.parties) > MAX_PARTIES:
        raise Invalid(f"a key is for at most {MAX_PARTIES} parties; without any it is for all")
    key = key._replace(parties=tuple(sorted({party_id(party) for party in key.parties})))
    tx.save(key)
    return key


def revoke_key(tx: Tx, key_id: str, now: datetime) -> ApiKey:
    """End an operator key; repeating it changes nothing. Raises `NotFound`, and `Refused` for the
    last one that may do everything: nobody could make another."""
    key = tx.get(ApiKey, key_id)
    if key is None:
        raise NotFound(f"no API key {key_id}")
    if key.revoked_at is not None:
        return key
    admins = [k for k in tx.find(ApiKey, "role", Role.ADMIN.value) if _may_do_everything(k)]
    if [k.id for k in admins] == [key_id]:
        raise Refused(
            "this is the last admin key for all parties; make another first: "
            "csms key create NAME --role admin"
        )
    key = key._replace(revoked_at=now)
    tx.save(key)
    return key


def _may_do_everything(key: ApiKey) -> bool:
    return key.role == Role.ADMIN and not key.parties and key.revoked_at is None


# -- what is not written down ----------------------------------------------------------------------

HIDDEN = "[hidden]"
MAX_HIDING_DEPTH = 100
# What a name has in it, or ends with, that is the name of a secret.
_NAMES = (
    "password",
    "passphrase",
    "passwd",
    "secret",
    "authorizationkey",
    "authorization_key",
    "wifikey",
    "wifi_key",
    "simpin",
    "sim_pin",
)
_ENDS = ("psk",)
_SECRET = re.compile("|".join((*_NAMES, *(f"{end}$" for end in _ENDS))), re.IGNORECASE)
# What JSON has in it where `without_secrets` has something to hide; an escape could spell anything.
_TELLING = (*_NAMES, *_ENDS, '"server"', "\\u")
_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)


def without_secrets(value: Any, depth: int = 0) -> Any:
    """The same JSON value with every secret replaced by `HIDDEN`: what is named like a secret, the
    values of an object that names one (`{"key": "AuthorizationKey", "value": ...}`), and user and
    password in an address."""
    if depth > MAX_HIDING_DEPTH:
        return HIDDEN
    if isinstance(value, str):
        return _USER_INFO.sub(rf"\1{HIDDEN}@", value) if "://" in value else value
    if isinstance(value, list | tuple):
        return [without_secrets(item, depth + 1) for item in value]
    if not isinstance(value, Mapping):
        return value
    tells = any(_names_secret(item) for item in value.values())
    # The pre-shared key of a VPN (OCPP 2.x VPNType) has no better name.
    keyed = "server" in value
    return {
        name: HIDDEN
        # Yes, no and nothing are decisions about a secret, and none themselves.
        if not (item is None or isinstance(item, bool))
        and (
            _SECRET.search(str(name))
            or (tells and "value" in str(name).lower())
            or (keyed and name == "key")
        )
        else without_secrets(item, depth + 1)
        for name, item in value.items()
    }


def may_hold_secret(text: str) -> bool:
    """Whether `without_secrets` could find anything in a JSON text: quickly, and rather once too
    often. What is looked at for every message cannot be parsed for that."""
    low = text.lower()
    if any(word in low for word in _TELLING):
        return True
    # A slash may be written with an escape (RFC 8259 7), and many an encoder does it.
    return "@" in low and (":/" in low or ":\\/" in low)


def names_secret(text: str) -> bool:
    """Whether what is called so is a secret."""
    return _SECRET.search(text) is not None


def _names_secret(item: Any) -> bool:
    """A name of a secret, or an object whose own name is one (2.x `variable: {name: ...}`)."""
    if isinstance(item, Mapping):
        item = item.get("name")
    return isinstance(item, str) and len(item) <= 64 and names_secret(item)
