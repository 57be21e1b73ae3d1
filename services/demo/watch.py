"""Watch a run from outside: how the orders stand, and when all is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from services.demo.promises import Audit

LOOK = 0.05
"""Seconds between two looks."""

TELL = 1.0
"""Seconds between two lines of progress."""

STALLED = 60.0
"""Seconds without any message handled, after which nobody waits for an order any longer."""

NOTHING: Mapping[str, int] = MappingProxyType(
    {"ended": 0, "confirmed": 0, "rejected": 0, "messages": 0}
)

SETTLED = 15.0
"""Seconds in which the last messages must have arrived once all orders have ended."""


class Watch:
    """Looks at the stored orders; `room` gets back a place for each that ends.

    `before` is how it stood before any of these orders was placed: the run tells of itself alone.
    """

    def __init__(
        self,
        audit: Audit,
        say: Callable[[str], None],
        room: asyncio.Semaphore,
        before: Mapping[str, int] = NOTHING,
    ) -> None:
        self._audit = audit
        self._say = say
        self._room = room
        self._before = before
        self._ended = 0

    async def until_ended(self, orders: int) -> bool:
        """Wait until so many orders have ended; False where nothing moves any longer."""
        started = told = moved = time.monotonic()
        messages = self._before["messages"]
        while await self._look() < orders:
            now = time.monotonic()
            if now - told >= TELL:
                before, messages = messages, await self._tell(now - started, messages, now - told)
                told = now
                moved = now if messages > before else moved
            if now - moved > STALLED:
                return False
            await asyncio.sleep(LOOK)
        await self._tell(time.monotonic() - started, messages, time.monotonic() - told)
        return True

    async def until_settled(self) -> None:
        """Wait until nothing is under way any more; the checks say what is, should it never end."""
        deadline = time.monotonic() + SETTLED
        while any((await self._audit.row("under_way")).values()):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(LOOK)

    async def _look(self) -> int:
        ended: int = (await self._audit.row("ended"))["ended"] - self._before["ended"]
        for _ in range(ended - self._ended):
            self._room.release()
        self._ended = ended
        return ended

    async def _tell(self, elapsed: float, before: int, seconds: float) -> int:
        stand = await self._audit.row("progress")
        messages: int = stand["messages"]
        rate = (messages - before) / max(seconds, LOOK)
        confirmed, rejected = (stand[end] - self._before[end] for end in ("confirmed", "rejected"))
        self._say(
            f"{elapsed:6.1f} s  {stand['placed']:>6,} waiting {confirmed:>6,} confirmed"
            f" {rejected:>6,} rejected {rate:>8,.0f} messages/s"
        )
        return messages
