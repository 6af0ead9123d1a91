"""init, serve, check, db upgrade: as an operator types them."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import httpx
import pytest

from tests.support.system import System, csms, free_port


async def test_init_shows_the_admin_key_once_and_it_works(tmp_path: Path) -> None:
    system = System(tmp_path)
    code, out, _ = await csms("init", "--config", str(system.config), "--party", "CA*NTH")
    assert code == 0
    assert "export CSMS_API_KEY=" in out
    assert "csms serve --config" in out
    key = out.partition("CSMS_API_KEY=")[2].split()[0]
    assert key.partition(".")[2] not in system.config.read_text()
    assert stat.S_IMODE(system.config.stat().st_mode) == 0o600
    await system.start()
    try:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as client:
            answer = await client.get(f"{system.http_url}/api/v1/keys")
        assert answer.status_code == 200
    finally:
        assert await system.stop() == 0


async def test_init_does_not_overwrite(tmp_path: Path) -> None:
    config = tmp_path / "csms.toml"
    config.write_text("precious")
    code, _, err = await csms("init", "--config", str(config))
    assert code == 1
    assert "exists already: it holds the keys" in err
    assert config.read_text() == "precious"


async def test_init_for_scripts(tmp_path: Path) -> None:
    code, out, err = await csms("init", "--config", str(tmp_path / "c.toml"), "--output", "json")
    assert (code, err) == (0, "")
    assert json.loads(out).keys() == {"config", "database", "admin_key"}


@pytest.mark.parametrize("command", [("serve",), ("check",), ("db", "upgrade")])
async def test_a_bad_configuration_names_file_key_and_what_is_allowed(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    config = tmp_path / "csms.toml"
    config.write_text('[ocpp]\nport = 70000\n[store]\nurl = "mysql://x"\n')
    code, out, err = await csms(*command, "--config", str(config))
    assert (code, out) == (2, "")
    assert f"{config}: ocpp.port: input should be less than or equal to 65535" in err
    assert f"{config}: store.url: must be sqlite:///PATH or postgresql://USER@HOST/DATABASE" in err
    assert "Traceback" not in err


async def test_a_missing_configuration_names_the_next_step(tmp_path: Path) -> None:
    code, _, err = await csms("serve", "--config", str(tmp_path / "nothing.toml"))
    assert code == 2
    assert "csms init" in err


async def test_a_configuration_without_keys_cannot_serve(tmp_path: Path) -> None:
    config = tmp_path / "csms.toml"
    config.write_text("")
    code, _, err = await csms("check", "--config", str(config))
    assert code == 2
    assert "security.current" in err


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ('[ocpp]\nhost = "nowhere.invalid"', "ocpp.host: nowhere.invalid is no address"),
        ('[store]\nurl = "sqlite:///csms.toml/csms.db"', "store.url: nothing can be written in"),
        ("[nodes]\ntakes_stations = false", "nodes.takes_stations: a database file has one node"),
    ],
)
async def test_what_this_machine_has_not_got_is_named_by_its_setting(
    tmp_path: Path, command: str, changed: str, said: str
) -> None:
    config = tmp_path / "csms.toml"
    config.write_text(f'{changed}\n[security]\ncurrent = "k"\nkeys = {{ k = "{"0" * 64}" }}\n')
    code, _, err = await csms(command, "--config", str(config))
    assert code == 2
    assert f"{config}: {said}" in err


async def test_check_says_what_will_happen_to_the_database(tmp_path: Path) -> None:
    config = tmp_path / "csms.toml"
    assert (await csms("init", "--config", str(config)))[0] == 0
    code, out, _ = await csms("check", "--config", str(config))
    assert (code, "up to date" in out) == (0, True)
    (tmp_path / "csms.db").unlink()
    code, out, _ = await csms("check", "--config", str(config))
    assert (code, "will be made" in out) == (0, True)


@pytest.mark.parametrize("taken", ["ocpp", "http"])
async def test_a_taken_port_is_one_line(tmp_path: Path, taken: str) -> None:
    config = tmp_path / "csms.toml"
    assert (await csms("init", "--config", str(config)))[0] == 0
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ports = {"ocpp": free_port(), "http": free_port(), taken: port}
        environment = {f"CSMS_{name.upper()}__PORT": str(n) for name, n in ports.items()}
        environment |= {"CSMS_OCPP__HOST": "127.0.0.1", "CSMS_LOG_LEVEL": "error"}
        code, out, err = await csms("serve", "--config", str(config), environment=environment)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert str(port) in line
    assert "ocpp.port" in line
