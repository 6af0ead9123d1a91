"""Where a server is, what its errors mean, and that no password is shown."""

from __future__ import annotations

import psycopg
import pytest

from csms.core.errors import Invalid, StoreUnavailable
from csms.storage.postgres import PostgresDatabase
from csms.storage.server import examine, fault_of, server_of


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (
            "postgresql://u:s3cret@db.example.com:5433/csms",
            "postgresql://u@db.example.com:5433/csms",
        ),
        ("postgres://u@h/d?sslmode=require&password=s3cret", "postgres://u@h/d"),
        ("postgresql:///d?host=/run/postgresql&user=u&password=s3cret", "postgresql://u@/d"),
        ("postgresql://u:a%2Fs3cret%40@[::1]/d", "postgresql://u@[::1]/d"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    server = server_of(address)
    assert server.shown == shown
    assert "s3cret" not in repr(server)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:s3cret/x@h/d",
        "postgresql://u:s3cret@h:port/d",
        "postgresql://u@h/d?s3cret=1",
        "mysql://u:s3cret@h/d",
        "postgresql://[::1/s3cret",
    ],
)
def test_what_is_no_address_is_not_repeated(address: str) -> None:
    try:
        server = server_of(address)
    except Invalid as error:
        text = error.detail
        assert "postgresql://USER@HOST/DATABASE" in text
    else:
        # It reads as an address of some other place.
        database = PostgresDatabase(server)
        with pytest.raises(StoreUnavailable) as raised:
            database.connect()
        text = raised.value.detail
    assert "s3cret" not in text


def test_a_password_is_cut_out_of_what_a_server_says() -> None:
    server = server_of("postgresql://u:s3cret@h/d")
    said = server.trouble(psycopg.OperationalError("no user s3cret\nhere")).detail
    assert said == "PostgreSQL: no user *** here"
    assert "s3cret" not in str(fault_of(psycopg.OperationalError("s3cret"), server))


def test_an_old_server_and_a_wrong_encoding_are_named() -> None:
    class Info:
        server_version, encoding = 130_011, "UTF8"

        def parameter_status(self, name: str) -> str:
            return self.encoding

    class Connection:
        info = Info()

    server = server_of("postgresql://u:s3cret@h/d")
    with pytest.raises(StoreUnavailable, match=r"u@h/d is PostgreSQL 13: 14 or newer"):
        examine(server, Connection())  # type: ignore[arg-type]
    Info.server_version, Info.encoding = 150_000, "SQL_ASCII"
    with pytest.raises(StoreUnavailable, match="createdb --encoding UTF8"):
        examine(server, Connection())  # type: ignore[arg-type]
