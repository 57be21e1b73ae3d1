"""When orders are confirmed, by the drill's own clock: those of the shop may be wrong.

Confirmations count, not ends: an order that nobody works on is rejected in the end, and that would
pass for life.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import asyncpg

from stagepost.engine.database import UNREACHABLE
from tests.drill.stack import DrillStack

LOOK = 0.05
"""Seconds between two looks."""

_NEWS = """SELECT position, type = 'ordering.OrderConfirmed' AS confirms FROM outbox
            WHERE position > $1 ORDER BY position"""


class Watch:
    """Looks at ordering's outbox all the time; `seen` is when a confirmation was there."""

    def __init__(self, stack: DrillStack) -> None:
        self._stack = stack
        self._position = 0
        self.seen: list[float] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _forever(self) -> None:
        while True:
            try:
                await self._look_on()
            except (*UNREACHABLE, asyncpg.PostgresError):
                await asyncio.sleep(LOOK)

    async def _look_on(self) -> None:
        connection = await asyncpg.connect(self._stack.databases.owner_dsn("ordering"))
        try:
            while True:
                news = await connection.fetch(_NEWS, self._position)
                if any(row["confirms"] for row in news):
                    self.seen.append(time.time())
                if news:
                    self._position = news[-1]["position"]
                await asyncio.sleep(LOOK)
        finally:
            connection.terminate()


def standstill(seen: Sequence[float], since: float, now: float) -> float:
    """Return the longest time without a confirmation that reaches beyond `since`.

    The time from the last one until `now` is one of them.
    """
    gaps = [later - earlier for earlier, later in pairwise([*seen, now]) if later > since]
    return max(gaps, default=now - since)


def first_after(seen: Sequence[float], moment: float) -> float:
    """Return how many seconds after a moment an order was confirmed."""
    return min((at - moment for at in seen if at > moment), default=time.time() - moment)
