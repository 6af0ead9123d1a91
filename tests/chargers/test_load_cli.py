"""`chargers load` against a real system, in one process and in two."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chargers.cli import app
from csms.app import running
from csms.core import security, stations, tokens
from csms.core.ports import Tx
from csms.core.security import BASIC, Credential
from csms.core.stations import NewStation
from csms.core.tokens import Token, uid_key
from csms.fresh import keyring_of, now
from tests.test_app import settings

COUNT = 12


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """The address of a system that knows the stations of a file, and the file."""
    given = settings(tmp_path)
    keyring = keyring_of(given)
    file = tmp_path / "tokens.csv"
    file.write_text("identity,token\n" + "".join(f"CP-{n},secret-{n}\n" for n in range(COUNT)))

    def furnish(tx: Tx) -> None:
        for n in range(COUNT):
            stations.onboard(tx, f"s{n}", NewStation(f"CP-{n}", given.party, 2), now())
            key_id, hashed = keyring.hash(f"secret-{n}".encode())
            credential = Credential(f"c{n}", f"s{n}", BASIC, key_id, hashed, now())
            security.issue(tx, credential, now())
        tx.save(Token(given.party, uid_key("LOAD"), "rfid", "LOAD", now()))

    async with running(given) as system:
        await system.store.transact(furnish)
        yield f"ws://127.0.0.1:{system.ocpp_port}/ocpp", file
    assert tokens is not None


async def load(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "chargers",
        "load",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def report(*arguments: str) -> dict[str, Any]:
    code, out, err = await load(*arguments, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


async def test_each_profile_settles_against_a_real_system(place: tuple[str, Path]) -> None:
    url, file = place
    common = (url, str(file), "--count", str(COUNT), "--seconds", "40")
    storm = await report(*common, "--profile", "boot-storm", "--processes", "2")
    assert (storm["settled"], storm["counts"]["answered"]) == (COUNT, COUNT * 3)
    starts = await report(*common, "--profile", "start-storm")
    assert starts["counts"]["answered"] == COUNT * 5
    history = await report(*common, "--profile", "history", "--samples", "5")
    assert history["counts"]["answered"] == COUNT * 8
    steady = await report(url, str(file), "--count", "5", "--seconds", "2", "--heartbeat-s", "0.2")
    assert steady["counts"]["answered"] > 20
    assert "errors" not in storm["counts"] | starts["counts"] | history["counts"]


async def test_people_get_lines(place: tuple[str, Path]) -> None:
    url, file = place
    code, out, _ = await load(url, str(file), "--count", "3", "--profile", "boot-storm")
    assert code == 0
    assert "settled        3 of 3 stations after" in out


async def test_those_who_never_settle_are_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text("identity,token\nCP-1,t\n")
    code, out, _ = await load(
        "ws://127.0.0.1:1/ocpp", str(file), "--count", "1", "--seconds", "0.5"
    )
    assert code == 1
    assert "settled        0 of 1 stations" in out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("http://h/ocpp", "FILE", "--count", "1"), "allowed is ws://HOST:PORT/PATH"),
        (("ws://h/ocpp", "missing.csv", "--count", "1"), "missing.csv: No such file"),
        (("ws://h/ocpp", "FILE", "--count", "30000"), "add --addresses"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text("identity,token\nCP-1,t\n")
    given = [str(file) if word == "FILE" else word for word in arguments]
    result = CliRunner().invoke(app, ["load", *given])
    assert result.exit_code == 2
    assert why in result.stderr
