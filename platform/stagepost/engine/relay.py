"""The relay: a cursor over the outbox whose effect is a publication.

It publishes in the order of positions, one chunk at a time. The broker's confirmation is never
the only copy: on every start it compares the stream's tail with its own outbox, and sends again
what the broker lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace

import structlog

from stagepost.engine.batch import Batch, Cursor, CursorId, Lease
from stagepost.engine.envelope import Envelope
from stagepost.engine.follow import first_of, follow
from stagepost.engine.store import Store
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transports import Publisher, StreamId

MAX_CHUNK = 500

NOTE_SECONDS = 1.0
"""How old the stored position may be: the stream's tail is what counts. Where a database is set
back, what was sent in that time is sent once more, and known by its id."""

log = structlog.get_logger(__name__)


class Relay:
    """Publishes the outbox of one service on one broker while it holds the lease.

    `cursor` names its position in the outbox, `carries` the types that go to this broker.
    """

    def __init__(  # noqa: PLR0917  # each is of another type
        self,
        store: Store,
        publisher: Publisher,
        cursor: CursorId,
        carries: Collection[str],
        lease: Lease,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._carries = carries
        self._lease = lease
        self._metrics = metrics
        self._id = cursor
        self._cursor = Cursor(cursor, 0, 0)
        self._sent = 0

    async def run(self, wake: asyncio.Event) -> None:
        """Publish until cancelled.

        Raises:
            TransportError: the broker is gone, or somebody else wrote to our stream: run again.
            StoreError
        """
        await self._reconcile()
        await first_of(
            follow(self._read, self._publish, wake, limit=MAX_CHUNK, gather=0),
            self._note_position(),
        )

    async def _read(self, limit: int) -> list[Envelope]:
        return await self._store.outbox(self._sent, limit)

    async def _publish(self, chunk: Sequence[Envelope]) -> None:
        if carried := [message for message in chunk if message.type in self._carries]:
            with self._metrics.publish_seconds.time():
                await self._publisher.publish(carried)
            self._metrics.published(len(carried))
        self._sent = chunk[-1].position

    async def _note_position(self) -> None:
        """Store now and then how far we are: what counts is the stream's tail, at every start."""
        while True:
            await asyncio.sleep(NOTE_SECONDS)
            if self._sent > self._cursor.at:
                await self._move(self._sent)

    async def _reconcile(self) -> None:
        """Find where to go on: the tail tells what arrived, whatever we remember."""
        stored = (await self._store.cursors(self._id.reader)).get(self._id)
        self._cursor = stored or self._cursor
        self._sent = self._cursor.at
        tail = await self._publisher.tail()
        if tail is None:
            await self._rewind(0, "the stream is empty")
        elif await self._is_ours(tail) and await self._has_all_up_to(tail):
            await self._rewind(tail.position, f"the stream ends at {tail.position}")
        else:
            await self._begin_again(tail)

    async def _is_ours(self, tail: StreamId) -> bool:
        row = await self._store.outbox_row(tail.position)
        return row is not None and row.id == tail.id and row.incarnation >= tail.incarnation

    async def _has_all_up_to(self, tail: StreamId) -> bool:
        """Tell whether the stream has all that we have between where we stood and its tail.

        The tail is no proof of that: a database that was set back may make the same message again,
        at the same position, and before it another one; a broker may have lost one. Readers are
        past it by then, and take it for old: it needs a new incarnation.
        """
        if tail.position <= self._cursor.at:
            return True
        there = {(sent.position, sent.id) for sent in await self._publisher.after(self._cursor.at)}
        ours = self._carried(self._cursor.at, tail.position)
        return {(message.position, message.id) async for message in ours} <= there

    async def _carried(self, after: int, up_to: int) -> AsyncIterator[Envelope]:
        """Yield what goes to this broker of what stands between two positions."""
        while after < up_to and (page := await self._store.outbox(after, MAX_CHUNK)):
            for message in page:
                if message.position <= up_to and message.type in self._carries:
                    yield message
            after = page[-1].position

    async def _rewind(self, position: int, found: str) -> None:
        if position < self._cursor.at and not await self._was_published(position):
            position = self._cursor.at  # nothing of what stands between goes to this broker
        # Also where the store does not take it: a note that we gave up may have come in between.
        self._sent = position
        if position == self._cursor.at:
            return
        if position < self._cursor.at:
            self._metrics.rewound()
            log.error(
                "the broker lost messages: sending them again", found=found, sent=self._cursor.at
            )
        await self._move(position)

    async def _was_published(self, after: int) -> bool:
        """Tell whether we have sent anything that stands after a position."""
        async for _ in self._carried(after, self._cursor.at):
            return True
        return False

    async def _begin_again(self, tail: StreamId) -> None:
        """Raise the incarnation: the stream is not what this database sent, it was set back.

        What was sent since then is published under the new one, beginning where we stood before.
        """
        incarnation = await self._store.raise_incarnation(
            tail.incarnation, tail.position, self._cursor.at, self._lease
        )
        log.error(
            "this database was set back: beginning a new incarnation",
            incarnation=incarnation,
            tail=tail,
        )

    async def _move(self, position: int) -> None:
        moved = replace(self._cursor, to=position)
        appended = await self._store.append(Batch(cursors=[moved], lease=self._lease))
        self._cursor = replace(moved, at=appended.cursors[0])
