"""A stack with a long history: what the orders in it have left is written again, many times over.

That is done in SQL, while no service runs, in the very shape in which the services wrote it:
events, outbox, inbox, views and cursors of every service; the stock of each thing has one stream,
which grows as it would, and its snapshot with it. The broker gets each service's last message
alone, so that no relay finds its stream behind its outbox. The ledgers of the world outside stay as
they are. Rows of views are copied as they stand: what a view had not folded yet, or is about orders
of other names than the bench's, is missing in the copies, and `stagepost verify` says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg

from stagepost.engine.database import Connection, read_statements
from stagepost.engine.service import Service
from stagepost.engine.stack import Stack
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.transports.nats import NatsTransport

SQL = read_statements(Path(__file__).parent / "sql" / "history.sql")
AT_ONCE = 5
"""Copies in one statement."""


def with_history(copies: int, say: Callable[[str], None]) -> type[Stack]:
    """Return a stack that writes so many copies of what it finds, before any service starts."""

    class StackWithHistory(Stack):
        async def _start_services(self, exits: AsyncExitStack) -> None:
            await write(self, copies, say)
            await super()._start_services(exits)

    return StackWithHistory


async def write(stack: Stack, copies: int, say: Callable[[str], None]) -> None:
    """Write so many copies of everything that stands in the services' databases."""
    services = stack.services.values()
    spans = {}
    for service in services:
        connection = await asyncpg.connect(stack.databases.owner_dsn(service.name))
        (row,) = await connection.fetch(SQL["spans"])
        spans[service.name] = dict(row)
        await connection.close()
    logs = json.dumps({name: span["log"] for name, span in spans.items()})
    for service in services:
        say(f"writing history: {copies} copies of {service.name}")
        span = spans[service.name]
        await _copy(stack, service, copies, {"spans": logs, **span})
        await _end_stream(stack, service.name)


async def _copy(stack: Stack, service: Service, copies: int, spans: dict[str, object]) -> None:
    connection: Connection = await asyncpg.connect(stack.databases.owner_dsn(service.name))

    async def run(name: str, *arguments: int, **names: str) -> None:
        await connection.execute(SQL[name].format(**spans, **names), *arguments)

    try:
        await connection.execute(SQL["tools"])
        for first in range(1, copies + 1, AT_ONCE):
            some = first, min(first + AT_ONCE - 1, copies)
            for table in ("events", "outbox", "inbox"):
                await run(table, *some)
        for view in service.views:
            if view.name == "stock":
                await run("stock", copies)
                await run("snapshots")
            else:
                await run("view", 1, copies, view=view.name)
        await run("cursors", copies)
        await run("sequences", copies)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def _end_stream(stack: Stack, name: str) -> None:
    """Publish the last message of a service's outbox, if it sends any."""
    store = await PostgresStore.connect(stack.dsn(name), name)
    transport = NatsTransport(stack.nats_url(name), name)
    try:
        connection = await asyncpg.connect(stack.dsn(name))
        position = await connection.fetchval(SQL["last"])
        await connection.close()
        last = await store.outbox_row(position) if position else None
        if last is not None:
            publisher = await transport.publisher(name)
            await publisher.tail()
            await publisher.publish([last])
    finally:
        await transport.close()
        await store.close()
