"""An event loop on virtual time, for several simulated processes, scheduled by a seed.

Within a process callbacks run in the order in which they were scheduled, as asyncio promises;
which process runs next is drawn. A process can be killed: from then on none of its callbacks runs,
not even a `finally`. It can be paused: its callbacks wait until it is woken.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


class Process:
    """What lives and dies as one: the callbacks that were scheduled in its context."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.node: Any = None
        self.queue: deque[asyncio.Handle] = deque()
        self.context = Context()
        self.context.run(_HERE.set, self)


_HERE: ContextVar[Process] = ContextVar("process")


def here() -> Process:
    """Return the process whose callback runs."""
    return _HERE.get()


MOST_AWAITS = 100
"""How often the end of one coroutine may wait for something, until it is left as it is."""


class Stuck(Exception):
    """Nothing can ever run again, or it runs for ever."""


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where it lies in memory."""

    def __hash__(self) -> int:
        return self.number

    number = 0


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs one coroutine, and all that it starts, as fast as it goes."""

    def __init__(self, seed: object, most_steps: int = 2_000_000) -> None:
        self.random = Random(f"loop {seed}")
        self.world = Process("world")
        self.faults: list[str] = []
        self.steps = 0
        self._most_steps = most_steps
        self._now = 0.0
        self._busy: list[Process] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle, Process]] = []
        self._numbers = count()
        self._tasks: list[_Task] = []

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # its signature differs from version to version
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task = _Task(coro, loop=self, name=name or "", context=context)
        task.number = len(self._tasks)
        self._tasks.append(task)
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context = context or copy_context()
        handle = asyncio.Handle(callback, args, self, context)
        self._put(handle, context[_HERE])
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        context = context or copy_context()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), handle, context[_HERE]))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing to do: a cancelled timer is passed over when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if "never retrieved" not in context["message"]:
            self.faults.append(f"{context['message']}: {context.get('exception')!r}")

    # What the simulation does to processes.

    def kill(self, process: Process) -> None:
        process.alive = False
        process.queue.clear()
        self._leave(process)

    def pause(self, process: Process) -> None:
        process.paused = True
        self._leave(process)

    def wake(self, process: Process) -> None:
        if process.alive and process.paused:
            process.paused = False
            if process.queue:
                self._busy.append(process)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to the end of `main`; what it started and left is thrown away then.

        Raises:
            Stuck: it will never end.
        """
        events._set_running_loop(self)
        try:
            task = self.create_task(main, context=self.world.context)
            while not task.done():
                self._step()
            return task.result()
        finally:
            self._throw_away()
            events._set_running_loop(None)

    def _put(self, handle: asyncio.Handle, process: Process) -> None:
        if process.alive:
            process.queue.append(handle)
            if len(process.queue) == 1 and not process.paused:
                self._busy.append(process)

    def _leave(self, process: Process) -> None:
        if process in self._busy:
            self._busy.remove(process)

    def _step(self) -> None:
        while not self._busy:
            self._pass_time()
        place = int(self.random.random() * len(self._busy)) if len(self._busy) > 1 else 0
        process = self._busy[place]
        handle = process.queue.popleft()
        if not process.queue:
            self._busy[place] = self._busy[-1]
            self._busy.pop()
        if not handle.cancelled():
            self.steps += 1
            if self.steps > self._most_steps:
                raise Stuck(f"{self._most_steps} steps, and no end")
            handle._run()

    def _pass_time(self) -> None:
        if not self._timers:
            raise Stuck("nobody waits for anything that can come")
        when, _, handle, process = heappop(self._timers)
        if not handle.cancelled() and process.alive:
            self._now = max(self._now, when)
            self._put(handle, process)

    def _throw_away(self) -> None:
        """End what is left, coroutine by coroutine: whatever it still says is not heard."""
        for task in self._tasks:
            coroutine = task.get_coro()
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                for _ in range(MOST_AWAITS):
                    with contextlib.suppress(BaseException):
                        coroutine.close()
                        break
        self._tasks.clear()
        self._timers.clear()
        self._busy.clear()
