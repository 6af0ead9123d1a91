"""Reads for people on PostgreSQL: a few connections, made again when they were lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import AsyncRawCursor

from csms.core.errors import Invalid, StoreUnavailable
from csms.storage.batch import Conflict, RefusedByDatabase
from csms.storage.postgres import STATEMENTS
from csms.storage.reader import EntityReader
from csms.storage.server import (
    ADAPTERS,
    ANSWER_WITHIN_S,
    DIALECT,
    READER,
    Server,
    examine,
    fault_of,
)

CONNECTIONS = 8
# A connection that was lost since it was last used says so only when it is used again.
ATTEMPTS = 2


class PostgresReader(EntityReader):
    """`core.ports.Reader` on a server. At most `size` reads at once, the others wait their turn; a
    read that is not answered within `ANSWER_WITHIN_S` is given up (`StoreUnavailable`)."""

    def __init__(self, server: Server, size: int = CONNECTIONS) -> None:
        super().__init__(STATEMENTS, DIALECT)
        self._server = server
        self.size = size
        self._turn = asyncio.Semaphore(size)
        self._idle: list[psycopg.AsyncConnection[Any]] = []
        self._busy = 0
        self._closed = False

    async def open(self) -> None:
        """Raises `StoreUnavailable` when the server cannot be reached."""
        self._idle.append(await self._connected())

    @property
    def busy(self) -> int:
        """Connections in use."""
        return self._busy

    async def close(self) -> None:
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S), self._turn:
                self._busy += 1
                try:
                    return await self._attempts(sql, parameters)
                finally:
                    self._busy -= 1
        except TimeoutError as error:
            raise StoreUnavailable("PostgreSQL does not answer") from error

    async def _attempts(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        for attempt in range(ATTEMPTS):
            if self._closed:
                raise StoreUnavailable("the store has been stopped")
            connection = self._idle.pop() if self._idle else await self._connected()
            try:
                rows = await (await connection.execute(sql, parameters)).fetchall()
            except (psycopg.Error, ValueError, OverflowError, TypeError) as error:
                fault = fault_of(error, self._server)
                lost = connection.closed or isinstance(fault, StoreUnavailable)
                await self._put_back(connection, usable=not lost)
                if isinstance(fault, RefusedByDatabase):
                    raise Invalid(f"no stored value looks like that: {fault}") from error
                if attempt + 1 < ATTEMPTS and (lost or isinstance(fault, Conflict)):
                    # Those that are idle were lost at the same moment.
                    await self._forget_idle()
                    continue
                raise (
                    fault if isinstance(fault, StoreUnavailable) else self._server.trouble(error)
                ) from error
            except BaseException:
                # Cancelled in the middle: what the connection would answer next is not ours.
                connection.pgconn.finish()
                raise
            await self._put_back(connection)
            return rows
        raise AssertionError("the last attempt returns or raises")

    async def _put_back(
        self, connection: psycopg.AsyncConnection[Any], *, usable: bool = True
    ) -> None:
        if usable and not self._closed and not connection.closed:
            self._idle.append(connection)
        else:
            await connection.close()

    async def _forget_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        try:
            connection = await psycopg.AsyncConnection.connect(
                **self._server.options(READER),
                autocommit=True,
                cursor_factory=AsyncRawCursor,
                context=ADAPTERS,
            )
        except psycopg.Error as error:
            raise self._server.trouble(error, f"cannot connect to {self._server.shown}") from error
        try:
            examine(self._server, connection)
        except StoreUnavailable:
            await connection.close()
            raise
        return connection
