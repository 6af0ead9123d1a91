"""What the commands print: tables for people, aligned lines for pipes, JSON for programs.

Tables, colours and spinners appear on a terminal only. Texts come from stations and other people,
so whatever a terminal could take for an instruction is written as an escape. Knows no command.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]
NOTHING = "-"
# Spaces between the columns of a table.
_GAP = 2

# What begins so is a danger that somebody has taken on, and must not be overlooked.
ALARMS = ("exception: ", "weak secret", "user name ", "no secret from ")

# Colours are a hint for the eye; the word alone says everything.
_STYLES = {
    **dict.fromkeys(("yes", "accepted", "available", "valid"), "green"),
    **dict.fromkeys(("no", "faulted", "rejected", "failed", "blocked", "revoked"), "red"),
    **dict.fromkeys(("charging", "open"), "cyan"),
    **dict.fromkeys(("timed_out", "unknown", "pending", "unavailable"), "yellow"),
}


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, or a line of a record. `get` takes the API's object; with `time` its
    result is an RFC 3339 time. `spare`: the higher, the sooner it is left out where the terminal is
    too narrow for all; 0: never."""

    title: str
    get: Callable[[Row], Any]
    time: bool = False
    right: bool = False
    spare: int = 0


def column(
    title: str, name: str, *, time: bool = False, right: bool = False, spare: int = 0
) -> Column:
    """The column of a field."""
    return Column(title, lambda row: row.get(name), time, right, spare)


def printable(text: str) -> str:
    """The text on one line, with control and bidirectional characters escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\n\t" else ascii(c)[1:-1] for c in text)


def kwh(wh: int | None) -> str | None:
    """Energy for people, exactly."""
    if wh is None:
        return None
    sign, wh = ("-" if wh < 0 else ""), abs(wh)
    return f"{sign}{wh // 1000}.{wh % 1000:03d}"


def as_json(value: Any, *, indent: int | None = 2) -> str:
    """JSON whose only control characters are line ends."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(c if c == "\n" or c.isprintable() else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    return json.dumps(char, ensure_ascii=True)[1:-1] if ord(char) != 0x7F else "\\u007f"


class Printer:
    """Prints in one format. `terminal`: whether stdout is one."""

    def __init__(
        self,
        format: Format,  # noqa: A002 - the option's name
        stdout: TextIO | None = None,
        *,
        terminal: bool | None = None,
        width: int | None = None,
    ) -> None:
        self.format = format
        self._stdout = stdout or sys.stdout
        self.terminal = self._stdout.isatty() if terminal is None else terminal
        self._width = width

    @property
    def is_json(self) -> bool:
        """Whether a program reads."""
        return self.format is Format.JSON

    # -- results -----------------------------------------------------------------------------------

    def rows(self, rows: Sequence[Row], columns: Sequence[Column], empty: str) -> None:
        """A list. `empty` is said (not on stdout) when there is nothing to show."""
        if self.is_json:
            self.json(list(rows))
        elif not rows:
            note(empty)
        elif self.terminal:
            console = self._console()
            cells = [[self._cell(c, row) for c in columns] for row in rows]
            kept = fitting(columns, cells, console.width)
            shown = [[row[i] for i in kept] for row in cells]
            console.print(_table([columns[i] for i in kept], shown))
            left_out = [c.title for i, c in enumerate(columns) if i not in kept]
            if left_out:
                note(f"(a wider terminal also shows: {', '.join(left_out)})")
        else:
            cells = [[self._cell(c, row) for c in columns] for row in rows]
            titles = [c.title.replace(" ", "_") for c in columns]
            for line in aligned([titles, *cells], [c.right for c in columns]):
                self.line(line)

    def record(self, row: Row, columns: Sequence[Column]) -> None:
        """One object, a line for each column."""
        if self.is_json:
            self.json(row)
            return
        cells = [(c.title, self._cell(c, row)) for c in columns]
        width = max(len(title) for title, _ in cells)
        for title, cell in cells:
            if self.terminal:
                text = Text(f"{title:<{width}}  ", style="bold").append(_styled(cell))
                self._console().print(text, soft_wrap=True)
            else:
                self.line(f"{title:<{width}}  {cell}")

    def json(self, value: Any, *, indent: int | None = 2) -> None:
        """One JSON document."""
        self._write(as_json(value, indent=indent) + "\n")

    def raw(self, text: str) -> None:
        """A text as it is, of a command that makes a file."""
        self._write(text)

    def line(self, text: str = "") -> None:
        """A line for people."""
        self._write(printable(text).rstrip() + "\n")

    def styled(self, *parts: tuple[str, str]) -> None:
        """A line for people, of texts with their styles; these on a terminal only."""
        if not self.terminal:
            self.line("".join(text for text, _ in parts))
            return
        line = Text()
        for text, style in parts:
            line.append(printable(text), style)
        self._console().print(line, soft_wrap=True)

    # -- parts -------------------------------------------------------------------------------------

    def time(self, text: Any) -> str:
        """A time of the API: local on a terminal, UTC otherwise."""
        if not isinstance(text, str):
            return NOTHING
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return printable(text)
        if self.terminal:
            return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _cell(self, column: Column, row: Row) -> str:
        value = column.get(row)
        return self.time(value) if column.time else cell(value)

    def _console(self) -> Console:
        return Console(
            file=self._stdout, force_terminal=True, width=self._width, highlight=False, markup=False
        )

    def _write(self, text: str) -> None:
        try:
            self._stdout.write(text)
            self._stdout.flush()
        except BrokenPipeError:
            # Whoever read has had enough (`| head`). Nothing may be flushed there at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stdout.fileno())
            raise typer.Exit(0) from None


