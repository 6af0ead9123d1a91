"""Tokens of partners are sealed at rest."""

from __future__ import annotations

import pytest

from csms.core.errors import Invalid
from csms.vault import Vault

KEYS = {"k:1": b"\1" * 32, "k2": b"\2" * 32}


def test_what_is_sealed_opens_where_it_belongs() -> None:
    vault = Vault(KEYS, "k:1")
    sealed = vault.seal("secret", "p1")
    assert "secret" not in sealed
    assert vault.open(sealed, "p1") == "secret"
    assert vault.seal("secret", "p1") != sealed
    with pytest.raises(Invalid):
        vault.open(sealed, "p2")


def test_an_older_key_opens_while_it_is_configured() -> None:
    sealed = Vault(KEYS, "k:1").seal("secret", "p1")
    newer = Vault(KEYS, "k2")
    assert newer.open(sealed, "p1") == "secret"
    assert not newer.is_current(sealed)
    assert newer.is_current(newer.seal("secret", "p1"))
    with pytest.raises(Invalid, match="k:1"):
        Vault({"k2": KEYS["k2"]}, "k2").open(sealed, "p1")


@pytest.mark.parametrize("sealed", ["", "k2:", "k2:AAAA", "k2:not base64!", "k2:" + "A" * 64])
def test_what_was_altered_does_not_open(sealed: str) -> None:
    with pytest.raises(Invalid):
        Vault(KEYS, "k2").open(sealed, "p1")
