"""Streams in memory: the transport for tests and simulations, with the rules of the real ones.

What it cannot do: outlive its process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from stagepost.engine.batch import Cursor
from stagepost.engine.envelope import Envelope
from stagepost.engine.transports import Received, StreamId, sent_at
from stagepost.errors import ForeignMessage, TransportUnavailable


@dataclass
class MemoryBroker:
    """The streams of all sources, and who reads them. `up` is False while it cannot be reached."""

    up: bool = True
    streams: dict[str, list[Envelope]] = field(default_factory=dict)
    readers: list[MemorySubscription] = field(default_factory=list)
    connections: list[MemoryTransport] = field(default_factory=list)

    def stop(self) -> None:
        """Cut every connection; publications fail until `start`."""
        self.up = False
        for connection in self.connections:
            connection.lost.set()

    def start(self) -> None:
        self.up = True

    def wipe(self) -> None:
        """Lose everything, as a broker does whose disk is gone."""
        self.stop()
        self.streams.clear()
        self.start()


class MemoryTransport:
    """The `Transport` port on a broker in memory."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.lost = asyncio.Event()
        self.heard: dict[str, Callable[[str], None]] = {}
        broker.connections.append(self)

    @property
    def connected(self) -> bool:
        return self._broker.up

    async def publisher(self, source: str) -> MemoryPublisher:
        return MemoryPublisher(self._broker, source)

    async def subscribe(
        self,
        reader: str,
        sources: Mapping[str, Collection[str]],
        cursors: Collection[Cursor],
        wake: Callable[[], None],
    ) -> MemorySubscription:
        _reach(self._broker, reader)
        latest = {c.id.source: c for c in sorted(cursors, key=lambda c: c.id.incarnation)}
        subscription = MemorySubscription(self._broker, reader, sources, latest, wake)
        self._broker.readers.append(subscription)
        return subscription

    async def hear(self, service: str, heard: Callable[[str], None]) -> None:
        _reach(self._broker, service)
        self.heard[service] = heard

    async def tell(self, service: str, word: str) -> None:
        if self._broker.up:
            for connection in self._broker.connections:
                if heard := connection.heard.get(service):
                    heard(word)

    async def close(self) -> None:
        self._broker.connections.remove(self)


class MemoryPublisher:
    """The writer of one stream."""

    def __init__(self, broker: MemoryBroker, source: str) -> None:
        self._broker = broker
        self._source = source
        self._written = 0

    async def tail(self) -> StreamId | None:
        _reach(self._broker, self._source)
        stream = self._broker.streams.setdefault(self._source, [])
        self._written = len(stream)
        if not stream:
            return None
        if stream[-1].source != self._source:
            raise ForeignMessage(
                f"the stream of {self._source} has a message that {self._source} did not write"
            )
        return StreamId.of(stream[-1])

    async def after(self, position: int) -> list[StreamId]:
        _reach(self._broker, self._source)
        backwards = reversed(self._broker.streams[self._source][: self._written])
        end = takewhile(lambda sent: sent.position > position, backwards)
        return [StreamId.of(sent) for sent in end][::-1]

    async def publish(self, messages: Sequence[Envelope]) -> None:
        _reach(self._broker, self._source)
        stream = self._broker.streams.setdefault(self._source, [])
        if len(stream) != self._written:
            raise ForeignMessage(f"the stream of {self._source} does not end as we left it")
        stream.extend(messages)
        self._written = len(stream)
        for reader in self._broker.readers:
            reader.wake()


class MemorySubscription:
    """The reader of several streams."""

    def __init__(
        self,
        broker: MemoryBroker,
        reader: str,
        sources: Mapping[str, Collection[str]],
        cursors: Mapping[str, Cursor],
        wake: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._reader = reader
        self._sources = sources
        self._next = {source: _first(broker, cursors.get(source), source) for source in sources}
        self._tails = {source: len(broker.streams.get(source, ())) for source in sources}
        self.wake = wake
        wake()

    def take(self, limit: int) -> list[Received]:
        taken: list[Received] = []
        while self._broker.up and len(taken) < limit and (heads := self._heads()):
            source = min(heads, key=lambda name: sent_at(heads[name]))
            self._next[source] += 1
            message = heads[source]
            if message.type in self._sources[source] and message.recipient in (None, self._reader):
                taken.append(Received(message, self._next[source]))
        return taken

    def _heads(self) -> dict[str, Envelope]:
        """Return the next message of each source that has one."""
        streams = self._broker.streams
        return {
            source: streams[source][at]
            for source, at in self._next.items()
            if at < len(streams.get(source, ()))
        }

    async def behind(self) -> bool:
        return any(self._next[source] < self._tails[source] for source in self._sources)

    async def close(self) -> None:
        self._broker.readers.remove(self)


def _first(broker: MemoryBroker, cursor: Cursor | None, source: str) -> int:
    """Where to begin: behind the hint, where the broker still has our last message there."""
    stream = broker.streams.get(source, [])
    if cursor is None or not 0 < cursor.hint <= len(stream):
        return 0
    last = stream[cursor.hint - 1]
    return (
        cursor.hint
        if (last.incarnation, last.position) == (cursor.id.incarnation, cursor.at)
        else 0
    )


def _reach(broker: MemoryBroker, who: str) -> None:
    if not broker.up:
        raise TransportUnavailable(f"the broker cannot be reached by {who}")
