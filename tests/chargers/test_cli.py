"""The command line: what it prints, where, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from chargers.cli import app
from chargers.faults import FAULTS

COMMAND = (sys.executable, "-c", "from chargers.cli import main; main()")


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
    )


def fleet_file(folder: Path, url: str) -> str:
    file = folder / "fleet.toml"
    chargers = "".join(
        f'[[charger]]\nid = "CP-{version}"\nversion = "{version}"\n'
        for version in ("1.6", "2.0.1", "2.1")
    )
    file.write_text(
        f'url = "{url}"\nspeed = 200\nseed = 1\ntokens = ["A"]\n'
        f"[driver]\ngap_s = [1, 5]\nstay_s = [30, 60]\nlinger_s = [1, 2]\n{chargers}",
        encoding="utf-8",
    )
    return str(file)


async def test_a_fleet_ends_on_a_signal_with_one_json_object(central: Any, tmp_path: Path) -> None:
    file = fleet_file(tmp_path, central.url)
    process = await start("fleet", file, "--output", "json")
    await central.until(lambda: len(central.of("StopTransaction")) >= 2, within_s=10)
    process.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0, err.decode()
    report = json.loads(out)
    assert set(report) == {"versions", "chargers"}
    assert set(report["versions"]) == {"1.6", "2.0.1", "2.1"}
    sums = report["versions"]["1.6"]
    assert set(sums) == {
        "stations",
        "transactions_finished",
        "energy_counted_wh",
        "messages",
        "rejected",
    }
    mine = report["chargers"][0]
    assert mine["transactions_finished"] == len(central.of("StopTransaction"))
    assert mine["energy_counted_wh"] == sum(one["energy_wh"] for one in mine["transactions"])


async def test_one_charger_tells_what_happens(central: Any) -> None:
    process = await start(
        "run", central.url, "--id", "CP-9", "--token", "secret", "--speed", "100", "--seconds", "1"
    )
    out, err = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0, err.decode()
    assert b"CP-9: boot Accepted" in out
    assert b"secret" not in out + err
    assert central.passwords == [b"secret"]


def test_wrong_usage_ends_with_2(tmp_path: Path) -> None:
    for arguments, expected in (
        (["fleet", str(tmp_path / "none.toml")], "none.toml: the file: allowed is"),
        (["run", "ws://127.0.0.1:1", "--version", "3"], "version = '3': allowed is one of 1.6"),
        (["run", "http://127.0.0.1:1"], "begins with ws://"),
        (["run", "ws://127.0.0.1:1", "--faults", "odd"], "faults = 'odd': allowed is all, or"),
        (["run", "ws://127.0.0.1:1", "--speed", "0"], "speed = 0.0: allowed is"),
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert expected in result.stderr
        assert not result.stdout


def test_help_has_examples() -> None:
    for command in ("run", "fleet"):
        result = CliRunner().invoke(app, [command, "--help"])
        assert result.exit_code == 0
        assert "Example" in result.stdout


def test_faults_are_listed_with_their_meaning() -> None:
    result = CliRunner().invoke(app, ["faults"])
    assert result.exit_code == 0
    assert "stuck-seqno       the sequence number" in result.stdout
    assert len(result.stdout.splitlines()) == len(FAULTS)


async def test_what_was_not_heard_is_told_in_the_next_run(central: Any, tmp_path: Path) -> None:
    arguments = ("--id", "CP-9", "--speed", "100", "--state", str(tmp_path / "state"))
    process = await start("run", "ws://127.0.0.1:1", *arguments, "--seconds", "0.3")
    await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 3
    file = tmp_path / "state" / "CP-9.json"
    assert '"meters"' in file.read_text()
    process = await start("run", central.url, *arguments, "--seconds", "0.3")
    _, err = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0, err.decode()
    file.write_text("broken")
    process = await start("run", central.url, *arguments, "--seconds", "0.3")
    _, err = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 2
    assert b"remove it to start anew" in err


async def test_nobody_there_ends_with_3(tmp_path: Path) -> None:
    file = fleet_file(tmp_path, "ws://127.0.0.1:1")
    process = await start("fleet", file, "--seconds", "0.3")
    out, err = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 3
    assert b"no charger could connect" in err
    assert out.count(b"stations 1") == 3


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    for name, content in (("missing.pem", None), ("text.pem", "no certificate")):
        file = tmp_path / name
        if content is not None:
            file.write_text(content)
        result = CliRunner().invoke(app, ["run", "wss://127.0.0.1:1/ocpp", "--ca", str(file)])
        assert result.exit_code == 2
        assert f"--ca {file}: allowed is a file with certificates (PEM)" in result.output
