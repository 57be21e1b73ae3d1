"""PostgreSQL: a pool of connections, and statements that live in `.sql` files by name."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from stagepost.errors import BadSettings, Misuse, StoreUnavailable

SQL = Path(__file__).parent / "sql"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
PooledConnection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # so it calls a server that ends the connection in mid-talk
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)
"""What asyncpg raises when the server cannot be reached, or went away."""

PASSING = ("25", "40", "53", "55", "57", "58")
"""SQLSTATE classes that say nothing about what was asked: read-only, deadlock, disk full, locked,
shutting down, I/O. Nothing was written; the same may work in a moment."""


def is_passing(error: asyncpg.PostgresError) -> bool:
    """Tell whether the server could not do it now, rather than not at all."""
    return (error.sqlstate or "").startswith(PASSING)


PLANS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
"""Plans are kept: one made while tables were small must not read all of them when they have grown.
Every statement of a service probes indexes."""


READ_ONLY = {"default_transaction_read_only": "on"}
"""How a replay connects: whatever it tries, nothing can be written."""


async def open_pool(dsn: str, *, size: int = 6, settings: Mapping[str, str] = PLANS) -> Pool:
    """Connect to a database, each session with these settings.

    Raises:
        BadSettings: its address is none, or the password in it is wrong.
        StoreUnavailable: it cannot be reached, or does not let us in.
    """
    with _faults_named():
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            reset=_keep,
            command_timeout=60,
            server_settings=dict(settings),
        )


async def connect(dsn: str) -> Connection:
    """Connect to a database, once.

    Raises:
        BadSettings: its address is none, or the password in it is wrong.
        StoreUnavailable: it cannot be reached, or does not let us in.
    """
    with _faults_named():
        return await asyncpg.connect(dsn)


@contextmanager
def _faults_named() -> Iterator[None]:
    try:
        yield
    except asyncpg.ClientConfigurationError as error:
        raise BadSettings(f"the address of a database is wrong: {error}") from None
    except asyncpg.InvalidPasswordError as error:
        raise BadSettings(f"the database does not let us in: {error}") from None
    except (*UNREACHABLE, asyncpg.PostgresError) as error:
        raise StoreUnavailable(f"cannot connect to the database: {_why(error)}") from error
    except ValueError:  # what it says may be a part of the password
        raise BadSettings("the address of a database is wrong: it cannot be read") from None


async def acquire(pool: Pool) -> PooledConnection:
    """Take a connection out of the pool.

    Raises:
        StoreUnavailable: there is none, and the server does not let us in, for whatever reason.
    """
    try:
        return await pool.acquire()
    except (*UNREACHABLE, asyncpg.PostgresError) as error:
        raise StoreUnavailable(f"the database cannot be reached: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return f"{error}: run fewer instances, or end what else is connected as this role"
    return str(error)


async def fetch(
    pool: Pool,
    statement: str,
    *args: Any,
    first: Callable[[PooledConnection], Awaitable[None]] | None = None,
) -> list[asyncpg.Record]:
    """Run a statement and return its rows; `first` may look at the connection before.

    Raises:
        StoreUnavailable: the database cannot be reached, or cannot do it now.
    """
    async with connected(pool) as connection:
        if first is not None:
            await first(connection)
        return await connection.fetch(statement, *args)


@asynccontextmanager
async def connected(pool: Pool) -> AsyncIterator[PooledConnection]:
    """Lend a connection of the pool.

    Raises:
        StoreUnavailable: the database cannot be reached, or cannot do it now.
    """
    connection = await acquire(pool)
    try:
        yield connection
    except UNREACHABLE as error:
        raise StoreUnavailable(f"the database cannot be reached: {error}") from error
    except asyncpg.PostgresError as error:
        if is_passing(error):
            raise StoreUnavailable(f"the database cannot do it now: {error}") from error
        raise
    finally:
        await pool.release(connection)


async def _keep(_: Connection) -> None:
    """Reset nothing: the pool's own reset is a round trip more, and we leave no state behind."""


def read_statements(path: Path) -> dict[str, str]:
    """Read a file of statements, each introduced by `-- name: ...`.

    Raises:
        Misuse: two statements have one name.
    """
    statements: dict[str, str] = {}
    for part in re.split(r"^-- name:", path.read_text(), flags=re.MULTILINE)[1:]:
        name, _, text = part.partition("\n")
        if name.strip() in statements:
            raise Misuse(f"{path.name} names {name.strip()!r} twice: give one another name")
        statements[name.strip()] = text.strip()
    return statements


class Queries:
    """Named statements of one file, run on a pool."""

    def __init__(self, pool: Pool, path: Path) -> None:
        self._pool = pool
        self._statements = read_statements(path)

    async def fetch(self, name: str, *args: Any) -> list[asyncpg.Record]:
        """Run a statement and return its rows.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        return await fetch(self._pool, self._statements[name], *args)

    async def fetchrow(self, name: str, *args: Any) -> asyncpg.Record | None:
        """Run a statement and return its first row, None where there is none."""
        rows = await self.fetch(name, *args)
        return rows[0] if rows else None
