"""Security: keyed hashes of what stations and operators present (rule 7; OCPP 1.6J 6.2.2)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.core import security
from csms.core.errors import Invalid, NotFound, Refused, StoreRefused
from csms.core.security import (
    BASIC,
    HIDDEN,
    ApiKey,
    Credential,
    Keyring,
    Role,
    may_hold_secret,
    verify_any,
    without_secrets,
)
from tests.support.charging import NOW, Site, at

RING = Keyring({"k1": b"first", "k2": b"second"}, "k2")
SECRET = "6f4Zs3cr3tT0k3n!"


def credential(secret: bytes, name: str = "c1", ring: Keyring = RING) -> Credential:
    key_id, digest = ring.hash(secret)
    return Credential(name, "s1", BASIC, key_id, digest, NOW)


def test_a_hash_names_its_key_and_hides_the_secret() -> None:
    key_id, digest = RING.hash(b"secret")
    assert key_id == "k2"
    assert RING.verify(key_id, digest, b"secret")
    assert not RING.verify(key_id, digest, b"Secret")
    assert "secret" not in digest
    assert digest != Keyring(RING.keys, "k1").hash(b"secret")[1]


def test_two_keys_may_be_live_and_a_lost_one_opens_nothing() -> None:
    old = credential(b"secret", ring=Keyring(RING.keys, "k1"))
    assert verify_any(RING, [old], b"secret") == old
    assert verify_any(Keyring({"k2": b"second"}, "k2"), [old], b"secret") is None
    # The empty key is what a missing one is compared with.
    forged = Keyring({"gone": b""}, "gone").hash(b"secret")[1]
    assert verify_any(RING, [old._replace(key_id="gone", hash=forged)], b"secret") is None


@pytest.mark.parametrize(
    ("stored", "presented"),
    [
        (SECRET.encode(), SECRET.encode()),
        (SECRET.encode(), SECRET.encode().hex().encode()),
        (SECRET.encode(), SECRET.encode().hex().upper().encode()),
        (b"0a1b2c3d", bytes.fromhex("0a1b2c3d")),
        (b"0a1b2c3d", b"0a1b2c3d"),
        (bytes(range(200, 220)), bytes(range(200, 220))),
        (bytes(range(200, 220)), bytes(range(200, 220)).hex().encode()),
        (b"odd", b"odd"),
        (b"odd", b"6f6464"),
    ],
    ids=["literal", "hex", "HEX", "raw of hex", "hex text", "bytes", "hex of bytes", "odd", "x"],
)
def test_every_form_that_stations_send_is_known(stored: bytes, presented: bytes) -> None:
    assert verify_any(RING, [credential(stored)], presented) is not None


@pytest.mark.parametrize("presented", [b"", b"x", b"\xff", b"zz", b"  ", SECRET.lower().encode()])
def test_nothing_else_opens(presented: bytes) -> None:
    assert verify_any(RING, [credential(SECRET.encode())], presented) is None
    assert verify_any(RING, [], presented) is None


def test_it_is_said_which_credential_matched() -> None:
    both = [credential(b"one", "c1"), credential(b"two", "c2")]
    assert verify_any(RING, both, b"two") == both[1]


def test_a_new_secret_replaces_the_old(site: Site) -> None:
    def all_of(station_id: str) -> list[str]:
        found = site.store.run(lambda tx: tx.find(Credential, "station", station_id))
        return [row.id for row in found]

    site.run(security.issue, credential(b"other", "o")._replace(station_id="s2"), NOW)
    for n in (1, 2, 2):
        site.run(security.issue, credential(b"x%d" % n, f"c{n}"), NOW)
    assert all_of("s1") == ["c2"]
    assert all_of("s2") == ["o"]
    (need,) = [security.needs_credentials("s1")]
    assert (need.kind, need.finder, need.values) == (Credential, "station", ("s1",))


def key(name: str = "k", role: str = Role.ADMIN) -> ApiKey:
    return ApiKey(name, "ops", role, *RING.hash(b"secret"), NOW)


def test_an_operator_key_is_added_once(site: Site) -> None:
    site.run(security.add_key, key())
    assert site.get(ApiKey, "k") == key()
    with pytest.raises(StoreRefused):
        site.run(security.add_key, key(role=Role.VIEWER))
    with pytest.raises(Invalid):
        site.run(security.add_key, key("other", "root"))
    assert site.get(ApiKey, "k").role == "admin"


def test_the_parties_of_a_key_are_a_set(site: Site) -> None:
    added = site.run(security.add_key, key()._replace(parties=("US*B", "CA*NTH", "CA*NTH")[1:]))
    assert site.get(ApiKey, "k") == added
    assert added.parties == ("CA*NTH",)
    for parties in (("CA-NTH",), ("CA*NTH",) * 65):
        with pytest.raises(Invalid):
            site.run(security.add_key, key("other")._replace(parties=parties))


def test_the_last_key_that_may_do_everything_is_not_ended(site: Site) -> None:
    """Keys of parties, of other roles and ended ones could not make another."""
    site.run(security.add_key, key())
    site.run(security.add_key, key("part")._replace(parties=("CA*NTH",)))
    site.run(security.add_key, key("viewer", Role.VIEWER))
    site.run(security.add_key, key("second"))
    site.run(security.revoke_key, "second", at(1))
    with pytest.raises(Refused, match="csms key create"):
        site.run(security.revoke_key, "k", at(2))
    assert site.get(ApiKey, "k").revoked_at is None
    site.run(security.revoke_key, "part", at(3))
    site.run(security.revoke_key, "viewer", at(3))


def test_an_operator_key_ends_once(site: Site) -> None:
    site.run(security.add_key, key())
    site.run(security.add_key, key("second"))
    assert site.run(security.revoke_key, "k", at(5)).revoked_at == at(5)
    assert site.run(security.revoke_key, "k", at(9)).revoked_at == at(5)
    with pytest.raises(NotFound):
        site.run(security.revoke_key, "nobody", NOW)


# -- what is not written down ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"key": "AuthorizationKey", "value": "s"}, {"key": "AuthorizationKey", "value": HIDDEN}),
        # OCPP 2.1 SetNetworkProfile: the identity may be shown, what opens doors may not.
        (
            {"identity": "CP-1", "basicAuthPassword": "p", "apn": {"apn": "a", "simPin": 1234}},
            {
                "identity": "CP-1",
                "basicAuthPassword": HIDDEN,
                "apn": {"apn": "a", "simPin": HIDDEN},
            },
        ),
        (
            {"vpn": {"server": "v", "user": "u", "password": "p", "key": "k", "type": "IPSec"}},
            {
                "vpn": {
                    "server": "v",
                    "user": "u",
                    "password": HIDDEN,
                    "key": HIDDEN,
                    "type": "IPSec",
                }
            },
        ),
        ({"key": "HeartbeatInterval", "value": "5"}, {"key": "HeartbeatInterval", "value": "5"}),
        ({"basicAuthPassword": "s", "url": "u"}, {"basicAuthPassword": HIDDEN, "url": "u"}),
        (
            [{"variable": {"name": "BasicAuthPassword"}, "attributeValue": "s"}],
            [{"variable": {"name": "BasicAuthPassword"}, "attributeValue": HIDDEN}],
        ),
        ({"token": "04E1", "evse": 1}, {"token": "04E1", "evse": 1}),
        ([1, None, True, "password"], [1, None, True, "password"]),
        ({"uploadLocation": "ftp://user:pw@host/x"}, {"uploadLocation": "ftp://[hidden]@host/x"}),
        (["see https://user:p:w@host:8443 now"], ["see https://[hidden]@host:8443 now"]),
        ("ftp://host/a@b", "ftp://host/a@b"),
        ("someone@example.com", "someone@example.com"),
    ],
)
def test_secrets_are_hidden_where_they_are_named(value: object, kept: object) -> None:
    assert without_secrets(value) == kept


@given(
    st.recursive(
        st.sampled_from(["s", "https://u:p@h/x", "WifiPSK", "AuthorizationKey"]) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["key", "value", "server", "simPin", "SIM_PIN", "x", "secrets"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=6,
    ),
    st.booleans(),
)
def test_where_a_secret_is_hidden_the_text_has_told_that_there_could_be_one(
    value: Any, escaped: bool
) -> None:
    text = json.dumps(value)
    text = text.replace("/", r"\/") if escaped else text
    if without_secrets(json.loads(text)) != value:
        assert may_hold_secret(text)


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_what_is_nested_absurdly_deep_is_hidden_as_a_whole(wrap: Any) -> None:
    """A payload of a station must not use up the stack."""
    value: Any = "told"
    for _ in range(90):
        value = wrap(value)
    assert without_secrets(value) == value
    for _ in range(100_000):
        value = wrap(value)
    kept = without_secrets(value)
    levels = 0
    while not isinstance(kept, str):
        (kept,) = kept.values() if isinstance(kept, dict) else kept
        levels += 1
    assert kept == HIDDEN
    assert 90 < levels < 110


def test_upper_case_hex_is_the_same_secret() -> None:
    assert verify_any(RING, [credential(b"00aabb")], b"00AABB") is not None
