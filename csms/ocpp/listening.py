"""A port that stations connect to.

libuv takes one connection from a listening socket in each turn of the event loop. With thousands of
links a turn takes ten milliseconds, so after an outage stations would come in at a hundred a
second, whatever the rest of the system can do. The same socket is therefore watched several times,
and each watch takes one.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from websockets.asyncio.server import Server, serve

# Connections that are taken in one turn, at most.
WATCHES = 16


class Listener:
    """`await open(...)` one; `close` it, then `await wait_closed()`."""

    def __init__(self) -> None:
        self._servers: list[Server] = []

    @classmethod
    async def open(cls, handler: Any, host: str, port: int, **options: Any) -> Listener:
        """Listen; `options` are those of `websockets.serve`. Raises `OSError` for a port that is
        taken."""
        made = cls()
        first = await serve(handler, host, port, **options)
        made._servers.append(first)
        if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
            # asyncio's own loop takes all that have come.
            return made
        options.pop("reuse_port", None)
        try:
            for sock in first.sockets:
                for _ in range(WATCHES - 1):
                    again = socket.fromfd(sock.fileno(), sock.family, sock.type)
                    made._servers.append(await serve(handler, sock=again, **options))
        except OSError:
            # Too many files are open: nobody listens, rather than half.
            made.close(1001, "not started")
            await made.wait_closed()
            raise
        return made

    @property
    def port(self) -> int:
        """The one in use, of interest when 0 was asked for."""
        found: int = next(iter(self._servers[0].sockets)).getsockname()[1]
        return found

    @property
    def handling(self) -> int:
        """Connections whose handler has not returned."""
        return sum(len(server.handler_tasks) for server in self._servers)

    def close(self, code: int, reason: str) -> None:
        """Take no more, and close what there is."""
        for server in self._servers:
            server.close(code=code, reason=reason)

    async def wait_closed(self) -> None:
        for server in self._servers:
            await server.wait_closed()
