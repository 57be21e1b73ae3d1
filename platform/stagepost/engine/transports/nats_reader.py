"""Reading from NATS: a durable pull consumer per source, asked ahead, nothing acknowledged."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from stagepost.engine.batch import Cursor
from stagepost.engine.external import EXTERNAL
from stagepost.engine.transports import Received, sent_at
from stagepost.engine.transports.nats_api import (
    ask,
    message_at,
    next_of,
    reset,
    stream_id_of,
)
from stagepost.engine.transports.nats_envelope import read_envelope
from stagepost.engine.transports.nats_external import read_from_outside, where_to_begin
from stagepost.errors import ForeignMessage, TransportUnavailable

PREFETCH = 512
"""Messages of one source that are asked for ahead of being taken."""
PULL_SECONDS = 5
"""How long the broker keeps a request for messages open; then we look whether all is well."""
NOTHING_MORE = "408"
"""The status of a request that ended because there was nothing for it."""

Read = Callable[[Msg], Received | None]

log = structlog.get_logger(__name__)


class NatsSubscription:
    """The reader of several streams: pulls ahead a bounded number of messages of each."""

    def __init__(
        self, client: Client, reader: str, wake: Callable[[], None], lost: asyncio.Event
    ) -> None:
        self._client = client
        self._reader = reader
        self._wake = wake
        self._lost = lost
        self._pulls: list[_Pull] = []

    async def open(self, source: str, cursor: Cursor | None) -> None:
        """Begin to read one stream after a cursor."""
        read: Read = _received
        if source == EXTERNAL:
            life, first = await where_to_begin(self._client, self._reader, cursor)
            read = partial(read_from_outside, life=life)
        else:
            first = await self._first(source, cursor)
        answer = await reset(self._client, source, self._reader, first)
        pull = _Pull(
            self._client,
            source,
            self._reader,
            read=read,
            pending=answer["num_pending"],
            wake=self._wake,
            lost=self._lost,
        )
        self._pulls.append(pull)
        pull.start()

    async def _first(self, source: str, cursor: Cursor | None) -> int:
        """Where to begin: behind the hint, where the broker still has our last message there."""
        if cursor is None or cursor.hint == 0:
            return 1
        try:
            message = await message_at(self._client, source, self._reader, cursor.hint)
            known = stream_id_of(message.headers or {}, source)[:2] == (
                cursor.id.incarnation,
                cursor.at,
            )
        except (TransportUnavailable, ForeignMessage):
            known = False
        return cursor.hint + 1 if known else 1

    def take(self, limit: int) -> list[Received]:
        taken: list[Received] = []
        if len(self._pulls) > 1 and self._is_behind():
            taken = self._take_backlog(limit)
            if self._is_behind():
                return taken
        for pull in self._pulls:
            taken.extend(pull.take(limit - len(taken)))
        self._pulls = [*self._pulls[1:], *self._pulls[:1]]  # each is first in its turn
        return taken

    def _take_backlog(self, limit: int) -> list[Received]:
        """Take of what stood there at connect the oldest first, whoever sent it."""
        taken: list[Received] = []
        while len(taken) < limit:
            # Whoever shows what comes next drops what is not ours, and may have no more behind it.
            heads = {pull: head for pull in self._pulls if (head := pull.head) is not None}
            behind = [pull for pull in self._pulls if pull.behind]
            if not behind or any(pull not in heads for pull in behind):
                break  # what is still to come may be older
            oldest = min(heads, key=lambda pull: sent_at(heads[pull].message))
            taken += oldest.take(1)
        return taken

    def _is_behind(self) -> bool:
        return any(pull.behind for pull in self._pulls)

    async def behind(self) -> bool:
        return self._is_behind()

    async def close(self) -> None:
        """Ask for nothing more, at once and whatever happens while we wait, and unsubscribe."""
        for pull in self._pulls:
            pull.stop()
        for pull in self._pulls:
            await pull.stopped()


class _Pull:
    """One stream: keeps requests for messages open, and notices when one is missing."""

    def __init__(
        self,
        client: Client,
        source: str,
        reader: str,
        *,
        read: Read,
        pending: int,
        wake: Callable[[], None],
        lost: asyncio.Event,
    ) -> None:
        self._client = client
        self._source = source
        self._reader = reader
        self._read = read
        self._pending = pending
        self._wake = wake
        self._lost = lost
        self._arrived: deque[Msg] = deque()
        self._head: Received | None = None
        self._asked = 0
        self._taken = 0
        self._sequence = 0
        self._gap = False
        self._is_stopped = False
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._answered = asyncio.Event()

    @property
    def behind(self) -> bool:
        return self._taken < self._pending

    def start(self) -> None:
        self._task = asyncio.create_task(self._ask_on())

    def stop(self) -> None:
        """Ask for nothing more: it would be taken from the next reader.

        To cancel is not enough: on Python 3.11, `wait_for` forgets it where its answer is there.
        """
        self._is_stopped = True
        self._room.set()
        if self._task is not None:
            self._task.cancel()

    async def stopped(self) -> None:
        """Wait until nothing is asked any more."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def head(self) -> Received | None:
        """The next message of ours, where it has arrived."""
        while self._head is None and self._arrived:
            self._head = self._read(self._arrived.popleft())
            self._taken += self._head is None
            self._room.set()
        return self._head

    def take(self, limit: int) -> list[Received]:
        taken: list[Received] = []
        while len(taken) < limit and (head := self.head) is not None:
            taken.append(head)
            self._head = None
            self._taken += 1
        return taken

    async def _receive(self, message: Msg) -> None:
        if not message.reply.startswith("$JS.ACK."):
            if (message.headers or {}).get("Status") == NOTHING_MORE:
                # What was counted at connect and does not come was taken out of the stream since.
                here = len(self._arrived) + (self._head is not None)
                self._pending = min(self._pending, self._taken + here)
                self._wake()
            self._answered.set()
            return
        if self._gap:
            return
        sequence = int(message.reply.split(".")[-3])
        if sequence != self._sequence + 1:
            # Nothing behind the gap may be taken: the cursor would move past what is missing.
            self._gap = True
            self._lose("delivery skipped", expected=self._sequence + 1, got=sequence)
            return
        self._sequence = sequence
        self._arrived.append(message)
        self._asked -= 1
        if self._asked == 0:
            self._answered.set()
        self._wake()

    async def _ask_on(self) -> None:
        while not self._is_stopped:
            self._room.clear()
            room = PREFETCH - len(self._arrived)
            if room < PREFETCH // 2:
                await self._room.wait()
                continue
            await self._ask(room)
            if self._asked and not self._is_stopped:
                await self._look()

    async def _ask(self, room: int) -> None:
        """Ask for so many messages, and wait until they are here, or the request has ended.

        Each request has an inbox of its own: a broker that asks another account for it remembers
        it until nobody hears there any more.
        """
        self._asked = room
        self._answered.clear()
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(
            inbox, cb=self._receive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        body = json.dumps({"batch": room, "expires": PULL_SECONDS * 1_000_000_000})
        try:
            await self._client.publish(
                next_of(self._source, self._reader), body.encode(), reply=inbox
            )
            # Later than it should end, the broker has forgotten us.
            with suppress(TimeoutError):
                async with asyncio.timeout(PULL_SECONDS + 2):
                    await self._answered.wait()
        finally:
            with suppress(NatsError):  # the connection is gone, and the subscription with it
                await subscription.unsubscribe()

    async def _look(self) -> None:
        """Make sure that nobody else was given what is ours: an instance that was paused."""
        before = self._sequence
        try:
            info = await ask(self._client, f"CONSUMER.INFO.{self._source}.{self._reader}")
        except TransportUnavailable as error:
            self._lose("consumer not seen", reason=str(error))
            return
        if info["delivered"]["consumer_seq"] > before and self._sequence == before:
            self._lose("somebody else was given our messages")

    def _lose(self, why: str, **more: object) -> None:
        """Have the reading begin again, unless it has: what the next reader gets is its own."""
        if not self._is_stopped:
            log.warning(why, source=self._source, **more)
            self._lost.set()


def _received(message: Msg) -> Received | None:
    try:
        envelope = read_envelope(message.subject, message.headers or {}, message.data)
    except (KeyError, ValueError, IndexError) as error:
        log.warning("not one of our messages", subject=message.subject, reason=repr(error))
        return None
    return Received(envelope, int(message.reply.split(".")[-4]))
