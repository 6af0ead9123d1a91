"""The store: a queue, a thread that runs batches, and what happens when the database cannot write.

`transact` puts a function in the queue and returns a future; the store's thread takes what has
queued (at most 200 functions or 10 ms of them, never waiting to fill), commits once, and only then
the futures complete. During trouble the batch at the head is tried again for `grace_s`; after that
everything waiting fails with `StoreUnavailable` and new calls fail at once, until a probe write
works again: stations then keep their messages instead of counting attempts.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from csms.core.errors import StoreOverloaded, StoreUnavailable
from csms.core.ports import Need, Reader
from csms.storage.batch import Database, Job, Runner

R = TypeVar("R")

MAX_BATCH = 200
BATCH_BUDGET_S = 0.010
RETRY_EVERY_S = 0.1


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
        self._max_queue = max_queue
        self._grace_s = grace_s
        self._queue: deque[Job] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._trouble: str | None = None
        self._down = False
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def trouble(self) -> str | None:
        """Why writes fail at the moment, None when they work."""
        return self._trouble

    @property
    def queued(self) -> int:
        """Functions waiting to run."""
        return len(self._queue)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Run what has queued, then end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    def transact(
        self, fn: Callable[..., R], *args: Any, needs: Sequence[Need] = ()
    ) -> Awaitable[R]:
        """See `core.ports.Store.transact`. The result may be dropped by cancelling the future; the
        function runs all the same."""
        assert self._loop is not None, "the store is not started"
        if self._down or self._stopping:
            raise StoreUnavailable(self._trouble or "the store is stopping")
        if len(self._queue) >= self._max_queue:
            raise StoreOverloaded(f"{len(self._queue)} functions are waiting for the store")
        future: asyncio.Future[R] = self._loop.create_future()

        def done(job: Job) -> None:
            if not future.cancelled():
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

        self._queue.append(Job(fn, args, needs, done))
        # The thread looks at the queue before it sleeps, so only a sleeping one needs the signal.
        if self._asleep:
            with self._wake:
                self._wake.notify()
        return future

    # -- the store's thread ------------------------------------------------------------------

    _asleep = False

    def _work(self) -> None:
        while True:
            if not self._queue and not self._wait():
                return
            jobs: list[Job] = []
            while self._queue and len(jobs) < MAX_BATCH:
                jobs.append(self._queue.popleft())
            if not jobs:
                continue
            try:
                done, events = self._runner.run(jobs)
            except StoreUnavailable as error:
                self._queue.extendleft(reversed(jobs))
                self._ride_out(error)
                continue
            except Exception as error:
                # A fault of the store itself: these functions fail, the next ones are tried.
                for job in jobs:
                    job.error = error
                done, events = len(jobs), 0
            self._queue.extendleft(reversed(jobs[done:]))
            self._tell(jobs[:done], events)

    def _wait(self) -> bool:
        """Sleep until there is work; False when the store has been stopped and is done."""
        with self._wake:
            self._asleep = True
            while not self._queue and not self._stopping:
                self._wake.wait()
            self._asleep = False
        return bool(self._queue)

    def _ride_out(self, error: StoreUnavailable) -> None:
        """Try to write until it works; when the grace is over, fail what waits and go on trying."""
        began = time.monotonic()
        self._trouble = error.detail
        while not self._probe():
            if time.monotonic() - began >= self._grace_s or self._stopping:
                self._down = True
                self._fail_all()
                if self._stopping:
                    return
            time.sleep(RETRY_EVERY_S)
        self._trouble, self._down = None, False

    def _probe(self) -> bool:
        """Whether the database writes: the function at the head if one waits, so that it is done
        with, else a write of no meaning."""
        try:
            if self._queue:
                job = self._queue[0]
                _, events = self._runner.run([job])
                self._queue.popleft()
                self._tell([job], events)
            else:
                self._runner.probe()
        except StoreUnavailable as error:
            self._trouble = error.detail
            return False
        except Exception as error:
            self._trouble = f"{type(error).__name__}: {error}"
            return False
        return True

    def _fail_all(self) -> None:
        failed = []
        while self._queue:
            job = self._queue.popleft()
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


class InlineStore:
    """A store without a thread: each function is a batch of its own, run at once by the caller.

    For tests and simulations; the same working set, the same SQL, the same refusals.
    """

    def __init__(self, database: Database, reader: Reader) -> None:
        self.reader = reader
        self.marks: list[str] = []
        self.trouble: str | None = None
        self._runner = Runner(database, time.monotonic, BATCH_BUDGET_S)

    def run(self, fn: Callable[..., R], *args: Any) -> R:
        """`fn(tx, *args)` in a transaction, synchronously."""
        job = Job(fn, args, (), lambda job: None)
        self._runner.run([job])
        if job.error is not None:
            raise job.error
        self.marks += job.marks
        result: R = job.result
        return result

    async def transact(self, fn: Callable[..., R], *args: Any, needs: Sequence[Need] = ()) -> R:
        """See `core.ports.Store.transact`."""
        return self.run(fn, *args)
