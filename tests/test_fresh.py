"""The clock, identifiers, secrets, and the keys that hash them."""

from __future__ import annotations

from datetime import UTC

import pytest

from csms import fresh
from csms.core.errors import Invalid
from csms.core.security import ApiKey
from csms.settings import Settings
from csms.storage.open import open_inline


def test_identifiers_sort_by_the_time_they_were_made() -> None:
    made = [fresh.new_id() for _ in range(100)]
    assert len(set(made)) == 100
    assert {len(one) for one in made} == {32}
    assert [one[:12] for one in made] == sorted(one[:12] for one in made)


def test_the_clock_knows_its_zone() -> None:
    assert fresh.now().tzinfo is UTC


def test_a_key_that_is_not_there_cannot_be_current() -> None:
    with pytest.raises(Invalid, match="csms init"):
        fresh.keyring_of(Settings())


async def test_the_first_admin_key_is_made_once() -> None:
    given = {"security": {"keys": {"k": "0" * 64}, "current": "k"}}
    keyring = fresh.keyring_of(Settings.model_validate(given))
    store = open_inline()
    for secret in ("first.secret", "first.another"):
        await fresh.ensure_admin_key(store, keyring, secret)
    (key,) = await store.reader.page(ApiKey)
    assert (key.id, key.role) == ("first", "admin")
