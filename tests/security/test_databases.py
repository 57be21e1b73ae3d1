"""What the database role of a service may do: append to its own history, and nothing of the rest.

Each check is a function that says what was let through, and is seen to find what was granted on
purpose.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from stagepost.engine.database import open_pool
from stagepost.engine.discovery import find_services
from stagepost.engine.serve import READERS
from stagepost.engine.stack.databases import AUDIT, CONNECTIONS, Databases
from stagepost.engine.stack.postgres import Postgres
from tests.init_script import fresh_server

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
    "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
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
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_put(1, 0, 'x')",
    "SELECT lowrite(0, 'x')",
    "SELECT lo_unlink(1)",
    "SELECT setval('stored_events_notification_id_seq', 1)",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "COPY stored_events FROM '/etc/passwd'",
)
ALLOWED = (
    "INSERT INTO stored_events VALUES (gen_random_uuid(), 1, 'x', '')",
    "SELECT * FROM stored_events",
    "UPDATE outbox SET incarnation = incarnation",
)


@pytest.fixture(scope="module", params=["as in make up", "as in containers"])
async def stores(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Databases]:
    """Databases that the stack has made, and those that the init script has."""
    folders = {name: service.sql for name, service in SERVICES.items()}
    if request.param == "as in make up":
        await databases.provide(list(SERVICES))
        await databases.migrate(folders)
        yield databases
        return
    async with fresh_server() as fresh:
        fresh.run_script().check_returncode()
        await fresh.databases.migrate(folders)
        yield fresh.databases


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


async def test_a_service_that_takes_all_connections_it_gets_leaves_the_others_theirs(
    stores: Databases,
) -> None:
    async with AsyncExitStack() as exits:

        async def come(dsn: str) -> None:
            connection = await asyncpg.connect(dsn)
            exits.push_async_callback(connection.close)

        for _ in range(CONNECTIONS):
            await come(stores.dsn("payments"))
        with pytest.raises(asyncpg.TooManyConnectionsError, match='for role "payments"'):
            await come(stores.dsn("payments"))

        for name in SERVICES.keys() - {"payments"}:
            await come(stores.dsn(name))
        await come(stores.owner_dsn("payments"))


def test_four_instances_have_their_connections() -> None:
    written = inspect.signature(open_pool).parameters["size"].default
    assert 4 * (written + READERS) == CONNECTIONS


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO stored_events VALUES (gen_random_uuid(), 1, '{canary}', NULL)",
        "SELECT no_such_function('{canary}')",
    ],
)
async def test_the_log_says_of_a_statement_that_fails_neither_its_words_nor_the_row(
    databases: Databases, postgres: Postgres, statement: str
) -> None:
    canary, before = f"kanarienvogel-{uuid4().hex}", postgres.log.stat().st_size
    await databases.provide(["payments"])
    await databases.migrate({"payments": SERVICES["payments"].sql})
    connection = await asyncpg.connect(databases.dsn("payments"))
    with pytest.raises(asyncpg.PostgresError):
        await connection.execute(statement.format(canary=canary))
    await connection.close()
    said = postgres.log.read_text()[before:]
    assert "ERROR:" in said
    assert canary not in said


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
            "payments",
            (
                "GRANT EXECUTE ON FUNCTION lo_create TO payments",
                "REVOKE EXECUTE ON FUNCTION lo_create FROM payments",
            ),
            _rewrites,
            ["SELECT lo_create(0)"],
        ),
        (
            "payments",
            (
                "GRANT UPDATE ON SEQUENCE stored_events_notification_id_seq TO payments",
                "REVOKE UPDATE ON SEQUENCE stored_events_notification_id_seq FROM payments",
            ),
            _rewrites,
            ["SELECT setval('stored_events_notification_id_seq', 1)"],
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
