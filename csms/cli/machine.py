"""What the commands of this machine share: the configuration file, and how they fail."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from csms.core.errors import Invalid
from csms.settings import SQLITE, Settings, load

FAILED, USAGE = 1, 2

ConfigFile = Annotated[
    Path,
    typer.Option("--config", envvar="CSMS_CONFIG", help="The configuration file."),
]


def fail(code: int, text: str) -> NoReturn:
    """One line (or one per mistake) on stderr, and the exit code."""
    for line in text.splitlines() or [""]:
        print(f"csms: {line}", file=sys.stderr)
    raise typer.Exit(code)


def settings_of(file: Path) -> Settings:
    """The settings of a file. What is wrong with them ends the command, line by line."""
    from csms.fresh import keyring_of

    try:
        settings = load(file)
    except Invalid as error:
        fail(USAGE, error.detail)
    wrong = _unusable(settings)
    try:
        keyring_of(settings)
    except Invalid as error:
        wrong.append(error.detail)
    if wrong:
        fail(USAGE, "\n".join(f"{file}: {what}" for what in wrong))
    return settings


def _unusable(settings: Settings) -> list[str]:
    """What the machine has not got, setting by setting."""
    from csms.storage.open import sqlite_path

    wrong = []
    for name, host in (("ocpp.host", settings.ocpp.host), ("http.host", settings.http.host)):
        try:
            socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            wrong.append(f"{name}: {host} is no address of this machine: {error.strerror}")
    if not settings.store.url.startswith(SQLITE):
        return wrong
    if not settings.nodes.takes_stations:
        wrong.append(
            "nodes.takes_stations: a database file has one node only, and stations connect to it;"
            " leave it true, or set store.url to a PostgreSQL server"
        )
    folder = sqlite_path(settings.store.url).parent
    there = next((f for f in (folder, *folder.parents) if f.exists()), folder)
    if not (there.is_dir() and os.access(there, os.W_OK)):
        wrong.append(f"store.url: nothing can be written in {there}; name another folder")
    return wrong
