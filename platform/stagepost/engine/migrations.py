"""Migrations: numbered SQL files, each applied once, in order, under a lock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import asyncpg

from stagepost.engine.database import SQL, Connection, Pool, connect, fetch
from stagepost.errors import SchemaTooNew, SchemaTooOld

LOCK = 0x57A6E905  # any number, as long as every migrator takes the same


async def migrate(dsn: str, folders: Sequence[Path]) -> list[str]:
    """Apply what is not yet applied, as the owner of the tables; return the names of the files.

    Each file is one transaction. Two migrators at once: the second waits, then finds nothing to do.

    Raises:
        SchemaTooNew: the database knows files that this release does not have.
        BadSettings, StoreUnavailable: it cannot be reached, and why.
    """
    connection = await connect(dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        return await _apply(connection, numbered_files(folders))
    finally:
        await connection.close()


def numbered_files(folders: Sequence[Path]) -> dict[str, Path]:
    """Return the migrations of the platform and of a service's folders, by name, in order."""
    files = [file for folder in (SQL, *folders) for file in folder.glob("[0-9]*.sql")]
    return {file.name: file for file in sorted(files, key=lambda file: file.name)}


async def _apply(connection: Connection, files: dict[str, Path]) -> list[str]:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    await connection.execute("GRANT SELECT ON migrations TO stagepost_service, stagepost_auditor")
    done = {row["name"] for row in await connection.fetch("SELECT name FROM migrations")}
    refuse_newer(done, files)
    waiting = [name for name in files if name not in done]
    for name in waiting:
        async with connection.transaction():
            await connection.execute(files[name].read_text())
            await connection.execute("INSERT INTO migrations (name) VALUES ($1)", name)
    return waiting


async def check_schema(pool: Pool, folder: Path) -> None:
    """Make sure that the database is as this release needs it.

    Raises:
        SchemaTooNew, SchemaTooOld
        StoreUnavailable
    """
    try:
        applied = {row["name"] for row in await fetch(pool, "SELECT name FROM migrations")}
    except asyncpg.UndefinedTableError:
        applied = set()
    files = numbered_files([folder])
    refuse_newer(applied, files)
    if missing := [name for name in files if name not in applied]:
        raise SchemaTooOld(
            f"the database lacks {', '.join(missing)}: run `stagepost migrate`, or start the stack"
            " once (`make up`), which does it"
        )


def refuse_newer(applied: set[str], files: dict[str, Path]) -> None:
    """Raise SchemaTooNew where the database has migrations that this release does not know."""
    if unknown := sorted(applied - files.keys()):
        raise SchemaTooNew(
            f"the database was migrated by a newer release (it has {', '.join(unknown)}): "
            "start that release, or restore a backup of before"
        )
