"""What is printed: for people, for pipes, for programs; and nothing that a terminal obeys."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from csms.cli.output import Column, Format, Printer, aligned, as_json, cell, column, kwh, printable

COLUMNS = (
    column("identity", "identity"),
    column("since", "since", time=True),
    column("count", "count", right=True),
)
ROWS = [
    {"identity": "CP-1", "since": "2031-05-01T10:00:00+02:00", "count": 7},
    {"identity": "Depot 7", "since": None, "count": 12},
]


def printed(method: str, *args: Any, **how: Any) -> str:
    file = io.StringIO()
    printer = Printer(how.pop("format", Format.TABLE), file, width=80, **how)
    getattr(printer, method)(*args)
    return file.getvalue()


def test_a_pipe_gets_aligned_lines_in_utc() -> None:
    assert printed("rows", ROWS, COLUMNS, "none") == (
        "identity  since                 count\n"
        "CP-1      2031-05-01T08:00:00Z      7\n"
        "Depot 7   -                        12\n"
    )


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed("rows", ROWS, COLUMNS, "none", terminal=True)
    assert "\u2500" in text
    assert "Depot 7" in text


def test_programs_get_everything() -> None:
    text = printed("rows", [{"a": 1, "b": None}], COLUMNS, "none", format=Format.JSON)
    assert json.loads(text) == [{"a": 1, "b": None}]


def test_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed("rows", [], COLUMNS, "there are none") == ""
    assert capsys.readouterr().err == "there are none\n"
    assert printed("rows", [], COLUMNS, "there are none", format=Format.JSON) == "[]\n"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("terminal", [False, True])
def test_a_station_cannot_write_to_the_terminal(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    hostile = "\x1b[2J\x07[red]x[/red]\u202e\x9b"
    shown = "\\x1b[2J\\x07[red]x[/red]\\u202e\\x9b"
    text = printed("record", {"v": hostile}, (column("vendor", "v"),), terminal=terminal)
    assert shown in text
    # Bold around the title is ours.
    assert "\x1b[2J" not in text
    rows = printed("rows", [{"v": hostile}], (column("vendor", "v"),), "none", terminal=terminal)
    assert shown in rows


def test_json_holds_no_control_characters() -> None:
    value = {"v": "D\u00e9p\u00f4t \x1b\x7f\x9b\u202e\n"}
    text = as_json(value, indent=None)
    assert text.isprintable()
    assert "D\u00e9p\u00f4t" in text
    assert json.loads(text) == value


def test_a_character_beyond_16_bits_survives_json() -> None:
    value = ["\U000e0001\U0001f50c"]
    assert json.loads(as_json(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        ([], "-"),
        ([1, "a"], "1 a"),
        ({"a": 1, "b": True}, "a=1 b=yes"),
        ("two\nlines", "two lines"),
    ],
)
def test_cells(value: Any, text: str) -> None:
    assert cell(value) == text


@pytest.mark.parametrize(
    ("wh", "text"), [(None, None), (0, "0.000"), (1, "0.001"), (12345, "12.345"), (-70, "-0.070")]
)
def test_energy_is_exact(wh: int | None, text: str | None) -> None:
    assert kwh(wh) == text


def test_a_time_that_is_none_is_shown_as_it_is() -> None:
    assert Printer(Format.TABLE, io.StringIO()).time("soon") == "soon"
    assert Printer(Format.TABLE, io.StringIO()).time(None) == "-"


def test_lines_do_not_end_in_spaces() -> None:
    assert aligned([["a", "b"], ["long", "c"]], [False, False]) == ["a     b", "long  c"]


def test_states_have_colours_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    columns = (Column("state", lambda row: row["state"]),)
    rows = [{"state": "1:charging 2:faulted"}]
    assert "\x1b[31mfaulted" in printed("rows", rows, columns, "none", terminal=True)
    assert "\x1b" not in printed("rows", rows, columns, "none", terminal=False)


def test_printable_leaves_ordinary_text_alone() -> None:
    assert printable("Garage \u00d6st \u2013 1") == "Garage \u00d6st \u2013 1"


def test_a_narrow_terminal_is_told_what_it_does_not_see(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The least important goes first, and never more than it takes."""
    columns = (
        column("identity", "id"),
        column("vendor", "vendor", spare=1),
        column("firmware", "firmware", spare=2),
    )
    row = {"id": "CP-1", "vendor": "V" * 40, "firmware": "F" * 40}
    out = printed("rows", [row], columns, "none", terminal=True)
    assert ("CP-1" in out, "V" * 40 in out, "F" in out) == (True, True, False)
    assert "a wider terminal also shows: firmware" in capsys.readouterr().err
    out = printed("rows", [{**row, "firmware": "1.0"}], columns, "none", terminal=True)
    assert "1.0" in out
    assert capsys.readouterr().err == ""
