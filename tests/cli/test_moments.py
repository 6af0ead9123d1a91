"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from csms.cli.failures import ExitCode, Failure
from csms.cli.moments import moment

NOW = datetime(2031, 5, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("30s", "2031-05-10T11:59:30Z"),
        ("2h", "2031-05-10T10:00:00Z"),
        (" 7 d ", "2031-05-03T12:00:00Z"),
        ("1w", "2031-05-03T12:00:00Z"),
        ("2031-05-01T10:00:00+02:00", "2031-05-01T08:00:00Z"),
        ("2031-05-01T10:00:00Z", "2031-05-01T10:00:00Z"),
    ],
)
def test_what_is_meant(typed: str, meant: str) -> None:
    assert moment(typed, "--since", NOW) == meant


def test_nothing_given_is_nothing_asked() -> None:
    assert moment(None, "--since") is None


@pytest.mark.parametrize("typed", ["", "yesterday", "2x", "-2h", "9999999d", "2031-13-01"])
def test_what_is_no_time(typed: str) -> None:
    with pytest.raises(Failure, match="--since") as raised:
        moment(typed, "--since", NOW)
    assert raised.value.exit_code is ExitCode.USAGE
    assert "2h" in raised.value.next_step
