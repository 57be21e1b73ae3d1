"""The clock, as a port: what time it is, and how to wait."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Protocol


class Clock(Protocol):
    """What a store in memory knows about time; PostgreSQL has a clock of its own.

    The engine's loops wait on the event loop's clock, which a simulation replaces as a whole.
    """

    def now(self) -> datetime:
        """Return the time of day, in UTC: for what people read."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back: for measuring how long something took."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Come back when so many seconds have passed."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until somebody turns it."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._passed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return await asyncio.sleep(0)
        wakes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._sleepers, (self._passed + seconds, next(self._order), wakes))
        return await wakes

    async def turn(self, seconds: float) -> None:
        """Let time pass: each sleeper wakes at its own time, and acts before the next one does."""
        until = self._passed + seconds
        await asyncio.sleep(0)  # who is about to go to sleep does so first
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, wakes = heappop(self._sleepers)
            if not wakes.done():
                self._passed = due
                wakes.set_result(None)
                await asyncio.sleep(0)
        self._passed = until
