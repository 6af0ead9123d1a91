"""docs/quirks.md against the code: every number, every test, every module, every switch exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from csms.core.quirks import SWITCHES
from csms.settings import catalogue

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/quirks.md").read_text()
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)


def table(heading: str) -> dict[int, tuple[str, ...]]:
    """The rows below a heading, by number."""
    part = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = ROW.findall(part)
    assert len({number for number, *_ in rows}) == len(rows), "a number stands twice"
    return {int(number): tuple(rest) for number, *rest in rows}


FIELD = table("What stations do")
STACKS = table("What client stacks do")
EVERY = [*FIELD.items(), *STACKS.items()]


@cache
def functions(file: str) -> dict[str, set[str]]:
    """The functions of a test file, and the names that each of them uses."""
    tree = ast.parse((ROOT / "tests" / f"{file}.py").read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name: set(_names(node)) for node in tree.body if isinstance(node, kinds)}


def _names(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def shows_a_charge(name: str) -> bool:
    """Whether a test looks at the energy of a transaction, or has `charges` do it."""
    file, _, function = name.partition("::")
    return bool(functions(file)[function] & {"charges", "energy_wh"})


def test_every_number_is_there() -> None:
    assert list(FIELD) == list(range(1, 74))
    assert list(STACKS) == list(range(1, 11))


@pytest.mark.parametrize(("number", "row"), EVERY)
def test_what_a_row_names_exists(number: int, row: tuple[str, ...]) -> None:
    _, does, where, tests = row
    if does.startswith("declined for now: ") and where == "-":
        assert tests == "-"
        return
    for name in re.findall(r"`([^`]+)`", where):
        assert (ROOT / "csms" / f"{name}.py").is_file(), name
    named = re.findall(r"`([^`]+)`", tests)
    assert named, "no test"
    for name in named:
        file, _, function = name.partition("::")
        assert function in functions(file), name


def test_every_numbered_test_is_about_a_row() -> None:
    for path in sorted((ROOT / "tests/quirks").glob("test_*.py")):
        for function in functions(f"quirks/{path.stem}"):
            found = re.match(r"test_(quirks?|stack)_((?:\d+_)+)", function)
            if found is None:
                continue
            rows = STACKS if found[1] == "stack" else FIELD
            named = [rows[int(number)][3] for number in found[2].strip("_").split("_")]
            assert any(f"::{function}`" in tests for tests in named), f"no row names {function}"


MONEY = (*range(1, 9), *range(12, 20), *range(26, 48), *range(53, 67))


@pytest.mark.parametrize("number", MONEY)
def test_the_money_path_has_a_test_by_number_that_shows_a_charge(number: int) -> None:
    """The faulty bytes go over a link, and a transaction comes out of it with its energy."""
    by_number = re.findall(rf"`(quirks/\w+::test_quirks?_(?:\d+_)*{number}_\w+)`", FIELD[number][3])
    assert any(shows_a_charge(name) for name in by_number), by_number


@pytest.mark.parametrize("number", STACKS)
def test_a_charge_comes_out_right_whatever_the_stack(number: int) -> None:
    """Over a link too, by a test that looks at the energy."""
    over_a_link = re.findall(r"`((?:quirks|e2e)/\w+::\w+)`", STACKS[number][3])
    assert any(shows_a_charge(name) for name in over_a_link), over_a_link


def test_the_switches_are_those_of_the_code() -> None:
    part = PAGE.split("| switch |", 1)[1].split("\n\n", 1)[0]
    assert re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) == list(SWITCHES)
    for name in re.findall(r"the switch(?:es)? `(\w+)`", PAGE):
        assert name in SWITCHES, name


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_is_used(name: str) -> None:
    sources = (p for p in (ROOT / "csms").rglob("*.py") if p.name != "quirks.py")
    assert any(re.search(rf"switches\.{name}\b", path.read_text()) for path in sources)


def test_every_switch_of_the_data_file_is_one() -> None:
    assert all(set(entry.switches) <= set(SWITCHES) for entry in catalogue().entries)
