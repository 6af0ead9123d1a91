"""`csms station logs`: what a station and the central system said to each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from csms.cli.client import RETRY_AFTER_S, Client, Row, Surroundings
from csms.cli.failures import ExitCode, Failure
from csms.cli.moments import SinceOption, UntilOption, moment
from csms.cli.output import Printer, note, printable
from csms.cli.session import Options, OutputOption, Session, StationArgument
from csms.cli.stations import LOOK, app, path_of

PAGE = 500
_ARROWS = {"in": ("←", "<-"), "out": ("→", "->")}
_STYLES = {"call": "cyan", "send": "cyan", "error": "red", "refused": "red", "ignored": "yellow"}
_PASSING = ("store_unavailable", "store_overloaded")


def show(out: Printer, row: Row) -> None:
    """One message on one line."""
    if out.is_json:
        out.json(row, indent=None)
        return
    skipped = row.get("skipped")
    if skipped:
        out.line(f"({skipped} not logged)")
    unicode, ascii_only = _ARROWS.get(str(row.get("direction")), ("?", "?"))
    kind = str(row.get("kind"))
    out.styled(
        (f"{out.time(row.get('at'))} ", "dim"),
        (f"{unicode if out.terminal else ascii_only} ", "bold"),
        (f"{kind:<7} {row.get('action') or '-'} ", _STYLES.get(kind, "")),
        (_content(row), ""),
    )


def _content(row: Row) -> str:
    """The payload of a message, compact; the text as it is where it is cut or no message."""
    text = str(row.get("text"))
    try:
        frame: Any = json.loads(text)
    except ValueError:
        size = row.get("size")
        cut = f" ({size} characters)" if isinstance(size, int) and size > len(text) else ""
        return printable(text) + cut
    parts = frame[3:] if isinstance(frame, list) and frame[:1] in ([2], [6]) else frame
    parts = frame[2:] if isinstance(frame, list) and frame[:1] in ([3], [4], [5]) else parts
    said = parts if isinstance(parts, list) else [parts]
    return " ".join(json.dumps(part, ensure_ascii=False, separators=(",", ":")) for part in said)


def _latest(client: Client, path: str, params: Row, count: int) -> tuple[list[Row], str | None]:
    """The newest messages, the oldest of them first, and where to go on."""
    rows: list[Row] = []
    newest = cursor = None
    while len(rows) < count:
        size = min(count - len(rows), PAGE)
        page = client.get(path, {**params, "limit": size, "cursor": cursor})
        newest = newest or page.get("newest")
        rows += page["items"]
        cursor = page.get("next")
        if cursor is None:
            break
    return rows[::-1], newest


def _following(
    client: Client, around: Surroundings, path: str, params: Row, newest: str | None
) -> Iterator[Row]:
    """What comes, over lost connections and restarts of the server, until Ctrl-C."""
    lost = False
    asked = dict(params)
    while True:
        around.sleep(RETRY_AFTER_S)
        try:
            page = client.get(path, {**asked, "after": newest, "limit": PAGE} if newest else asked)
        except Failure as failure:
            if failure.exit_code is not ExitCode.UNREACHABLE and failure.code not in _PASSING:
                raise
            if not lost:
                note("the connection was lost, trying again")
                lost = True
            continue
        if lost:
            note("connected again")
            lost = False
        items = page["items"] if newest else page["items"][::-1]
        newest = page.get("newest") or newest
        yield from items


@app.command("logs", rich_help_panel=LOOK)
def logs(
    context: typer.Context,
    station: StationArgument,
    count: Annotated[int, typer.Option("--lines", "-n", min=0, help="So many of the newest.")] = 50,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    action: Annotated[
        str | None,
        typer.Option("--action", help="Of one action, as OCPP names it.", show_default=False),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    output: OutputOption = None,
) -> None:
    """What a station (<-) and the central system (->) said to each other, the oldest first.

    Secrets are hidden and long messages are cut. A station that talks very much is not logged in
    full; how many messages are left out is said. For programs there is a JSON object on each line.

    Example: `csms station logs CP-1`

    Example: `csms station logs CP-1 --follow --action StatusNotification`

    Example: `csms station logs CP-1 -n 1000 --since 2h --output json > CP-1.jsonl`
    """
    session = Session.of(context, output)
    options = context.find_object(Options)
    assert options is not None
    path = f"{path_of(station)}/messages"
    params = {
        "action": action,
        "since": moment(since, "--since"),
        "until": moment(until, "--until"),
    }
    # Also for no line at all: following begins behind the newest.
    rows, newest = _latest(session.client, path, params, max(count, 1))
    for row in rows if count else []:
        show(session.out, row)
    if not follow:
        if not rows and not session.out.is_json:
            note("nothing is logged (yet): the log is written every second")
        return
    try:
        for row in _following(
            session.client, options.surroundings, path, {"action": action}, newest
        ):
            show(session.out, row)
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.DONE) from None
