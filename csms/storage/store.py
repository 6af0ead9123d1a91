"""The store: a queue, a thread that runs batches, and what happens when the database cannot write.

`transact` puts a function in the queue and returns a future; the store's thread takes what has
queued (at most 200 functions or 10 ms of them, never waiting to fill), commits once, and only then
the futures complete. During trouble the batch at the head is tried again for `grace_s`; after that
everything waiting fails with `StoreUnavailable` and new calls fail at once, until a probe write
works again: stations then keep their messages instead of counting attempts. A database that hangs
is treated like one that refuses, and its late results reach nobody.

Functions of a lane whose claim another process has are put off, in order, while all others go on;
they alone fail when it is not to be had for `grace_s`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from csms.core.errors import StoreOverloaded, StoreUnavailable
from csms.core.ports import Need, Reader
from csms.observability import BATCH_SIZES, STORE_SECONDS, Tally
from csms.storage.batch import Database, Job, Runner

R = TypeVar("R")

MAX_BATCH = 200
BATCH_BUDGET_S = 0.010
RETRY_EVERY_S = 0.1
CLAIM_EVERY_S = 0.02
STOP_WAIT_S = 5.0
STOP_LOOK_S = 0.05


class QueuedStore:
    """A store with a thread of its own. Create, `await start()`, use, `await stop()`.

    `on_commit(events)` and `on_mark(name)` are called on the event loop after a commit.
    """

    def __init__(
        self,
        database: Database,
        reader: Reader,
        *,
        max_queue: int = 20_000,
        grace_s: float = 10.0,
        on_commit: Callable[[int], None] = lambda events: None,
        on_mark: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.reader = reader
        self.on_commit = on_commit
        self.on_mark = on_mark
        self._runner = Runner(database, time.monotonic, BATCH_BUDGET_S)
        self.max_queue = max_queue
        self.batch_functions = Tally(BATCH_SIZES)
        self.batch_seconds = Tally(STORE_SECONDS)
        self.commit_seconds = self._runner.commit_seconds
        self._grace_s = grace_s
        self._queue: deque[Job] = deque()
        # Functions that were put off, in order, and their lanes: whatever comes of these lanes goes
        # behind them, until all are tried again. A lane is left out of the set only with them.
        self._put_off: deque[Job] = deque()
        self._taken: set[str] = set()
        self._try_at = 0.0
        self._wake = threading.Condition()
        self._stopping = False
        self._trouble: str | None = None
        self._down = False
        # The batch that is running and since when, or since when there is trouble; what is said of
        # it when it hangs.
        self._running: Sequence[Job] = ()
        self._began: float | None = None
        self._troubled: float | None = None
        self._hung: str | None = None
        self._watch: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def trouble(self) -> str | None:
        """Why writes fail at the moment, None when they work."""
        return self._trouble or self._hung

    @property
    def queued(self) -> int:
        """Functions waiting to run."""
        return len(self._queue) + len(self._put_off)

    @property
    def conflicts(self) -> int:
        """Batches that were run again because another writer was quicker."""
        return self._runner.conflicts

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._watch = asyncio.create_task(self._watch_for_hanging(), name="store watch")

    async def stop(self) -> bool:
        """Run what has queued, then end the thread. False when the database hangs for `grace_s` and
        `STOP_WAIT_S` more: then its thread still has the connection, which must be left alone;
        whoever waits has been told."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        patience_s = STOP_WAIT_S
        while self._thread.is_alive() and patience_s > 0:
            await asyncio.to_thread(self._thread.join, STOP_LOOK_S)
            # What is only slow is waited for; of what hangs everybody has been told.
            patience_s -= STOP_LOOK_S if self._hung else 0.0
        ended = not self._thread.is_alive()
        if self._watch is not None:
            self._watch.cancel()
        return ended

    def transact(
        self,
        fn: Callable[..., R],
        *args: Any,
        needs: Sequence[Need] = (),
        lane: str | None = None,
    ) -> Awaitable[R]:
        """See `core.ports.Store.transact`. The result may be dropped by cancelling the future; the
        function runs all the same."""
        assert self._loop is not None, "the store is not started"
        if self._down or self._hung or self._stopping:
            raise StoreUnavailable(self.trouble or "the store is stopping")
        if self.queued >= self.max_queue:
            raise StoreOverloaded(f"{self.queued} functions are waiting for the store")
        future: asyncio.Future[R] = self._loop.create_future()

        def done(job: Job) -> None:
            if not future.done():
                if job.error is None:
                    future.set_result(job.result)
                elif isinstance(job.error, StopIteration):
                    # A future refuses this one: it would end the caller's coroutine quietly.
                    future.set_exception(RuntimeError(f"{fn} raised StopIteration"))
                else:
                    future.set_exception(job.error)
            if job.error is None:
                for name in job.marks:
                    self.on_mark(name)

        self._queue.append(Job(fn, args, needs, done, lane=lane))
        # The thread looks at the queue before it sleeps, so only a sleeping one needs the signal.
        if self._asleep:
            with self._wake:
                self._wake.notify()
        return future

    def live_as(self, run: str) -> None:
        """Nothing to do: what others may end is known by `fencing`, see `lanes`."""

    async def fence(self, run: str) -> None:
        """Nothing to do: no other process has this database, or see `lanes`."""

    # -- the store's thread ------------------------------------------------------------------

    _asleep = False

    def _work(self) -> None:
        while True:
            if not self._queue and not self._wait():
                return
            self._try_again()
            jobs: list[Job] = []
            while len(jobs) < MAX_BATCH and (job := self._next()) is not None:
                jobs.append(job)
            if not jobs:
                continue
            began = time.monotonic()
            try:
                done, events = self._run(jobs)
            except StoreUnavailable as error:
                self._queue.extendleft(job for job in reversed(jobs) if not job.given_up)
                self._ride_out(error, began)
                continue
            except Exception as error:
                # A fault of the store itself: these functions fail, the next ones are tried.
                for job in jobs:
                    job.error, job.put_off = error, False
                done, events = len(jobs), 0
            self._queue.extendleft(job for job in reversed(jobs[done:]) if not job.given_up)
            self._settle(jobs[:done], events)

    def _next(self) -> Job | None:
        """The first job that need not wait behind others of its lane."""
        while (job := _first(self._queue)) is not None:
            if job.lane not in self._taken:
                job.put_off = False
                return job
            self._put_behind(job)
        return None

    def _put_behind(self, job: Job) -> None:
        if job.put_off_at is None:
            job.put_off_at = time.monotonic()
        self._put_off.append(job)

    def _try_again(self) -> None:
        """What was put off comes before all else, now and then; what has been for too long fails,
        and with it what waits behind it."""
        now = time.monotonic()
        if not self._taken or now < self._try_at:
            return
        jobs: list[Job] = []
        while (job := _first(self._put_off)) is not None:
            jobs.append(job)
        self._taken.clear()
        over = {job.lane for job in jobs if now - (job.put_off_at or now) >= self._grace_s}
        failed = [job for job in jobs if job.lane in over]
        for job in failed:
            job.error = StoreUnavailable(f"another process works on {job.lane} and does not end")
        if failed:
            self._tell(failed, 0)
        self._queue.extendleft(job for job in reversed(jobs) if job.lane not in over)

    def _settle(self, jobs: Sequence[Job], events: int) -> None:
        """Tell who waits for these; put those off that could not be run."""
        for job in jobs:
            if job.put_off and not job.given_up:
                assert job.lane is not None
                if not self._taken:
                    self._try_at = time.monotonic() + CLAIM_EVERY_S
                self._taken.add(job.lane)
                self._put_behind(job)
        done = [job for job in jobs if not job.put_off]
        if done:
            self._tell(done, events)

    def _run(self, jobs: Sequence[Job]) -> tuple[int, int]:
        began = time.monotonic()
        self._running, self._began = jobs, self._troubled or began
        try:
            done, events = self._runner.run(jobs)
            # What did not fit, or was put off, is counted with the batch that does it.
            self.batch_functions.add(sum(not job.put_off for job in jobs[:done]))
            return done, events
        finally:
            self._running, self._began = (), None
            self.batch_seconds.add(time.monotonic() - began)

    def _wait(self) -> bool:
        """Sleep until there is work; False when the store has been stopped and is done."""
        with self._wake:
            self._asleep = True
            while not self._queue and not (self._stopping and not self._put_off):
                if not self._put_off:
                    self._wake.wait()
                elif (left_s := self._try_at - time.monotonic()) > 0:
                    self._wake.wait(left_s)
                else:
                    break
            self._asleep = False
        return bool(self._queue or self._put_off)

    def _ride_out(self, error: StoreUnavailable, began: float) -> None:
        """Try to write until it works; when the grace is over, which began with the batch that
        failed, fail what waits and go on trying."""
        self._troubled, self._trouble = began, error.detail
        while not self._probe():
            if time.monotonic() - began >= self._grace_s or self._stopping:
                self._down = True
                self._fail_all()
                if self._stopping:
                    return
            time.sleep(RETRY_EVERY_S)
        self._troubled, self._trouble, self._down = None, None, False

    def _probe(self) -> bool:
        """Whether the database writes: the function at the head if one waits, so that it is done
        with, else a write of no meaning."""
        job = self._next()
        try:
            if job is not None:
                _, events = self._run([job])
                self._settle([job], events)
            if job is None or job.put_off:
                self._runner.probe()
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            self._trouble = error.detail if isinstance(error, StoreUnavailable) else fault
            if job is not None and not job.given_up and not job.put_off:
                self._queue.appendleft(job)
            return False
        return True

    def _fail_all(self) -> None:
        failed = []
        for waiting in (self._put_off, self._queue):
            while (job := _first(waiting)) is not None:
                job.error = StoreUnavailable(self._trouble or "")
                failed.append(job)
        if failed:
            self._tell(failed, 0)

    def _tell(self, jobs: Sequence[Job], events: int) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._deliver, jobs, events)
        except RuntimeError:
            # The event loop is closed: nobody waits for these results any more.
            self._stopping = True

    # -- the event loop ----------------------------------------------------------------------

    async def _watch_for_hanging(self) -> None:
        """A commit that never returns raises nothing: only the time tells."""
        while True:
            await asyncio.sleep(min(0.5, max(0.05, self._grace_s / 4)))
            began = self._began
            if began is None or time.monotonic() - began < max(self._grace_s, 0.2):
                self._hung = None
                continue
            silent = f"the database has not answered for {time.monotonic() - began:.0f} s"
            self._hung = self._trouble or silent
            waiting = [job for job in self._running if not job.given_up]
            for queue in (self._put_off, self._queue):
                while (job := _first(queue)) is not None:
                    waiting.append(job)
            for job in waiting:
                job.given_up = True
                failed = replace(job, result=None, error=StoreUnavailable(self._hung), marks=[])
                self._call(job.done, failed)

    def _deliver(self, jobs: Sequence[Job], events: int) -> None:
        for job in jobs:
            self._call(job.done, job)
        if events:
            self._call(self.on_commit, events)

    def _call(self, fn: Callable[[Any], None], value: Any) -> None:
        """A fault of a listener must not keep the results of others from their callers."""
        try:
            fn(value)
        except Exception as error:
            assert self._loop is not None
            self._loop.call_exception_handler({"message": "store listener", "exception": error})


