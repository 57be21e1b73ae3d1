"""Databases and roles on a server: one database a service, and one that reads them all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from stagepost.engine.database import Connection, read_statements
from stagepost.engine.migrations import migrate
from stagepost.engine.stack.folder import Passwords
from stagepost.engine.stack.server import PORT, SUPERUSER, Server

AUDIT = "audit"
AUDITOR = "auditor"
CONNECTIONS = 40
"""How many a service gets of those of the server: four instances, each with both its pools full.
However many it takes, the others still get in."""
_SQL = read_statements(Path(__file__).with_name("databases.sql"))


class Databases:
    """The databases of one server. Everything here may be done again on what exists already."""

    def __init__(self, server: Server, passwords: Passwords) -> None:
        self.server = server
        self._passwords = passwords

    def dsn(self, database: str) -> str:
        """Return how a service connects to its database."""
        return self._dsn(database, database)

    def owner_dsn(self, database: str) -> str:
        """Return how the owner of a database connects to it: for migrations."""
        return self._dsn(database, _owner(database))

    def audit_dsn(self, database: str = AUDIT) -> str:
        """Return how the auditor connects: by default where all databases are schemas."""
        return self._dsn(database, AUDITOR)

    def _dsn(self, database: str, role: str) -> str:
        return self.server.dsn(database, role, self._passwords.of(role))

    async def provide(self, databases: Sequence[str]) -> None:
        """Make the roles, the databases and who may connect to them, where they are missing."""
        made = _made(databases)
        async with self._as_superuser("postgres") as connection:
            there = {row[0] for row in await connection.fetch("SELECT datname FROM pg_database")}
            await connection.execute(self._roles(databases))
            for database, statement in made.items():
                if database not in there:
                    await connection.execute(statement)
            await connection.execute(_rights(databases))
        for database in made:
            async with self._as_superuser(database) as connection:
                await connection.execute(_SQL["no_large_objects"])

    def init_sql(self, databases: Sequence[str]) -> str:
        """Return what `provide` does to a server on which nothing is yet, as a script for psql."""
        made = _made(databases)
        inside = (f'\\connect "{database}"\n{_SQL["no_large_objects"]}' for database in made)
        return "\n".join(
            (_SQL["quiet"], self._roles(databases), *made.values(), _rights(databases), *inside, "")
        )

    def _roles(self, databases: Sequence[str]) -> str:
        parts = [
            _SQL["groups"],
            self._role(AUDITOR),
            _filled("join", role=AUDITOR, group="stagepost_auditor"),
        ]
        for database in databases:
            parts += (
                self._role(database),
                _filled("join", role=database, group="stagepost_service"),
                _filled("limit", role=database, connections=CONNECTIONS),
                self._role(_owner(database)),
            )
        return "\n".join(parts)

    def _role(self, role: str) -> str:
        return _filled("role", role=role, password=self._passwords.of(role))

    @asynccontextmanager
    async def _as_superuser(self, database: str) -> AsyncIterator[Connection]:
        connection = await asyncpg.connect(self.server.dsn(database))
        try:
            await connection.execute(_SQL["quiet"])
            yield connection
        finally:
            await connection.close()

    async def migrate(self, folders: dict[str, Path]) -> None:
        """Bring databases to the newest version, each with the SQL files of its service."""
        await asyncio.gather(
            *(migrate(self.owner_dsn(database), [sql]) for database, sql in folders.items())
        )

    async def attach(self, databases: Sequence[str]) -> None:
        """Show databases to the auditor, each as a schema of the audit database."""
        async with self._as_superuser(AUDIT) as connection:
            for database in databases:
                shown = _filled(
                    "foreign",
                    database=database,
                    host=self.server.host,
                    port=PORT,
                    password=self._passwords.of(AUDITOR),
                )
                await connection.execute(shown)


def _owner(database: str) -> str:
    return f"{database}_owner"


def _made(databases: Sequence[str]) -> dict[str, str]:
    """Return the statement that makes each database, by the database."""
    owners = {AUDIT: SUPERUSER} | {database: _owner(database) for database in databases}
    return {
        database: _filled("database", database=database, owner=owner)
        for database, owner in owners.items()
    }


def _rights(databases: Sequence[str]) -> str:
    parts: list[str] = []
    for database in (AUDIT, *databases):
        parts += (
            _filled("close", database=database),
            _filled("open", database=database, role=AUDITOR),
            _filled("scratch", database=database, role=AUDITOR),
        )
    parts += (_filled("open", database=database, role=database) for database in databases)
    return "\n".join(parts)


def _filled(name: str, **names: object) -> str:
    return _SQL[name].format(**names)
