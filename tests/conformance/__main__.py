"""Runs the cases and writes docs/conformance.md; the exit code is that of the run.

With arguments for pytest only a part may run, so that nothing is written.
"""

from __future__ import annotations

import sys

import pytest

from tests.conformance.page import HERE, PAGE, render, written


class Results:
    """How each test ended, over all its parameters: one failure is a failure."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = report.nodeid.rpartition("::")[2].partition("[")[0]
        if report.failed or (report.when == "call" and report.skipped):
            self.of[test] = report.outcome
        elif report.when == "call":
            self.of.setdefault(test, report.outcome)


def main() -> int:
    """Run, write, and say where; the exit code."""
    results = Results()
    code = pytest.main(
        [str(HERE), f"--ignore={HERE}/test_page.py", *sys.argv[1:]], plugins=[results]
    )
    if not sys.argv[1:]:
        PAGE.write_text(render(written(), results.of))
        print(f"written: {PAGE}")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
