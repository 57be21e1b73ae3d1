"""What was heard from outside is kept; what a database forgot of it is read again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import deepcopy

import asyncpg
import pytest

from stagepost.engine.batch import Commit
from stagepost.engine.store_postgres import PostgresStore
from tests.conftest import Database, NewDatabase
from tests.engine.forgetting import forget, known, something_new
from tests.engine.stores import PostgresWorld, append, heard
from tests.external.outside import World


@pytest.fixture
async def database(new_database: NewDatabase) -> Database:
    return await new_database("payments")


@pytest.fixture
async def stored(database: Database) -> AsyncIterator[PostgresWorld]:
    owner = await asyncpg.connect(database.owner)
    store = await PostgresStore.connect(database.service, "payments")
    yield PostgresWorld(owner, store)
    await store.close()
    await owner.close()


async def test_what_came_from_outside_is_not_forgotten(
    stored: PostgresWorld, database: Database
) -> None:
    outside, inside = heard("a", source="EXTERNAL.webshop", position=1), heard("b", position=1)
    await append(stored.store, Commit(outside), Commit(inside))
    await something_new(stored)

    assert (await forget(database)).heard == 1

    assert outside.id in await known(stored)
    assert inside.id not in await known(stored)


async def test_what_a_database_that_was_set_back_forgot_is_read_again_once(world: World) -> None:
    webshop = await world.outside("webshop")
    async with world.running():
        await world.until_heard(await webshop.send("a", 1))
    before = deepcopy(world.store)
    async with world.running("counter-2") as counter:
        lost = [await webshop.send("a", 10), await webshop.send("a", 100)]
        await world.until_heard(*lost)
        assert await world.total(counter, "a") == 111

    world.store = before
    async with world.running("counter-3") as counter:
        await world.until_heard(*lost, await webshop.send("a", 1000))
        assert await world.total(counter, "a") == 1111
