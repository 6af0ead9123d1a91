"""Connections to partners: kept for a short while, each for one name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from csms.ocpi import connections as module
from csms.ocpi.connections import Connections
from tests.support.waiting import until


class Partner:
    """Answers every request, and knows which names each of its connections was used for."""

    def __init__(self) -> None:
        self.names: list[list[str]] = []
        self.port = 0
        self.open = 0
        self._writers: list[asyncio.StreamWriter] = []

    def hangs_up(self) -> None:
        """As when it restarts between two requests."""
        for writer in self._writers:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        names: list[str] = []
        self.names.append(names)
        self._writers.append(writer)
        self.open += 1
        try:
            while line := await reader.readline():
                if line.lower().startswith(b"host:"):
                    names.append(line.decode().split()[1])
                if line == b"\r\n":
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        finally:
            self.open -= 1
            writer.close()

    def url(self, name: str) -> httpx.URL:
        return httpx.URL(f"http://{name}:{self.port}/")

    async def asked(self, connections: Connections, *names: str) -> None:
        for name in names:
            url = self.url(name)
            async with connections.to(url) as http:
                headers = {"Host": name}
                answer = await http.get(url.copy_with(host="127.0.0.1"), headers=headers)
                assert answer.text == "ok"


@asynccontextmanager
async def partner() -> AsyncIterator[Partner]:
    made = Partner()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


async def test_requests_to_one_name_share_a_connection_and_those_to_others_never() -> None:
    connections = Connections(10, 5.0)
    async with partner() as there:
        await there.asked(connections, "north", "south", "north", "north", "south")
        assert sorted(there.names) == [["north"] * 3, ["south"] * 2]
        await connections.close()
        assert connections.names == 0


async def test_what_is_not_used_for_a_while_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its server may be closing it at that very moment."""
    monkeypatch.setattr(module, "KEPT_S", 0.0)
    connections = Connections(10, 5.0)
    async with partner() as there:
        await there.asked(connections, "north", "north")
        assert there.names == [["north"], ["north"]]
        await connections.close()


async def test_a_connection_that_the_partner_has_closed_is_not_used() -> None:
    connections = Connections(10, 5.0)
    async with partner() as there:
        await there.asked(connections, "north")
        there.hangs_up()
        await until(lambda: not there.open)
        await there.asked(connections, "north")
        assert there.names == [["north"], ["north"]]
        await connections.close()


async def test_only_so_many_names_are_kept_and_never_one_in_use_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    connections = Connections(10, 5.0)
    async with partner() as there:
        async with connections.to(there.url("used")) as http:
            await there.asked(connections, "a", "b", "c", "b")
            assert connections.names == 2
            address = there.url("used").copy_with(host="127.0.0.1")
            assert (await http.get(address)).text == "ok"
        await there.asked(connections, "d")
        assert connections.names == 2
        await connections.close()
