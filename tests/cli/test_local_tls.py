"""TLS as an operator sets it up: init --tls, check, serve, a charger with the authority's file."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import stat
import sys
from asyncio import create_subprocess_exec, subprocess
from pathlib import Path

import pytest

from tests.support.system import System, csms, free_port


async def made(folder: Path, *arguments: str) -> tuple[int, str, str]:
    return await csms("init", "--config", str(folder / "csms.toml"), "--tls", *arguments)


async def test_init_with_tls_says_what_to_put_into_stations(tmp_path: Path) -> None:
    code, out, err = await made(tmp_path, "--host", "ocpp.example.com")
    assert (code, err) == (0, "")
    assert f"  {tmp_path}/tls/ca.pem\n" in out
    assert "Wrote certificates for ocpp.example.com, localhost, 127.0.0.1, ::1." in out
    text = (tmp_path / "csms.toml").read_text()
    assert 'public_url = "wss://ocpp.example.com:9443/ocpp"' in text
    keys = [tmp_path / "tls" / f"{name}-key.pem" for name in ("ca", "server-rsa", "server-ec")]
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600] * 3


async def test_init_with_tls_for_scripts(tmp_path: Path) -> None:
    code, out, err = await made(tmp_path, "--output", "json")
    assert (code, err) == (0, "")
    assert json.loads(out)["ca"] == f"{tmp_path}/tls/ca.pem"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--host", "no host \u00e9"), 2, "is no host name"),
        (("--host", 'x"]'), 2, "is no host name"),
    ],
)
async def test_a_host_that_is_none(
    tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert (await made(tmp_path, *arguments))[0] == code
    _, _, err = await made(tmp_path, *arguments)
    assert said in err
    assert not (tmp_path / "csms.toml").exists()
    assert not (tmp_path / "tls").exists()


async def test_a_configuration_that_is_there_gets_certificates(tmp_path: Path) -> None:
    config = tmp_path / "csms.toml"
    assert (await csms("init", "--config", str(config), "--party", "CA*NTH"))[0] == 0
    before = config.read_text().splitlines()
    code, out, err = await made(tmp_path, "--host", "ocpp.example.com")
    assert (code, err) == (0, "")
    assert f"  {tmp_path}/tls/ca.pem\n" in out
    assert "admin key" not in out
    after = config.read_text().splitlines()
    assert [line for line in before if line not in after] == [
        '# public_url = "wss://ocpp.example.com:9443/ocpp"',
        "# certificates = []",
    ]
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    code, out, _ = await csms("check", "--config", str(config))
    assert (code, "server-ec.pem: ok" in out) == (0, True)
    code, _, err = await made(tmp_path, "--host", "ocpp.example.com")
    assert (code, "has its own certificates" in err) == (1, True)
    assert config.read_text().splitlines() == after


async def test_a_host_without_certificates_is_a_mistake(tmp_path: Path) -> None:
    config = str(tmp_path / "csms.toml")
    code, _, err = await csms("init", "--config", config, "--host", "ocpp.example.com")
    assert (code, "--tls" in err) == (2, True)


async def test_keys_that_are_there_are_not_overwritten(tmp_path: Path) -> None:
    assert (await made(tmp_path))[0] == 0
    (tmp_path / "csms.toml").unlink()
    before = (tmp_path / "tls" / "ca-key.pem").read_bytes()
    code, _, err = await made(tmp_path)
    assert (code, "ca-key.pem: File exists" in err) == (1, True)
    assert (tmp_path / "tls" / "ca-key.pem").read_bytes() == before


async def test_check_names_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    assert (await made(tmp_path))[0] == 0
    config = str(tmp_path / "csms.toml")
    code, out, err = await csms("check", "--config", config)
    assert (code, err) == (0, "")
    assert re.search(r"server-rsa\.pem: ok; RSA, .*localhost.*, until \d{4}-\d\d-\d\d", out)
    assert "server-ec.pem: ok; EC" in out
    folder = tmp_path / "tls"
    (folder / "server-ec-key.pem").write_bytes((folder / "server-rsa-key.pem").read_bytes())
    (folder / "server-rsa-key.pem").chmod(0o644)
    code, _, err = await csms("check", "--config", config)
    assert code == 1
    assert f"csms: {folder}/server-ec-key.pem: is not the key of" in err
    assert f"csms: warning: {folder}/server-rsa-key.pem: can be read by everybody: chmod" in err


async def test_certificates_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    assert (await made(tmp_path))[0] == 0
    (tmp_path / "tls" / "server-rsa.pem").write_text("nothing")
    # The usual ones may be in use by another test.
    ports = {"CSMS_OCPP__PORT": "0", "CSMS_HTTP__PORT": "0", "CSMS_OCPP__TLS__PORT": "0"}
    config = str(tmp_path / "csms.toml")
    code, _, err = await csms("serve", "--config", config, environment=ports)
    assert code == 2, err
    assert "server-rsa.pem: holds no certificate" in err


async def charger(*arguments: str) -> tuple[int, str]:
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "chargers", "run", *arguments, "--seconds", "2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


@pytest.mark.slow
async def test_a_charger_connects_over_tls_and_certificates_are_renewed(tmp_path: Path) -> None:
    """TC_086; SIGHUP loads what is on disk, and what cannot be used is told in /readyz."""
    system = System(tmp_path)
    tls_port = free_port()
    settings = {"PORT": str(tls_port), "RELOAD_CHECK_S": "600"}
    await system.init("--tls", **{f"CSMS_OCPP__TLS__{k}": v for k, v in settings.items()})
    await system.start()
    try:
        async with system.client() as client:
            answer = (await client.post("/stations", json={"identity": "CP-1"})).json()
            url, ca = f"wss://127.0.0.1:{tls_port}/ocpp", str(tmp_path / "tls" / "ca.pem")
            assert answer["url"] == url
            login = (url, "--id", "CP-1", "--token", answer["token"])
            code, out = await charger(*login)
            assert (code, "certificate verify failed" in out) == (3, True)
            code, out = await charger(*login, "--ca", ca)
            assert code == 0, out
            assert (await client.get("/stations/CP-1")).json()["booted_at"]

            async def warnings() -> list[str]:
                return (await client.get(f"{system.http_url}/readyz")).json().get("warnings", [])

            folder = tmp_path / "tls"
            good = (folder / "server-rsa.pem").read_bytes()
            (folder / "server-rsa.pem").write_text("nothing")
            assert system.process is not None
            system.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(20):
                while not (found := await warnings()):
                    pass
            assert "server-rsa.pem: holds no certificate" in found[0]
            (folder / "server-rsa.pem").write_bytes(good)
            system.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(20):
                while await warnings():
                    pass
    finally:
        assert await system.stop() == 0