def _first(queue: deque[Job]) -> Job | None:
    """Taken from the queue; the store's thread and the watch may want it in the same moment."""
    try:
        return queue.popleft()
    except IndexError:
        return None


class InlineStore:
    """A store without a thread: each function is a batch of its own, run at once by the caller.

    For tests and simulations; the same working set, the same SQL, the same refusals.
    `on_commit(events)` is called after a commit.
    """

    def __init__(self, database: Database, reader: Reader) -> None:
        self.reader = reader
        self.on_commit: Callable[[int], None] = lambda events: None
        self.marks: list[str] = []
        self.trouble: str | None = None
        self._runner = Runner(database, time.monotonic, BATCH_BUDGET_S)

    def run(self, fn: Callable[..., R], *args: Any) -> R:
        """`fn(tx, *args)` in a transaction, synchronously."""
        job = Job(fn, args, (), lambda job: None)
        _, events = self._runner.run([job])
        if job.error is not None:
            raise job.error
        self.marks += job.marks
        if events:
            self.on_commit(events)
        result: R = job.result
        return result

    async def transact(
        self,
        fn: Callable[..., R],
        *args: Any,
        needs: Sequence[Need] = (),
        lane: str | None = None,
    ) -> R:
        """See `core.ports.Store.transact`."""
        return self.run(fn, *args)

    def live_as(self, run: str) -> None:
        """Nothing to do: there is no other process."""

    async def fence(self, run: str) -> None:
        """Nothing to do: there is no other process."""
