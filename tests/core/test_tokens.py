"""Tokens: compared without regard to case (OCPP 1.6 CiString20, OCPP 2.0.1 identifierString)."""

from __future__ import annotations

import pytest

from csms.core import tokens
from csms.core.errors import AlreadyExists, Invalid, NotFound
from csms.core.tokens import Shown, Token, uid_key
from tests.support.charging import NOW, PARTY, Site, at


def test_uids_compare_without_case_and_space() -> None:
    assert uid_key(" DEADbeef ") == "deadbeef" == Shown("deadBEEF").key


def test_a_token_is_added(site: Site) -> None:
    row = site.run(tokens.add, Token(PARTY, "whatever", "app", "New", at(-9), label="x"), NOW)
    assert row == Token(PARTY, "new", "app", "New", NOW, label="x")
    assert site.get(Token, PARTY, "new", "app") == row
    assert site.journal()[-1] == "token_changed"


@pytest.mark.parametrize("uid", ["CARD", "card", " Card"])
def test_the_same_token_is_not_added_twice(site: Site, uid: str) -> None:
    with pytest.raises(AlreadyExists):
        site.card(uid)
    site.card(uid, kind="app")
    site.card(uid, party_id="US*ABC")


@pytest.mark.parametrize(
    "changes",
    [
        {"uid": ""},
        {"uid": "  "},
        {"uid": "x" * 256},
        {"kind": "chip"},
        {"party_id": "x"},
        {"technology": "x"},
    ],
    ids=str,
)
def test_what_is_no_token(site: Site, changes: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        site.card(**{"uid": "NEW", **changes})


def test_how_a_card_is_read_is_kept_and_of_cards_only(site: Site) -> None:
    assert site.card("NEW", technology="iso15693").technology == "iso15693"
    with pytest.raises(Invalid, match="kind rfid"):
        site.card("OTHER", kind="app", technology="iso15693")


def test_blocking_is_repeatable(site: Site) -> None:
    for blocked in (True, False):
        row = site.run(tokens.set_blocked, PARTY, "card", "rfid", blocked, NOW)
        events = site.journal()
        assert site.run(tokens.set_blocked, PARTY, "CARD", "rfid", blocked, at(5)) == row
        assert site.journal() == events
        assert row.blocked is blocked
    with pytest.raises(NotFound):
        site.run(tokens.set_blocked, PARTY, "CARD", "app", True, NOW)
