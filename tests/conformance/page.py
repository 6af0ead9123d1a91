"""docs/conformance.md: every official case, what its test shows, and how it ended.

python -m tests.conformance        # runs the cases and writes the page: make conformance
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conformance import cases
from tests.conformance.cases import BLOCKS, Block

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "conformance.md"
HEAD = """\
# Conformance

This page is written by `make conformance` from the tests in `tests/conformance` and their run; do
not edit it. Each test plays the charger over a real socket, with every message of both sides held
against the schemas of the `ocpp` package, and the operator at the operator API. The cases of OCPP
2.0.1 run as 2.0.1 and as 2.1. What a case demands of a central system is told in our own words; the
cases themselves are those of the Open Charge Alliance (OCPP 2.0.1 part 6, and the 1.6 test
procedures). This is no certification: passing here is what we measured ourselves.

"""


@dataclass(frozen=True, slots=True)
class Shown:
    """One test of a case, as it is written: `shows` is the first line of its docstring."""

    case: str
    test: str
    file: str
    shows: str


def written() -> list[Shown]:
    """Every test in the folder that carries the id of a case. Raises `KeyError` for an id that is
    in no list, `AssertionError` for a test that does not say what it shows."""
    found = []
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for case in cases.of_test(node.name):
                    says = ast.get_docstring(node)
                    assert says, f"{path.name}: {node.name} does not say what it shows"
                    shows = " ".join(says.partition("\n\n")[0].split())
                    found.append(Shown(case, node.name, path.name, shows))
    return found


def render(tests: Iterable[Shown], results: Mapping[str, str]) -> str:
    """The page. `results`: test name -> how it ended."""
    of_case: dict[str, list[Shown]] = {}
    for test in tests:
        of_case.setdefault(test.case, []).append(test)
    lines = [HEAD, "| | cases | with a test | passed |\n|---|--:|--:|--:|\n"]
    for version in dict.fromkeys(block.version for block in BLOCKS):
        ids = [case for block in BLOCKS if block.version == version for case in block.ids]
        shown = [case for case in ids if case in of_case]
        passed = [
            case for case in shown if all(results.get(t.test) == "passed" for t in of_case[case])
        ]
        lines.append(f"| OCPP {version} | {len(ids)} | {len(shown)} | {len(passed)} |\n")
    lines += [_block(block, of_case, results) for block in BLOCKS]
    return "".join(lines)


def _block(block: Block, of_case: Mapping[str, list[Shown]], results: Mapping[str, str]) -> str:
    lines = [f"\n## OCPP {block.version}: {block.name}\n"]
    tests = [test for case in block.ids for test in of_case.get(case, ())]
    if tests:
        lines.append("\n| case | what it shows | test | result |\n|---|---|---|---|\n")
    for test in tests:
        where = f"[{test.test}](../tests/conformance/{test.file})"
        result = results.get(test.test, "not run")
        lines.append(f"| {name(test.case)} | {test.shows} | {where} | {result} |\n")
    missing = [name(case) for case in block.ids if case not in of_case]
    if missing:
        lines.append(f"\nWithout a test: {', '.join(missing)}: {block.missing}.\n")
    return "".join(lines)


def name(case: str) -> str:
    """A case as the specification calls it."""
    return f"TC_{case}"
