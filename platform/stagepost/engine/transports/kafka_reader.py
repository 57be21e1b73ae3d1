"""Reading from Kafka: a thread that looks at every message of the topics, and keeps what is wanted.

Brokers there do not select by subject, so types are sorted out here. What lies
between the last message that the reader knows and the first that it is given must not be missing:
each message says what went before it (see `kafka_envelope`).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from stagepost.engine.batch import Cursor
from stagepost.engine.envelope import Place
from stagepost.engine.transports import Received
from stagepost.engine.transports.kafka_client import (
    Consumer,
    Message,
    TopicPartition,
    extent_of,
    messages_at,
)
from stagepost.engine.transports.kafka_envelope import (
    attributes_of,
    last_missed,
    read_envelope,
    read_place,
    read_trail,
)

BATCH = 500
"""Messages that are looked at in one go."""
PREFETCH = 1024
"""Messages that may wait to be taken; then the thread stops reading."""
LOOK_SECONDS = 0.2
"""How long the thread waits for a message before it looks whether it is to end."""

log = structlog.get_logger(__name__)


class Missing(Exception):  # a signal between a log and its reader, never an error
    """Messages that the reader needs are no longer there, or not yet again."""

    def __init__(self, text: str, goes_on: Place) -> None:
        super().__init__(text)
        self.goes_on = goes_on


@dataclass(eq=False)
class Log:
    """One topic as `reader` reads it: `next` is the next offset, `end` was it when we came."""

    source: str
    types: frozenset[str]
    reader: str
    next: int
    end: int
    seen: Place
    stopped: bool = False

    def read(self, message: Message) -> Received | None:
        """Return a message if it is for us.

        Raises:
            Missing: not all of those before it were there.
        """
        offset = message.offset()
        assert offset is not None
        self.next = offset + 1
        try:
            return self._read(message, offset)
        except (KeyError, ValueError) as error:
            log.warning(
                "not one of our messages", topic=self.source, offset=offset, reason=repr(error)
            )
            return None

    def _read(self, message: Message, offset: int) -> Received | None:
        attributes = attributes_of(message.headers())
        place, type_ = read_place(self.source, attributes)
        if missed := last_missed(read_trail(attributes), self.types, self.seen):
            read_envelope(self.source, attributes, message.value())  # else nobody's word for it
            raise Missing(
                f"{self.reader} knows {self.source} up to {self.seen.position}, the topic goes"
                f" on at {place.position} and has lost {missed}: take this link over http, which"
                " reads the source's outbox",
                place,
            )
        self.seen = max(self.seen, place)
        if type_ not in self.types:  # a command's says whose it is
            return None
        return Received(read_envelope(self.source, attributes, message.value()), offset)


def open_logs(
    consumer: Consumer,
    reader: str,
    sources: Mapping[str, Collection[str]],
    cursors: Iterable[Cursor],
) -> dict[str, Log]:
    """Find where to begin: behind the hint, where our last message is there, else with the first.

    Raises:
        KafkaException, TransportUnavailable
    """
    latest = {c.id.source: c for c in sorted(cursors, key=lambda c: c.id.incarnation)}
    extents = {source: extent_of(consumer, source) for source in sources}
    hints = {
        source: cursor.hint
        for source, extent in extents.items()
        if (cursor := latest.get(source)) and extent.first <= cursor.hint < extent.end
    }
    there = messages_at(consumer, hints) if hints else {}
    logs: dict[str, Log] = {}
    for source, types in sources.items():
        first, end = extents[source]
        cursor = latest.get(source)
        seen = Place(cursor.id.incarnation, cursor.at) if cursor else Place(0, 0)
        known = source in there and _place(there[source]) == seen
        begin = hints[source] + 1 if known else first
        logs[source] = Log(source, frozenset(types), reader, begin, end, seen)
    return logs


def _place(message: Message) -> Place | None:
    try:
        return read_place(str(message.topic()), attributes_of(message.headers()))[0]
    except (KeyError, ValueError):
        return None


class KafkaSubscription:
    """The reader of several topics, with a thread of its own."""

    def __init__(
        self,
        consumer: Consumer,
        logs: Mapping[str, Log],
        *,
        wake: Callable[[], None],
        lose: Callable[[], None],
        missing: Callable[[Log, Missing], None],
    ) -> None:
        self._consumer = consumer
        self._logs = logs
        self._wake = wake
        self._lose = lose
        self._missing = missing
        self._arrived: deque[Received] = deque()
        self._passed = {source: log.next for source, log in logs.items()}
        self._loop = asyncio.get_running_loop()
        self._room = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="kafka reader")
        self._thread.start()

    def take(self, limit: int) -> list[Received]:
        taken = [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]
        if taken:
            self._room.set()
        return taken

    async def behind(self) -> bool:
        waiting = list(self._arrived)
        return any(
            self._passed[source] < log.end and not log.stopped for source, log in self._logs.items()
        ) or any(received.hint < self._logs[received.message.source].end for received in waiting)

    async def close(self) -> None:
        self._ending = True
        self._room.set()
        await asyncio.to_thread(self._thread.join)

    # What follows runs in the thread.

    def _run(self) -> None:
        try:
            self._consumer.assign(
                [TopicPartition(source, 0, log.next) for source, log in self._logs.items()]
            )
            while not self._ending:
                self._read()
        except Exception as error:
            # Whatever it is: nobody else would see it, and what comes would be read by no one.
            log.exception("cannot read on", reason=repr(error))
            self._tell(self._lose)
        finally:
            self._consumer.close()

    def _read(self) -> None:
        first = self._consumer.poll(LOOK_SECONDS)
        if first is None:
            return
        wanted = self._sorted_out([first, *self._consumer.consume(BATCH - 1, 0)])
        self._arrived.extend(wanted)
        for source, log_ in self._logs.items():
            self._passed[source] = log_.next
        if wanted:
            self._tell(self._wake)
        self._wait_for_room()

    def _sorted_out(self, messages: Sequence[Message]) -> list[Received]:
        wanted: list[Received] = []
        for message in messages:
            source = str(message.topic())
            if (error := message.error()) is not None:
                log.warning("cannot read on", topic=source, reason=str(error))
                self._tell(self._lose)
            elif not (log_ := self._logs[source]).stopped:
                try:
                    received = log_.read(message)
                except Missing as missing:
                    self._stop(log_, missing)
                else:
                    if received is not None:
                        wanted.append(received)
        return wanted

    def _stop(self, log_: Log, missing: Missing) -> None:
        """Read no more of this topic: the cursor would move past what is missing."""
        log_.stopped = True
        self._consumer.incremental_unassign([TopicPartition(log_.source, 0)])
        self._tell(lambda: self._missing(log_, missing))

    def _wait_for_room(self) -> None:
        while True:
            self._room.clear()
            if len(self._arrived) < PREFETCH or self._ending:
                return
            self._room.wait()

    def _tell(self, what: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(what)