def fitting(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """The places of the columns that are shown in a table so wide."""
    widths = [
        max(cell_len(c.title), *(cell_len(row[i]) for row in cells)) for i, c in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    for place in sorted((i for i in kept if columns[i].spare), key=lambda i: -columns[i].spare):
        if sum(widths[i] for i in kept) + _GAP * (len(kept) - 1) <= width:
            break
        kept.remove(place)
    return kept


def _table(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        header_style="bold",
        padding=(0, _GAP, 0, 0),
    )
    for number, c in enumerate(columns):
        # The first column is the name that one pastes, so it is never cut.
        table.add_column(
            c.title,
            justify="right" if c.right else "left",
            no_wrap=number == 0 or c.time,
            overflow="fold",
        )
    for row in cells:
        table.add_row(*(_styled(text) for text in row))
    return table


def cell(value: Any) -> str:
    """A value of the API's objects as a text without line ends."""
    match value:
        case None | "":
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return " ".join(f"{k}={cell(v)}" for k, v in value.items()) or NOTHING
        case list() | tuple():
            return " ".join(cell(item) for item in value) or NOTHING
        case _:
            return printable(str(value))


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Lines with their columns under each other, two spaces between them."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(right))]
    return [
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _styled(text: str) -> Text:
    styled = Text(text)
    if text.startswith(ALARMS):
        styled.stylize("bold red")
        return styled
    for word, style in _STYLES.items():
        if text == word:
            styled.stylize(style)
        else:
            # `1:charging 2:faulted`
            styled.highlight_regex(rf"(?<=\d:){word}\b", style)
    return styled


# -- stderr ----------------------------------------------------------------------------------------


def note(text: str) -> None:
    """A line beside the result, for people."""
    print(printable(text), file=sys.stderr, flush=True)


def complain(text: str) -> None:
    """The one line of an error."""
    note(f"csms: {text}")


def make_sure(question: str, yes: bool) -> None:
    """Ask before what has no way back, unless `yes` was given; the command ends where the answer is
    no. On a terminal only: no script waits for somebody."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(printable(question), abort=True, err=True)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """A spinner while something takes its time; on a terminal only."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True, markup=False).status(Text(printable(text))):
        yield


@contextmanager
def progress(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar that is told how many more are done; on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done: bar.advance(task, done)
