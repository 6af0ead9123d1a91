"""A long token has a short name on OCPP 1.6, which is read as the token itself."""

from __future__ import annotations

import pytest

from csms.core import aliases
from csms.core.aliases import MAX_SHORT, TokenAlias
from csms.core.ports import Tx
from csms.core.tokens import Shown
from tests.support.charging import NOW, Site, at

LONG = "US-STH-APP-0123456789-0123456789-XYZ"


@pytest.fixture
def site() -> Site:
    return Site()


def test_what_fits_stays_as_it_is(site: Site) -> None:
    assert site.run(aliases.give, "A" * MAX_SHORT, NOW) == "A" * MAX_SHORT
    assert site.rows(TokenAlias) == []
    assert site.run(aliases.meant, Shown("CARD")) == Shown("CARD")
    assert site.run(aliases.meant, Shown("A" * MAX_SHORT)) == Shown("A" * MAX_SHORT)


def test_an_alias_is_read_back_in_whatever_case(site: Site) -> None:
    alias = site.run(aliases.give, LONG, NOW)
    assert len(alias) == MAX_SHORT
    for said in (alias, alias.lower()):
        assert site.run(aliases.meant, Shown(said)) == Shown(LONG)


def test_a_token_keeps_its_alias_and_no_other_token_gets_it(site: Site) -> None:
    alias = site.run(aliases.give, LONG, NOW)
    assert site.run(aliases.give, LONG.lower(), at(9)) == alias
    row = site.get(TokenAlias, alias.casefold())
    assert row.used_at == at(9)

    def taken(tx: Tx) -> None:
        kept = tx.get(TokenAlias, row.alias_key)
        assert kept is not None
        tx.save(kept._replace(uid="another token, by the same hash"))

    site.run(taken)
    second = site.run(aliases.give, LONG, at(10))
    assert second != alias
    assert site.run(aliases.meant, Shown(second)) == Shown(LONG)
    assert site.run(aliases.meant, Shown(alias)).uid.startswith("another")
