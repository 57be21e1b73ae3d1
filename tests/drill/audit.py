"""The promises on one window, with the very statements that check them on all that is stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import asyncpg

from services.demo.promises import PROMISES, Audit, Finding, connect
from services.demo.replay import SNAPSHOTS, VIEWS, check_snapshots, check_views
from stagepost.engine.database import UNREACHABLE, Connection, read_statements
from stagepost.engine.discovery import find_services
from tests.drill.load import Window
from tests.drill.stack import DrillStack

_SQL = read_statements(Path(__file__).with_name("window.sql"))
DATABASE = "drill"
AGAIN = 0.1
"""Seconds between two looks."""

BY = ("key", "order_id", "sku", "customer_id")
"""Columns that tell to which window a row belongs: its orders, SKUs and customers begin with its
name."""

EVENTS = "stored_events"

FOLDED = 5.0
"""Seconds in which the views must have folded the last event."""

T = TypeVar("T")


class WindowAudit:
    """Looks at one window at a time, on a connection that may be cut at any moment."""

    def __init__(self, stack: DrillStack) -> None:
        self._stack = stack
        self._connection: Connection | None = None
        self._window = Window("none")
        self._marks: Mapping[str, int] = {}

    async def prepare(self) -> None:
        """Make the database `drill`; nobody may be connected to `audit` meanwhile."""
        connection = await asyncpg.connect(self._stack.superuser_dsn)
        await connection.execute(_SQL["copy"])
        await connection.close()
        for service in self._stack.stores:
            await self._ask(partial(_do, _SQL["aside"].format(service=service)))

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    async def marks(self) -> dict[str, int]:
        """Return where the log of each service stands: before a window begins."""
        return {
            service: await self._ask(partial(_value, _SQL["last_event"].format(service=service)))
            for service in self._stack.stores
        }

    async def look_at(self, window: Window, marks: Mapping[str, int]) -> None:
        """Show this window, which began where the marks are; its events come with the check."""
        self._window, self._marks = window, marks
        tables = await self._ask(partial(_rows, _SQL["tables"]))
        views = "\n".join(
            _SQL["view"].format(
                service=t["service"],
                table=t["name"],
                belongs=_belongs(t["service"], t["name"], t["columns"], window.prefix),
            )
            for t in tables
            if t["name"] != EVENTS
        )
        await self._ask(partial(_do, views))

    async def ended(self) -> frozenset[str]:
        """Return the orders of the window that have ended."""
        rows = await self._ask(partial(_rows, _SQL["ended"]))
        return frozenset(row["key"] for row in rows)

    async def under_way(self) -> dict[str, int]:
        """Count what is still to be done for the window, by kind."""
        row = await self._ask(lambda c: Audit(c, self._stack.flow).row("under_way"))
        return {name: count for name, count in row.items() if count}

    async def waiting(self) -> list[str]:
        """Say how the first orders of the window stand that have not ended."""
        return [row["standing"] for row in await self._ask(partial(_rows, _SQL["waiting"]))]

    async def strays(self) -> int:
        """Count messages that belong to no window, so that no check has seen them."""
        asked = [_SQL["strays"].format(service=service) for service in self._stack.services]
        return sum([await self._ask(partial(_value, statement)) for statement in asked])

    async def check(self) -> dict[str, Finding]:
        """Check every promise that is about what is stored."""
        return await self._ask(self._check)

    async def _check(self, connection: Connection) -> dict[str, Finding]:
        flow = self._stack.flow
        audit = Audit(connection, flow, self._window.accepted)
        await connection.execute(
            "\n".join(
                _SQL["events"].format(
                    service=service, since=self._marks[service], prefix=self._window.prefix
                )
                for service in find_services()
            )
        )
        deadline = time.monotonic() + FOLDED
        while (await audit.row("under_way"))["views"] and time.monotonic() < deadline:
            await asyncio.sleep(AGAIN)
        found = {promise: await audit.check(promise) for promise in PROMISES}
        found[VIEWS] = await check_views(audit, flow.services.values())
        found[SNAPSHOTS] = await check_snapshots(audit, flow.services.values())
        return found

    async def _ask(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        """Ask again on a new connection where the old one is gone."""
        async with asyncio.timeout(60):
            while True:
                try:
                    if self._connection is None or self._connection.is_closed():
                        dsn = self._stack.superuser_dsn.replace("/postgres?", f"/{DATABASE}?")
                        self._connection = await connect(dsn)
                    return await ask(self._connection)
                except (*UNREACHABLE, asyncpg.PostgresError):
                    if self._connection is not None:
                        self._connection.terminate()
                        self._connection = None
                await asyncio.sleep(AGAIN)


def _belongs(service: str, table: str, columns: Collection[str], prefix: str) -> str:
    ours = f"LIKE '{prefix}%'"
    if column := next((name for name in BY if name in columns), None):
        return f'"{column}" {ours}'
    if table == "snapshots":
        return f'originator_id IN (SELECT originator_id FROM "{service}".stored_events)'
    if table == "calls":
        return f'position IN (SELECT position FROM "all_{service}".outbox WHERE key {ours})'
    return "true"  # positions of readers and the like belong to all windows


async def _do(statement: str, connection: Connection) -> None:
    await connection.execute(statement)


async def _rows(statement: str, connection: Connection) -> list[asyncpg.Record]:
    return await connection.fetch(statement)


async def _value(statement: str, connection: Connection) -> int:
    return int(await connection.fetchval(statement))
