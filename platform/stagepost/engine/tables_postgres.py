"""The tables of a service's views in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import asyncpg
import orjson

from stagepost.engine.database import (
    SQL,
    UNREACHABLE,
    Connection,
    Pool,
    PooledConnection,
    read_statements,
)
from stagepost.engine.views import Move
from stagepost.errors import StoreUnavailable
from stagepost.view import Row, View

Session: TypeAlias = "Pool | Connection | PooledConnection"
"""Whatever statements run on."""

_OURS = read_statements(SQL / "queries.sql")


class PostgresTables:
    """The `Tables` port: `load_<view>` and `save_<view>` of the service's `queries.sql`."""

    def __init__(self, pool: Pool, statements: Mapping[str, str]) -> None:
        self._pool = pool
        self._statements = statements

    async def positions(self, views: Collection[str]) -> dict[str, int]:
        found = {name: await self._pool.fetch(_OURS["cursors"], reader_of(name)) for name in views}
        return {name: rows[0]["position"] if rows else 0 for name, rows in found.items()}

    async def load(self, view: View[Any], keys: Collection[str]) -> dict[str, Row]:
        return await load_rows(self._pool, self._statements, view, keys)

    async def save(self, moves: Sequence[Move]) -> bool:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                for move in moves:
                    moved = await connection.fetch(
                        _OURS["move_view"], reader_of(move.view.name), move.at, move.to
                    )
                    _refuse_moved(moved)
                    await save_rows(connection, self._statements, move.view, move.rows)
        except _MovedError:
            return False
        except UNREACHABLE as error:
            raise StoreUnavailable(f"the database cannot be reached: {error}") from error
        return True


async def load_rows(
    session: Session, statements: Mapping[str, str], view: View[Any], keys: Collection[str]
) -> dict[str, Row]:
    """Return the rows of a view with these keys."""
    if not keys:
        return {}
    records = await session.fetch(statements[f"load_{view.name}"], list(keys))
    return {str(record[view.key]): _row(view, record) for record in records}


async def save_rows(
    session: Session, statements: Mapping[str, str], view: View[Any], rows: Sequence[Row]
) -> None:
    """Write rows of a view."""
    if rows:
        written = orjson.dumps([row.model_dump(mode="json") for row in rows])
        await session.execute(statements[f"save_{view.name}"], written.decode())


class _MovedError(Exception):
    """Another instance has folded these events: roll back."""


def _refuse_moved(moved: Sequence[object]) -> None:
    if not moved:
        raise _MovedError


def reader_of(view: str) -> str:
    """Return under which name a view keeps its cursor."""
    return f"view:{view}"


def _row(view: View[Any], record: asyncpg.Record) -> Row:
    values = dict(record)
    for name in _json_columns(view.row):  # type: ignore[arg-type]  # mypy: a class has a hash
        values[name] = orjson.loads(values[name])
    return view.row.model_validate(values)  # type: ignore[no-any-return]  # a view of any row


@cache
def _json_columns(row: type[Row]) -> tuple[str, ...]:
    """Columns of type jsonb come as text; their fields are not plain values."""
    return tuple(
        name
        for name, field in row.model_fields.items()
        if getattr(field.annotation, "__origin__", field.annotation) in (list, tuple, dict)
    )
