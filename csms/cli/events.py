"""`csms events`: the journal as it grows, over any number of lost connections.

Server-sent events are read line by line. Every event has a number; after a lost connection the
stream goes on after the last number that was seen, so that nothing is missed or shown twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
import typer

from csms.cli import stations
from csms.cli.charging import station_of
from csms.cli.client import RETRY_AFTER_S, Client, Surroundings
from csms.cli.failures import ExitCode, Failure, usage
from csms.cli.moments import SinceOption, moment
from csms.cli.output import Printer, cell, note
from csms.cli.session import Options, OutputOption, Session, StationArgument

MAX_PAUSE_S = 30.0
# Without --follow somebody waits for the end, so there is one.
ATTEMPTS_WITHOUT_FOLLOW = 5
# What may pass by itself while a server restarts or an old stream of ours is still counted.
PASSING = ("too_many_streams", "store_unavailable", "store_overloaded")
app = typer.Typer(rich_markup_mode="markdown")

SHOWN_APART = ("at", "station", "station_id")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event; `data` is its text."""

    id: str
    kind: str
    data: str


@dataclass(slots=True)
class Feed:
    """Reads one stream of lines. `last_id` is where to go on after it."""

    last_id: str | None = None
    _kind: str = ""
    _data: list[str] = field(default_factory=list)

    def read(self, lines: Iterable[str]) -> Iterator[ServerEvent | None]:
        """The events of a stream, None for a sign of life (WHATWG HTML 9.2.6). An event that the
        end cuts off is not one."""
        self._kind, self._data = "", []
        pending = self.last_id
        for line in lines:
            if not line:
                # Only now is the event complete, so only now its number counts as seen.
                self.last_id = pending
                if self._data:
                    yield ServerEvent(
                        self.last_id or "", self._kind or "message", "\n".join(self._data)
                    )
                self._kind, self._data = "", []
                continue
            if line.startswith(":"):
                yield None
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "id" and "\0" not in value:
                pending = value
            elif name == "event":
                self._kind = value
            elif name == "data":
                self._data.append(value)


class Follower:
    """One journey along the journal, over several connections if need be."""

    def __init__(
        self,
        client: Client,
        around: Surroundings,
        *,
        station: str | None,
        after: int | None,
        follow: bool,
        since: str | None = None,
    ) -> None:
        self._client = client
        self._sleep = around.sleep
        self._params: dict[str, Any] = {
            "station": station,
            "after": after,
            "since": since,
            "follow": None if follow else "false",
        }
        self._follow = follow
        self._feed = Feed()
        self._attempts = 0
        self._was_connected = False
        self._complained = False

    def events(self) -> Iterator[ServerEvent]:
        """The events. Raises `Failure`, also when the first connection cannot be made."""
        while True:
            try:
                yield from self._one_connection()
                if not self._follow:
                    return
            except httpx.ReadTimeout:
                # A quiet connection may be dead without anybody having said so.
                continue
            except httpx.TransportError:
                pass
            except Failure as failure:
                if not self._was_connected or not _may_pass(failure):
                    raise
            self._pause()

    def _one_connection(self) -> Iterator[ServerEvent]:
        headers = {} if self._feed.last_id is None else {"Last-Event-ID": self._feed.last_id}
        with self._client.stream("/events", self._params, headers) as response:
            self._was_connected = True
            if self._complained:
                note("connected again")
                self._complained = False
            for event in self._feed.read(response.iter_lines()):
                self._attempts = 0
                if event is not None:
                    yield event

    def _pause(self) -> None:
        self._attempts += 1
        if not self._follow and self._attempts >= ATTEMPTS_WITHOUT_FOLLOW:
            last = self._feed.last_id
            next_step = f"go on with --after {last}" if last else "try again later"
            what = f"the connection to {self._client.url} was lost and does not come back"
            raise Failure(ExitCode.UNREACHABLE, what, next_step)
        if not self._complained:
            note("the connection was lost, trying again")
            self._complained = True
        self._sleep(min(RETRY_AFTER_S * 2 ** min(self._attempts - 1, 10), MAX_PAUSE_S))


def _may_pass(failure: Failure) -> bool:
    return failure.exit_code is ExitCode.UNREACHABLE or failure.code in PASSING


def show(out: Printer, event: ServerEvent) -> None:
    """One event on one line."""
    try:
        data = json.loads(event.data)
    except ValueError:
        data = event.data
    if out.is_json:
        number = int(event.id) if event.id.isascii() and event.id.isdigit() else event.id
        out.json({"id": number, "event": event.kind, "data": data}, indent=None)
        return
    facts: Mapping[str, Any] = data if isinstance(data, Mapping) else {"data": data}
    said = (
        f"{name}={_quoted(cell(value))}"
        for name, value in facts.items()
        if name not in SHOWN_APART and value not in (None, "", [], {})
    )
    head = "  ".join((out.time(facts.get("at")), cell(station_of(facts)), event.kind))
    out.line(f"{head}  {' '.join(said)}")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if " " in text else text


@app.command("events", rich_help_panel="Charging")
def events(
    context: typer.Context,
    station: Annotated[
        str | None, typer.Option("--station", help="Of one station.", show_default=False)
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(
            "--after",
            min=0,
            help="Begin after the event of that number; 0: with the oldest that is kept.",
            show_default=False,
        ),
    ] = None,
    since: SinceOption = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Wait for more, until Ctrl-C.")
    ] = True,
    output: OutputOption = None,
) -> None:
    """What happens, as it happens; a line for every event.

    Without `--after` or `--since` only what comes is shown. Ctrl-C ends it. A lost connection is
    made again, also after a restart of the server, and nothing is missed.

    Example: `csms events --since 2h`

    Example: `csms events --station CP-1`

    Example: `csms events --after 0 --no-follow --output json > journal.jsonl`
    """
    if after is not None and since is not None:
        raise usage("--after and --since both say where to begin", "give one of them")
    _follow(
        context,
        Session.of(context, output),
        station=station,
        after=after,
        follow=follow,
        since=moment(since, "--since"),
    )


def _follow(context: typer.Context, session: Session, **where: Any) -> None:
    options = context.find_object(Options)
    assert options is not None
    follower = Follower(session.client, options.surroundings, **where)
    try:
        for event in follower.events():
            show(session.out, event)
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.DONE) from None


@stations.app.command("watch", rich_help_panel=stations.LOOK)
def watch(
    context: typer.Context,
    station: StationArgument,
    since: SinceOption = None,
    output: OutputOption = None,
) -> None:
    """How a station is, and then what happens there, as it happens, until Ctrl-C.

    A lost connection is made again, and nothing is missed.

    Example: `csms station watch CP-1`

    Example: `csms station watch CP-1 --since 30m --output json`
    """
    session = Session.of(context, output)
    row = session.client.get(stations.path_of(station))
    if not session.out.is_json:
        state = "connected" if row.get("connected") else "offline"
        places = stations.compact(row.get("connectors") or [])
        session.out.line(f"{cell(row.get('identity'))} is {state}  {places}")
    _follow(
        context,
        session,
        station=station,
        after=None,
        follow=True,
        since=moment(since, "--since"),
    )
