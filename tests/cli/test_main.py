"""The command line as a whole: its help, its options, and how it ends."""

from __future__ import annotations

import ast
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

import csms.cli
from csms.cli.main import app, main

from .conftest import Api, page

SCRIPT = (sys.executable, "-c", "from csms.cli.main import main; main()")


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(commands(typer.main.get_command(app)))


def test_the_nouns_and_verbs() -> None:
    place = "add list show assign service remove import"
    partner = "contract disclosures invite list register remove resume rotate show suspend sync"
    ours = {path for path in ALL if path[0] not in ("init", "serve", "check", "demo", "db")}
    station = "list show unknown add rotate accept pending reject switch start stop reset unlock"
    station += " logs watch report"
    assert ours == {
        *(("station", verb) for verb in ("profile", "exception", "import", "export")),
        *(("partner", verb) for verb in partner.split()),
        *(
            ("station", verb)
            for verb in [*station.split(), "availability", "trigger", "clear-cache", "call"]
        ),
        *(("transaction", verb) for verb in ("list", "show", "close", "export")),
        *(("station", "config", verb) for verb in ("get", "set", "unset")),
        *(("config", "templates", verb) for verb in ("list", "show", "set", "remove", "apply")),
        *(("transaction", verb) for verb in ("list", "show", "check", "close")),
        *(("token", verb) for verb in ("add", "list", "block", "unblock", "forget", "forgettings")),
        *(("location", verb) for verb in place.split()),
        *(("tariff", verb) for verb in ("add", "list", "show", "retire", "assign", "price")),
        *(("roaming", verb) for verb in ("sessions", "cdrs", "cdr", "deliveries")),
        *(("roaming", verb) for verb in ("locations", "location", "start", "stop", "unlock")),
        *(("roaming", verb) for verb in ("errands", "errand", "unbilled", "unmatched")),
        *(
            ("cdr", verb)
            for verb in ("list", "show", "credit", "missing", "unmatched", "undelivered")
        ),
        *(("key", verb) for verb in ("create", "list", "revoke")),
        *(("command", verb) for verb in ("list", "show")),
        *(("quarantine", verb) for verb in ("list", "show", "assign")),
        *(("node", verb) for verb in ("list", "drain", "resume")),
        ("audit",),
        ("events",),
    }


