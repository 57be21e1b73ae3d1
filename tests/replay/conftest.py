"""The logs of a shop that has run, opened as a replay opens them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from services.demo.promises import SESSION, Audit
from stagepost.engine.database import READ_ONLY, open_pool
from stagepost.engine.replay.log import Log
from tests.conftest import NewDatabase
from tests.promises import world

ORDERS = (
    world.place("good-1", chair=2, lamp=1),
    world.place("good-2", chair=1),
    world.place("declined", token="tok_declined", chair=1),
    world.place("cancel-1", chair=1),
)


@pytest.fixture(scope="session")
async def logs(new_database: NewDatabase) -> AsyncIterator[dict[str, Log]]:
    """The log of every service, by name."""
    database = await new_database("ordering")
    owner = await asyncpg.connect(database.owner, server_settings=SESSION)
    await world.make_schemas(owner)
    await world.run_shop(database.owner, ORDERS, {"chair": 10, "lamp": 10}, Audit(owner))
    await owner.close()
    async with AsyncExitStack() as exits:
        opened = {}
        for name, service in world.SERVICES.items():
            dsn = world.in_schema(database.owner, name)
            pool = await open_pool(dsn, size=2, settings=READ_ONLY)
            exits.push_async_callback(pool.close)
            opened[name] = Log(service, pool)
        yield opened
