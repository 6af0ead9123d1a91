"""The few decisions that facts make themselves."""

from __future__ import annotations

from chargers.facts import Acknowledged, Token


def test_tokens_are_compared_without_case() -> None:
    assert Token("abCD").same_driver(Token("ABcd", "Central"))
    assert not Token("abCD").same_driver(Token("abCE"))


def test_only_a_status_other_than_accepted_refuses() -> None:
    assert Acknowledged(token_status="Blocked").refused
    assert not Acknowledged(token_status="Accepted").refused
    assert not Acknowledged().refused
