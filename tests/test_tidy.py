"""The rules of this code base that a machine can check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from csms.core.retention import NOT_GROWING, RULES
from csms.storage.tables import TABLES

ROOT = Path(__file__).parent.parent
MAX_LINES = 600
FORBIDDEN_ROOMS = {"utils", "common", "helpers", "services", "managers"}
# Words that belong to OCPP; our own name for each is in ARCHITECTURE.md.
WIRE_WORDS = re.compile(r"(?:^|_)(id_?tag|charge_?point|charge_?box)", re.IGNORECASE)


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "__pycache__" not in path.parts:
                yield path


ALL = list(python_files("csms", "chargers", "tests"))
SOURCES = list(python_files("csms", "chargers"))
CORE = list(python_files("csms/core"))


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file, made once."""
    source = path.read_text()
    try:
        return ast.parse(source)
    except SystemError:
        # CPython 3.11 miscounts its recursion now and then when a parse is interrupted by a garbage
        # collection; the second attempt is right.
        return ast.parse(source)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", ALL, ids=name)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_module_says_why_it_exists(path: Path) -> None:
    assert ast.get_docstring(parsed(path)), "the module has no docstring"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_there_is_no_room_without_a_name(path: Path) -> None:
    assert not FORBIDDEN_ROOMS & {*path.parts, path.stem}


@pytest.mark.parametrize("path", CORE, ids=name)
def test_the_core_has_no_clock_no_chance_and_no_waiting(path: Path) -> None:
    tree = parsed(path)
    stubs = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(b) for b in node.bases)
        for inner in ast.walk(node)
    }
    for node in set(ast.walk(tree)) - stubs:
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), "the core never waits"
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"now", "utcnow", "today", "uuid4", "urandom"}


@pytest.mark.parametrize("path", CORE, ids=name)
def test_the_core_does_not_speak_the_words_of_a_protocol(path: Path) -> None:
    names = {word for node in ast.walk(parsed(path)) for word in names_in(node)}
    assert not [n for n in names if WIRE_WORDS.search(n)]


def names_in(node: ast.AST) -> list[str]:
    """The names that a node of a program uses or gives."""
    fields = ("id", "attr", "arg", "name", "asname")
    return [word for f in fields if isinstance(word := getattr(node, f, None), str)]


def test_words_of_a_protocol_are_found_wherever_they_are_names() -> None:
    for line in (
        "def charge_point(): ...",
        "def f(id_tag): ...",
        "f(idTag=1)",
        "x.id_tag_uid",
        "class ChargePoint: ...",
        "from x import y as chargeBoxes",
    ):
        words = [word for node in ast.walk(ast.parse(line)) for word in names_in(node)]
        assert any(WIRE_WORDS.search(word) for word in words), line


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_nothing_is_left_unfinished(path: Path) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", path.read_text())


def test_every_table_names_its_retention_or_what_bounds_it() -> None:
    """For a new table: add a rule to `RULES` in csms/core/retention.py with a setting in
    `RetentionSettings`, or say in `NOT_GROWING` there why it does not grow."""
    ending = {rule.kind for rule in RULES}
    assert set(TABLES) - ending - set(NOT_GROWING) == set()
    assert ending & set(NOT_GROWING) == set()


def with_behaviour() -> list[Path]:
    """Modules that do something: not packages, and not those that only declare."""
    data_only = {"csms/api/system.py", "chargers/dialect.py"}
    return [
        path
        for path in SOURCES
        if path.stem not in ("__init__", "__main__")
        and "migrations" not in path.parts
        and not (path.parent.name == "tables" and path.stem != "columns")
        and name(path) not in data_only
    ]


@pytest.mark.parametrize("path", with_behaviour(), ids=name)
def test_every_module_has_its_own_test_file(path: Path) -> None:
    inside = path.relative_to(ROOT)
    parts = inside.parts[1:] if inside.parts[0] == "csms" else inside.parts
    expected = ROOT / "tests" / Path(*parts[:-1]) / f"test_{path.stem}.py"
    assert expected.exists(), f"no {name(expected)}"


@pytest.mark.parametrize("path", list(python_files("tests")), ids=name)
def test_no_test_sleeps_for_luck(path: Path) -> None:
    # Helpers that poll for an event with a deadline live in tests/support; benchmarks are no tests.
    # In the simulation time is virtual.
    if path.relative_to(ROOT).parts[1] in ("support", "benchmarks", "simulation"):
        return
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        of = node.func.value
        if node.func.attr == "sleep" and isinstance(of, ast.Name) and of.id in ("asyncio", "time"):
            waits = node.args and getattr(node.args[0], "value", 0)
            assert not waits, f"line {node.lineno}: wait for the event"
