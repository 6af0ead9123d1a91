"""`csms station rotate, profile, exception, accept`: how stations log in."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from csms.cli.client import Row
from csms.cli.failures import ExitCode, Failure, usage
from csms.cli.output import cell, waiting
from csms.cli.session import OutputOption, Session, StationArgument, paste
from csms.cli.stations import (
    ADD,
    DECIDE,
    app,
    decide,
    exceptions_of,
    onboarded,
    path_of,
    type_in,
)

# A station is asked, and asked to reset or to boot after that.
WAIT_S = 120.0


@app.command("rotate", rich_help_panel=ADD)
def rotate(
    context: typer.Context,
    station: StationArgument,
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="Do not send it: show it, to be typed in.")
    ] = False,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="End the old one now: it is in wrong hands.")
    ] = False,
    output: OutputOption = None,
) -> None:
    """Give a station a new token, and send it there if it is connected.

    The old token works until the station has connected with the new one. A new one that the station
    refuses is taken back. With `--at-once` the old one ends now, the station is disconnected, and
    stays so until the new token has been typed in.

    Example: `csms station rotate CP-1`

    Example: `csms station rotate CP-1 --by-hand`
    """
    session = Session.of(context, output)
    body = {"by_hand": by_hand, "at_once": at_once}
    with waiting(f"waiting for {station}"):
        answer = session.client.write(
            "POST", f"{path_of(station)}/credentials", body, wait_s=WAIT_S
        )
    if at_once:
        onboarded(session, answer, f"{answer['identity']} has a new token. Type it in there:")
        return
    _told(session, answer)


def _told(session: Session, answer: Row, *, begin: str = "") -> None:
    """What became of a new token, and what is to be done. Raises `Failure` where it is not what was
    wished for."""
    identity, detail = str(answer["identity"]), cell(answer.get("detail"))
    pushed, out = answer["pushed"], session.out
    if out.is_json:
        out.json(answer)
    by_hand = paste("station", "rotate", identity, "--by-hand")
    match pushed:
        case "refused":
            what = f"{begin}{identity} did not take a new token, so the old one stays: {detail}"
            raise Failure(ExitCode.FAILED, what, f"to have it typed in there: {by_hand}")
        case _ if out.is_json:
            return
        case "accepted":
            out.line(f"{begin}{identity} has taken a new token.")
            out.line("The old one ends when the station connects with the new one.")
        case "reboot_required":
            out.line(f"{begin}{identity} has taken a new token and uses it after a reset:")
            out.line(f"  {paste('station', 'reset', identity)}")
            out.line("The old one works until then.")
        case "no_answer":
            out.line(f"{begin}It is not known whether {identity} took its new token: {detail}.")
            out.line("The old and the new one both work until it has used the new one.")
            out.line("If it does not, type this in there:")
            type_in(session, answer)
        case _:
            why = "" if pushed == "by_hand" else f", which could not be sent: {detail}"
            out.line(f"{begin}{identity} has a new token{why}.")
            out.line("The old one works until the station has used this. Type it in there:")
            type_in(session, answer)


@app.command("profile", rich_help_panel=ADD)
def profile(
    context: typer.Context,
    station: StationArgument,
    number: Annotated[
        int, typer.Argument(min=0, max=2, metavar="PROFILE", help="1: ws, 2: wss (over TLS).")
    ],
    url: Annotated[
        str | None, typer.Option("--url", help="Where it is to connect; default: this system.")
    ] = None,
    elsewhere: Annotated[
        bool, typer.Option("--elsewhere", help="That URL is of another system: it moves there.")
    ] = False,
    identity: Annotated[
        str | None, typer.Option("--identity", help="OCPP 2.1: its name there, if another one.")
    ] = None,
    password: Annotated[
        bool, typer.Option("--password", help="OCPP 2.1: give it its secret there (asked for).")
    ] = False,
    slot: Annotated[
        int | None,
        typer.Option("--slot", min=0, help="OCPP 2.x: the network slot to use; default: a free."),
    ] = None,
    priority: Annotated[
        str | None,
        typer.Option("--priority", metavar="1,0", help="OCPP 2.x: slots in use, not asked for."),
    ] = None,
    interface: Annotated[
        str, typer.Option("--interface", help="OCPP 2.x: Wired0, Wireless0 ...")
    ] = "Wired0",
    reset: Annotated[
        bool, typer.Option("--reset/--no-reset", help="Reset it, so that it changes over.")
    ] = True,
    output: OutputOption = None,
) -> None:
    """Require an OCPP security profile of a station, and bring it there.

    The station is told (OCPP 1.6: SecurityProfile; 2.x: a network profile with the wss address) and
    reset. Lower profiles are refused only after it has booted on the new one, so a station that
    falls back is not locked out. It has to know the authority of this server's certificate first.
    A profile that it has already, or a lower one, is required at once.

    With `--elsewhere` it is sent to another system, with OCPP 2.1 also with its name and secret
    there. Nothing changes here, so that it can come back.

    Example: `csms station profile CP-1 2`

    Example: `csms station profile CP-1 2 --elsewhere --url wss://other.example/ocpp --password`

    Example: `csms station profile CP-1 2 --slot 2 --priority 1 --interface Wireless0`
    """
    session = Session.of(context, output)
    body: dict[str, Any] = {
        "profile": number,
        "url": url,
        "elsewhere": elsewhere or None,
        "identity": identity,
        "password": _ask_secret(station, "--password") if password else None,
        "slot": slot,
        "priority": _slots(priority),
        "interface": interface,
        "reset": reset,
    }
    body = {name: value for name, value in body.items() if value is not None}
    show = paste("station", "show", station)
    hints = {"station_offline": f"{show} says since when; what it has is required when it is back"}
    with waiting(f"waiting for {station}"):
        answer = session.client.write(
            "POST", f"{path_of(station)}/profile", body, wait_s=WAIT_S, hints=hints
        )
    _profiled(session, answer, number, elsewhere=elsewhere)


def _slots(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise usage(f"--priority: {text!r} is no list of slots", "an example is 1,0")
    return [int(part) for part in parts]


def _profiled(session: Session, answer: Row, number: int, *, elsewhere: bool = False) -> None:
    identity, detail, out = str(answer["identity"]), cell(answer.get("detail")), session.out
    if out.is_json:
        out.json(answer)
    show = paste("station", "show", identity)
    match answer["outcome"]:
        case "refused":
            what = f"{identity} did not change its profile: {detail}"
            next_step = ""
            if "NotSupported" in detail:
                next_step = "it has no such setting: type this server's wss:// URL in there by hand"
            elif "--slot" not in detail:
                next_step = "does it know who signed this server's certificate, and its password?"
            raise Failure(ExitCode.FAILED, what, next_step)
        case "not_sent":
            raise Failure(ExitCode.OFFLINE, f"nothing was changed: {detail}", show)
        case "no_answer":
            what = f"it is not known whether {identity} changes over: {detail}"
            raise Failure(ExitCode.TIMED_OUT, what, f"{show} shows the profile of its links")
        case _ if out.is_json:
            return
        case "required":
            out.line(f"{identity} has to connect with profile {number} or higher from now on.")
        case outcome:
            word = "and changes over after a reset" if outcome == "reboot_required" else ""
            out.line(f"{identity} has accepted profile {number}{' ' + word if word else ''}.")
            reset = answer.get("reset")
            now = paste("station", "reset", identity)
            out.line(f"The reset was {cell(reset)}." if reset else f"Now reset it: {now}")
            if elsewhere:
                out.line(f"It is still known here, for the case that it comes back; {show} tells.")
            else:
                out.line(f"Lower profiles are refused once it has booted on it; {show} tells.")


@app.command("exception", rich_help_panel=ADD)
def exception(
    context: typer.Context,
    station: StationArgument,
    weak_secret: Annotated[
        bool,
        typer.Option("--weak-secret", help="Take the short secret that it has (asked for)."),
    ] = False,
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", help="Take this user name as well.")
    ] = None,
    no_auth: Annotated[
        list[str] | None,
        typer.Option("--no-auth", metavar="CIDR", help="No secret from there; may be repeated."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Take all exceptions back.")] = False,
    output: OutputOption = None,
) -> None:
    """Let one station log in as no other may. It is shown in red wherever the station is.

    The secret is asked for on a terminal, and read from standard input otherwise: it does not
    belong on a command line.

    Example: `csms station exception CP-1 --weak-secret`

    Example: `csms station exception CP-1 --no-auth 10.20.0.0/16`

    Example: `csms station exception CP-1 --none`
    """
    session = Session.of(context, output)
    wanted: dict[str, Any] = {}
    if weak_secret:
        wanted["weak_secret"] = _ask_secret(station, "--weak-secret")
    if user is not None:
        wanted["user"] = user
    if no_auth:
        wanted["no_auth"] = no_auth
    if none == bool(wanted):
        example = paste("station", "exception", station, "--no-auth", "10.0.0.0/8")
        raise usage("give an exception, or --none", f"an example is {example}")
    path = f"{path_of(station)}/exceptions"
    row = (
        session.client.write("DELETE", path)
        if none
        else session.client.write("PATCH", path, wanted)
    )
    if session.out.is_json:
        session.out.json(row)
        return
    identity = str(row["identity"])
    said = exceptions_of(row)
    if weak_secret and "weak secret" not in (said or ""):
        session.out.line("The secret is good enough: it needs no exception.")
    session.out.line(f"{identity}: {said}" if said else f"{identity} has no exceptions.")


def _ask_secret(station: str, option: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"The secret that {station} has", hide_input=True))
    secret = sys.stdin.readline().rstrip("\r\n")
    if not secret:
        raise usage(f"{option}: no secret came on standard input", "type it in a terminal")
    return secret


@app.command("accept", rich_help_panel=DECIDE)
def accept(
    context: typer.Context,
    station: StationArgument,
    weak_secret: Annotated[
        bool,
        typer.Option("--weak-secret", help="Let one that came by itself keep its weak secret."),
    ] = False,
    party: Annotated[
        str | None,
        typer.Option(help="Its owner, like CA*NTH; without it, this network.", show_default=False),
    ] = None,
    output: OutputOption = None,
) -> None:
    """Let a station work: it is accepted when it boots.

    One that came by itself (`csms station unknown`) becomes a station of this network. The secret
    that it showed is its token; if it is weak, or it showed none, it gets a new one.

    Example: `csms station accept CP-1`

    Example: `csms station accept CP-9 --weak-secret`
    """
    session = Session.of(context, output)
    try:
        row = session.client.get(path_of(station))
    except Failure as failure:
        if failure.code == "not_found":
            failure.what = failure.what.partition(";")[0]
            failure.next_step = f"{paste('station', 'add', station)} adds it"
        raise
    if not row.get("guest"):
        if weak_secret or party:
            raise usage(
                f"{station} did not come by itself: --weak-secret and --party are for those",
                paste("station", "exception", station, "--weak-secret"),
            )
        decide(session, station, "accepted")
        return
    body = {"keep_weak_secret": weak_secret} | ({"party_id": party} if party else {})
    with waiting(f"waiting for {station}"):
        answer = session.client.write("POST", f"{path_of(station)}/accept", body, wait_s=WAIT_S)
    identity = str(answer["identity"])
    begin = f"{identity} is a station of this network. "
    if answer["pushed"] != "kept":
        _told(session, answer, begin=begin)
    elif session.out.is_json:
        session.out.json(answer)
        return
    else:
        session.out.line(f"{begin}It keeps the secret that it has.")
    if not session.out.is_json:
        session.out.line(f"It was asked to boot, to learn so: {cell(answer.get('boot'))}.")
