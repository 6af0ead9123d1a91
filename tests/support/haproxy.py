"""A real balancer (HAProxy) with the configuration of `docker/`, on free ports of loopback."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.system import System, free_port
from tests.support.waiting import until

CONFIG = Path(__file__).parents[2] / "docker" / "haproxy.cfg"
MISSING = (
    "HAProxy is not installed, so what concerns it was LEFT OUT; "
    "as root: make test-deps (or apt-get install haproxy)"
)


def binary() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class HAProxy:
    """Where it listens: for stations, and for operators."""

    def __init__(self) -> None:
        self.ocpp_port, self.http_port = free_port(), free_port()

    def environment(self, nodes: Sequence[System]) -> dict[str, str]:
        """What compose.cluster.yaml sets."""
        found = {
            "STATIONS": f"127.0.0.1:{self.ocpp_port}",
            "OPERATORS": f"127.0.0.1:{self.http_port}",
        }
        for number, node in enumerate(nodes, 1):
            found[f"NODE_{number}_OCPP"] = f"127.0.0.1:{node.ocpp_port}"
            found[f"NODE_{number}_HTTP"] = f"127.0.0.1:{node.http_port}"
            found[f"NODE_{number}_PORT"] = str(node.http_port)
        return found

    def takes_connections(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.ocpp_port), 1).close()
        except OSError:
            return False
        return True


@asynccontextmanager
async def haproxy(folder: Path, nodes: Sequence[System]) -> AsyncIterator[HAProxy]:
    """One in front of two nodes, while the block runs."""
    found = binary()
    assert found is not None, MISSING
    made = HAProxy()
    with (folder / "haproxy.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            found,
            "-db",
            "-f",
            str(CONFIG),
            stdout=log,
            stderr=log,
            env={**os.environ, **made.environment(nodes)},
        )
    try:
        await until(made.takes_connections, 20)
        yield made
    finally:
        process.kill()
        await process.wait()
