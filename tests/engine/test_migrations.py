"""Migrations on a real PostgreSQL: each file once, in order, by one migrator at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from stagepost.engine import migrations
from stagepost.engine.database import Connection, Pool, open_pool
from stagepost.engine.migrations import check_schema, migrate
from stagepost.engine.stack.databases import Databases
from stagepost.errors import SchemaTooNew, SchemaTooOld, StoreUnavailable

PLATFORM = [
    f"0{name}.sql"
    for name in (
        "01_logs",
        "02_append",
        "03_waiting",
        "04_clock",
        "05_snapshots",
        "06_feed",
        "07_flow",
        "08_rebuilds",
        "09_past_snapshots",
        "10_external",
        "11_sequences",
    )
]
_numbers = count(1)


@pytest.fixture
async def name(databases: Databases) -> str:
    """A database with nothing in it."""
    name = f"empty_{next(_numbers)}"
    await databases.provide([name])
    return name


@pytest.fixture
def owner(databases: Databases, name: str) -> str:
    return databases.owner_dsn(name)


@pytest.fixture
async def connection(owner: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(owner)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(databases: Databases, name: str) -> AsyncIterator[Pool]:
    """How the service itself connects."""
    pool = await open_pool(databases.dsn(name), size=1)
    yield pool
    await pool.close()


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """The migrations of a service: the second needs what the first made."""
    (tmp_path / "100_first.sql").write_text("CREATE TABLE steps (step int);")
    (tmp_path / "101_second.sql").write_text("INSERT INTO steps VALUES (1);")
    return tmp_path


async def test_each_file_is_applied_once_and_in_order(
    owner: str, steps: Path, connection: Connection
) -> None:
    assert await migrate(owner, [steps]) == [*PLATFORM, "100_first.sql", "101_second.sql"]
    assert await migrate(owner, [steps]) == []
    assert await connection.fetchval("SELECT count(*) FROM steps") == 1


async def test_a_later_release_applies_what_is_new(
    owner: str, steps: Path, connection: Connection
) -> None:
    await migrate(owner, [steps])
    (steps / "102_third.sql").write_text("INSERT INTO steps VALUES (2);")

    assert await migrate(owner, [steps]) == ["102_third.sql"]
    assert await connection.fetchval("SELECT sum(step) FROM steps") == 3


async def test_of_several_migrators_one_works_and_the_others_wait_for_it(
    owner: str, steps: Path, connection: Connection
) -> None:
    await connection.execute("SELECT pg_advisory_lock($1)", migrations.LOCK)
    migrators = [asyncio.create_task(migrate(owner, [steps])) for _ in range(3)]
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with asyncio.timeout(10):
        while await connection.fetchval(waiting) < 3:
            await asyncio.sleep(0)
    assert await connection.fetchval("SELECT to_regclass('migrations')") is None

    await connection.execute("SELECT pg_advisory_unlock($1)", migrations.LOCK)

    assert sorted(map(len, await asyncio.gather(*migrators))) == [0, 0, len(PLATFORM) + 2]


@pytest.mark.parametrize(
    "fault", ["INSERT INTO nowhere VALUES (1)", "INSERT INTO migrations VALUES ('101_second.sql')"]
)
async def test_a_file_that_fails_or_cannot_be_noted_leaves_nothing_and_is_tried_again(
    owner: str, steps: Path, connection: Connection, fault: str
) -> None:
    second = steps / "101_second.sql"
    second.write_text(f"CREATE TABLE half (n int); {fault};")

    with pytest.raises(asyncpg.PostgresError):
        await migrate(owner, [steps])

    assert await connection.fetchval("SELECT to_regclass('half')") is None
    second.write_text("INSERT INTO steps VALUES (1);")
    assert await migrate(owner, [steps]) == ["101_second.sql"]


async def test_an_older_release_refuses_a_newer_database(
    owner: str, steps: Path, pool: Pool
) -> None:
    await migrate(owner, [steps])
    (steps / "101_second.sql").unlink()
    (steps / "100_again.sql").write_text("CREATE TABLE again (n int);")

    with pytest.raises(SchemaTooNew, match=r"it has 101_second\.sql"):
        await migrate(owner, [steps])
    with pytest.raises(SchemaTooNew, match=r"it has 101_second\.sql"):
        await check_schema(pool, steps)
    assert await pool.fetchval("SELECT to_regclass('again')") is None


async def test_a_service_does_not_start_on_an_older_database(
    owner: str, steps: Path, pool: Pool
) -> None:
    with pytest.raises(SchemaTooOld, match=r"lacks 001_logs\.sql.*101_second\.sql: run"):
        await check_schema(pool, steps)
    await migrate(owner, [steps])
    await check_schema(pool, steps)

    (steps / "102_third.sql").write_text("SELECT 1;")

    with pytest.raises(SchemaTooOld, match=r"lacks 102_third\.sql: run `stagepost migrate`"):
        await check_schema(pool, steps)


async def test_a_database_that_cannot_be_reached_is_said_to_be_so(steps: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot connect"):
        await migrate("postgresql://127.0.0.1:1/none", [steps])
