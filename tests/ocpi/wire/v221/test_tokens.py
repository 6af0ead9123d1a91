"""Tokens (mod_tokens)."""

from __future__ import annotations

import pytest

from csms.core.errors import Invalid
from csms.ocpi.wire.reading import parse, plain
from csms.ocpi.wire.v221.tokens import AuthorizationInfo, Token
from tests.support.ocpi_objects import NOW, token


def test_a_token_survives() -> None:
    assert plain(parse(Token, token(language="nl"), NOW).value) == token(language="nl")


def test_whether_a_token_must_be_asked_for_is_never_guessed() -> None:
    with pytest.raises(Invalid, match="whitelist"):
        parse(Token, token(whitelist="SOMETIMES"), NOW)


def test_token_types_of_later_versions_are_kept() -> None:
    assert parse(Token, token(type="EMAID"), NOW).value.type == "EMAID"


def test_an_authorization_names_its_token() -> None:
    given = {"allowed": "ALLOWED", "token": token(), "authorization_reference": "R1"}
    assert plain(parse(AuthorizationInfo, given, NOW).value) == given
    with pytest.raises(Invalid, match="token"):
        parse(AuthorizationInfo, {"allowed": "ALLOWED"}, NOW)
