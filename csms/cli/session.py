"""What every command begins with: the options that all share, and a session made of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from csms.cli.client import Client, Surroundings
from csms.cli.output import Column, Format, Printer, note

YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask; on a terminal one is asked.")
]
OutputOption = Annotated[
    Format | None,
    typer.Option("--output", "-o", help="table for people, json for programs.", show_default=False),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="At most so many.", show_default=False)
]
StationArgument = Annotated[
    str, typer.Argument(metavar="STATION", help="Identity (or internal id) of the station.")
]
# Lists that grow for ever show so many on their own, except to programs.
SHOWN_BY_ITSELF = 100


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the root."""

    url: str
    api_key: str | None
    format: Format
    surroundings: Surroundings


@dataclass(frozen=True, slots=True)
class Session:
    """One command's way to the server and to the reader."""

    client: Client
    out: Printer

    @classmethod
    def of(cls, context: typer.Context, output: Format | None) -> Session:
        """From the options of the root and of the command. Raises `Failure`."""
        options = context.find_object(Options)
        assert options is not None, "the root's callback runs before every command"
        client = Client(options.url, options.api_key, options.surroundings)
        context.call_on_close(client.close)
        return cls(client, Printer(output or options.format))

    def list(
        self,
        path: str,
        columns: Sequence[Column],
        empty: str,
        *,
        params: Mapping[str, Any] | None = None,
        limit: int | None = None,
        grows: bool = False,
        by: str | None = None,
    ) -> None:
        """Print a list of the API. `grows`: without a limit people get the first of it, and are
        told so. `by`: the field that people find the rows sorted by."""
        cut = SHOWN_BY_ITSELF if grows and limit is None and not self.out.is_json else None
        # One more than is shown tells whether there are more.
        rows = list(self.client.pages(path, params, cut + 1 if cut else limit))
        if by is not None and not self.out.is_json:
            rows.sort(key=lambda row: str(row.get(by)).casefold())
        self.out.rows(rows[:cut], columns, empty)
        if cut is not None and len(rows) > cut:
            note(f"the newest {cut} are shown; more with --limit")


def only_here(url: str) -> bool:
    """Whether an address leads nowhere but to the machine that it is used on."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def paste(*words: str) -> str:
    """A command that works when pasted into a shell."""
    return shlex.join(("csms", *words))
