"""Timers: those that are due come over the desk, like any other message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from stagepost.engine.desk import Desk
from stagepost.engine.follow import POLL, sleep_until
from stagepost.engine.items import Item
from stagepost.engine.store import DueTimer, Store

MAX_DUE = 200

PATIENCE = 10.0
"""Seconds that due timers wait at most for the backlog: answers come before time-outs."""


class Timers:
    """Fires the timers of one service while it holds the lease."""

    def __init__(self, store: Store, desk: Desk, behind: Callable[[], Awaitable[bool]]) -> None:
        self._store = store
        self._desk = desk
        self._behind = behind

    async def run(self, wake: asyncio.Event) -> None:
        """Fire until cancelled."""
        while True:
            wake.clear()
            due, next_in = await self._store.due_timers(MAX_DUE)
            if due:
                await self._wait_for_backlog()
                await asyncio.wait([self._fire(timer) for timer in due])
            else:
                await sleep_until(wake, POLL if next_in is None else min(next_in, POLL))

    def _fire(self, timer: DueTimer) -> asyncio.Future[object]:
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._desk.put(Item(timer.message, done=done))
        return done

    async def _wait_for_backlog(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while await self._behind() and loop.time() < until:  # noqa: ASYNC110  # bounded
            await asyncio.sleep(0.05)
