"""Brings an export into an empty store: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from stagepost.engine.database import Connection, read_statements
from stagepost.engine.exported import KEYS, SMALL, Reader
from stagepost.engine.migrations import numbered_files
from stagepost.engine.service import Service
from stagepost.engine.stack.folder import empty, held
from stagepost.engine.stack.reach import has_data, started
from stagepost.errors import BadExport, NotEmpty

AT_ONCE = 1000
"""Rows in one statement."""

_SQL = read_statements(Path(__file__).with_suffix(".sql"))


async def import_store(data: Path, service: Service, lines: Iterable[bytes]) -> int:
    """Bring an export into the data of a stack that does not run; return how many rows it has.

    Where there is no data yet, it is made.

    Raises:
        BadExport: it is damaged, or not of this service; nothing is left of it.
        NotEmpty: the store has events, or has sent or heard something.
        StackError: a stack runs there, or its PostgreSQL cannot be started.
    """
    export, is_new = Reader(lines), not has_data(data)
    _refuse_unfit(export, service)
    try:
        async with started(data) as databases:
            await databases.provide([service.name])
            await databases.migrate({service.name: service.sql})
            owner = await asyncpg.connect(databases.owner_dsn(service.name))
            try:
                return await bring_in(owner, export)
            finally:
                await owner.close()
    except BaseException:
        if is_new:
            with held(data):
                empty(data)
        raise


def _refuse_unfit(export: Reader, service: Service) -> None:
    if export.service != service.name:
        raise BadExport(f"it is an export of {export.service}, not of {service.name}")
    if unknown := sorted(set(export.migrations) - numbered_files([service.sql]).keys()):
        raise BadExport(
            f"a newer release wrote it (its database has {', '.join(unknown)}): use that release"
        )


async def bring_in(owner: Connection, export: Reader) -> int:
    """Fill an empty store, as the owner of its tables, in one transaction.

    Raises:
        BadExport, NotEmpty
    """
    rows = 0
    async with owner.transaction():
        if await owner.fetchval(_SQL["is_used"]):
            raise NotEmpty(f"the store of {export.service} is not empty: import into an empty one")
        found = await owner.fetch(_SQL["columns"], [*KEYS, *SMALL])
        columns = {row["table_name"]: set(row["columns"]) for row in found}
        await owner.execute(_SQL["make_room"])
        for table, page in _pages(export):
            rows += len(page)
            if not page[0].keys() <= columns.get(table, set()):
                raise BadExport(f"line {export.line:,}: there is no such table or column: {table}")
            await _insert(owner, table, page, export)
        await owner.execute(_SQL["go_on"])
    await owner.execute("ANALYZE")
    return rows


def _pages(export: Reader) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for table, rows in groupby(export.rows(), key=lambda row: row[0]):
        while page := [values for _, values in islice(rows, AT_ONCE)]:
            yield table, page


async def _insert(
    owner: Connection, table: str, page: list[dict[str, Any]], export: Reader
) -> None:
    fill = _SQL["fill"].format(table=table, names=", ".join(page[0]))
    try:
        await owner.execute(fill, orjson.dumps(page).decode())
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        where = f"at line {export.line:,} at the latest"
        raise BadExport(f"the export was altered, {where}: {error}") from error
