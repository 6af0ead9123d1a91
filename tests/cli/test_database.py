"""csms db: upgrade and backup, as an operator types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.system import csms


@pytest.fixture
async def config(tmp_path: Path) -> Path:
    file = tmp_path / "csms.toml"
    assert (await csms("init", "--config", str(file)))[0] == 0
    return file


async def test_an_upgrade_may_be_repeated(config: Path) -> None:
    for _ in range(2):
        code, out, _ = await csms("db", "upgrade", "--config", str(config))
        assert (code, "is up to date" in out) == (0, True)


async def test_a_backup_is_a_database_to_go_on_with(config: Path) -> None:
    copy = config.with_name("copy.db")
    code, out, err = await csms("db", "backup", str(copy), "--config", str(config))
    assert (code, err) == (0, "")
    assert f"keep {config} with it" in out
    config.with_name("csms.db").unlink()
    copy.rename(config.with_name("csms.db"))
    code, out, _ = await csms("check", "--config", str(config))
    assert (code, "up to date" in out) == (0, True)


async def test_a_backup_takes_the_place_of_nothing(config: Path) -> None:
    code, out, err = await csms("db", "backup", str(config), "--config", str(config))
    assert (code, out) == (1, "")
    assert "exists already; give the copy another name" in err


async def test_a_server_has_its_own_way(config: Path) -> None:
    code, _, err = await csms(
        "db",
        "backup",
        str(config.with_name("copy")),
        "--config",
        str(config),
        environment={"CSMS_STORE__URL": "postgresql://csms:secret@db.example.com/csms"},
    )
    assert code == 2
    assert "pg_dump" in err
    assert "secret" not in err
