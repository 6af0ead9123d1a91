"""A cable between stations and a system that can be pulled out: nothing passes any more, in either
direction, and neither end is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 65_536


class Cable:
    """Passes each connection on to `port`. `cut` silences those that are there; new ones pass."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self._there = port
        self._passing: list[asyncio.Event] = []
        self._writers: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        for passing in self._passing:
            passing.clear()
        self._passing.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._there)
        passing = asyncio.Event()
        passing.set()
        self._passing.append(passing)
        self._writers += [writer, there[1]]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_copy(reader, there[1], passing))
            tasks.create_task(_copy(there[0], writer, passing))

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: asyncio.Event
) -> None:
    """Until one end is closed, which a pulled cable does not show to the other."""
    try:
        while data := await reader.read(CHUNK):
            if passing.is_set():
                writer.write(data)
                await writer.drain()
    except OSError:
        pass
    if passing.is_set():
        writer.close()


@asynccontextmanager
async def cable(port: int) -> AsyncIterator[Cable]:
    made = Cable(port)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.close()
        server.close()
