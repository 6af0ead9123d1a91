"""PostgreSQL: one writer connection, beside those of other lanes and other nodes.

A transaction sees one state of the database (REPEATABLE READ): a row that another has changed
meanwhile makes the batch a `Conflict`, which is run again. What a batch is about (its claims) is
locked before that state is taken, so that a decision about one station is never made twice at once;
nobody waits for a claim (what it is about is put off), and locks that are waited for are always
taken in one order: rows by table and key, the journal.

What is written waits until the commit and is sent in one go. The connection is made when it is
needed and made again when it was lost.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Any

import orjson
import psycopg
from psycopg import RawCursor
from psycopg.pq import ConnStatus, TransactionStatus

from csms.core.errors import StoreUnavailable
from csms.core.ids import MAX_INT32
from csms.storage.batch import Read, RefusedByDatabase, Rows
from csms.storage.fencing import Fencing
from csms.storage.recordsets import NAMES, Recordsets
from csms.storage.server import (
    ADAPTERS,
    ANSWER_WITHIN_S,
    DIALECT,
    WRITER,
    Server,
    examine,
    fault_of,
)
from csms.storage.statements import Statements

STATEMENTS = Recordsets(DIALECT)
SETTLE_WITHIN_S = 5.0
SETTLE_EVERY_S = 0.1

# Advisory locks: the pair of numbers is another space than the one number of a claim.
_LOCK_SPACE = 0x4353_4D53
JOURNAL_LOCK = f"SELECT pg_advisory_xact_lock({_LOCK_SPACE}, 1)"
UPGRADE_LOCK = f"SELECT pg_advisory_xact_lock({_LOCK_SPACE}, 2)"

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ"
_TRANSACTION = "SELECT pg_current_xact_id()::text"
# Those that another has. Who waited for one would hold up what it has claimed already, and with it
# all that shares the batch, for as long as the other has it: for ever, when that one stands still.
_CLAIM = "SELECT key FROM unnest($1::bigint[]) AS key WHERE NOT pg_try_advisory_lock(key)"
_RELEASE = "SELECT pg_advisory_unlock_all()"
_NUMBERS = f"""
INSERT INTO sequences AS known (name, next) VALUES ($1::text, 1 + $2::bigint)
ON CONFLICT (name) DO UPDATE SET next = $2::bigint
    + CASE WHEN known.next + $2::bigint > {MAX_INT32} THEN 1 ELSE known.next END
RETURNING next - $2::bigint
"""  # noqa: S608 - our own number


class _Connection(psycopg.Connection[Any]):
    """A connection that waits for no answer for ever."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        return super().wait(gen, interval, ANSWER_WITHIN_S if timeout is None else timeout)


