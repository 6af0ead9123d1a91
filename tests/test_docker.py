"""What `docker/` builds, checked without Docker: the files that it copies are there, and its entry
point and health check do in a folder what they will do in the volume."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.system import free_port
from tests.support.waiting import until

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"
LINES = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
CLUSTER: dict[str, Any] = yaml.safe_load((DOCKER / "compose.cluster.yaml").read_text())


def instructions(name: str) -> list[str]:
    return [line.removeprefix(name).strip() for line in LINES if line.startswith(f"{name} ")]


def environment() -> dict[str, str]:
    """What the image sets."""
    (text,) = instructions("ENV")
    return dict(part.split("=", 1) for part in text.split())


def test_what_is_copied_is_there_and_not_ignored() -> None:
    sent = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    for copied in instructions("COPY"):
        if copied.startswith("--from"):
            continue
        *sources, _ = [word for word in copied.split() if not word.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists()
            assert any(Path(source).match(pattern) for pattern in sent), source


def test_everything_that_the_package_needs_is_copied() -> None:
    """The readme and the licence are read when the package is built."""
    copied = " ".join(instructions("COPY"))
    project = (ROOT / "pyproject.toml").read_text()
    for named in re.findall(r'(?:readme = |file = |license-files = \[)"([^"]+)"', project):
        assert named in copied


def test_nobody_is_root_and_nothing_is_written_outside_the_volume() -> None:
    assert instructions("USER") == ["csms"]
    (volume,) = instructions("VOLUME")
    assert instructions("WORKDIR") == [volume]
    assert environment()["CSMS_CONFIG"].startswith(f"{volume}/")
    for service in ours():
        assert any(named.endswith(f":{volume}") for named in service["volumes"])
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def ours() -> list[dict[str, Any]]:
    """What is run of the image, alone and in the cluster."""
    everything = (*COMPOSE["services"].values(), *CLUSTER["services"].values())
    return [service for service in everything if service["image"] == "csms"]


def test_what_serves_is_asked_for_its_health_and_nothing_else_of_the_image() -> None:
    assert instructions("HEALTHCHECK")
    assert len(ours()) == 5
    for service in ours():
        serves = "entrypoint" not in service
        assert service.get("healthcheck") == (None if serves else {"disable": True})


def test_the_database_is_healthy_when_others_can_reach_it() -> None:
    """The official image makes the database with a server that listens on its unix socket alone."""
    command = CLUSTER["services"]["database"]["healthcheck"]["test"]
    assert command[:2] == ["CMD", "pg_isready"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    waits = CLUSTER["services"]["setup"]["depends_on"]["database"]
    assert waits == {"condition": "service_healthy"}


def test_who_is_waited_for_is_there() -> None:
    for file in (COMPOSE, CLUSTER):
        for service in file["services"].values():
            assert set(service.get("depends_on", ())) <= set(file["services"])


def test_the_operator_api_is_published_to_this_machine_alone() -> None:
    for file in (COMPOSE, CLUSTER):
        published = [
            service["ports"] for service in file["services"].values() if "ports" in service
        ]
        assert published == [["9000:9000", "127.0.0.1:8000:8000"]]


def test_the_balancer_waits_for_requests_of_operators_and_not_for_what_stations_say() -> None:
    sections = re.split(r"\n(?=\w)", (DOCKER / "haproxy.cfg").read_text())
    stations, operators = (s for s in sections if s.startswith("frontend "))
    for directive in ("timeout http-request 10s", "option http-buffer-request"):
        assert directive in operators
        assert directive not in stations


def test_operators_are_known_by_the_address_that_the_balancer_sees() -> None:
    """What they say of themselves goes no further than to it."""
    text = (DOCKER / "haproxy.cfg").read_text()
    dropped = text.index("http-request del-header X-Forwarded-For")
    assert text.index("frontend operators") < dropped < text.index("option forwardfor")


@asynccontextmanager
async def started(folder: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The container's command, its volume being that folder."""
    process = await asyncio.create_subprocess_exec(
        str(DOCKER / "entrypoint.sh"),
        *re.findall(r'"([^"]+)"', instructions("CMD")[0]),
        cwd=folder,
        env=variables(folder, port),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def variables(folder: Path, port: int) -> dict[str, str]:
    bin_folder = str(Path(sys.executable).parent)
    return {
        **os.environ,
        **environment(),
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "CSMS_CONFIG": str(folder / "csms.toml"),
        "CSMS_HTTP__HOST": "127.0.0.1",
        "CSMS_HTTP__PORT": str(port),
        "CSMS_OCPP__HOST": "127.0.0.1",
        "CSMS_OCPP__PORT": "0",
    }


async def healthy(folder: Path, port: int) -> bool:
    check = await asyncio.create_subprocess_exec(
        str(DOCKER / "health.sh"),
        env=variables(folder, port),
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await check.wait() == 0


async def ended(process: asyncio.subprocess.Process) -> str:
    """Stopped as Docker does it; all that it said."""
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        assert process.stdout is not None
        said = await process.stdout.read()
        assert await process.wait() == 0
    return said.decode()


@pytest.mark.slow
async def test_the_first_start_shows_a_key_that_works_and_the_next_one_does_not(
    tmp_path: Path,
) -> None:
    port = free_port()
    assert not await healthy(tmp_path, port)
    async with started(tmp_path, port) as process:
        await until(lambda: healthy(tmp_path, port), 40)
        said = await ended(process)
    (key,) = re.findall(r"CSMS_API_KEY=(\S+)", said)
    async with started(tmp_path, port) as process:
        await until(lambda: healthy(tmp_path, port), 40)
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/api/v1/stations")
        said = await ended(process)
    assert answer.status_code == 200
    assert "CSMS_API_KEY" not in said
    assert {file.name.partition(".")[0] for file in tmp_path.iterdir()} == {"csms"}
