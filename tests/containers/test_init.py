"""The init script of PostgreSQL: databases and roles are there before anybody is let in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from stagepost.engine.flow import Flow
from stagepost.engine.stack.databases import AUDIT
from stagepost.engine.stack.place import stores_of
from tests.init_script import Fresh, fresh_server

STORES = stores_of(Flow())
STANDING = """
SELECT to_jsonb(r)::text FROM pg_roles r
UNION ALL SELECT to_jsonb(m)::text FROM pg_auth_members m
UNION ALL SELECT to_jsonb(s)::text FROM pg_db_role_setting s
UNION ALL SELECT (to_jsonb(d) - 'datfrozenxid' - 'datminmxid')::text FROM pg_database d
UNION ALL SELECT to_jsonb(p)::text FROM pg_proc p WHERE proacl IS NOT NULL
ORDER BY 1
"""


@pytest.fixture(scope="module")
async def fresh() -> AsyncIterator[Fresh]:
    async with fresh_server() as server:
        done = server.run_script()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        yield server


async def standing(fresh: Fresh) -> dict[str, list[str]]:
    """Return who and what is on the server, who may do what, and what is set for whom."""
    found = {}
    for database in ("postgres", AUDIT, *STORES):
        connection = await asyncpg.connect(fresh.postgres.dsn(database))
        found[database] = [row[0] for row in await connection.fetch(STANDING)]
        await connection.close()
    return found


async def test_the_script_makes_all_that_provide_would_and_nothing_else(fresh: Fresh) -> None:
    before = await standing(fresh)

    await fresh.databases.provide(STORES)

    assert await standing(fresh) == before


async def test_what_a_service_is_told_opens_what_the_script_has_made(fresh: Fresh) -> None:
    for name in STORES:
        for dsn in (fresh.databases.dsn(name), fresh.databases.owner_dsn(name)):
            connection = await asyncpg.connect(dsn)
            assert await connection.fetchval("SELECT current_database()") == name
            await connection.close()


async def test_no_password_is_logged_or_told_whatever_is_logged_and_fails(fresh: Fresh) -> None:
    superuser = await asyncpg.connect(fresh.postgres.dsn("postgres"))
    await superuser.execute("ALTER ROLE postgres SET log_statement = 'all'")
    await superuser.execute("ALTER ROLE postgres SET log_min_duration_statement = 0")
    await fresh.databases.provide(STORES)
    await fresh.databases.attach(STORES)

    await superuser.execute("ALTER ROLE postgres SET default_transaction_read_only = on")
    refused = fresh.run_script()
    damaged = fresh.run_script(lambda text: text.replace(" LOGIN ", " LOGGIN "))
    for step in (fresh.databases.provide, fresh.databases.attach):
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await step(STORES)

    await superuser.execute("ALTER ROLE postgres RESET ALL")
    await superuser.close()
    assert refused.returncode != 0
    assert "cannot execute ALTER ROLE in a read-only transaction" in refused.stderr
    assert damaged.returncode != 0
    assert 'unrecognized role option "loggin"' in damaged.stderr
    passwords = json.loads((fresh.told.parents[1] / "secrets.json").read_text())
    told = refused.stderr + damaged.stderr + fresh.postgres.log.read_text()
    # The beginnings suffice: psql shows as much of a line as there is room for.
    assert [name for name, password in passwords.items() if password[:8] in told] == []
