"""What the documents say is what the code does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from chargers.cli import app as chargers_app
from csms.cli.main import app as csms_app

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "ARCHITECTURE.md",
    "docs/events.md",
    "docs/faults.md",
    "docs/transactions.md",
    "docs/prices.md",
    "docs/privacy.md",
    "docs/quirks.md",
    "docs/metrics.md",
    "config/csms.toml",
)
PROGRAMS: dict[str, Any] = {
    "csms": typer.main.get_command(csms_app),
    "chargers": typer.main.get_command(chargers_app),
}


def commands(page: str) -> Iterator[str]:
    """Every command line of ours in a page: in code blocks, and between backticks."""
    text = (ROOT / page).read_text()
    for line in text.splitlines():
        code = re.findall(r"`([^`]+)`", line) or [line.removeprefix("$ ")]
        for piece in code:
            piece = piece.removeprefix("# ").split("   #")[0].strip()
            if re.match(r"(csms|chargers) [a-z]", piece) and "<" not in piece:
                yield piece


def known(command: Any, words: list[str]) -> None:
    """Fail when the command line names a command or an option that does not exist."""
    if hasattr(command, "commands"):
        name = next((word for word in words if not word.startswith("-")), None)
        if name is None:
            return
        assert name in command.commands, f"there is no command {name}"
        known(command.commands[name], words[words.index(name) + 1 :])
        return
    options = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"there is no option {word}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_exists(page: str) -> None:
    for line in commands(page):
        program, *words = shlex.split(line)
        if words and not any(mark in line for mark in ("...", "IDENTITY")):
            known(PROGRAMS[program], words)


def test_the_readme_has_command_lines_at_all() -> None:
    assert len(list(commands("README.md"))) > 8


@pytest.mark.parametrize("page", PAGES)
def test_every_linked_file_exists(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), target


def every_command(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from every_command(inner, f"{path} {name}")
    else:
        yield path, command


@pytest.mark.parametrize(
    ("path", "command"),
    [pair for name, program in PROGRAMS.items() for pair in every_command(program, name)],
)
def test_every_command_has_help_with_an_example(path: str, command: Any) -> None:
    assert command.help, f"{path} does not say what it does"
    examples = re.findall(r"Example: `([^`]+)`", command.help)
    assert examples, f"{path} has no example"
    for example in examples:
        flat = " ".join(example.split())
        if flat.startswith(tuple(PROGRAMS)):
            program, *words = shlex.split(flat)
            known(PROGRAMS[program], words)


def test_what_make_offers_is_what_the_readme_promises() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\bmake ([a-z-]+)\b", (ROOT / page).read_text()):
            assert target in targets, f"{page}: make {target}"


def test_what_the_page_about_faults_names_exists() -> None:
    page = (ROOT / "docs/faults.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")][2:]
    tests = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
    assert all(tests.search(row) for row in rows)
    for file, name in tests.findall(page):
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.M), name
    known = (ROOT / "docs/metrics.md").read_text()
    for metric in re.findall(r"`(csms_\w+)`", page):
        assert f"| `{metric}` |" in known, metric
    for reason in re.findall(r"_total` \(`(\w+)`", page):
        assert f"`{reason}`" in known, reason
    source = "".join(file.read_text() for file in (ROOT / "csms").rglob("*.py"))
    for events in re.findall(r"log ((?:`\w+`(?:, )?)+)", page):
        for event in re.findall(r"\w+", events):
            assert f'"{event}"' in source, event
