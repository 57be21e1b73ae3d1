"""Where faults are done: the running shop, and what it takes to hit it and to see the hit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

import aiohttp
import psutil

from tests.drill.load import Load
from tests.drill.stack import DrillStack

SERVERS = ("postgres", "nats")
LOOK = 0.02
"""Seconds between two looks at what is awaited."""


@dataclass(frozen=True)
class Site:
    """The shop under drill. `dice` are seeded for this injection: all chance comes from them.

    `load.window` is the window in which the fault falls; what a fault puts on the wire of its own
    belongs to it, and to the checks, when its key begins with `load.window.prefix`.
    """

    stack: DrillStack
    load: Load
    dice: Random
    http: aiohttp.ClientSession

    async def until_back(self, name: str, seconds: float = 60) -> float:
        """Wait until a process of the stack answers; return when it was seen to.

        Raises:
            TimeoutError: it does not, in all this time.
        """
        async with asyncio.timeout(seconds):
            while not await self._answers(name):
                await asyncio.sleep(LOOK)
        return time.time()

    async def _answers(self, name: str) -> bool:
        if name in SERVERS:
            return await self.stack.answers(name)
        try:
            async with self.http.get(f"{self.stack.url(name)}/health/ready") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


async def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds; False where it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK)
    return True


async def until_it_holds(holds: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Wait until something holds that must be asked for."""
    deadline = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK)
    return True


def is_stopped(pid: int) -> bool:
    """Tell whether a process was stopped by a signal."""
    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
