"""The entry point `csms`: the commands put together, and how every one of them ends.

Errors of any kind leave as one line on stderr and an exit code, never as a traceback (except with
CSMS_TRACEBACK=1, for whoever looks for a fault in this program).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import csms.cli.errands
import csms.cli.export
import csms.cli.forgetting
import csms.cli.neighbours
import csms.cli.station_commands
import csms.cli.station_import
import csms.cli.station_logins
import csms.cli.station_logs  # noqa: F401 - adds its command to `station`
from csms.cli import (
    administration,
    audit,
    cdrs,
    charging,
    events,
    local,
    nodes,
    partners,
    places,
    roaming,
    station_config,
    stations,
    tariffs,
)
from csms.cli.client import DEFAULT_URL, Surroundings
from csms.cli.failures import ExitCode, Failure
from csms.cli.output import Format, complain
from csms.cli.session import Options

CHARGING, ADMINISTRATION, MACHINE = "Charging", "Administration", "This machine"
EPILOG = (
    "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 cannot reach the server, "
    "4 station offline, 5 timed out."
)
# What a shell says of a program that Ctrl-C has ended.
INTERRUPTED = 130
ROOT_OPTIONS = ("--url", "--api-key")


class Root(TyperGroup):
    """The root command: turns whatever a command raises into a line and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and exit the process (`standalone_mode` False: raise, and return the code)."""
        given = (args, prog_name, complete_var, False, windows_expand_args)
        if not standalone_mode:
            return super().main(*given, **extra)
        try:
            code = super().main(*given, **extra)
        except Failure as failure:
            complain(failure.line)
            code = failure.exit_code
        except typer.Abort:
            code = ExitCode.FAILED
        except KeyboardInterrupt:
            code = INTERRUPTED
        except Exception as error:
            code = _explain(error)
        sys.exit(int(code) if isinstance(code, int) else ExitCode.DONE)


def _explain(error: Exception) -> int:
    """A usage error of the framework, or a fault of this program."""
    message = getattr(error, "format_message", None)
    if message is None:
        if os.environ.get("CSMS_TRACEBACK"):
            raise error
        what = f"a fault of this program: {type(error).__name__}: {error}"
        complain(f"{what}; please report it (CSMS_TRACEBACK=1 shows where it is)")
        return ExitCode.FAILED
    text = " ".join(message().split()).replace("Value error, ", "")
    if text:
        complain(f"{text.rstrip('.')}; {_usage_hint(error, text)}")
    code = getattr(error, "exit_code", ExitCode.USAGE)
    return int(code)


def _usage_hint(error: Exception, text: str) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "csms"
    if any(f"No such option: {option}" in text for option in ROOT_OPTIONS):
        return "it goes before the noun: csms --url URL station list"
    return f"{command} --help shows what is allowed"


app = typer.Typer(
    name="csms",
    cls=Root,
    help="Operate an EV charging network: stations, transactions, tokens, keys.\n\n"
    "The server is found by CSMS_URL, and CSMS_API_KEY says who you are.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"csms {installed_version('csms')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    url: Annotated[
        str, typer.Option("--url", metavar="URL", envvar="CSMS_URL", help="Address of the server.")
    ] = DEFAULT_URL,
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="KEY",
            envvar="CSMS_API_KEY",
            help="Better kept in the environment: others on this machine see command lines.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Format, typer.Option("--output", "-o", help="Also after each command.")
    ] = Format.TABLE,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print it and end."),
    ] = False,
) -> None:
    around = context.obj if isinstance(context.obj, Surroundings) else Surroundings()
    context.obj = Options(url, api_key, output, around)


for group in local.app.registered_groups:
    # A panel of its own, unless the group names one.
    if not isinstance(group.rich_help_panel, str):
        group.rich_help_panel = MACHINE
app.add_typer(local.app)
app.add_typer(stations.app, name="station", rich_help_panel=CHARGING)
app.add_typer(charging.transactions, name="transaction", rich_help_panel=CHARGING)
app.add_typer(charging.tokens, name="token", rich_help_panel=CHARGING)
app.add_typer(places.app, name="location", rich_help_panel=CHARGING)
app.add_typer(tariffs.app, name="tariff", rich_help_panel=CHARGING)
app.add_typer(cdrs.app, name="cdr", rich_help_panel=CHARGING)
app.add_typer(roaming.app, name="roaming", rich_help_panel=CHARGING)
app.add_typer(events.app)
app.add_typer(administration.keys, name="key", rich_help_panel=ADMINISTRATION)
app.add_typer(station_config.network_config, name="config", rich_help_panel=CHARGING)
app.add_typer(audit.app)
app.add_typer(administration.commands, name="command", rich_help_panel=ADMINISTRATION)
app.add_typer(partners.app, name="partner", rich_help_panel=ADMINISTRATION)
app.add_typer(nodes.app, name="node", rich_help_panel=ADMINISTRATION)
app.add_typer(administration.quarantine, name="quarantine", rich_help_panel=ADMINISTRATION)


def main() -> None:
    """The console script."""
    try:
        app()
    except KeyboardInterrupt:
        # While the commands were still put together.
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
