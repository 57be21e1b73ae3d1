"""A reader catches up with what a source told before the reader was there, then goes live.

The source's events come in pages of its feed, from its beginning to its end, and over a desk of the
reader's own store: whatever they make is stored as it is for a message that came live. What the
reader has heard already it knows by the message's id. So it may read live at the same time, or not
run at all. At the end its cursor is moved to where the feed ended: it goes on behind that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from stagepost.engine.database import Queries
from stagepost.engine.decide import Decider
from stagepost.engine.desk import Desk
from stagepost.engine.envelope import Envelope, Place
from stagepost.engine.flow import Flow
from stagepost.engine.follow import first_of, follow
from stagepost.engine.ids import SystemIds
from stagepost.engine.items import Item
from stagepost.engine.links import routes_of
from stagepost.engine.service import Service
from stagepost.engine.store import Store
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transports.feed_answer import Answer
from stagepost.errors import FeedRefused
from stagepost.messages import Command, Event

LIMIT = 256
"""Events of a page."""

_BEGIN = Place(0, 0)

Ask: TypeAlias = Callable[[int, int], Awaitable[Answer]]
"""Returns a page of a feed behind a position, of so many events at most."""


@dataclass(slots=True)
class Backfilled:
    """What was read, and of what the reader wants, how much it knew and how much it handled now.

    `until` is where the feed ended, and `goes_on` whether the reader's cursor stands there: it does
    not where commands come the same way.
    """

    read: int = 0
    known: int = 0
    handled: int = 0
    until: Place = _BEGIN
    goes_on: bool = False


def wanted_of(reader: Service, source: Service) -> frozenset[str]:
    """Return which types of events a reader wants of a source."""
    return frozenset(m.TYPE for m in reader.reads_from(source) if issubclass(m, Event))


class Backfill:
    """One backfill of a reader from a source; `queries` run on the reader's database."""

    def __init__(
        self,
        flow: Flow,
        reader: Service,
        source: Service,
        *,
        store: Store,
        queries: Queries,
        ask: Ask,
        told: Callable[[int], None],
    ) -> None:
        posts = routes_of(reader, flow.services, flow.links).posts
        self._desk = Desk(
            Decider(reader, {}, posts), store, SystemIds(), reader.name, Metrics(reader.name)
        )
        self._reader, self._source = reader, source
        self._wanted = wanted_of(reader, source)
        self._queries = queries
        self._ask = ask
        self._told = told
        self._at = 0
        self._is_at_end = False
        self._done = Backfilled()

    async def run(self) -> Backfilled:
        """Read the feed to its end.

        Raises:
            FeedRefused: the source no longer has what the reader lacks.
            StoreError, TransportError
        """
        await self._refuse_forgotten()
        await first_of(self._desk.run(), follow(self._read, self._handle, None, limit=LIMIT))
        await self._go_on()
        return self._done

    async def _refuse_forgotten(self) -> None:
        """Refuse where the reader has forgotten what it heard: it would do all that again.

        Raises:
            FeedRefused
        """
        if await self._queries.fetch("has_pruned"):
            raise FeedRefused(
                f"{self._reader.name} was pruned: of what it has forgotten it would not know that"
                " it heard it before"
            )

    async def _read(self, limit: int) -> Sequence[Envelope]:
        """Return the next page, whatever is in it, until one reaches the end of the feed."""
        if self._is_at_end:
            return ()
        answer = await self._ask(self._at, limit)
        if answer.refusal is not None:
            self._begin_later(answer)
            answer = await self._ask(self._at, limit)
            if answer.refusal is not None:
                raise FeedRefused(f"the feed of {self._source.name}: {answer.refusal}")
        self._at = answer.next
        self._is_at_end = not answer.events or self._at >= answer.end.position
        self._done.until = Place(answer.end.incarnation, self._at)
        return answer.events

    def _begin_later(self, answer: Answer) -> None:
        """Begin where the feed does, if nothing of interest was before that.

        Raises:
            FeedRefused
        """
        lost = sorted(self._wanted & answer.pruned.keys())
        if lost or answer.begin <= self._at:
            what = f" ({', '.join(lost)})" if lost else ""
            raise FeedRefused(f"the feed of {self._source.name}: {answer.refusal}{what}")
        self._at = answer.begin

    async def _handle(self, page: Sequence[Envelope]) -> None:
        """Have the reader handle what it wants of a page, and has not heard."""
        wanted = [event for event in page if event.type in self._wanted]
        heard = {
            row[0] for row in await self._queries.fetch("heard_of", [event.id for event in wanted])
        }
        items = [self._item(event) for event in wanted if event.id not in heard]
        for item in items:
            self._desk.put(item)
        await asyncio.gather(*(item.done for item in items if item.done is not None))
        self._done.read += len(page)
        self._done.known += len(heard)
        self._done.handled += len(items)
        self._told(len(page))

    def _item(self, event: Envelope) -> Item:
        done = asyncio.get_running_loop().create_future()
        return Item(event, done=done, needs_lease=False)

    async def _go_on(self) -> None:
        """Have the reader go on behind what it has now, unless it would pass commands unread."""
        self._done.goes_on = not any(
            issubclass(message, Command) for message in self._reader.reads_from(self._source)
        )
        if self._done.goes_on:
            await self._queries.fetch("pass", self._source.name, *self._done.until)
