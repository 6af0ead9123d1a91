"""The page says what there is: every test, every case without one, and why."""

from __future__ import annotations

import re

import pytest

from tests.conformance import cases
from tests.conformance.cases import BLOCKS, OFFICIAL
from tests.conformance.page import PAGE, name, render, written

AGAIN = "run `make conformance` and commit the page"


def test_every_case_is_listed_once() -> None:
    ids = [case for block in BLOCKS for case in block.ids]
    assert len(ids) == len(set(ids))
    # 77 of OCPP 1.6; of 2.0.1 those that part 5 makes mandatory or conditional.
    assert sum(len(block.ids) for block in BLOCKS if block.version == "1.6") == 77


@pytest.mark.parametrize(
    ("function", "named"),
    [
        ("test_TC_004_1_identification_first", ("004_1",)),
        ("test_TC_003_stopped_by_the_group", ("003",)),
        ("test_TC_E_03_cable_plugin_first", ("E_03",)),
        ("test_TC_B_103_104_reset", ("B_103", "B_104")),
        ("test_the_page", ()),
    ],
)
def test_a_test_names_its_cases(function: str, named: tuple[str, ...]) -> None:
    assert cases.of_test(function) == named


@pytest.mark.parametrize(
    "function", ["test_TC_Z_99_nothing", "test_TC_E_03_99_half", "test_TC_999_nothing"]
)
def test_a_case_that_nobody_knows_is_a_mistake(function: str) -> None:
    with pytest.raises(KeyError):
        cases.of_test(function)


def test_no_two_tests_have_one_name() -> None:
    places = {(test.test, test.file) for test in written()}
    assert len(places) == len({test for test, _ in places})


def test_every_case_has_a_test_or_a_reason() -> None:
    covered = {test.case for test in written()}
    for block in BLOCKS:
        left = [case for case in block.ids if case not in covered]
        assert not left or block.missing, f"{block.version} {block.name}: {left}"


def test_the_page_names_the_test_of_each_case_and_leads_to_its_file() -> None:
    page = PAGE.read_text()
    for test in written():
        where = f"[{test.test}](../tests/conformance/{test.file})"
        row = rf"^\| {name(test.case)} \| .* \| {re.escape(where)} \| \w+ \|$"
        assert re.search(row, page, re.MULTILINE), f"{test.case} {where}: {AGAIN}"


def test_the_page_lists_every_case() -> None:
    page = PAGE.read_text()
    assert {name(case) for case in OFFICIAL} == set(re.findall(r"\bTC_\w+", page)), AGAIN


def test_the_page_is_that_of_these_tests_and_all_passed() -> None:
    """The page as it would be if everything passed: what it says of a failure would differ."""
    tests = written()
    assert PAGE.read_text() == render(tests, {test.test: "passed" for test in tests}), AGAIN


def test_what_failed_is_said_so() -> None:
    tests = written()
    page = render(tests, {test.test: "failed" for test in tests})
    assert "| failed |" in page
    assert "| passed |\n" not in page.partition("## ")[2]
