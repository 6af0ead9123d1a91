"""Virtual time: an event loop whose clock jumps to what is due next, so that hours take moments and
the same seed gives the same run. Only for what uses no sockets, threads or processes."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from itertools import count
from typing import Any, TypeVar

R = TypeVar("R")


class Stuck(RuntimeError):
    """Everything waits for something that never comes."""


class _Jumping(selectors.SelectSelector):
    """Never waits: tells the loop how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Stuck("nothing is due and nothing can happen")
        self.waited_s += max(0.0, timeout)
        return []


class _Numbered(asyncio.Task[Any]):
    """A task that sets keep in the same order in every run, not by where it lies in memory."""

    def __init__(self, coro: Any, *, loop: VirtualLoop, **more: Any) -> None:
        self._number = next(loop.numbers)
        super().__init__(coro, loop=loop, **more)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time begins at 0 and stands still while anything can run."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self.numbers = count(1)
        self.set_task_factory(lambda loop, coro, **more: _Numbered(coro, loop=self, **more))

    def time(self) -> float:
        return self._jumping.waited_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """At once: a thread would take time that is not virtual."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def run_virtually(main: Coroutine[Any, Any, R]) -> R:
    """Run to the end, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


async def passing(seconds: float) -> None:
    """Let virtual time pass; in real time it would be sleeping for luck."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "only in virtual time"
    await asyncio.sleep(seconds)
