"""What the core needs from the outside, as protocols: the unit of work, the store, the outside.

`Tx` is a unit of work, not a cursor. Reads go through an identity map that sees what earlier
functions of the same batch have changed; writes collect and leave in one statement per table when
the batch commits. A function that raises leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from csms.core.events import Event

E = TypeVar("E")
R = TypeVar("R")


FIRST = "~first"
"""The lane of the few short functions that must not wait behind what others have queued."""


class Need(NamedTuple):
    """What a function will read, declared ahead so that a batch loads it in one query per table.

    `finder` is None for a look-up by primary key. A wrong or missing need costs a query, never an
    error.
    """

    kind: type[Any]
    finder: str | None
    values: tuple[Any, ...]


class Tx(Protocol):
    """The unit of work given to every core function. Valid only during the call."""

    def get(self, kind: type[E], *key: Any) -> E | None:
        """The entity with that primary key, as this batch sees it."""
        ...

    def find(self, kind: type[E], finder: str, *values: Any) -> Sequence[E]:
        """All entities whose fields of that declared finder equal `values`, in key order."""
        ...

    def save(self, entity: Any) -> None:
        """Write the entity. New when `get`/`find` did not show its key; then a row with the same
        key or unique field in the database makes this function alone fail (`StoreRefused`)."""
        ...

    def delete(self, kind: type[Any], *key: Any) -> None:
        """Remove the entity; nothing happens if it does not exist."""
        ...

    def record(self, event: Event) -> None:
        """Append to the journal, in the same commit."""
        ...

    def trim_journal(self, through_seq: int, limit: int) -> None:
        """Remove the oldest journal rows up to that number, at most `limit` of them and never the
        newest row, in the same commit."""
        ...

    def rewrite_journal(self, seq: int, before: str, after: str) -> None:
        """Put other data into a journal row, in the same commit; nothing happens when the row is
        gone or its data is not `before`. Only to take a driver's identity out of it: whoever has
        read the row knows what it said."""
        ...

    def next_number(self, sequence: str) -> int:
        """A positive int32 not given before in this sequence (after the largest it starts again
        at 1); gaps are normal."""
        ...

    def mark(self, name: str) -> None:
        """Note that a rare branch was taken (`start_deduplicated`); the shell logs it."""
        ...


class JournalRow(NamedTuple):
    """One event as stored. `seq` grows in commit order; readers resume after it."""

    seq: int
    at: datetime
    kind: str
    station_id: str | None
    data: str


@dataclass(frozen=True, slots=True)
class Reply(Generic[R]):
    """The function is done: its commit releases this value. `new_make`: the station has said that
    it is of another make, firmware included, than was known."""

    value: R
    new_make: bool = False


@dataclass(frozen=True, slots=True)
class Ask(Generic[R]):
    """The function has stored its facts and needs an answer from outside before it can reply.

    The shell asks with `request` outside any transaction, at most `deadline_s` seconds, and then
    runs `then(tx, answer)` in a second transaction, with `answer` None if none came in time.
    """

    request: object
    deadline_s: float
    then: Callable[[Tx, Any], Reply[R]]


class Outside(Protocol):
    """Whoever can answer an `Ask` (a partner network, a certificate authority)."""

    async def ask(self, request: object) -> object:
        """The answer; may take for ever or raise, the caller bounds it."""
        ...


class Reader(Protocol):
    """Reads for people: they see every commit that was acknowledged and never wait for writers."""

    async def get(self, kind: type[E], *key: Any) -> E | None: ...

    async def page(
        self,
        kind: type[E],
        where: Mapping[str, Any] | None = None,
        *,
        after: Sequence[Any] | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[E]:
        """Up to `limit` entities in key order, beyond the key `after`, fields equal to `where`; of
        a tuple of values one has to fit (of none: nothing does)."""
        ...

    async def fields(
        self,
        kind: type[Any],
        names: Sequence[str],
        where: Mapping[str, Any] | None = None,
        *,
        after: Sequence[Any] | None = None,
        limit: int = 100,
    ) -> list[tuple[Any, ...]]:
        """As `page`, of each entity only these fields: for walking over many of which few are
        wanted."""
        ...

    async def count(self, kind: type[Any], where: Mapping[str, Any] | None = None) -> int: ...

    async def journal(self, after: int, limit: int, kinds: Sequence[str] = ()) -> list[JournalRow]:
        """Journal rows with `seq` > `after`, oldest first. With `kinds`: those of them, and the
        newest row whatever it is, so that the reader knows how far it has read."""
        ...

    async def journal_start(self) -> int:
        """The oldest `seq` that is kept, 0 when the journal is empty."""
        ...

    async def journal_end(self) -> int:
        """The newest `seq`, 0 when the journal is empty."""
        ...


class Store(Protocol):
    """The one way to change state."""

    reader: Reader

    def transact(
        self,
        fn: Callable[..., R],
        *args: Any,
        needs: Sequence[Need] = (),
        lane: str | None = None,
    ) -> Awaitable[R]:
        """Run `fn(tx, *args)` in the next batch; its result after the commit.

        Functions of the same `lane` (the id of a station that they are about) run one after the
        other in the order of the calls, and no other process runs one of that lane meanwhile; so do
        those of no lane, in this process. `FIRST` is for the few that cannot wait. Between lanes
        only a commit that was awaited is before a later call. `fn` must be pure but for `tx`,
        because it may be run again.

        Raises what `fn` raised (nothing was stored),
        `StoreRefused` (the database refused this function's values), `StoreOverloaded` or
        `StoreUnavailable` (nothing was stored; do not acknowledge).
        """
        ...

    def live_as(self, run: str) -> None:
        """From now on what this process has under way is known as that of this life of a node (see
        `core.nodes`), so that others can `fence` it."""
        ...

    async def fence(self, run: str) -> None:
        """What that life of a node has under way is rolled back, so that it holds up nobody: it may
        stand still. One that lives after all does it again. Raises `StoreUnavailable`."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why writes fail at the moment, None when they work."""
        ...
