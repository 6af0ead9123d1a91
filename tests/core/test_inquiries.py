"""What is asked and what comes back are plain values that compare."""

from __future__ import annotations

from csms.core.inquiries import Found, Limits, MakeReport, ReadVariables, Scope, Setting


def test_a_station_that_has_said_nothing_has_no_limits() -> None:
    assert ReadVariables(("A",)).limits == Limits(None, None)


def test_what_was_not_reported_is_none() -> None:
    assert Found("A") == Found("A", None, None, None, None, None, None, None, None)


def test_scopes_and_settings_are_stable_words() -> None:
    assert [scope.value for scope in Scope] == ["full", "configuration", "summary"]
    assert [setting.value for setting in Setting] == [
        "applied",
        "reboot_required",
        "rejected",
        "unsupported",
    ]
    assert MakeReport(1, Scope.FULL) == MakeReport(1, Scope("full"))
