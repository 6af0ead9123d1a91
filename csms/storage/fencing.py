"""Sessions of a server by the life of the node that has them, so that other nodes can end them.

A process that stands still (stopped, paused, swapped out) in the middle of a transaction keeps its
locks, and the journal's is everybody's. The server notices nothing: the process is there, its
session waits in the middle of what was sent together, and no time-out of the server is about that.
"""

from __future__ import annotations

import asyncio

import psycopg
from psycopg import AsyncRawCursor

from csms.storage.server import READER, Server

FENCE_WITHIN_S = 3.0

# Allowed for sessions of the same user. Those that it ends notice it when they go on.
_END = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
    AND right(application_name, length($1::text) + 1) = ' ' || $1::text
"""


class Fencing:
    """`run`: the life of this node, by which its sessions are known; empty before there is one."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.run = ""

    async def fence(self, run: str) -> None:
        """Have the sessions of that life ended, and what they have under way rolled back. On a
        connection of its own: those of the store may be waiting for just these. Raises
        `StoreUnavailable`."""
        try:
            async with asyncio.timeout(FENCE_WITHIN_S):
                connection = await psycopg.AsyncConnection.connect(
                    **self._server.options(READER), autocommit=True, cursor_factory=AsyncRawCursor
                )
                try:
                    await connection.execute(_END, (run,))
                finally:
                    await connection.close()
        except (psycopg.Error, TimeoutError) as error:
            raise self._server.trouble(error, "cannot end the sessions of a node") from error
