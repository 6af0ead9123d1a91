"""`csms station start, stop, reset ...`: wishes of an operator, and what became of them.

Each is one row of the server's command ledger. A command is never sent twice: when the answer does
not come in time the row says so, and still learns it when it comes late.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from csms.cli.client import Row, segment
from csms.cli.failures import ExitCode, Failure, usage
from csms.cli.output import cell, note, waiting
from csms.cli.session import OutputOption, Session, StationArgument, paste
from csms.cli.stations import app, path_of

PANEL = "Command"
# What shells give to a program that Ctrl-C ended.
INTERRUPTED = 130
# A raw call may take as long as the server waits for any station.
RAW_CALL_WAIT_S = 90.0

WaitOption = Annotated[
    float,
    typer.Option("--wait", min=0, help="Seconds to wait for the station's answer; 0: do not wait."),
]
EvseOption = Annotated[int | None, typer.Option("--evse", min=0, show_default=False)]
ConnectorOption = Annotated[int | None, typer.Option("--connector", min=0, show_default=False)]


class Message(StrEnum):
    """What a station can be asked to send."""

    BOOT = "boot"
    HEARTBEAT = "heartbeat"
    STATUS = "status"
    METER_VALUES = "meter_values"
    TRANSACTION = "transaction"
    FIRMWARE = "firmware"
    LOGS = "logs"


class Operative(StrEnum):
    """Whether a place may be used."""

    OPERATIVE = "operative"
    INOPERATIVE = "inoperative"


# -- from a wish to its outcome --------------------------------------------------------------------


def _hints(station: str) -> dict[str, str]:
    show = paste("station", "show", station)
    running = paste("transaction", "list", "--open", "--station", station)
    return {
        "station_offline": f"{show} says since when, try again once it is connected",
        "refused": f"{show} and {running} show the present state",
        "not_found": f"{running} shows those that run",
    }


# What is said otherwise of a wish that is kept for a station that is away.
_KEPT = {"set_availability": {"station_offline": "csms station show says what is wanted"}}


def _submit(session: Session, station: str, kind: str, wait_s: float, **wish: Any) -> Row:
    """The ledger row that a wish became. Values of None are left out."""
    parameters = {name: value for name, value in wish.items() if value is not None}
    try:
        with _patience(station):
            row: Row = session.client.write(
                "POST",
                f"{path_of(station)}/commands",
                {"kind": kind, "parameters": parameters},
                params={"wait": wait_s},
                wait_s=wait_s,
                hints={**_hints(station), **_KEPT.get(kind, {})},
            )
    except Failure as failure:
        _print_ledger_row(session, failure)
        raise
    return row


@contextmanager
def _patience(station: str) -> Iterator[None]:
    """Wait for a station. Ctrl-C ends the waiting, and not what was asked."""
    try:
        with waiting(f"waiting for {station}"):
            yield
    except KeyboardInterrupt:
        look = paste("command", "list", "--station", station)
        note(f"what was asked is not taken back: {look} shows what became of it")
        raise typer.Exit(INTERRUPTED) from None


def _print_ledger_row(session: Session, failure: Failure) -> None:
    """Programs get the ledger row of a command that failed, where there is one."""
    command_id = failure.facts.get("command_id")
    if session.out.is_json and command_id:
        try:
            row = session.client.get(f"/commands/{segment(str(command_id), 'the command')}")
        except Failure:
            return
        session.out.json(row)


def _finish(session: Session, station: str, row: Row, wait_s: float, accepted: str = "") -> None:
    """Print the outcome in one line. Raises `Failure` unless the station said yes or nobody waits.
    `accepted`: what there is to say beyond the word."""
    if session.out.is_json:
        session.out.json(row)
    status, detail = str(row.get("status")), row.get("detail")
    look = f"{paste('command', 'show', str(row.get('id')))} shows what became of it"
    says_more = detail and str(detail).casefold() != status
    outcome = f"{status}: {cell(detail)}" if says_more else status
    match status:
        case "accepted":
            if not session.out.is_json:
                session.out.line(f"{outcome}; {accepted}" if accepted else outcome)
        case "queued" | "sent" if wait_s == 0:
            if not session.out.is_json:
                session.out.line(f"{outcome}; {look}")
        case "queued" | "sent":
            what = f"{station} has not answered within {wait_s:g} s"
            raise Failure(ExitCode.TIMED_OUT, what, look)
        case "timed_out":
            outcome = f"timed out: {cell(detail)}" if detail else "timed out"
            raise Failure(ExitCode.TIMED_OUT, outcome, f"a late answer is noted: {look}")
        case "unknown":
            raise Failure(ExitCode.FAILED, outcome, "look at the station before you repeat it")
        case _:
            next_step = f"{paste('station', 'show', station)} shows its state"
            raise Failure(ExitCode.FAILED, outcome, next_step)


# -- commands --------------------------------------------------------------------------------------


@app.command("start", rich_help_panel=PANEL)
def start(
    context: typer.Context,
    station: StationArgument,
    token: Annotated[str, typer.Option("--token", metavar="UID", help="Who is charging.")],
    evse: EvseOption = None,
    wait: WaitOption = 30.0,
    output: OutputOption = None,
) -> None:
    """Start charging for a token.

    Accepted means that the station will try: the transaction follows when the car is plugged in.

    Example: `csms station start CP-1 --token 04E1A2B3 --evse 1`
    """
    session = Session.of(context, output)
    row = _submit(session, station, "start_charging", wait, token=token, evse=evse)
    if row.get("transaction_id") is not None:
        show = paste("transaction", "show", str(row["transaction_id"]))
        _finish(session, station, row, wait, f"transaction {row['transaction_id']}: {show}")
        return
    see = paste("transaction", "list", "--open", "--station", station)
    _finish(session, station, row, wait, f"the transaction follows once a car is plugged in: {see}")


@app.command("stop", rich_help_panel=PANEL)
def stop(
    context: typer.Context,
    station: StationArgument,
    transaction: Annotated[
        int | None, typer.Option("--transaction", min=1, help="Its number.", show_default=False)
    ] = None,
    evse: EvseOption = None,
    wait: WaitOption = 30.0,
    output: OutputOption = None,
) -> None:
    """Stop a transaction: the one named, or the only one that runs there.

    Example: `csms station stop CP-1`

    Example: `csms station stop CP-1 --transaction 17`
    """
    session = Session.of(context, output)
    row = _submit(session, station, "stop_charging", wait, transaction_id=transaction, evse=evse)
    number = (row.get("parameters") or {}).get("transaction_id")
    show = paste("transaction", "show", str(number))
    _finish(session, station, row, wait, f"transaction {number} ends: {show}" if number else "")


@app.command("reset", rich_help_panel=PANEL)
def reset(
    context: typer.Context,
    station: StationArgument,
    immediate: Annotated[
        bool, typer.Option("--immediate", help="Do not wait for transactions to end.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="At once; charges go on afterwards (OCPP 2.1 only).")
    ] = False,
    evse: EvseOption = None,
    wait: WaitOption = 30.0,
    output: OutputOption = None,
) -> None:
    """Restart a station, or one EVSE of an OCPP 2.x station.

    Example: `csms station reset CP-1`

    Example: `csms station reset CP-1 --immediate`

    Example: `csms station reset CP-1 --resume`
    """
    session = Session.of(context, output)
    how = {"immediate": immediate or None, "resume": resume or None}
    row = _submit(session, station, "reset", wait, **how, evse=evse)
    _finish(session, station, row, wait)


@app.command("unlock", rich_help_panel=PANEL)
def unlock(
    context: typer.Context,
    station: StationArgument,
    evse: Annotated[int, typer.Option("--evse", min=1)] = 1,
    connector: ConnectorOption = None,
    wait: WaitOption = 30.0,
    output: OutputOption = None,
) -> None:
    """Release a cable that is stuck.

    Example: `csms station unlock CP-1 --evse 2`
    """
    session = Session.of(context, output)
    row = _submit(session, station, "unlock", wait, evse=evse, connector=connector)
    _finish(session, station, row, wait)


@app.command("availability", rich_help_panel=PANEL)
def availability(
    context: typer.Context,
    station: StationArgument,
    state: Annotated[Operative, typer.Argument(help="Whether it may be used.")],
    evse: EvseOption = None,
    connector: ConnectorOption = None,
    wait: WaitOption = 30.0,
    output: OutputOption = None,
) -> None:
    """Take a station, an EVSE or a connector out of use, or back into it.

    What is wanted outlives links and restarts: a station that is away is told when it comes back,
    one that forgets it is told again (`csms station show` says what is wanted).

    Example: `csms station availability CP-1 inoperative --evse 2`
    """
    session = Session.of(context, output)
    available = state is Operative.OPERATIVE
    row = _submit(
        session,
        station,
        "set_availability",
        wait,
        available=available,
        evse=evse,
        connector=connector,
    )
    _finish(session, station, row, wait)


@app.command("trigger", rich_help_panel=PANEL)
def trigger(
    context: typer.Context,
    station: StationArgument,
    message: Annotated[Message, typer.Argument(help="What it shall send.")],
    evse: EvseOption = None,
    connector: ConnectorOption = None,
    wait: WaitOption = 30.0,
    output: OutputOption = None,
) -> None:
    """Ask a station to send a message now.

    Example: `csms station trigger CP-1 status --evse 1`
    """
    session = Session.of(context, output)
    row = _submit(
        session, station, "trigger", wait, message=message.value, evse=evse, connector=connector
    )
    _finish(session, station, row, wait)


@app.command("clear-cache", rich_help_panel=PANEL)
def clear_cache(
    context: typer.Context,
    station: StationArgument,
    wait: WaitOption = 30.0,
    output: OutputOption = None,
) -> None:
    """Make a station forget the tokens that it remembers, so that it asks again.

    Example: `csms station clear-cache CP-1`
    """
    session = Session.of(context, output)
    row = _submit(session, station, "clear_cache", wait)
    _finish(session, station, row, wait)


# -- raw calls -------------------------------------------------------------------------------------


@app.command("call", rich_help_panel=PANEL)
def call(
    context: typer.Context,
    station: StationArgument,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="As OCPP names it.")],
    payload: Annotated[
        str, typer.Argument(metavar="JSON", help="An object, @FILE, or - for standard input.")
    ] = "{}",
    output: OutputOption = None,
) -> None:
    """Send any OCPP call of the station's own version, and print its result as it came.

    Example: `csms station call CP-1 GetConfiguration '{"key": ["HeartbeatInterval"]}'`

    Example: `csms station call CP-1 SetChargingProfile @profile.json`
    """
    session = Session.of(context, output)
    path = f"{path_of(station)}/ocpp/{segment(action, 'ACTION')}"
    sent = read_payload(payload)
    hints = {
        **_hints(station),
        "invalid": "the message names the field; what there is depends on the version of OCPP, "
        f"which {paste('station', 'show', station)} says",
    }
    try:
        with _patience(station):
            answer = session.client.write("POST", path, sent, wait_s=RAW_CALL_WAIT_S, hints=hints)
    except Failure as failure:
        _print_ledger_row(session, failure)
        raise
    if session.out.is_json:
        session.out.json(answer)
    if answer.get("outcome") != "result":
        _fail_call(station, answer)
    if not session.out.is_json:
        session.out.json(answer.get("payload"))


def read_payload(text: str) -> Mapping[str, Any]:
    """The object in an argument, in @FILE, or on standard input (-). Raises `Failure`."""
    where = "JSON"
    try:
        if text == "-":
            where, text = "standard input", sys.stdin.read()
        elif text.startswith("@"):
            where = text[1:]
            text = Path(where).read_text(encoding="utf-8")
        found = json.loads(text)
    except OSError as error:
        what = f"cannot read {where}: {error.strerror}"
        raise usage(what, "name a file that can be read") from None
    except UnicodeDecodeError:
        raise usage(f"{where} is not text in UTF-8", "save it as UTF-8") from None
    except json.JSONDecodeError as error:
        example = """an example is '{"key": ["HeartbeatInterval"]}' in single quotes"""
        what = f"{where}, line {error.lineno} column {error.colno}: {error.msg}"
        raise usage(what, example) from None
    if not isinstance(found, dict):
        raise usage(f"{where} must hold an object", "an example is '{}'")
    return found


def _fail_call(station: str, answer: Row) -> NoReturn:
    """A CALLERROR, no answer in time, and a lost link are three different things."""
    detail = cell(answer.get("error"))
    look = f"{paste('command', 'show', str(answer.get('command_id')))} shows what became of it"
    match answer.get("outcome"):
        case "error":
            what = f"{station} answered with the error {cell(answer.get('error_code'))}"
            if answer.get("error"):
                what = f"{what}: {detail}"
            raise Failure(ExitCode.FAILED, what, look)
        case "timeout":
            raise Failure(ExitCode.TIMED_OUT, f"{station} has not answered: {detail}", look)
        case _:
            what = f"nobody knows what {station} did: {detail}"
            raise Failure(ExitCode.FAILED, what, "look at the station before you repeat it")
