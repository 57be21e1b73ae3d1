"""Writes down a store as it is at one moment, whatever is written to it meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from stagepost.engine.exported import KEYS, SMALL, Writer
from stagepost.engine.follow import follow
from stagepost.engine.replay.log import PAGE, STATEMENTS, Log
from stagepost.engine.replay.told import Progress

Write = Callable[[bytes], object]
Rows = Sequence[asyncpg.Record]


async def export(log: Log, write: Write) -> int:
    """Write the lines of an export, and return how many rows it has.

    No more than a page is in memory.

    Raises:
        StoreUnavailable
    """
    writer = Writer()

    async def put(rows: Rows) -> None:
        for row in rows:
            write(writer.row(table, row["row"]))
        progress.add(len(rows) if table == "stored_events" else 0)

    async with log.frozen() as frozen:
        await frozen.fetch("SET LOCAL timezone = 'UTC'")
        migrations = await frozen.fetch("SELECT name FROM migrations ORDER BY name")
        write(writer.first(log.name, [row["name"] for row in migrations]))
        with Progress(f"export {log.name}", await frozen.head()) as progress:
            for table, key in KEYS.items():
                await _pages(frozen, table, key, put)
            for table in SMALL:
                await put(await frozen.fetch(_all_of(table)))
    write(writer.last())
    return writer.rows


async def _pages(log: Log, table: str, key: str, put: Callable[[Rows], Awaitable[None]]) -> None:
    """Read a table in the order of its key."""
    first, behind = (
        STATEMENTS["page_of_rows"].format(table=table, key=key, where=where)
        for where in ("", f"WHERE {key} > $2")
    )
    at: Any = None

    async def page(limit: int) -> Rows:
        nonlocal at
        rows = await (log.fetch(first, limit) if at is None else log.fetch(behind, limit, at))
        at = rows[-1]["at"] if rows else at
        return rows

    await follow(page, put, None, limit=PAGE)


_WHICH = {"cursors": "WHERE reader NOT LIKE 'view:%'"}
"""A view is folded anew where it is imported."""


def _all_of(table: str) -> str:
    return STATEMENTS["all_rows"].format(table=table, where=_WHICH.get(table, ""))
