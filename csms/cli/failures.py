"""What goes wrong, as one line and an exit code: the command line's table of errors.

Every line says what is wrong and, after a semicolon, the next step. Texts from the server or from
a station are untrusted: they are made printable where the line is written (`output.printable`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

Problem = Mapping[str, Any]


class ExitCode(IntEnum):
    """How a command ended; stable."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    OFFLINE = 4
    TIMED_OUT = 5


class Failure(Exception):
    """The command cannot go on. `code` is the problem's stable code where there is one, `facts`
    the other fields of the problem."""

    def __init__(
        self,
        exit_code: ExitCode,
        what: str,
        next_step: str,
        *,
        code: str = "",
        facts: Problem | None = None,
    ) -> None:
        super().__init__(what)
        self.exit_code = exit_code
        self.what = what
        self.next_step = next_step
        self.code = code
        self.facts = dict(facts or {})

    @property
    def line(self) -> str:
        """What is wrong, and the next step."""
        return f"{self.what}; {self.next_step}" if self.next_step else self.what


def usage(what: str, next_step: str) -> Failure:
    """The command was not given as it must be."""
    return Failure(ExitCode.USAGE, what, next_step)


_EXIT = {"station_offline": ExitCode.OFFLINE}
# Between us and the server something says that the server cannot be reached.
_GATEWAY_STATUS = (502, 503, 504)
_NEXT = {
    "unauthorized": "set CSMS_API_KEY to a key that is valid (csms init shows the first one)",
    "forbidden": "use a key with that role, made by: csms key create NAME --role ROLE",
    "station_offline": "csms station show says since when, try again once it is connected",
    "node_unreachable": "csms node list shows who lives; try again, or ask the node itself",
    "store_unavailable": "nothing was changed, try again in a few seconds",
    "store_overloaded": "nothing was changed, try again in a few seconds",
    "call_outstanding": "try again when the station has answered what it was asked before",
    "partner_refused": "csms partner show NAME says what was exchanged; ask them why",
    "partner_unreachable": "check their address and try again: csms partner show NAME",
    "gone": "begin anew with: csms events",
    "too_many_streams": "end another csms events, or raise http.event_streams",
    "invalid": "--help shows what is allowed",
    "refused": "csms station list and csms transaction list show the present state",
    "internal_error": "if it persists, report it",
}
# The first part of an API path -> the noun of the command line.
_NOUNS = {
    "stations": "station",
    "transactions": "transaction",
    "tokens": "token",
    "keys": "key",
    "commands": "command",
    "quarantine": "quarantine",
    "locations": "location",
    "tariffs": "tariff",
    "partners": "partner",
    "nodes": "node",
}


def of_problem(
    status: int, problem: Problem, path: str, hints: Mapping[str, str] | None = None
) -> Failure:
    """The failure for a problem document that a request to `path` was answered with. `hints`: the
    next step by code, where the command knows better."""
    code = str(problem.get("code", ""))
    what = str(problem.get("detail") or problem.get("title") or f"the server answered {status}")
    next_step = _next_step(code, what, path, hints or {})
    exit_code = _EXIT.get(code, ExitCode.FAILED)
    if not code and status in _GATEWAY_STATUS:
        exit_code = ExitCode.UNREACHABLE
    facts = {k: v for k, v in problem.items() if k not in ("type", "title", "code", "detail")}
    return Failure(exit_code, what, next_step, code=code, facts=facts)


def _next_step(code: str, what: str, path: str, hints: Mapping[str, str]) -> str:
    names_one_already = "csms " in what
    if names_one_already:
        return ""
    if code in hints:
        return hints[code]
    noun = _NOUNS.get(path.strip("/").split("/")[0])
    if noun == "partner" and code == "refused":
        return "csms partner list shows the state of each"
    if code in ("not_found", "already_exists") and noun:
        return f"csms {noun} list shows those there are"
    return _NEXT.get(code, "csms --help shows the commands")
