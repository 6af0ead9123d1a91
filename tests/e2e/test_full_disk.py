"""A disk that is full, database and log on it: nothing is acknowledged that is not stored, what is
stored can be read, and with room again all goes on by itself."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.fleet import onboard, running_fleet
from tests.support.operator import Operator
from tests.support.system import System
from tests.support.truth import compare
from tests.support.waiting import until

SEED = 17
SPEED = 60.0
ROOM = "24m"
FULL_VIRTUAL_S = 200.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a file system: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily: a process that a failed test has left may have a file there.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: Path) -> None:
    """Take all the room that there is."""
    with file.open("ab", buffering=0) as ballast:
        for size in (65_536, 4_096, 1):
            while True:
                try:
                    ballast.write(b"x" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    break


async def test_a_disk_that_fills_up_loses_nothing_and_all_goes_on_with_room_again(
    disk: Path,
) -> None:
    system = System(disk)
    await system.init(CSMS_STORE__GRACE_S="1")
    await system.start()
    try:
        profiles = await onboard(
            system, 9, meter_interval_s=20, message_timeout_s=10.0, attempts=3, retry_interval_s=20
        )
        operator = Operator(system)
        async with running_fleet(system, profiles, SEED, SPEED) as fleet:
            await fleet.until_messages(120)
            fill(disk / "ballast")
            # Nor is there room in the page that the log has begun.
            fill(system.log)
            began = fleet.clock.now()
            await until(lambda: not any(charger.online for charger in fleet.chargers), 30)
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"{system.http_url}/readyz")
            assert answer.status_code == 503
            assert "database or disk is full" in answer.json()["reason"]
            assert await operator.metric("csms_store_trouble") == 1
            # Each was told to come again, though nothing could be logged about it.
            told = await operator.metric("csms_links_ended_total", reason="store_unavailable")
            assert told == await operator.metric("csms_links_ended_total") > 0
            # What is stored can be read.
            assert len((await operator.get("/stations"))["items"]) == 9
            assert await operator.cli("transaction", "list")
            while (fleet.clock.now() - began).total_seconds() < FULL_VIRTUAL_S:
                await fleet.clock.sleep(10)
            (disk / "ballast").unlink()
            await system.ready()
            await fleet.until_messages(fleet.messages + 120)
            await fleet.drain()
        assert sum(charger.ledger.given_up for charger in fleet.chargers) == 0
        assert await system.stop() == 0
    finally:
        if system.process is not None:
            await system.kill()
    assert compare(system, fleet.chargers)["transactions"] > 9
    assert "Traceback" not in system.log.read_text()
