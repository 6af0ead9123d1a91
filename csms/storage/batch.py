"""One batch: functions run against one working set and leave together.

The *working set* is the identity map of the batch: what was loaded, what changed, what was looked
up. Each function gets its own *overlay* on it, merged when the function returns and dropped when it
raises. `Batch.run` loads, runs and writes; `Runner` runs batches and, when the database
refuses one, runs it again in halves until the culprit stands alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import ne
from typing import Any, NamedTuple, Protocol

import orjson

from csms.core.entities import SHAPES
from csms.core.errors import StoreRefused, StoreUnavailable
from csms.core.events import Event, event_name
from csms.core.ports import Need
from csms.observability import STORE_SECONDS, Tally
from csms.storage.kept import Kept, Ref
from csms.storage.statements import MAX_FOUND, MAX_KEYS, Statements
from csms.storage.tables.columns import MOMENT


class RefusedByDatabase(Exception):
    """The driver or the database refuses a value; some function of the batch is to blame."""


class Conflict(Exception):
    """Another writer of the same database was quicker; the batch is run again, on what is there
    now. `taken`: the unique value that is taken, None where it is about a row that has changed."""

    def __init__(self, detail: str, taken: str | None = None) -> None:
        super().__init__(detail)
        self.taken = taken


Read = tuple[str, Sequence[Any]]
Rows = list[tuple[Any, ...]]


class Database(Protocol):
    """One connection, used by one thread at a time. Raises `RefusedByDatabase` for values that
    it will never take, `StoreUnavailable` for trouble of its own, and `Conflict` where there may
    be other writers.

    `reads` are queries with their parameters; what is asked for together costs one round trip where
    the database is a server. `claim`, before `begin`: until commit or rollback no other connection
    runs functions of these keys; what is read afterwards includes all that those before have done.
    It waits for nobody: what it returns are the keys that another connection has at the moment.
    `begin` to `commit` sees one state of the database, and is refused where another has changed a
    row that it writes.
    """

    statements: Statements
    only_writer: bool
    """Nobody else writes to it while it is open: what was read stays true."""
    numbers_outlive_rollback: bool
    """`take_numbers` is no part of the transaction: what was taken is nobody else's."""

    def claim(self, keys: Collection[str]) -> Collection[str]: ...
    def begin(self, reads: Sequence[Read] = ()) -> list[Rows]: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def fetch(self, sql: str, parameters: Sequence[Any]) -> Rows: ...
    def fetch_all(self, reads: Sequence[Read]) -> list[Rows]: ...
    def write(self, sql: str, rows: Sequence[Sequence[Any]]) -> None: ...
    def take_numbers(self, sequence: str, count: int) -> int: ...
    def probe(self) -> None: ...


MAX_ATTEMPTS = 8
PAUSE_S = 0.005


class Sequences:
    """Number blocks handed out by this process; a rolled back block is forgotten, leaving a gap."""

    BLOCK = 100

    def __init__(self) -> None:
        self._blocks: dict[str, tuple[int, int]] = {}

    def next(self, database: Database, name: str) -> int:
        number, end = self._blocks.get(name, (0, 0))
        if number >= end:
            number = database.take_numbers(name, self.BLOCK)
            end = number + self.BLOCK
        self._blocks[name] = (number + 1, end)
        return number

    def forget(self) -> None:
        self._blocks.clear()


