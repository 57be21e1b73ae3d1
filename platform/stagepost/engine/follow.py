"""The one way to read: a loop over a log in micro-batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

POLL = 5.0
"""Seconds after which a log is looked at although nobody said that something is there."""


GATHER = 0.01
"""Seconds to wait after a batch of several: where much arrives, more of it shares a batch."""


CANCEL_AGAIN = 0.5
"""Seconds after which a task is cancelled once more."""


async def follow(
    read: Callable[[int], Awaitable[Sequence[T]]],
    act: Callable[[Sequence[T]], Awaitable[None]],
    wake: asyncio.Event | None,
    *,
    limit: int,
    gather: float = GATHER,
) -> None:
    """Read after my position, act, and read again; sleep while there is nothing.

    Without anybody to `wake` it, it ends where nothing more is there: a replay does.

    `read` returns one batch of `limit` at most, `act` stores the effect together with the new
    position. `wake` is set by whoever wrote something; a slow poll finds what a lost wake-up would
    have told. A single one is never kept waiting, and nor is a backlog: only where a batch held
    several but not all that it may, the next one gathers for a moment. A batch costs many times
    what one more in it does.
    """
    while True:
        if wake is not None:
            wake.clear()
        batch = await read(limit)
        if batch:
            await act(batch)
        if wake is None:
            if not batch:
                return
        elif not batch:
            await sleep_until(wake, POLL)
        elif 1 < len(batch) < limit:
            await asyncio.sleep(gather)


async def sleep_until(wake: asyncio.Event, seconds: float) -> None:
    """Sleep until woken, `seconds` at most."""
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return


async def first_of(*works: Coroutine[None, None, None]) -> None:
    """Run several until the first ends or fails; end the others and raise its failure."""
    await _run(works, asyncio.FIRST_COMPLETED)


async def together(*works: Coroutine[None, None, None]) -> None:
    """Run several until all have ended or one fails; end the others and raise its failure."""
    await _run(works, asyncio.FIRST_EXCEPTION)


async def _run(works: Sequence[Coroutine[None, None, None]], until: str) -> None:
    """Run several.

    Not in a task group: where a child fails in the moment in which the group is cancelled from
    outside, Python 3.11's forgets the cancellation, and the work would outlive its lease.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=until)
        for task in done:
            task.result()
    finally:
        await end(tasks)


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended.

    Once may not be enough: on Python 3.11, `wait_for` and what is built on it (asyncpg) forget a
    cancellation that comes in the moment in which their work is done.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN)