class PostgresDatabase:
    """A writer's connection; see `batch.Database`. May move between threads, not be shared."""

    only_writer = False
    numbers_outlive_rollback = True

    def __init__(self, server: Server, fencing: Fencing | None = None) -> None:
        self.statements: Statements = STATEMENTS
        self._server = server
        self._fencing = fencing or Fencing(server)
        # The life that the connection is known by.
        self._run = ""
        self._connection: _Connection | None = None
        # Numbers are taken beside the transaction: it may be run again, and must hold no lock
        # that everybody waits for.
        self._numbers: _Connection | None = None
        self._claimed = False
        self._began = False
        self._wrote = False
        # Its number, by which it can be asked what has become of it.
        self._transaction = ""
        self._unsent: list[Read] = []

    def connect(self) -> _Connection:
        """The connection, made if there is none. Raises `StoreUnavailable`."""
        if self._run != self._fencing.run and not (self._claimed or self._began):
            # In its new life this node must not be taken for the one that is over.
            self._drop()
        if self._connection is None or self._connection.closed:
            self._connection = None
            self._claimed = False
            self._run = self._fencing.run
            self._connection = self._connected()
        return self._connection

    def _connected(self) -> _Connection:
        try:
            connection = _Connection.connect(
                **self._server.options(WRITER, self._fencing.run),
                autocommit=True,
                cursor_factory=RawCursor,
                context=ADAPTERS,
                prepare_threshold=0,
            )
        except psycopg.Error as error:
            raise self._server.trouble(error, f"cannot connect to {self._server.shown}") from error
        connection.prepared_max = None
        try:
            examine(self._server, connection)
        except StoreUnavailable:
            connection.close()
            raise
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, TypeError, ValueError, OverflowError) as error:
            fault = fault_of(error, self._server)
            if isinstance(fault, StoreUnavailable):
                # A new connection may find a server that works.
                self._drop()
            raise fault from error

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._claimed = False
        self._unsent.clear()
        if connection is not None:
            connection.pgconn.finish()

    def _same(self) -> _Connection:
        """The connection that has the claims and the transaction; there is no other for the rest of
        it."""
        if (self._claimed or self._began) and (self._connection is None or self._connection.closed):
            self._drop()
            raise StoreUnavailable("PostgreSQL: the connection was lost")
        return self.connect()

    # -- a batch -----------------------------------------------------------------------------

    def claim(self, keys: Collection[str]) -> Collection[str]:
        """Claims are numbers made of the keys: two that are equal by chance are put off for each
        other. In a transaction of its own: what is read later must include what was done by those
        who had them before."""
        if not keys:
            return ()
        numbers = {key: _number(key) for key in keys}
        connection = self.connect()
        with self._translated():
            self._claimed = True
            found = connection.execute(_CLAIM, (sorted(set(numbers.values())),)).fetchall()
        taken = {number for (number,) in found}
        self._claimed = not taken.issuperset(numbers.values())
        return [key for key, number in numbers.items() if number in taken]

    def begin(self, reads: Sequence[Read] = ()) -> list[Rows]:
        self._began = False
        connection = self._same()
        self._unsent.clear()
        with self._translated():
            ready = _ready(reads)
            self._began, self._wrote = True, False
            with connection.pipeline():
                connection.execute(_BEGIN)
                number = connection.execute(_TRANSACTION)
                found = [connection.execute(sql, given) for sql, given in ready]
            (self._transaction,) = number.fetchone() or ("",)
            return [cursor.fetchall() for cursor in found]

    def fetch(self, sql: str, parameters: Sequence[Any]) -> Rows:
        (rows,) = self.fetch_all([(sql, parameters)])
        return rows

    def fetch_all(self, reads: Sequence[Read]) -> list[Rows]:
        self._send()
        connection = self._same()
        with self._translated():
            ready = _ready(reads)
            if len(ready) == 1:
                return [connection.execute(*ready[0]).fetchall()]
            with connection.pipeline():
                found = [connection.execute(sql, given) for sql, given in ready]
            return [cursor.fetchall() for cursor in found]

    def write(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if sql is self.statements.journal_insert:
            # From here to the commit there is one writer, so that numbers are in commit order and
            # no reader sees one before a smaller one. All others wait for as long: what is sent
            # from here on goes in one go with the commit.
            self._unsent.append((JOURNAL_LOCK, ()))
        self._unsent.append((sql, (rows,)))

    def _send(self) -> None:
        """Send what was written so far."""
        if not self._unsent:
            return
        unsent, self._unsent = self._unsent, []
        connection = self._same()
        with self._translated():
            ready = _ready(unsent)
            self._wrote = True
            with connection.pipeline():
                for sql, given in ready:
                    connection.execute(sql, given)

    def commit(self) -> None:
        """Raises `StoreUnavailable` also where the connection was lost before the server said what
        became of the commit, and it cannot be found out: the batch is run again then, and its
        functions recognise what they have done."""
        unsent, self._unsent = self._unsent, []
        connection = self._same()
        with self._translated():
            ready = _ready(unsent)
        wrote, self._began = self._wrote or bool(ready), False
        try:
            with connection.pipeline():
                for sql, given in ready:
                    connection.execute(sql, given)
                done = connection.execute("COMMIT")
                if self._claimed:
                    connection.execute(_RELEASE)
        except psycopg.Error as error:
            fault = fault_of(error, self._server)
            if not isinstance(fault, StoreUnavailable):
                # The server has refused something before the commit, and is there.
                raise fault from error
            self._drop()
            if not wrote or not self._was_committed(self._transaction):
                raise fault from error
            return
        self._claimed = False
        if done.statusmessage != "COMMIT":
            raise StoreUnavailable(f"PostgreSQL: {done.statusmessage} instead of COMMIT")

    def _was_committed(self, transaction: str) -> bool:
        """Whether that transaction was committed, by what the server says when it is there again;
        False also when it is not soon."""
        until = time.monotonic() + SETTLE_WITHIN_S
        while time.monotonic() < until:
            with suppress(StoreUnavailable, psycopg.Error):
                query = "SELECT pg_xact_status($1::text::xid8)"
                (status,) = self.connect().execute(query, (transaction,)).fetchone() or (None,)
                if status != "in progress":
                    return bool(status == "committed")
            time.sleep(SETTLE_EVERY_S)
        return False

    def rollback(self) -> None:
        self._began = False
        self._unsent.clear()
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.info.transaction_status != TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
            if self._claimed:
                connection.execute(_RELEASE)
                self._claimed = False
        except psycopg.Error:
            self._drop()

    # -- beside batches ------------------------------------------------------------------------

    def take_numbers(self, sequence: str, count: int) -> int:
        """The first of `count` fresh numbers. They start again at 1 after the largest int32."""
        if self._numbers is None or self._numbers.closed:
            self._numbers = self._connected()
        try:
            row = self._numbers.execute(_NUMBERS, (sequence, count)).fetchone()
        except (psycopg.Error, TypeError, ValueError) as error:
            fault = fault_of(error, self._server)
            if not isinstance(fault, RefusedByDatabase):
                self._numbers.pgconn.finish()
                self._numbers = None
                raise self._server.trouble(error) from error
            raise fault from error
        assert row is not None
        return int(row[0])

    def probe(self) -> None:
        """Write and commit something of no meaning."""
        connection = self.connect()
        with self._translated():
            connection.execute(_NUMBERS, ("probe", 1))

    def close(self) -> None:
        for connection in (self._connection, self._numbers):
            if connection is not None and connection.pgconn.status == ConnStatus.OK:
                connection.close()
        self._connection = self._numbers = None


def _ready(said: Sequence[Read]) -> list[Read]:
    """Statements with their parameters as the driver takes them: sets of rows are texts."""
    return [
        (sql, [_rows(one) if isinstance(one, list) else one for one in given])
        for sql, given in said
    ]


def _rows(rows: Sequence[Sequence[Any]]) -> str:
    """A set of rows as `recordsets` takes it."""
    return orjson.dumps([dict(zip(NAMES, row, strict=False)) for row in rows]).decode()


def _number(key: str) -> int:
    """The claim of a key."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
