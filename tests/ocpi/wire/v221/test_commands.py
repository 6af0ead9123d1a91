"""Commands (mod_commands)."""

from __future__ import annotations

import pytest

from csms.core.errors import Invalid
from csms.ocpi.wire.reading import parse, plain
from csms.ocpi.wire.v221.commands import CommandResponse, CommandResult, StartSession
from tests.support.ocpi_objects import NOW, token


def test_a_start_carries_the_whole_token() -> None:
    given = {
        "response_url": "https://example.com/commands/START_SESSION/1",
        "token": token(type="APP_USER"),
        "location_id": "LOC1",
        "authorization_reference": "R1",
    }
    assert plain(parse(StartSession, given, NOW).value) == given
    with pytest.raises(Invalid, match="token"):
        parse(StartSession, {**given, "token": {"uid": "x"}}, NOW)


def test_a_response_says_how_long_the_result_may_take() -> None:
    with pytest.raises(Invalid, match="timeout"):
        parse(CommandResponse, {"result": "ACCEPTED"}, NOW)
    assert parse(CommandResult, {"result": "TIMEOUT"}, NOW).value.result == "TIMEOUT"
