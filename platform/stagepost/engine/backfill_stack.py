"""A backfill on a stack that runs, over HTTP; or on what one has left, where no feed is served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg

from stagepost.engine.backfill import Ask, Backfill, Backfilled, wanted_of
from stagepost.engine.database import SQL, Queries, fetch, open_pool
from stagepost.engine.flow import Flow
from stagepost.engine.flow_kept import STATEMENTS, kept_flow
from stagepost.engine.operate import read_stack
from stagepost.engine.replay.given import one_of
from stagepost.engine.replay.told import Progress
from stagepost.engine.service import Service
from stagepost.engine.stack.folder import Passwords
from stagepost.engine.stack.keys import operator_headers
from stagepost.engine.stack.reach import Reach, reach
from stagepost.engine.store import Store
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.telemetry import configure_logging
from stagepost.engine.transports.feed import FeedTransport, PageTooLarge
from stagepost.engine.transports.feed_answer import Answer
from stagepost.errors import BadSettings


async def backfill(data: Path | None, reader: str, source: str) -> Backfilled:
    """Have a reader catch up with a source.

    Raises:
        BadSettings: there is no such service, or the reader wants no events of the source.
        FeedRefused: the source no longer has what the reader lacks.
        StackError, StoreError, TransportError
    """
    configure_logging("WARNING")
    async with reach(data) as reached, AsyncExitStack() as exits:
        for name in (reader, source):
            one_of("service", name, reached.services)
        services = reached.services
        if not wanted_of(services[reader], services[source]):
            raise BadSettings(f"{reader} reads no events of {source}: {_told_by(services, reader)}")
        told = await open_pool(reached.databases.audit_dsn(source), size=1)
        exits.push_async_callback(told.close)
        pool = await open_pool(reached.databases.dsn(reader), size=2)
        exits.push_async_callback(pool.close)
        flow = await _flow_of(reached.databases.audit_dsn(source))
        total = (await fetch(told, STATEMENTS["events_told"]))[0]["events"]
        ask = await exits.enter_async_context(_feed(reached, source, PostgresStore(told, source)))
        with Progress(f"backfill {reader} from {source}", total) as progress:
            return await Backfill(
                flow,
                services[reader],
                services[source],
                store=PostgresStore(pool, reader),
                queries=Queries(pool, SQL / "flow.sql"),
                ask=ask,
                told=progress.add,
            ).run()


async def _flow_of(dsn: str) -> Flow:
    connection = await asyncpg.connect(dsn)
    try:
        return await kept_flow(connection) or Flow()
    finally:
        await connection.close()


def _told_by(services: Mapping[str, Service], reader: str) -> str:
    """Say whose events a reader wants."""
    sources = [n for n, each in services.items() if wanted_of(services[reader], each)]
    return f"it reads those of {', '.join(sources)}" if sources else "nor anybody's"


@asynccontextmanager
async def _feed(reached: Reach, source: str, store: PostgresStore) -> AsyncIterator[Ask]:
    """Return the feed of a source: `GET /feed` where it runs, else what it would serve there."""
    running = read_stack(reached.data)["services"] if reached.is_running else {}
    if source not in running:
        yield lambda after, limit: page_of(store, after, limit)
        return
    headers = operator_headers(Passwords(reached.data / "secrets.json"))
    transport = FeedTransport({source: running[source]["url"]}, headers)

    async def ask(after: int, limit: int) -> Answer:
        try:
            return await transport.ask(source, after, limit, 0)
        except PageTooLarge:
            if limit == 1:
                raise
            return await ask(after, max(1, limit // 4))

    try:
        yield ask
    finally:
        await transport.close()


async def page_of(store: Store, after: int, limit: int) -> Answer:
    """Return what `GET /feed` would."""
    page = await store.feed(after, limit)
    if after < page.begin:
        why = f"events up to {page.begin} are no longer kept"
        return Answer(page.begin, page.end, refusal=why, pruned=await store.pruned())
    going_on = page.messages[-1].position if page.messages else after
    return Answer(page.begin, page.end, page.messages, going_on)