@pytest.mark.parametrize("path", sorted(ALL), ids=" ".join)
def test_every_command_has_an_example_of_itself(path: tuple[str, ...], api: Api) -> None:
    text = ALL[path].help or ""
    assert f"csms {' '.join(path)}" in text
    result = api.run(*path, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout


def test_every_command_of_the_api_has_both_formats() -> None:
    for path, command in ALL.items():
        # An export has formats of its own.
        if path[0] in ("serve", "check", "db") or path[-1] == "export":
            continue
        assert "output" in [parameter.name for parameter in command.params], path


def test_help_is_grouped(api: Api) -> None:
    text = api.run("--help").stdout
    places = [text.index(word) for word in ("This machine", "Charging", "Administration")]
    assert places == sorted(places)
    assert "install-completion" not in text
    assert "Exit codes" in text


def test_no_words_are_a_question_for_help(api: Api) -> None:
    result = api.run()
    assert result.exit_code == 2
    assert "Usage" in result.output


def test_the_version(api: Api) -> None:
    result = api.run("--version")
    assert (result.exit_code, result.stdout[:5]) == (0, "csms ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("statio list", "Did you mean 'station'"),
        ("station list --nonsense", "csms station list --help shows what is allowed"),
        ("station list --url x", "it goes before the noun"),
        ("station list --output yaml", "'table', 'json'"),
        ("station list --limit 0", "--limit"),
        ("--url ftp://x station list", "must begin with http:// or https://"),
        ("transaction show seven", "csms transaction show --help"),
    ],
)
def test_usage_is_one_line(api: Api, words: str, said: str) -> None:
    result = api.run(*words.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("csms: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert api.requests == []


def test_no_key(api: Api) -> None:
    result = api.run("station", "list", CSMS_API_KEY=None)
    assert result.exit_code == 2
    assert result.stderr == (
        "csms: no API key is given; set CSMS_API_KEY (csms init shows the first one)\n"
    )


def test_the_options_of_the_root_win(api: Api) -> None:
    api.on("GET", "/stations", page())
    api.run("--url", "http://other.test", "--api-key", "x.y", "station", "list")
    request = api.requests[0]
    assert (request.url.host, request.headers["Authorization"]) == ("other.test", "Bearer x.y")


def test_a_fault_of_the_program_is_one_line(api: Api) -> None:
    api.on("GET", "/stations", httpx.Response(200, json={"surprise": 1}))
    result = api.run("station", "list")
    assert result.exit_code == 1
    assert result.stderr.startswith("csms: a fault of this program: KeyError")
    assert result.stderr.count("\n") == 1


def test_what_a_server_says_cannot_reach_the_terminal(api: Api) -> None:
    body = {"code": "invalid", "detail": "bad\x1b[2J\nvalue"}
    api.on("GET", "/stations", httpx.Response(422, json=body))
    assert api.run("station", "list").stderr.startswith("csms: bad\\x1b[2J value; ")


def test_ctrl_c_is_no_traceback(api: Api) -> None:
    def interrupt(request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    api.on("GET", "/stations", interrupt)
    result = api.run("station", "list")
    assert (result.exit_code, result.output) == (130, "")


def test_nor_is_it_while_the_commands_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("csms.cli.main.app", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130


def test_the_script_ends_with_a_line_and_a_code() -> None:
    env = {**os.environ, "CSMS_URL": "http://127.0.0.1:9", "CSMS_API_KEY": "a.b"}
    done = subprocess.run(
        [*SCRIPT, "station", "list"], capture_output=True, text=True, env=env, check=False
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("csms: cannot reach http://127.0.0.1:9: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "typed", "code"),
    [
        (("token", "forget", "04E1A2B3"), b"n\n", 1),
        (("token", "forget", "04E1A2B3"), b"y\n", 3),
        (("token", "forget", "04E1A2B3", "--yes"), b"", 3),
        (("partner", "remove", "South"), b"n\n", 1),
    ],
)
def test_what_has_no_way_back_is_asked_for_on_a_terminal(
    command: tuple[str, ...], typed: bytes, code: int
) -> None:
    """No is said before anything is sent; yes goes on, here to a server that is not there."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "CSMS_URL": "http://127.0.0.1:9", "CSMS_API_KEY": "a.b"}
    os.write(ours, typed)
    try:
        program = subprocess.run(
            [*SCRIPT, *command], stdin=theirs, stderr=theirs, stdout=theirs, env=env, check=False
        )
        shown = os.read(ours, 10_000)
    finally:
        os.close(theirs)
        os.close(ours)
    assert program.returncode == code
    assert (b"for good?" in shown) is (b"--yes" not in " ".join(command).encode())
    assert (b"cannot reach" in shown) is (code == 3)


def test_a_reader_that_has_had_enough() -> None:
    """`csms ... | head -1`: no complaint of any kind."""
    script = (
        "import httpx\n"
        "from csms.cli.client import Surroundings\n"
        "from csms.cli.main import app\n"
        "rows = [{'uid': 'x' * 99, 'n': n} for n in range(9000)]\n"
        "answer = lambda r: httpx.Response(200, json={'items': rows, 'next': None})\n"
        "around = Surroundings(transport=httpx.MockTransport(answer))\n"
        "app(['--api-key', 'a.b', 'token', 'list'], obj=around)\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.readline()
    program.stdout.close()
    assert program.stderr.read() == b""
    program.stderr.close()
    assert program.wait(10) == 0


def test_only_the_local_part_knows_the_system() -> None:
    """What is a client stays one: nothing of ours but the settings is imported."""
    local_parts = ("local.py", "machine.py", "database.py", "demo.py", "configuration.py")
    folder = Path(csms.cli.__file__).parent
    for file in folder.glob("*.py"):
        if file.name in local_parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                allowed = name.startswith("csms.cli") or name == "csms.settings"
                assert allowed or name.partition(".")[0] not in ("csms", "chargers"), file
