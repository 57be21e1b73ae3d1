"""The machine: disks that are full, and a clock that is set.

A disk is not really filled: other programs live on it, and a small one of our own takes a mount
that only root may make. Instead the database says what it says then (SQLSTATE 53100, from a
trigger on its inbox), and the broker's streams take no more bytes: its own limit, its own refusal.
The clock that is set is the database's, which all leases, timers and retries go by: every service
finds another `clock_timestamp` first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import nats
from nats.js.api import DiscardPolicy

from stagepost.engine.database import Connection, read_statements
from stagepost.engine.transports.nats_rules import ADMIN
from tests.drill.fault import BACK, KILLED, Fault, NotFired, Struck
from tests.drill.parts import WAY
from tests.drill.site import Site, until_it_holds

FULL = 3.0
"""Seconds for which a disk is full, and for which a clock goes wrong."""
WRITTEN = 10.0
"""Seconds in which a service must have written something."""

_SQL = read_statements(Path(__file__).with_name("host.sql"))


@asynccontextmanager
async def _owner(site: Site, service: str) -> AsyncIterator[Connection]:
    # As the server's superuser: the owner may not make schemas.
    dsn = site.stack.superuser_dsn.replace("/postgres?", f"/{service}?")
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _everywhere(site: Site, statement: str, **names: str) -> None:
    for service in site.stack.services:
        async with _owner(site, service) as connection:
            await connection.execute(_SQL[statement].format(service=service, **names))


async def database_full(site: Site) -> Struck:
    """Let every database say that its disk is full, and see each of them refuse a write.

    They fill up from the end of an order's way, one when the next has refused: whoever comes
    earlier would keep the later ones from being asked.
    """
    refused = 0
    try:
        way = [service for service in WAY if service in site.stack.services]
        for service in reversed(way):
            async with _owner(site, service) as connection:
                await connection.execute(_SQL["full"])
                if not await until_it_holds(partial(_has_refused, connection), WRITTEN):
                    raise NotFired(f"{service} wrote nothing in {WRITTEN:g} s")
        await asyncio.sleep(FULL)
        for service in way:
            async with _owner(site, service) as connection:
                refused += await _refused(connection)
    finally:
        await _everywhere(site, "free")
    return Struck(f"{refused} writes were refused", time.time())


async def _has_refused(connection: Connection) -> bool:
    return await _refused(connection) > 0


async def _refused(connection: Connection) -> int:
    return int(await connection.fetchval(_SQL["refused"]))


async def broker_full(site: Site) -> Struck:
    """Let no stream take another byte."""
    client = await nats.connect(site.stack.nats_url(ADMIN), connect_timeout=5)
    jetstream = client.jetstream()
    streams = [await jetstream.stream_info(service) for service in site.stack.services]
    try:
        for stream in streams:
            config = stream.config.evolve(max_bytes=1024, discard=DiscardPolicy.NEW)
            await jetstream.update_stream(config)
        before = [await jetstream.stream_info(service) for service in site.stack.services]
        await asyncio.sleep(FULL)
        after = [await jetstream.stream_info(service) for service in site.stack.services]
    finally:
        for stream in streams:
            await jetstream.update_stream(stream.config)
        await client.close()
    if [s.state.last_seq for s in before] != [s.state.last_seq for s in after]:
        raise NotFired("a stream took messages all the same")
    return Struck(f"{len(streams)} streams took nothing for {FULL:g} s", time.time())


async def set_clock(site: Site) -> Struck:
    """Set the database's clock back by an hour, then an hour ahead, then right.

    Slow cards and carriers come meanwhile, too: timers are set by that clock, and must be due.
    """
    site.load.calm = False
    await _everywhere(site, "clock", hours="0")
    for proxy in site.stack.to_database.values():
        proxy.cut()  # whoever connects from now on goes by that clock
    seen: list[str] = []
    try:
        for hours in ("-1", "1"):
            await _everywhere(site, "clock", hours=hours)
            await asyncio.sleep(FULL)
            async with _owner(site, "ordering") as connection:
                newest = await connection.fetchval(
                    "SELECT extract(epoch FROM recorded_at - pg_catalog.clock_timestamp()) / 3600"
                    " FROM outbox ORDER BY position DESC LIMIT 1"
                )
            if abs(float(newest) - float(hours)) > 0.1:
                raise NotFired(f"the last message was recorded {newest} hours off, not {hours}")
            seen.append(f"{float(newest):+.2f}")
    finally:
        await _everywhere(site, "right")
        for proxy in site.stack.to_database.values():
            proxy.cut()
    return Struck(f"what was stored was {' and '.join(seen)} hours off", time.time())


FAULTS = (
    Fault("every database's disk is full", database_full, seconds=6.0, after_back=BACK),
    Fault("the broker's disk is full", broker_full, seconds=6.0, after_back=BACK),
    Fault("the clock is set an hour back, then ahead", set_clock, 10.0, KILLED, BACK),
)
