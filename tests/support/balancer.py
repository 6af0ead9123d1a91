"""A balancer in front of nodes: one address that leads to whichever of them takes connections.

It copies bytes and knows nothing of what they are; with `announce` it says first for whom, by the
PROXY protocol, as balancers of that kind do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

CHUNK = 65_536


class Balancer:
    """`ports`: the nodes, tried in turn, each connection beginning with the next."""

    def __init__(self, ports: Sequence[int], *, announce: bool = False) -> None:
        self.ports = list(ports)
        self.port = 0
        self._announce = announce
        self._turn = count()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await self._connected()
        if there is None:
            writer.close()
            return
        if self._announce:
            source, target = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
            line = f"PROXY TCP4 192.0.2.77 {target[0]} {source[1]} {target[1]}\r\n"
            there[1].write(line.encode())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_copy(reader, there[1]))
            tasks.create_task(_copy(there[0], writer))

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = next(self._turn)
        for n in range(len(self.ports)):
            port = self.ports[(first + n) % len(self.ports)]
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def balancer(ports: Sequence[int], *, announce: bool = False) -> AsyncIterator[Balancer]:
    """One that runs while the block does."""
    made = Balancer(ports, announce=announce)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
