"""A port that stations connect to, on both kinds of event loop."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close

from csms.ocpp.listening import Listener

LOOPS: list[Callable[[], Any]] = [asyncio.new_event_loop, uvloop.new_event_loop]


async def echo(connection: ServerConnection) -> None:
    async for text in connection:
        await connection.send(text)


def on(loop: Callable[[], Any], main: Any) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_who_connects_is_served_and_told_when_it_closes(loop: Callable[[], Any]) -> None:
    async def main() -> None:
        listener = await Listener.open(echo, "127.0.0.1", 0, close_timeout=1)
        port = listener.port
        links = [
            await connect(f"ws://127.0.0.1:{port}", proxy=None, close_timeout=1) for _ in range(40)
        ]
        for number, link in enumerate(links):
            await link.send(str(number))
            assert await link.recv() == str(number)
        listener.close(1001, "bye")
        async with asyncio.timeout(10):
            await listener.wait_closed()
        for link in links:
            with pytest.raises(ConnectionClosed) as ended:
                await link.recv()
            assert ended.value.rcvd == Close(1001, "bye")
        # Nobody listens any more, on none of the watches.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)

    on(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
def test_those_who_have_queued_do_not_wait_a_turn_of_the_loop_each(
    loop: Callable[[], Any],
) -> None:
    """With thousands of links a turn takes ten milliseconds."""

    async def main() -> None:
        came = 0

        class Counted(ServerConnection):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                nonlocal came
                came += 1
                super().connection_made(transport)

        listener = await Listener.open(echo, "127.0.0.1", 0, create_connection=Counted)
        waiting = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(64)]
        turns = 0

        def look() -> bool:
            nonlocal turns
            turns += 1
            return came == len(waiting)

        async with asyncio.timeout(10):
            while not look():
                await asyncio.sleep(0)
        assert turns < 32
        for sock in waiting:
            sock.close()
        listener.close(1001, "bye")
        await listener.wait_closed()

    on(loop, main())


def test_a_port_that_is_taken_is_refused() -> None:
    async def main() -> None:
        other = socket.create_server(("127.0.0.1", 0))
        with other, pytest.raises(OSError, match="in use"):
            await Listener.open(echo, "127.0.0.1", other.getsockname()[1])

    on(uvloop.new_event_loop, main())


def test_one_that_cannot_listen_wholly_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no file left for another watch."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        made = 0

        def no_more(*of: Any) -> socket.socket:
            nonlocal made
            made += 1
            if made == 3:
                raise OSError(errno.EMFILE, "Too many open files")
            return fromfd(*of)

        fromfd = socket.fromfd
        monkeypatch.setattr(socket, "fromfd", no_more)
        with pytest.raises(OSError, match="Too many"):
            await Listener.open(echo, "127.0.0.1", port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)

    on(uvloop.new_event_loop, main())
