"""Replay: what services have stored, many times over, folded by the views' own code.

Beside it the `eventsourcing` library's own reader of notification logs: the same bodies from the
same store, decoded and folded by the same code, in pages of the same size.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
from eventsourcing.application import LocalNotificationLog
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.system import NotificationLogReader

from stagepost.aggregate import read_event
from stagepost.engine.database import PLANS, READ_ONLY, open_pool, read_statements
from stagepost.engine.discovery import find_services
from stagepost.engine.replay.garbage import seldom_looked_for
from stagepost.engine.replay.log import PAGE, Entry, Log
from stagepost.engine.replay.rebuild import Rebuild
from stagepost.engine.service import Service
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.folder import Passwords
from stagepost.engine.views import fold
from stagepost.view import Recorded, Row
from tests.bench.load import BenchFailed
from tests.bench.servers import Servers
from tests.corpus.stored import newest, read
from tests.order_flow import ORDER_FLOW

EVENTS = 60_000
"""Events in each service's store."""
ROUNDS = 3

Say = Callable[[str], None]
COLUMNS = ("originator_id", "originator_version", "topic", "state")
_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    """A service's database, and how to connect to it."""

    service: Service
    databases: Databases

    @property
    def auditor(self) -> str:
        return self.databases.audit_dsn(self.service.name)

    @asynccontextmanager
    async def log(self) -> AsyncIterator[Log]:
        pool = await open_pool(self.auditor, size=2, settings=READ_ONLY)
        yield Log(self.service, pool)
        await pool.close()

    async def fill(self, events: Iterator[tuple[Any, ...]]) -> None:
        """Put events into the store."""
        owner = await asyncpg.connect(self.databases.owner_dsn(self.service.name))
        await owner.copy_records_to_table("stored_events", records=events, columns=COLUMNS)
        await owner.execute("VACUUM ANALYZE stored_events")
        await owner.close()


@asynccontextmanager
async def place(servers: Servers, data: Path, name: str) -> AsyncIterator[Place]:
    """Make the database of a service anew."""
    databases, service = _databases(servers, data), find_services()[name]
    await servers.drop(name)
    await databases.provide([name])
    await databases.migrate({name: service.sql})
    yield Place(service, databases)
    await servers.drop(name)


def _databases(servers: Servers, data: Path) -> Databases:
    return Databases(servers.postgres.server, Passwords(data / "servers" / "secrets.json"))


def history(service: str, events: int) -> Iterator[tuple[Any, ...]]:
    """Give the streams of a service's newest corpus again and again, under other references."""
    streams = [line.stored for line in read(newest(service))]
    given = 0
    while given < events:
        other = b'"reference":"%d-' % given
        for stream in streams:
            name = uuid4()
            for event in stream:
                body = event.state.replace(b'"reference":"', other)
                yield name, event.originator_version, event.topic, body
            given += len(stream)


class Folding:
    """The views of a service, folded in memory."""

    def __init__(self, service: Service) -> None:
        self._views = service.views
        self._rows: dict[str, dict[str, Row]] = {view.name: {} for view in service.views}
        self.events = 0

    def add(self, page: Sequence[Recorded]) -> None:
        self.events += len(page)
        for view in self._views:
            rows = self._rows[view.name]
            rows |= fold(view, rows, ((view.key_of(one.event), one) for one in page))


async def replay_rates(servers: Servers, data: Path, say: Say) -> tuple[float, float]:
    """Return the events a second over the stores of the order flow: ours, and the library's."""
    ours = theirs = events = 0.0
    for name in sorted(ORDER_FLOW):
        async with place(servers, data, name) as store, store.log() as log:
            await store.fill(history(name, EVENTS))
            count = await log.head()
            seconds = [
                (await _ours(log), await asyncio.to_thread(_theirs, store)) for _ in range(ROUNDS)
            ]
        mine, others = (median(round_) for round_ in zip(*seconds, strict=True))
        say(f"{name}: {count / mine:,.0f} events/s, the library's reader {count / others:,.0f}")
        events, ours, theirs = events + count, ours + mine, theirs + others
    return events / ours, events / theirs


async def verify_peak(servers: Servers, data: Path, events: int, say: Say) -> float:
    """Verify a view of so many events in a process of its own; return the most memory it had.

    Raises:
        BenchFailed: the view is not as its events make it.
    """
    async with place(servers, data, "payments") as store, store.log() as log:
        await store.fill(history("payments", events))
        await _build(store, log)
        command = (sys.executable, "-m", "tests.bench.verifying", store.auditor, "payments")
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
    if process.returncode:
        raise BenchFailed("the view is not as its events make it, or could not be verified")
    figures = json.loads(told)
    rate = figures["events"] / figures["seconds"]
    say(f"verify: {figures['events']:,} events, {rate:,.0f}/s, {figures['peak_mib']:.0f} MiB")
    return float(figures["peak_mib"])


async def _build(store: Place, log: Log) -> None:
    """Build the views that are to be verified."""
    statements = read_statements(store.service.sql / "queries.sql")
    owner = store.databases.owner_dsn(store.service.name)
    connection = await asyncpg.connect(owner, server_settings=PLANS | {"TimeZone": "UTC"})
    for view in store.service.views:
        rebuild = Rebuild(connection, view, statements, log=log, told=_nobody, say=_nobody)
        await rebuild.run()
    await connection.close()


def _nobody(_: object) -> None:
    """Nobody is told."""


async def _ours(log: Log) -> float:
    folding = Folding(log.service)

    async def add(page: Sequence[Entry]) -> None:
        folding.add([entry.recorded() for entry in page])

    began = time.perf_counter()
    await log.read(add)
    return time.perf_counter() - began


def _theirs(store: Place) -> float:
    folding, parts = Folding(store.service), urlsplit(store.auditor)
    at = parse_qs(parts.query)
    login = f"{parts.username}", f"{parts.password}"
    where = parts.path.lstrip("/"), at["host"][0], at["port"][0]
    with PostgresDatastore(*where, *login) as datastore:
        recorder = PostgresApplicationRecorder(datastore)
        reader = NotificationLogReader(LocalNotificationLog(recorder, PAGE), PAGE)
        began = time.perf_counter()
        with seldom_looked_for():  # as we do
            for page in reader.select(start=1):
                folding.add([_recorded(found) for found in page])
        return time.perf_counter() - began


def _recorded(found: Any) -> Recorded:
    """Decode an event of theirs, which does not know when it was recorded."""
    event = read_event(found.originator_id, found.originator_version, found.topic, found.state)
    return Recorded(found.id, _SOME_TIME, event)
