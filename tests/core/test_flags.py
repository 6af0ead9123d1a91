"""Flags: a sorted set of words with a meaning each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from csms.core.flags import HARMLESS, MEANING, once_reported, with_flag, without

PAGE = Path(__file__).parents[2] / "docs" / "transactions.md"


def test_flags_are_a_sorted_set() -> None:
    flags = with_flag(with_flag(("superseded",), "assigned"), "assigned")
    assert flags == ("assigned", "superseded")
    assert without(flags, "assigned") == ("superseded",)
    assert without(("superseded",), "assigned") == ("superseded",)


def test_a_flag_without_a_meaning_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="odd"):
        with_flag((), "odd")


def test_those_about_a_missing_end_go_when_it_is_reported() -> None:
    flags = ("clock_suspect", "end_missing", "end_missing?", "superseded")
    assert once_reported(flags) == ("clock_suspect",)


def test_the_page_explains_every_flag_in_the_words_of_the_program() -> None:
    rows = re.findall(r"^\| `([a-z_?]+)` \| ([^|]+) \| (yes|no) \|$", PAGE.read_text(), re.M)
    assert {flag: meaning for flag, meaning, _ in rows} == MEANING
    assert {flag for flag, _, doubtful in rows if doubtful == "no"} == HARMLESS
