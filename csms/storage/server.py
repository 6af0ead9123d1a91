"""Where a PostgreSQL server is and how it is talked to: addresses, sessions, and what its errors
mean. Shared by the writer, the reader and the upgrade of the schema.

A password given in an address is nowhere shown: `Server.shown` is the address without it, and what
the server or its library says is passed on with the password cut out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import TextLoader
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from csms.core.errors import Invalid, StoreUnavailable
from csms.storage.batch import Conflict, RefusedByDatabase

SCHEMES = ("postgresql://", "postgres://")
OLDEST = 14
CONNECT_WITHIN_S = 5
ANSWER_WITHIN_S = 20.0
# Well under the grace of a store, which tries again.
LOCK_WITHIN_S = 4.0
IDLE_WITHIN_S = 30.0

DIALECT = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]

# It speaks of every statement that fell with the one before it.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)

# Times and structures come as the text that the codecs know.
ADAPTERS = AdaptersMap(psycopg.adapters)
ADAPTERS.register_loader("json", TextLoader)
ADAPTERS.register_loader("timestamptz", TextLoader)

# What every session is set to, so that neither the server's nor the user's settings matter.
_SESSION = {
    "datestyle": "ISO, MDY",
    "timezone": "UTC",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "statement_timeout": f"{ANSWER_WITHIN_S - 1:.0f}s",
    "lock_timeout": f"{LOCK_WITHIN_S:.0f}s",
    # Who began something and sends nothing more. It is not about one that stands still in the
    # middle of what is sent together, nor after it: see `fencing`.
    "idle_in_transaction_session_timeout": f"{IDLE_WITHIN_S:.0f}s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
# The writer looks rows up by key and nothing else: never by reading a table, however small the
# statistics say that it is, and with plans that are made once.
WRITER = {
    "synchronous_commit": "on",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
UPGRADE = {"statement_timeout": "0", "lock_timeout": "120s"}
READER = {"default_transaction_read_only": "on"}
# Bytes that the server keeps of the name of a session.
NAME_BYTES = 63
# Of several servers that an address names, the one that takes writes, also for who only reads: the
# others are behind it.
SOUGHT = "primary"

# Classes of SQLSTATE that are about the values given: data exceptions, constraints.
_VALUE_CLASSES = ("22", "23")
# A type that does not fit, a key longer than an index takes.
_VALUE_FAULTS = {"42804", "42846", "42883", "42P18", "54000"}
# Another transaction has changed the row, or each waits for the other.
_CONFLICTS = {"40001", "40P01"}
_TAKEN = "23505"

_NEXT_STEPS = (
    ("password authentication failed", "the user or its password is wrong (store.url)"),
    ("no password supplied", "a password is needed: in store.url, PGPASSWORD or ~/.pgpass"),
    ("role ", "make the user with: createuser NAME"),
    ("no pg_hba.conf entry", "the server lets nobody in from here: see its pg_hba.conf"),
    ("Connection refused", "nobody listens there: start PostgreSQL or correct store.url"),
    ("could not translate host name", "there is no such host: correct store.url"),
    ("failed to resolve host", "there is no such host: correct store.url"),
    ("server is in hot standby mode", "name the server that takes writes, too (store.url)"),
    ("timeout", "nobody answers there: see firewalls and store.url"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """A database of a PostgreSQL server, as `store.url` names it."""

    shown: str
    """The address without its password."""
    parameters: dict[str, Any] = field(repr=False)

    @property
    def database(self) -> str:
        return str(self.parameters.get("dbname") or self.parameters.get("user") or "")

    def options(self, settings: dict[str, str], run: str = "") -> dict[str, Any]:
        """What to connect with, for a session with these settings beside the usual ones. `run`: the
        life of a node that it is known by, at the end of its name."""
        given = self.parameters
        listed = " ".join(
            "-c " + f"{name}={value}".replace("\\", r"\\").replace(" ", r"\ ")
            for name, value in (_SESSION | settings).items()
        )
        usual = {
            "connect_timeout": CONNECT_WITHIN_S,
            "application_name": "csms",
            "target_session_attrs": SOUGHT,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": int(ANSWER_WITHIN_S * 1_000),
        }
        asked = usual | given
        if settings == READER and asked["target_session_attrs"] == "read-write":
            # By its own settings this session is none, whichever the server.
            asked["target_session_attrs"] = SOUGHT
        if run:
            name = str(asked["application_name"]).encode("ascii", "replace").decode()
            asked["application_name"] = f"{name[: NAME_BYTES - 1 - len(run)]} {run}"
        return asked | {"options": f"{given.get('options') or ''} {listed}".strip()}

    def trouble(self, error: BaseException, doing: str = "PostgreSQL") -> StoreUnavailable:
        """What went wrong, in one line, and what to do about it."""
        said = " ".join(str(error).split())
        password = self.parameters.get("password")
        if password:
            said = said.replace(str(password), "***")
        hint = next((step for words, step in _NEXT_STEPS if words in said), None)
        if f'database "{self.database}" does not exist' in said:
            hint = f"make it with: createdb {self.database}"
        text = f"{doing}: {said}" if said else doing
        return StoreUnavailable(f"{text}; {hint}" if hint else text)


def server_of(address: str) -> Server:
    """The server that a `postgresql://` address names. Raises `Invalid`, without the address: who
    mistypes one may have typed the password into any part of it."""
    wrong = "store.url is not postgresql://USER@HOST/DATABASE (special characters as %XX)"
    if not address.startswith(SCHEMES):
        raise Invalid(wrong)
    try:
        parts = urlsplit(address)
        parameters = {k: v for k, v in conninfo_to_dict(address).items() if v is not None}
        host = parts.netloc.rpartition("@")[2]
        if not all(port.isdigit() for port in str(parameters.get("port", "")).split(",") if port):
            # Most likely a password with a slash in it.
            raise ValueError
    except (psycopg.Error, ValueError):
        raise Invalid(wrong) from None
    user = parameters.get("user")
    shown = urlunsplit((parts.scheme, f"{user}@{host}" if user else host, parts.path, "", ""))
    return Server(shown, parameters)


def examine(server: Server, connection: psycopg.Connection[Any] | psycopg.AsyncConnection) -> None:
    """Raises `StoreUnavailable` for a server that cannot be used."""
    found = connection.info.server_version // 10_000
    if found < OLDEST:
        raise StoreUnavailable(f"{server.shown} is PostgreSQL {found}: {OLDEST} or newer is needed")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"{server.shown} keeps text as {encoding}: make a database with "
            f"createdb --encoding UTF8 --template template0 {server.database}"
        )


def fault_of(error: Exception, server: Server) -> Exception:
    """What an error of the driver means: the values, another writer, or the server."""
    if not isinstance(error, psycopg.Error):
        return RefusedByDatabase(f"{type(error).__name__}: {error}")
    state = error.sqlstate
    if state is None:
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return server.trouble(error)
        # The driver knows no form for a value.
        return RefusedByDatabase(str(error))
    if state == _TAKEN:
        named = f"{error.diag.constraint_name}: {error.diag.message_detail}"
        return Conflict(str(error), named)
    if state in _CONFLICTS:
        return Conflict(str(error))
    if state[:2] in _VALUE_CLASSES or state in _VALUE_FAULTS:
        return RefusedByDatabase(str(error))
    return server.trouble(error)
