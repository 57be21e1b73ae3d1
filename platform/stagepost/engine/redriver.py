"""Dead letters that somebody asked to be handled again, and those that waited behind them."""

from __future__ import annotations

import asyncio

from stagepost.engine.desk import Desk
from stagepost.engine.follow import POLL, sleep_until
from stagepost.engine.items import Item
from stagepost.engine.store import Store

LOOK_AGAIN = 1.0
"""Seconds between two looks while there are dead letters; without any, looks are rare."""

MAX_LETTERS = 100


class Redriver:
    """Lays dead letters on the desk again, in the order of their key."""

    def __init__(self, store: Store, desk: Desk) -> None:
        self._store = store
        self._desk = desk

    async def run(self, wake: asyncio.Event) -> None:
        """Look until cancelled. Another instance, too, may park what was brought to it."""
        while True:
            wake.clear()
            await self._desk.look_at_parked()
            if self._desk.parked:
                await self._redrive()
                await asyncio.sleep(LOOK_AGAIN)
            else:
                await sleep_until(wake, POLL)

    async def _redrive(self) -> None:
        while letters := await self._store.redrivable(MAX_LETTERS):
            for letter in letters:
                done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
                self._desk.put(Item(letter.message, redrives=letter.id, done=done))
                await done
        await self._desk.look_at_parked()
