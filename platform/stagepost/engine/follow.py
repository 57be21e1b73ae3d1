"""The one way to read: a loop over a log in micro-batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

POLL = 5.0
"""Seconds after which a log is looked at although nobody said that something is there."""


async def follow(
    read: Callable[[], Awaitable[Sequence[T]]],
    act: Callable[[Sequence[T]], Awaitable[None]],
    wake: asyncio.Event,
    *,
    poll: float = POLL,
) -> None:
    """Read after my position, act, and read again; sleep while there is nothing.

    `read` returns one bounded batch, `act` stores the effect together with the new position.
    `wake` is set by whoever wrote something; the poll finds what a lost wake-up would have told.
    """
    while True:
        wake.clear()
        batch = await read()
        if batch:
            await act(batch)
        else:
            await sleep_until(wake, poll)


async def sleep_until(wake: asyncio.Event, seconds: float) -> None:
    """Sleep until woken, `seconds` at most."""
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
