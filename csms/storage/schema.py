"""Bringing a database to the schema that this version needs."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from csms.core.errors import Invalid, StoreUnavailable
from csms.storage.postgres import UPGRADE_LOCK
from csms.storage.server import UPGRADE, Server, examine
from csms.storage.tables import metadata


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def engine_for(path: Path | str) -> sa.Engine:
    """A SQLAlchemy engine on a SQLite file, for schema work only. A step interrupted half-way
    leaves nothing: the driver would by itself not open a transaction for DDL."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), poolclass=sa.NullPool)

    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    def began(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "begin", began)
    return engine


def engine_on(server: Server) -> sa.Engine:
    """A SQLAlchemy engine on a PostgreSQL database, for schema work only. Its connections raise
    `StoreUnavailable` when the server cannot be reached or used."""

    def connected() -> psycopg.Connection[Any]:
        try:
            connection = psycopg.connect(**server.options(UPGRADE))
        except psycopg.Error as error:
            raise server.trouble(error, f"cannot connect to {server.shown}") from error
        try:
            examine(server, connection)
        except StoreUnavailable:
            connection.close()
            raise
        return connection

    return sa.create_engine("postgresql+psycopg://", creator=connected, poolclass=sa.NullPool)


def revisions(engine: sa.Engine) -> tuple[str | None, str | None]:
    """The revision of the database (None: empty) and the newest one known here."""
    with engine.connect() as connection:
        return _revisions(connection)


def _revisions(connection: sa.Connection) -> tuple[str | None, str | None]:
    current = MigrationContext.configure(connection).get_current_revision()
    head = ScriptDirectory.from_config(_config(connection)).get_current_head()
    return current, head


def upgrade(engine: sa.Engine) -> tuple[str | None, str | None]:
    """Run the missing steps; the revisions before and after. May be repeated, also by several at
    the same time: the others wait and find them done.

    Raises `Invalid` for a database of a newer version, `StoreUnavailable` when it cannot be
    opened or written.
    """
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(UPGRADE_LOCK)
            current, head = _revisions(connection)
            if current == head:
                return current, head
            config = _config(connection)
            known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
            if current is not None and current not in known:
                raise Invalid(
                    f"the database has schema {current}, which this version does not know: "
                    "it was used by a newer version; upgrade this program"
                )
            command.upgrade(config, "head")
            connection.commit()
    except sa.exc.DBAPIError as error:
        said = " ".join(str(error.orig).split())
        hint = "; make its user the owner of the database" if "permission denied" in said else ""
        raise StoreUnavailable(f"cannot upgrade the database: {said}{hint}") from error
    return current, head


def create_all(engine: sa.Engine) -> None:
    """The whole schema at once, for databases that live in memory for a test."""
    metadata.create_all(engine)