@dataclass(slots=True)
class Job:
    """A function waiting to run, and what became of it."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    needs: Sequence[Need]
    done: Callable[[Job], None]
    result: Any = None
    error: BaseException | None = None
    lane: str | None = None
    """What it is about: functions about the same thing run in order."""
    put_off: bool = False
    """It was not run: another connection has the claim of its lane."""
    put_off_at: float | None = None
    """When that was found out."""
    marks: list[str] = field(default_factory=list)
    given_up: bool = False
    """Its caller has been told that it failed, so it must not be tried again."""


_MISSING = object()


class Query(NamedTuple):
    """A look-up of these keys of a kind, or of these values of one of its finders."""

    kind: type[Any]
    finder: str | None
    keys: list[tuple[Any, ...]]


class WorkingSet:
    """The identity map of one batch. None stands for "not in the database" or "deleted". `kept`:
    what earlier batches have left, where that stays true."""

    def __init__(self, database: Database, kept: Kept | None = None) -> None:
        self.database = database
        self.kept = kept
        # What was read and may be asked for again, by key or by these unique values.
        self.asked: dict[Ref, Need | None] = {}
        self.stored: dict[Ref, Any] = {}
        self.current: dict[Ref, Any] = {}
        self.found: dict[Need, set[tuple[Any, ...]]] = {}
        self.searched: set[type[Any]] = set()
        self.dirty: set[Ref] = set()
        self.events: list[Event] = []
        self.trims: list[tuple[int, int]] = []
        self.rewrites: list[tuple[str, int, str]] = []

    def begin(self, needs: Iterable[Need]) -> None:
        """Begin the transaction, with what is known to be needed in it."""
        plan = self._plan(needs)
        self._take_all(plan, self.database.begin([self._read(*query) for query in plan]))

    def load(self, needs: Iterable[Need]) -> None:
        """One query per table and finder for everything that is not there yet."""
        plan = self._plan(needs)
        if plan:
            self._take_all(plan, self.database.fetch_all([self._read(*query) for query in plan]))

    def _plan(self, needs: Iterable[Need]) -> list[Query]:
        wanted: dict[tuple[type[Any], str | None], dict[tuple[Any, ...], None]] = {}
        for need in needs:
            kind, finder, values = need
            if finder is None:
                ref = (kind, values)
                known = ref in self.current or self._was_kept(ref)
            else:
                known = need in self.found or self._was_kept_so(need)
            if not known:
                wanted.setdefault((kind, finder), {})[values] = None
        return [
            Query(kind, finder, some)
            for (kind, finder), keys in wanted.items()
            for some in _chunks(list(keys))
        ]

    def _was_kept(self, ref: Ref) -> bool:
        """Know the row as an earlier batch has left it, if one has."""
        entity = self.kept.get(ref) if self.kept is not None else None
        if entity is None:
            return False
        self._remember(ref, entity)
        return True

    def _was_kept_so(self, need: Need) -> bool:
        """The same for the one row with some unique values."""
        ref = self.kept.find(need) if self.kept is not None else None
        if ref is None or not self._was_kept(ref):
            return False
        kind, finder, values = need
        self._look_out_for(kind, finder or "", (values,))
        self.found[need].add(ref[1])
        return True

    def look_up(self, kind: type[Any], key: tuple[Any, ...]) -> None:
        """Make sure that it is known what the database holds under that key."""
        if (kind, key) not in self.stored:
            query = Query(kind, None, [key])
            self._take(query, self.database.fetch(*self._read(*query)))

    def _read(self, kind: type[Any], finder: str | None, keys: list[tuple[Any, ...]]) -> Read:
        said = self.database.statements.of[kind]
        fields = said.shape.key if finder is None else said.shape.finders[finder]
        return said.look_up(fields, keys)

    def _take_all(self, plan: Sequence[Query], found: Sequence[Rows]) -> None:
        for query, rows in zip(plan, found, strict=True):
            self._take(query, rows)

    def _take(self, query: Query, rows: Rows) -> None:
        """What the database says of these keys."""
        kind, finder, keys = query
        if len(rows) >= MAX_FOUND * len(keys) and len(keys) > 1:
            # One look-up with very many rows must not cut off those of the others.
            for key in keys:
                alone = Query(kind, finder, [key])
                self._take(alone, self.database.fetch(*self._read(*alone)))
            return
        said = self.database.statements.of[kind]
        shape = said.shape
        decode, key_of = said.decode, shape.key_of
        if finder is None:
            for row in rows:
                entity = decode(row)
                self._remember((kind, key_of(entity)), entity)
            for key in keys:
                if (kind, key) not in self.stored:
                    self._remember((kind, key), None)
            if shape.often:
                self.asked.update(((kind, key), None) for key in keys)
            return
        self._look_out_for(kind, finder, keys)
        again = shape.often and finder in shape.unique
        for row in rows:
            entity = decode(row)
            key = key_of(entity)
            self._remember((kind, key), entity)
            self._note_found(kind, finder, key, entity)
            if again:
                self.asked[kind, key] = Need(kind, finder, shape.found_by[finder](entity))

    def _look_out_for(self, kind: type[Any], finder: str, some: Iterable[tuple[Any, ...]]) -> None:
        """Note from now on which rows have these values of a finder. What earlier functions saved
        is not in the database yet."""
        self.searched.add(kind)
        for values in some:
            self.found[Need(kind, finder, values)] = set()
        for changed, key in self.dirty:
            if changed is kind:
                self._note_found(kind, finder, key, self.current[kind, key])

    def _note_found(self, kind: type[Any], finder: str, key: tuple[Any, ...], entity: Any) -> None:
        """Enter a row under its values of that finder, if they were looked up."""
        if entity is not None:
            values = SHAPES[kind].found_by[finder](entity)
            keys = self.found.get(Need(kind, finder, values))
            if keys is not None:
                keys.add(key)

    def _remember(self, ref: Ref, entity: Any) -> None:
        """Note what the database holds, unless this batch knows the row already."""
        if self.stored.get(ref) is None:
            if entity is not None and ref in self.dirty:
                raise RefusedByDatabase(_exists(ref))
            self.stored[ref] = entity
            if ref not in self.dirty:
                self.current[ref] = entity

    def merge(self, overlay: Overlay) -> None:
        """A function returned: what it changed is what the next one sees."""
        for ref in overlay.unseen:
            if self.stored.get(ref) is not None:
                raise RefusedByDatabase(_exists(ref))
        for ref, entity in overlay.changes.items():
            kind, key = ref
            self.current[ref] = entity
            self.dirty.add(ref)
            if kind in self.searched:
                for finder in SHAPES[kind].finders:
                    self._note_found(kind, finder, key, entity)
        self.events += overlay.events
        self.trims += overlay.trims
        self.rewrites += overlay.rewrites

    # -- leaving -----------------------------------------------------------------------------

    def write(self) -> bool:
        """Everything that changed, one statement per table and set of changed columns. False when
        nothing did."""
        inserts: dict[type[Any], list[Any]] = {}
        updates: dict[tuple[type[Any], tuple[str, ...]], list[Any]] = {}
        deletes: dict[type[Any], list[Any]] = {}
        statements = self.database.statements.of
        for kind, keys in self._in_key_order():
            said = statements[kind]
            for key in keys:
                ref = (kind, key)
                before, after = self.stored.get(ref), self.current[ref]
                if before is None and after is None:
                    continue
                if before is None:
                    inserts.setdefault(kind, []).append(said.encode_row(after))
                elif after is None:
                    deletes.setdefault(kind, []).append(said.encoder(said.shape.key)(key))
                else:
                    differ = list(map(ne, before, after))
                    changed = tuple(compress(said.shape.fields, differ))
                    if changed:
                        encode = said.encoder((*changed, *said.shape.key))
                        row = encode((*compress(after, differ), *key))
                        updates.setdefault((kind, changed), []).append(row)
        # Deletes first: a row may make room for another with the same unique value.
        for kind, rows in deletes.items():
            self.database.write(statements[kind].delete, rows)
        for (kind, changed), rows in updates.items():
            self.database.write(statements[kind].update(changed), rows)
        for kind, rows in inserts.items():
            self.database.write(statements[kind].insert, rows)
        if self.trims:
            self.database.write(self.database.statements.journal_trim, self.trims)
        if self.rewrites:
            self.database.write(self.database.statements.journal_rewrite, self.rewrites)
        # The journal last: on a database with several writers its order is taken here.
        if self.events:
            self.database.write(
                self.database.statements.journal_insert, [_journal_row(e) for e in self.events]
            )
        journal = self.events or self.trims or self.rewrites
        return bool(inserts or updates or deletes or journal)

    def _in_key_order(self) -> list[tuple[type[Any], list[tuple[Any, ...]]]]:
        """What may have changed, in the order of tables and keys, so that two writers of the same
        rows meet in one order."""
        kinds: dict[type[Any], list[tuple[Any, ...]]] = {}
        for kind, key in self.dirty:
            kinds.setdefault(kind, []).append(key)
        return [
            (kind, sorted(kinds[kind])) for kind in sorted(kinds, key=lambda k: SHAPES[k].table)
        ]


def _chunks(keys: list[tuple[Any, ...]]) -> Iterable[list[tuple[Any, ...]]]:
    return (keys[start : start + MAX_KEYS] for start in range(0, len(keys), MAX_KEYS))


def _exists(ref: Ref) -> str:
    return f"{SHAPES[ref[0]].table}: a row with the key {ref[1]} exists"


def _journal_row(event: Event) -> tuple[str, str, str | None, str]:
    return (
        MOMENT.to_db(event.at),
        event_name(type(event)),
        event.station_id,
        orjson.dumps(event, option=orjson.OPT_UTC_Z).decode(),
    )


class Overlay:
    """What one function has changed so far; the `Tx` that it is given."""

    __slots__ = (
        "_sequences",
        "_shown",
        "_work",
        "changes",
        "events",
        "marks",
        "rewrites",
        "trims",
        "unseen",
    )

    def __init__(self, work: WorkingSet, sequences: Sequences) -> None:
        self._work = work
        self._sequences = sequences
        self._shown: set[Ref] = set()
        # Keys saved as new that the working set did not know.
        self.unseen: set[Ref] = set()
        self.changes: dict[Ref, Any] = {}
        self.events: list[Event] = []
        self.trims: list[tuple[int, int]] = []
        self.rewrites: list[tuple[str, int, str]] = []
        self.marks: list[str] = []

    def get(self, kind: type[Any], *key: Any) -> Any:
        ref = (kind, key)
        entity = self._look(ref)
        self._shown.add(ref)
        return entity

    def _look(self, ref: Ref) -> Any:
        entity = self.changes.get(ref, _MISSING)
        if entity is _MISSING:
            entity = self._work.current.get(ref, _MISSING)
        if entity is _MISSING:
            self._work.load((Need(ref[0], None, ref[1]),))
            entity = self._work.current[ref]
        return entity

    def find(self, kind: type[Any], finder: str, *values: Any) -> list[Any]:
        if None in values:
            # As in the database: nothing equals "no value".
            return []
        need = Need(kind, finder, values)
        if need not in self._work.found:
            self._work.load((need,))
        found_by = SHAPES[kind].found_by[finder]
        keys = self._work.found[need]
        mine = {key for changed, key in self.changes if changed is kind}
        result = []
        for key in sorted(keys | mine if mine else keys):
            entity = self._look((kind, key))
            if entity is not None and found_by(entity) == values:
                self._shown.add((kind, key))
                result.append(entity)
        return result[:MAX_FOUND]

    def save(self, entity: Any) -> None:
        kind = type(entity)
        ref = (kind, SHAPES[kind].key_of(entity))
        if ref not in self.changes and ref not in self._shown:
            # Meant as new. What the batch does not know yet, the database will say.
            known = self._work.current.get(ref, _MISSING)
            if known is _MISSING:
                self.unseen.add(ref)
            elif known is not None:
                raise StoreRefused(_exists(ref))
        self.changes[ref] = entity

    def delete(self, kind: type[Any], *key: Any) -> None:
        # A row that this batch saved as new may be in the database all the same.
        self._work.look_up(kind, key)
        if self.get(kind, *key) is not None:
            self.changes[kind, key] = None

    def record(self, event: Event) -> None:
        self.events.append(event)

    def trim_journal(self, through_seq: int, limit: int) -> None:
        self.trims.append((through_seq, limit))

    def rewrite_journal(self, seq: int, before: str, after: str) -> None:
        self.rewrites.append((after, seq, before))

    def next_number(self, sequence: str) -> int:
        return self._sequences.next(self._work.database, sequence)

    def mark(self, name: str) -> None:
        self.marks.append(name)


class Runner:
    """Runs batches on one database connection; synchronous, one caller at a time."""

    def __init__(self, database: Database, clock: Callable[[], float], budget_s: float) -> None:
        self._database = database
        self._clock = clock
        self._budget_s = budget_s
        self._sequences = Sequences()
        self._kept = Kept() if database.only_writer else None
        self.commit_seconds = Tally(STORE_SECONDS)
        self.conflicts = 0
        """How often a batch was run again because another writer was quicker."""

    def run(self, jobs: Sequence[Job], taken: Collection[str] = ()) -> tuple[int, int]:
        """Run a batch: how many of the jobs, from the front, are done or `put_off` (the rest did
        not fit the time budget), and how many events were recorded. `taken`: lanes of which jobs
        before these were put off, so that these are, too. Raises `StoreUnavailable`; then none is
        done and nothing is stored."""
        try:
            return self._among_others(jobs, taken)
        except StoreUnavailable:
            self._abandon()
            raise
        except Exception as fault:
            self._abandon()
            if len(jobs) == 1:
                refused = isinstance(fault, RefusedByDatabase)
                jobs[0].result, jobs[0].error = None, StoreRefused(str(fault)) if refused else fault
                jobs[0].put_off = False
                return 1, 0
        half = len(jobs) // 2
        done, events = self.run(jobs[:half], taken)
        if done < half:
            return done, events
        # Its claim may be free by now; what comes later must not overtake what was put off.
        late = {job.lane for job in jobs[:half] if job.put_off and job.lane is not None}
        try:
            more, further = self.run(jobs[half:], late.union(taken))
        except StoreUnavailable:
            # The first half is committed: running it again would do it twice.
            return done, events
        return half + more, events + further

    def probe(self) -> None:
        """Write and commit something of no meaning; raises `StoreUnavailable`."""
        try:
            self._database.probe()
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        if not self._database.numbers_outlive_rollback:
            self._sequences.forget()
        if self._kept is not None:
            self._kept.clear()
        self._database.rollback()

    def _among_others(self, jobs: Sequence[Job], taken_lanes: Collection[str]) -> tuple[int, int]:
        """Run a batch beside other writers: where one of them was quicker it is run again, and
        sees what that one has done. A unique value that is still taken then was not taken by
        somebody at the same moment: that is the function's own fault."""
        taken: str | None = None
        for attempt in range(MAX_ATTEMPTS):
            try:
                return self._attempt(jobs, taken_lanes)
            except Conflict as conflict:
                self._abandon()
                self.conflicts += 1
                if conflict.taken is not None and conflict.taken == taken:
                    raise RefusedByDatabase(str(conflict)) from conflict
                taken = conflict.taken
                if any(job.given_up for job in jobs):
                    raise StoreUnavailable("the database did not answer in time") from conflict
            # Two that wait for each other's rows would go on in step.
            time.sleep(random.uniform(0, PAUSE_S * attempt))  # noqa: S311 - no secret
        if len(jobs) > 1:
            # Fewer functions meet fewer others.
            raise RefusedByDatabase("too many conflicts with other writers")
        raise StoreUnavailable("other writers of the database are always quicker")

    def _attempt(self, jobs: Sequence[Job], taken_lanes: Collection[str]) -> tuple[int, int]:
        lanes = {job.lane for job in jobs if job.lane is not None}.difference(taken_lanes)
        taken = {*taken_lanes, *self._database.claim(lanes)}
        for job in jobs:
            job.put_off = job.lane in taken
        if all(job.put_off for job in jobs):
            return len(jobs), 0
        work = WorkingSet(self._database, self._kept)
        work.begin(need for job in jobs if not job.put_off for need in job.needs)
        deadline = self._clock() + self._budget_s
        done = 0
        for job in jobs:
            done += 1
            if job.put_off:
                continue
            self._run_one(work, job)
            if self._clock() >= deadline:
                break
        try:
            work.write()
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            # A codec met a value that has no form in the database.
            raise RefusedByDatabase(f"a value cannot be stored: {error}") from error
        began = self._clock()
        self._database.commit()
        self.commit_seconds.add(self._clock() - began)
        if self._kept is not None:
            self._kept.committed(work.asked, work.dirty, work.current)
        return done, len(work.events)

    def _run_one(self, work: WorkingSet, job: Job) -> None:
        overlay = Overlay(work, self._sequences)
        job.result, job.error = None, None
        try:
            job.result = job.fn(overlay, *job.args)
        except (RefusedByDatabase, StoreUnavailable, Conflict):
            # Not the function's own doing: the whole batch is in question.
            raise
        except BaseException as error:
            # A fault in one function must not reach its neighbours; the caller gets it.
            job.error = error
        else:
            work.merge(overlay)
        job.marks = overlay.marks
