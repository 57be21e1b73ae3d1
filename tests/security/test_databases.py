"""What the database role of a service may do: append to its own history, and nothing of the rest.

Each check is a function that says what was let through, and is seen to find what was granted on
purpose.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from stagepost.engine.discovery import find_services
from stagepost.engine.stack.databases import AUDIT, Databases

SERVICES = find_services()
EVERYWHERE = (*SERVICES, AUDIT, "postgres", "template1")

FORBIDDEN = (
    "UPDATE stored_events SET topic = topic",
    "UPDATE stored_events SET recorded_at = now()",
    "DELETE FROM stored_events",
    "TRUNCATE stored_events",
    "DROP TABLE stored_events",
    "ALTER TABLE stored_events DISABLE TRIGGER ALL",
    "ALTER TABLE stored_events OWNER TO CURRENT_USER",
    "ALTER TABLE stored_events RENAME TO forgotten",
    "CREATE RULE forget AS ON INSERT TO stored_events DO INSTEAD NOTHING",
    "UPDATE outbox SET body = body",
    "UPDATE outbox SET position = position",
    "DELETE FROM outbox",
    "DELETE FROM inbox",
    "DELETE FROM dead_letters",
    "TRUNCATE outbox, inbox, calls",
    "CREATE TABLE mine ()",
    "CREATE SCHEMA mine",
    "CREATE TEMPORARY TABLE mine ()",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION postgres_fdw",
    "CREATE ROLE mine",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER CREATEDB",
    "ALTER ROLE stagepost_auditor LOGIN",
    "ALTER ROLE postgres PASSWORD 'mine'",
    "GRANT stagepost_auditor TO CURRENT_USER",
    "SET ROLE postgres",
    "SET ROLE stagepost_auditor",
    "SET session_replication_role = replica",
    "SELECT * FROM pg_authid",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "COPY stored_events FROM '/etc/passwd'",
)
ALLOWED = (
    "INSERT INTO stored_events VALUES (gen_random_uuid(), 1, 'x', '')",
    "SELECT * FROM stored_events",
    "UPDATE outbox SET incarnation = incarnation",
)


@pytest.fixture(scope="module")
async def stores(databases: Databases) -> Databases:
    await databases.provide(list(SERVICES))
    await databases.migrate({name: service.sql for name, service in SERVICES.items()})
    return databases


async def let_through(dsn: str, statements: Iterable[str]) -> list[str]:
    """Try statements, each in a transaction that is rolled back; return those that worked."""
    connection = await asyncpg.connect(dsn)
    worked = []
    try:
        for statement in statements:
            trying = connection.transaction()
            await trying.start()
            try:
                await connection.execute(statement)
                worked.append(statement)
            except asyncpg.InsufficientPrivilegeError:
                pass
            finally:
                await trying.rollback()
    finally:
        await connection.close()
    return worked


async def opened(stores: Databases, role: str) -> set[str]:
    """Return the databases that the role of a service gets into."""
    found = set()
    for database in EVERYWHERE:
        try:
            connection = await asyncpg.connect(stores.dsn(role), database=database)
        except asyncpg.InsufficientPrivilegeError:
            continue
        await connection.close()
        found.add(database)
    return found


async def powers(stores: Databases, role: str) -> list[str]:
    """Return what a role is, and of which roles it is one, beyond those that every service is."""
    connection = await asyncpg.connect(stores.server.dsn("postgres"))
    try:
        row = await connection.fetchrow(
            """SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
               FROM pg_roles WHERE rolname = $1""",
            role,
        )
        member = await connection.fetch(
            """SELECT rolname FROM pg_roles
               WHERE pg_has_role($1, oid, 'MEMBER') AND rolname NOT IN ($1, 'stagepost_service')""",
            role,
        )
    finally:
        await connection.close()
    return [name for name, has in row.items() if has] + [each["rolname"] for each in member]


@asynccontextmanager
async def broken(dsn: str, grant: str, revoke: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(dsn)
    await connection.execute(grant)
    try:
        yield
    finally:
        await connection.execute(revoke)
        await connection.close()


every_service = pytest.mark.parametrize("service", sorted(SERVICES))


@every_service
async def test_a_service_gets_into_its_own_database_only(stores: Databases, service: str) -> None:
    assert await opened(stores, service) == {service}


@every_service
async def test_a_service_is_no_superuser_and_nothing_like_one(
    stores: Databases, service: str
) -> None:
    assert await powers(stores, service) == []
    assert await powers(stores, "stagepost_service") == []


@every_service
async def test_a_service_rewrites_nothing_and_makes_nothing(
    stores: Databases, service: str
) -> None:
    dsn = stores.dsn(service)
    owner = f'SET ROLE "{service}_owner"'
    assert await let_through(dsn, (*FORBIDDEN, owner)) == []
    assert await let_through(dsn, ALLOWED) == list(ALLOWED)


# What was granted on purpose is found.


async def _rewrites(stores: Databases) -> object:
    return await let_through(stores.dsn("payments"), FORBIDDEN)


async def _powers(stores: Databases) -> object:
    return await powers(stores, "payments")


async def _opened(stores: Databases) -> object:
    return sorted(await opened(stores, "payments"))


@pytest.mark.parametrize(
    ("database", "grant", "check", "found"),
    [
        (
            "payments",
            (
                "GRANT DELETE ON stored_events TO payments",
                "REVOKE DELETE ON stored_events FROM payments",
            ),
            _rewrites,
            ["DELETE FROM stored_events"],
        ),
        (
            "payments",
            (
                "GRANT CREATE ON SCHEMA public TO payments",
                "REVOKE CREATE ON SCHEMA public FROM payments",
            ),
            _rewrites,
            [
                "CREATE TABLE mine ()",
                "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            ],
        ),
        (
            "postgres",
            ("ALTER ROLE payments CREATEROLE", "ALTER ROLE payments NOCREATEROLE"),
            _powers,
            ["rolcreaterole"],
        ),
        (
            "postgres",
            ("GRANT payments_owner TO payments", "REVOKE payments_owner FROM payments"),
            _powers,
            ["payments_owner"],
        ),
        (
            "postgres",
            (
                "GRANT CONNECT ON DATABASE customers TO payments",
                "REVOKE CONNECT ON DATABASE customers FROM payments",
            ),
            _opened,
            ["customers", "payments"],
        ),
    ],
)
async def test_a_right_too_many_is_found(
    stores: Databases,
    database: str,
    grant: tuple[str, str],
    check: Callable[[Databases], Awaitable[object]],
    found: object,
) -> None:
    async with broken(stores.server.dsn(database), *grant):
        assert await check(stores) == found
