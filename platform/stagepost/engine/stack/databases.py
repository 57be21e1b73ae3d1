"""Databases and roles on a server: one database a service, and one that reads them all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from stagepost.engine.database import Connection, read_statements
from stagepost.engine.migrations import migrate
from stagepost.engine.stack.folder import Passwords
from stagepost.engine.stack.server import PORT, SUPERUSER, Server

AUDIT = "audit"
AUDITOR = "auditor"
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
        connection = await asyncpg.connect(self.server.dsn("postgres"))
        try:
            await connection.execute(_SQL["groups"])
            await self._role(connection, AUDITOR, "stagepost_auditor")
            await self._database(connection, AUDIT, SUPERUSER)
            for database in databases:
                await self._role(connection, database, "stagepost_service")
                await self._role(connection, _owner(database), None)
                await self._database(connection, database, _owner(database))
                await _run(connection, "open", database=database, role=database)
        finally:
            await connection.close()

    async def _role(self, connection: Connection, role: str, group: str | None) -> None:
        await _run(connection, "role", role=role, password=self._passwords.of(role))
        if group:
            await _run(connection, "join", role=role, group=group)

    async def _database(self, connection: Connection, database: str, owner: str) -> None:
        known = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
        if not await connection.fetchval(known, database):
            await _run(connection, "database", database=database, owner=owner)
        await _run(connection, "close", database=database)
        await _run(connection, "open", database=database, role=AUDITOR)
        await _run(connection, "scratch", database=database, role=AUDITOR)

    async def migrate(self, folders: dict[str, Path]) -> None:
        """Bring databases to the newest version, each with the SQL files of its service."""
        await asyncio.gather(
            *(migrate(self.owner_dsn(database), [sql]) for database, sql in folders.items())
        )

    async def attach(self, databases: Sequence[str]) -> None:
        """Show databases to the auditor, each as a schema of the audit database."""
        connection = await asyncpg.connect(self.server.dsn(AUDIT))
        try:
            for database in databases:
                await _run(
                    connection,
                    "foreign",
                    database=database,
                    host=self.server.host,
                    port=PORT,
                    password=self._passwords.of(AUDITOR),
                )
        finally:
            await connection.close()


def _owner(database: str) -> str:
    return f"{database}_owner"


async def _run(connection: Connection, name: str, **names: object) -> None:
    await connection.execute(_SQL[name].format(**names))
