"""How a process starts: it reaches its database, and ends where it is told to before it has."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from stagepost.engine.database import Pool, open_pool
from stagepost.engine.follow import end
from stagepost.errors import BadSettings, StoreUnavailable

START_SECONDS = 10.0
"""How long a process waits for its database when it starts."""

T = TypeVar("T")


async def unless_stopped(stop: asyncio.Event, opening: Coroutine[None, None, T]) -> T | None:
    """Return what is opened; None where the process is told to end before it is."""
    stopping = asyncio.create_task(stop.wait())
    work = asyncio.create_task(opening)
    try:
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        await end([stopping, work])


async def reach_database(dsn: str) -> Pool:
    """Connect to the database of a process that starts; it may take a moment to be there.

    Raises:
        BadSettings: what the setting says is wrong, and no time will mend it.
        StoreUnavailable: it cannot be reached.
    """
    async with asyncio.timeout(START_SECONDS + 5):
        until = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            try:
                return await open_pool(dsn)
            except BadSettings as error:
                raise BadSettings(f"cannot start: STAGEPOST_DATABASE: {error}") from None
            except StoreUnavailable as error:
                if asyncio.get_running_loop().time() > until:
                    raise StoreUnavailable(f"{error} (STAGEPOST_DATABASE)") from error
            await asyncio.sleep(0.2)
