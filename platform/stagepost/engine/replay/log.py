"""The log of one service, for reading: pages of what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import UUID

import asyncpg
from eventsourcing.persistence import StoredEvent

from stagepost.aggregate import DomainEvent, read_event
from stagepost.engine.database import Pool, PooledConnection, connected, read_statements
from stagepost.engine.follow import follow
from stagepost.engine.replay.garbage import seldom_looked_for
from stagepost.engine.service import Service
from stagepost.errors import UnreadableEvent
from stagepost.view import Recorded

PAGE = 1000
"""Events that are read at once, and in memory at most."""

STATEMENTS = read_statements(Path(__file__).with_name("queries.sql"))


class Entry(NamedTuple):
    """An event as it stands in the log; it is decoded when somebody asks for it."""

    position: int
    recorded_at: datetime
    stream: UUID
    version: int
    topic: str
    state: bytes
    correlation: UUID | None
    causation: UUID | None

    @property
    def stored(self) -> StoredEvent:
        return StoredEvent(self.stream, self.version, self.topic, self.state)

    def event(self) -> DomainEvent:
        """Decode the event: upcast, validated.

        Raises:
            UnreadableEvent: this release does not know it, or it is damaged; it says where.
        """
        try:
            return read_event(self.stream, self.version, self.topic, self.state)
        except UnreadableEvent as error:
            raise error.at(self.position) from error

    def recorded(self) -> Recorded:
        """Decode the event, for views."""
        return Recorded(self.position, self.recorded_at, self.event())


@dataclass(frozen=True, slots=True)
class Which:
    """Which entries: behind `after`, up to `until`, recorded `since`, of a `key`, of these types.

    `key` is that of the message that caused an event, such as an order's id; it is known until the
    journal is pruned. `types` are patterns such as `payments.*`: of the event's topic, or of the
    type of the message that caused it.
    """

    after: int = 0
    until: int | None = None
    since: datetime | None = None
    key: str | None = None
    types: Sequence[str] = ()

    @property
    def is_all(self) -> bool:
        return self.since is None and self.key is None and not self.types


ALL = Which()


class Log:
    """The log of one service. Whatever is asked, no more than a page is in memory."""

    def __init__(self, service: Service, pool: Pool, held: PooledConnection | None = None) -> None:
        self.service = service
        self._pool = pool
        self._held = held

    @property
    def name(self) -> str:
        return self.service.name

    async def fetch(self, statement: str, *args: Any) -> list[asyncpg.Record]:
        """Run a statement that reads; also for what is not an event: snapshots, rows of a view.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        if self._held is not None:
            return await self._held.fetch(statement, *args)
        async with connected(self._pool) as connection:
            return await connection.fetch(statement, *args)

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[Self]:
        """Return the log as it is at this moment, whatever is written meanwhile: one transaction.

        It is for several tables that must fit each other. What it reads of events alone needs
        none: they are never changed.
        """
        async with (
            connected(self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield type(self)(self.service, self._pool, connection)

    async def head(self) -> int:
        """Return the position of the last event, 0 where there is none."""
        return int((await self.fetch(STATEMENTS["head"]))[0][0])

    async def count(self) -> int:
        """Return how many events there are."""
        return int((await self.fetch(STATEMENTS["count"]))[0][0])

    async def read(
        self,
        act: Callable[[Sequence[Entry]], Awaitable[None]],
        which: Which = ALL,
        *,
        limit: int = PAGE,
    ) -> None:
        """Give the entries that are there now to `act`, page by page, by position.

        Raises:
            StoreUnavailable
        """
        until = await self.head() if which.until is None else which.until
        at = which.after

        async def page(limit: int) -> list[Entry]:
            nonlocal at
            entries = await self.page(which, at, until, limit)
            at = entries[-1].position if len(entries) == limit else until
            return entries

        with seldom_looked_for():
            await follow(page, act, None, limit=limit)

    async def read_stream(
        self,
        act: Callable[[Sequence[Entry]], Awaitable[None]],
        stream: UUID,
        *,
        after: int = 0,
        until: int | None = None,
        limit: int = PAGE,
    ) -> None:
        """Give the entries of one stream to `act`, page by page: versions after, up to `until`."""
        at = after

        async def page(limit: int) -> list[Entry]:
            nonlocal at
            rows = await self.fetch(STATEMENTS["entries_of_stream"], stream, at, until, limit)
            entries = [Entry(*row) for row in rows]
            at = entries[-1].version if entries else at
            return entries

        with seldom_looked_for():
            await follow(page, act, None, limit=limit)

    async def page(self, which: Which, after: int, until: int, limit: int) -> list[Entry]:
        """Return the first of these entries behind a position, up to another."""
        if after >= until:
            return []
        if which.is_all:
            rows = await self.fetch(STATEMENTS["entries"], after, until, limit)
        else:
            like = [_like(pattern) for pattern in which.types]
            wanted = (which.since, which.key, like)
            rows = await self.fetch(STATEMENTS["entries_where"], after, until, limit, *wanted)
        return [Entry(*row) for row in rows]


def _like(pattern: str) -> str:
    """Write a pattern with * and ? as LIKE has it."""
    for sign in "\\%_":
        pattern = pattern.replace(sign, f"\\{sign}")
    return pattern.replace("*", "%").replace("?", "_")
