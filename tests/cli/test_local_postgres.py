"""init, serve, check, db upgrade with a database of a PostgreSQL server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.support.postgres import SECURED, bare_database
from tests.support.system import SystemOnServer, csms, free_port

pytestmark = pytest.mark.postgres

PASSWORD = "s3cr3t"


@pytest.fixture
def url() -> Iterator[str]:
    """An empty database of a user that needs a password, which the address has."""
    with bare_database() as made:
        name = made.rpartition("/")[2]
        with psycopg.connect(made, autocommit=True) as connection:
            connection.execute(f"DROP ROLE IF EXISTS {SECURED}")
            connection.execute(f"CREATE ROLE {SECURED} LOGIN PASSWORD '{PASSWORD}'")
            connection.execute(f"ALTER DATABASE {name} OWNER TO {SECURED}")
        yield made.replace("csms@", f"{SECURED}:{PASSWORD}@")
        with psycopg.connect(made, autocommit=True) as connection:
            connection.execute(f"REASSIGN OWNED BY {SECURED} TO csms; DROP OWNED BY {SECURED}")
            connection.execute(f"DROP ROLE {SECURED}")


async def test_from_init_to_serve_and_no_password_is_shown(tmp_path: Path, url: str) -> None:
    system = SystemOnServer(tmp_path, url)
    how = ("--config", str(system.config))
    code, out, err = await csms("init", "--store", url, *how, "--output", "json")
    assert code == 0, err
    facts = json.loads(out)
    assert facts["database"] == url.replace(f":{PASSWORD}", "")
    system.admin_key = facts["admin_key"]
    said = [out, err]
    for command in (("check",), ("db", "upgrade")):
        code, out, err = await csms(*command, *how)
        assert (code, "up to date" in out) == (0, True)
        said += [out, err]
    await system.start()
    try:
        async with system.client() as client:
            assert (await client.post("/stations", json={"identity": "A"})).status_code == 201
        async with httpx.AsyncClient() as anybody:
            said.append((await anybody.get(f"{system.http_url}/readyz")).text)
            said.append((await anybody.get(f"{system.http_url}/metrics")).text)
    finally:
        assert await system.stop() == 0
    assert system.query("SELECT identity FROM stations") == [("A",)]
    said.append(system.log.read_text())
    assert not [text for text in said if PASSWORD in text]
    assert [path.name for path in tmp_path.iterdir() if "db" in path.name] == []


async def test_check_changes_nothing(tmp_path: Path, url: str) -> None:
    config = tmp_path / "csms.toml"
    assert (await csms("init", "--config", str(config)))[0] == 0
    environment = {"CSMS_STORE__URL": url}
    code, out, _ = await csms("check", "--config", str(config), environment=environment)
    assert (code, "is empty and gets its schema" in out) == (0, True)
    code, out, _ = await csms("db", "upgrade", "--config", str(config), environment=environment)
    assert (code, "upgraded from nothing" in out) == (0, True)


def _absent(url: str) -> str:
    return url.rpartition("/")[0] + "/absent"


TROUBLE = {
    "not reachable": (
        lambda url: f"postgresql://u:{PASSWORD}@127.0.0.1:{free_port()}/d",
        "start PostgreSQL or correct store.url",
    ),
    "no such host": (
        lambda url: f"postgresql://u:{PASSWORD}@nothing.invalid/d",
        "there is no such host",
    ),
    "wrong password": (lambda url: url.replace(PASSWORD, f"x{PASSWORD}"), "password is wrong"),
    "no password": (lambda url: url.replace(f":{PASSWORD}", ""), "PGPASSWORD"),
    "no database": (_absent, "createdb absent"),
}


async def one_line(config: Path, wrong: str, step: str, *command: str) -> None:
    """The command fails with one line that has the next step, and not the password."""
    environment = {
        "CSMS_STORE__URL": wrong,
        "CSMS_OCPP__PORT": str(free_port()),
        "CSMS_HTTP__PORT": str(free_port()),
        "CSMS_LOG_LEVEL": "error",
    }
    code, out, err = await csms(*command, "--config", str(config), environment=environment)
    assert (code, out) == (1, ""), err
    (line,) = err.splitlines()
    assert step in line
    assert PASSWORD not in line


async def test_a_server_that_cannot_be_used_is_one_line_with_the_next_step(
    tmp_path: Path, url: str
) -> None:
    config = tmp_path / "csms.toml"
    assert (await csms("init", "--config", str(config)))[0] == 0
    for of, step in TROUBLE.values():
        await one_line(config, of(url), step, "check")
    of, step = TROUBLE["wrong password"]
    for command in (("serve",), ("db", "upgrade")):
        await one_line(config, of(url), step, *command)
    other = tmp_path / "other.toml"
    code, out, err = await csms("init", "--config", str(other), "--store", of(url))
    assert (code, out, other.exists()) == (1, "", False)
    assert step in err
    assert PASSWORD not in err


async def test_an_address_that_is_none_is_a_usage_error_without_it(tmp_path: Path) -> None:
    config = tmp_path / "csms.toml"
    for wrong in (f"mysql://u:{PASSWORD}@h/d", f"postgresql://u:{PASSWORD}/x@h/d"):
        code, out, err = await csms("init", "--config", str(config), "--store", wrong)
        assert (code, out, config.exists()) == (2, "", False)
        assert "postgresql://USER@HOST/DATABASE" in err
        assert PASSWORD not in err
