"""A database that lets nobody in, or throws everybody out: the store says so, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from stagepost.engine.batch import Batch
from stagepost.engine.database import SQL, Connection, Queries
from stagepost.engine.migrations import check_schema
from stagepost.engine.stack.postgres import Postgres
from stagepost.engine.store_postgres import PostgresStore
from stagepost.errors import OutcomeUnknown, StoreUnavailable
from tests.conftest import Database, NewDatabase

Ask = Callable[[PostgresStore], Awaitable[object]]

ASKS: dict[str, Ask] = {
    "append": lambda store: store.append(Batch()),
    "load": lambda store: store.load([]),
    "query": lambda store: Queries(store._pool, SQL / "queries.sql").fetch("incarnation"),
    "schema": lambda store: check_schema(store._pool, SQL),
}


@pytest.fixture
async def superuser(postgres: Postgres) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(postgres.dsn("postgres"))
    yield connection
    await connection.close()


async def throw_everybody_out(superuser: Connection, name: str) -> int:
    thrown = await superuser.fetch(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
    )
    return len(thrown)


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("shut", ["ALLOW_CONNECTIONS false", 'RENAME TO "elsewhere"'])
async def test_a_database_that_lets_nobody_in_is_unavailable(
    shut: str, ask: Ask, new_database: NewDatabase, superuser: Connection
) -> None:
    database = await new_database("payments")
    store = await PostgresStore.connect(database.service, "payments")
    await superuser.execute(f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS false')
    await throw_everybody_out(superuser, database.name)
    await superuser.execute(f'ALTER DATABASE "{database.name}" {shut}')
    await asyncio.sleep(0.1)

    with pytest.raises(StoreUnavailable):
        await ask(store)

    await store.close()
    await superuser.execute('DROP DATABASE IF EXISTS "elsewhere"')


async def test_a_store_from_which_everybody_is_thrown_out_is_never_anything_but_unavailable(
    database: Database, superuser: Connection
) -> None:
    store = await PostgresStore.connect(database.service, "payments")
    answers = 0

    async def ask() -> None:
        nonlocal answers
        while True:
            try:
                await asyncio.gather(store.append(Batch()), store.load([]))
                answers += 1
            except (StoreUnavailable, OutcomeUnknown):
                await asyncio.sleep(0.005)

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    thrown = 0
    for _ in range(12):
        thrown += await throw_everybody_out(superuser, database.name)
        await asyncio.sleep(0.01)

    assert [task.exception() for task in asking if task.done()] == []
    assert thrown > 12
    assert answers > 0
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await store.close()
