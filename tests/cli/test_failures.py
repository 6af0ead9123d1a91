"""The table of errors: exit codes and next steps."""

from __future__ import annotations

import pytest

from csms.api.problems import STATUS
from csms.cli.failures import ExitCode, Failure, of_problem, usage


def test_the_exit_codes_are_those_that_are_promised() -> None:
    assert [(code.name, code.value) for code in ExitCode] == [
        ("DONE", 0),
        ("FAILED", 1),
        ("USAGE", 2),
        ("UNREACHABLE", 3),
        ("OFFLINE", 4),
        ("TIMED_OUT", 5),
    ]


@pytest.mark.parametrize("code", sorted(STATUS))
def test_every_code_of_the_api_has_a_next_step_of_its_own(code: str) -> None:
    failure = of_problem(STATUS[code], {"code": code, "detail": "x"}, "/keys/1")
    if code != "store_refused":
        assert failure.next_step != "csms --help shows the commands"
    assert failure.line.startswith("x; ")


def test_the_noun_follows_from_the_path() -> None:
    for path, noun in (
        ("/keys/k1", "key"),
        ("/transactions/1", "transaction"),
        ("/partners/a", "partner"),
    ):
        failure = of_problem(404, {"code": "not_found", "detail": "no such thing"}, path)
        assert failure.next_step == f"csms {noun} list shows those there are"


def test_what_a_partner_s_state_forbids_is_not_looked_up_among_stations() -> None:
    failure = of_problem(409, {"code": "refused", "detail": "South is removed"}, "/partners/South")
    assert failure.next_step == "csms partner list shows the state of each"


def test_the_command_knows_better_than_the_table() -> None:
    hints = {"refused": "wait"}
    failure = of_problem(409, {"code": "refused", "detail": "not now"}, "/stations", hints)
    assert failure.line == "not now; wait"


def test_a_problem_without_words() -> None:
    assert of_problem(418, {"code": "teapot"}, "/").what == "the server answered 418"
    assert of_problem(418, {"title": "teapot"}, "/").what == "teapot"


def test_a_gateway_without_a_code_cannot_reach_the_server() -> None:
    assert of_problem(502, {"detail": "bad"}, "/").exit_code is ExitCode.UNREACHABLE
    problem = {"code": "store_unavailable", "detail": "bad"}
    assert of_problem(503, problem, "/").exit_code is ExitCode.FAILED


def test_a_failure_whose_words_name_the_next_step() -> None:
    assert Failure(ExitCode.FAILED, "it broke: csms check", "").line == "it broke: csms check"
    assert usage("what?", "this").exit_code is ExitCode.USAGE
