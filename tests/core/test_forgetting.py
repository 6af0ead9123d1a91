"""The steps of forgetting a driver, each of which may be taken again. (What it waits for, and how
it goes through the tables: `tests/flows/test_forgetting.py`.)"""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import aliases, forgetting, identity
from csms.core.errors import NotFound, Refused
from csms.core.forgetting import Forgetting, Stage, Wish
from csms.core.identity import PLACES
from csms.core.tokens import Token
from tests.support.charging import NOW, PARTY, Site, at

LONG = "FLEET-0123456789-0123456789"


@pytest.fixture
def site() -> Site:
    return Site()


def begin(site: Site, uid: str = "CARD", number: int = 1, kind: str | None = None) -> Forgetting:
    wish = Wish(f"f{number}", PARTY, uid, forgetting.pseudonym(f"{number:040x}"), kind)
    row: Forgetting = site.run(forgetting.begin, wish, "k1", NOW)
    return row


def test_a_pseudonym_is_random_and_says_what_it_is() -> None:
    made = forgetting.pseudonym("0123456789abcdef0123")
    assert made == "forgotten-0123456789abcdef"
    assert forgetting.is_pseudonym(made)
    assert not forgetting.is_pseudonym("CARD")
    assert not forgetting.is_pseudonym(None)


def test_the_token_is_blocked_and_everything_that_names_it_is_noted(site: Site) -> None:
    site.card(LONG, label="Ana")
    alias = site.run(aliases.give, LONG, NOW)
    row = begin(site, LONG.lower())
    (token,) = [t for t in site.rows(Token) if t.uid == LONG]
    assert token.blocked
    assert set(row.names["uids"]) == {LONG.lower(), LONG, alias}
    assert row.names["labels"] == ["Ana"]
    assert row.names["contracts"][0].startswith("CA-NTH-C")
    assert (row.state, row.kind, row.ours) == (Stage.TELLING, "rfid", True)
    assert site.run(aliases.given, "CARD") is None


def test_asked_again_it_is_the_same_with_the_same_pseudonym(site: Site) -> None:
    first = begin(site)
    assert begin(site, "card", 2) == first
    assert site.rows(Forgetting) == [first]


def test_nothing_is_begun_for_a_token_that_is_not_there(site: Site) -> None:
    for uid, kind in (("NONE", None), ("CARD", "app")):
        with pytest.raises(NotFound):
            begin(site, uid, kind=kind)
    assert site.rows(Forgetting) == []


def test_a_token_goes_when_partners_have_been_told_and_nothing_charges(site: Site) -> None:
    begin(site)
    number = site.start().transaction_id
    with pytest.raises(Refused, match=f"transaction {number}"):
        site.run(forgetting.take_out, "f1", "transactions", NOW)
    site.stop(number)
    row = site.run(forgetting.take_out, "f1", "transactions", at(5_000))
    assert (row.state, row.since, row.place) == (Stage.REWRITING, at(5_000), "transactions")
    assert site.rows(Token) == []
    assert site.run(forgetting.take_out, "f1", "cdrs", at(6_000)) == row


def test_every_step_may_be_repeated_and_none_goes_back(site: Site) -> None:
    begin(site)
    assert site.run(forgetting.announced, "f1", 17).told_seq == 17
    assert site.run(forgetting.announced, "f1", 18).told_seq == 17
    assert site.run(forgetting.finish, "f1", NOW).state == Stage.TELLING
    site.run(forgetting.take_out, "f1", "transactions", NOW)
    assert site.run(identity.rewrite, "f1", PLACES[0], [], (7,)).after == [7]
    assert site.run(identity.next_place, "f1", "cdrs").after is None
    done = site.run(forgetting.finish, "f1", at(9))
    assert (done.state, done.uid, done.names) == (Stage.DONE, done.pseudonym, {})
    later: list[tuple[Any, ...]] = [
        (forgetting.finish, at(10)),
        (forgetting.take_out, "transactions", at(10)),
        (identity.rewrite, PLACES[0], [], (9,)),
        (identity.rewrite_journal, [], 9),
        (identity.next_place, "orders"),
    ]
    for fn, *args in later:
        assert site.run(fn, "f1", *args) == done
    site.run(forgetting.announce, "f1", NOW)
    assert site.journal().count("token_forgotten") == 1
    assert site.journal()[-1] == "token_forgotten"


def test_while_it_is_under_way_nothing_about_it_may_change(site: Site) -> None:
    begin(site)
    with pytest.raises(Refused, match="being forgotten"):
        site.run(forgetting.check_not_under_way, PARTY, "card")
    site.run(forgetting.check_not_under_way, "US*STH", "card")
    site.run(forgetting.take_out, "f1", "transactions", NOW)
    site.run(forgetting.finish, "f1", NOW)
    site.run(forgetting.check_not_under_way, PARTY, "card")


def test_a_key_with_a_time_in_it_comes_back() -> None:
    key = ("s1", NOW, 3)
    assert identity.read_key(identity.said_key(key)) == key
    assert identity.read_key(None) is None
