"""Commands about the database of this system: upgrade, backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from csms.cli.machine import FAILED, USAGE, ConfigFile, fail, settings_of
from csms.core.errors import CsmsError
from csms.settings import DEFAULT_FILE

app = typer.Typer(help="The database of this system.", no_args_is_help=True)


@app.command("upgrade")
def db_upgrade(config: ConfigFile = DEFAULT_FILE) -> None:
    """Bring the database to the schema of this version (`serve` does it by itself).

    Example: `csms db upgrade`
    """
    from csms.storage.open import shown, upgrade_schema

    settings = settings_of(config)
    try:
        database = shown(settings.store.url)
        before, after = upgrade_schema(settings.store.url)
    except CsmsError as error:
        fail(FAILED, error.detail)
    done = "is up to date" if before == after else f"upgraded from {before or 'nothing'}"
    print(f"{database}: {done}, schema {after}")


@app.command("backup")
def db_backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; must not exist yet.")],
    config: ConfigFile = DEFAULT_FILE,
) -> None:
    """Copy the database while the system runs: one moment of it, whole and checked. (A copy of the
    file alone lacks what is still in the log beside it.) A PostgreSQL server has pg_dump for that.

    Keep the configuration with it: without its keys no token is known again. To go back: stop the
    system, remove the database with the files beside it (-wal, -shm), and put the copy there.

    Example: `csms db backup /backups/csms-2026-11-28.db`
    """
    from csms.storage.backup import back_up
    from csms.storage.open import on_server, shown, sqlite_path

    settings = settings_of(config)
    if on_server(settings.store.url):
        where = shown(settings.store.url)
        fail(USAGE, f"{where} is on a server; pg_dump --format=custom --file {file} {where}")
    try:
        size = back_up(sqlite_path(settings.store.url), file)
    except CsmsError as error:
        fail(FAILED, error.detail)
    print(f"{file}: {size:,} bytes; keep {config} with it")
