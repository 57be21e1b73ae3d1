"""Kafka: one topic of one partition per source, whose order is that of the source's outbox.

As with NATS, order and exactly-once effect do not rest on the broker: the reader's position lives
in its own database, and a relay that begins looks at the topic's tail and sends what is above it.
The library has threads of its own; its callbacks come over into the event loop, and what blocks is
called in a thread. A topic is made by whoever runs the cluster, with one partition, and with
`retention.ms=-1` if it is to keep what the outbox keeps.

What it cannot do:

- refuse a stale writer: Kafka has no compare-and-set. Who was paused and wakes up can only write
  what is in its outbox: the same messages once more, which readers know by their positions. After
  its database was set back it may write what that database no longer knows, under the incarnation
  of old. No epoch rides in the message: within an incarnation the position says as much.
- keep everything: it may throw old messages away. A reader that needs one of them stops reading
  that source, says so, and never moves past it.
- select by type or recipient: each reader is sent whole topics.
- notice, while connected, that the cluster lost what it had confirmed: that is found with the
  next publication, or on the next connection.
- name its writers: who may write to which topic is for the cluster's own access rules.
- read a backlog of several sources in the order of time: it comes as the brokers send it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import takewhile
from typing import TypeVar
from weakref import WeakSet

import structlog

from stagepost.engine.batch import Cursor
from stagepost.engine.envelope import Envelope, Place
from stagepost.engine.transports import StreamId
from stagepost.engine.transports.kafka_client import (
    Clients,
    KafkaError,
    KafkaException,
    Properties,
    ours_backwards,
)
from stagepost.engine.transports.kafka_envelope import Trail, headers_of
from stagepost.engine.transports.kafka_producer import Producing
from stagepost.engine.transports.kafka_reader import KafkaSubscription, Log, Missing, open_logs
from stagepost.errors import TransportUnavailable

_USUAL = frozenset({KafkaError._TRANSPORT, KafkaError._RESOLVE})  # noqa: SLF001  # their names
"""One broker cannot be reached: told at each try, and no matter while there is another."""

log = structlog.get_logger(__name__)
T = TypeVar("T")


class KafkaTransport:
    """The `Transport` port on one cluster.

    `properties` says how to reach it, and is asked at every new beginning. `gaps` has the sources
    of which something is missing, and what: they are read no further.
    """

    def __init__(self, properties: Callable[[], Properties], name: str) -> None:
        self._properties = properties
        self._name = name
        self._publishers: dict[str, KafkaPublisher] = {}
        self._subscriptions: WeakSet[KafkaSubscription] = WeakSet()
        self._suspected: set[tuple[str, Place]] = set()
        self._up = False
        self.gaps: dict[str, str] = {}
        self.lost = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._up

    async def close(self) -> None:
        for publisher in self._publishers.values():
            await publisher.close()
        for subscription in self._subscriptions:
            await subscription.close()

    async def publisher(self, source: str) -> KafkaPublisher:
        if (former := self._publishers.get(source)) is not None:
            await former.close()
        publisher = self._publishers[source] = KafkaPublisher(self, source)
        return publisher

    async def subscribe(
        self,
        reader: str,
        sources: Mapping[str, Collection[str]],
        cursors: Collection[Cursor],
        wake: Callable[[], None],
    ) -> KafkaSubscription:
        clients = self.clients()

        def look() -> dict[str, Log]:
            with clients.looking() as consumer:
                return open_logs(consumer, reader, sources, cursors)

        logs = await self.ask(look)
        self.gaps.clear()
        subscription = KafkaSubscription(
            clients.consumer(), logs, wake=wake, lose=self._lose, missing=self._miss
        )
        self._subscriptions.add(subscription)
        return subscription

    def clients(self) -> Clients:
        """Return what makes clients of the cluster as it is now."""
        loop = asyncio.get_running_loop()

        def on_error(error: KafkaError) -> None:
            if error.fatal() or error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
                loop.call_soon_threadsafe(self._lose)
            elif error.code() not in _USUAL:
                log.warning("broker", reason=str(error))

        return Clients(self._properties(), self._name, on_error)

    async def ask(self, work: Callable[[], T]) -> T:
        """Do in a thread what blocks.

        Raises:
            TransportUnavailable: the brokers do not answer.
        """
        try:
            answer = await asyncio.to_thread(work)
        except KafkaException as error:
            self._up = False
            raise TransportUnavailable(f"Kafka does not answer: {error}") from error
        self._up = True
        return answer

    def _lose(self) -> None:
        self._up = False
        self.lost.set()

    def _miss(self, log_: Log, missing: Missing) -> None:
        """Begin again once, in case it was somebody else's topic; then believe it."""
        suspicion = (log_.source, missing.goes_on)
        if suspicion not in self._suspected:
            self._suspected.add(suspicion)
            self.lost.set()
            return
        self.gaps[log_.source] = str(missing)
        log.error("messages are missing", source=log_.source, reason=str(missing))


class KafkaPublisher:
    """The writer of one topic: its producer keeps the order, and is thrown away once it fails."""

    def __init__(self, transport: KafkaTransport, source: str) -> None:
        self._transport = transport
        self._source = source
        self._trail = Trail()
        self._producing: Producing | None = None

    async def tail(self) -> StreamId | None:
        await self.close()
        clients = self._transport.clients()

        def look() -> tuple[Envelope, Trail] | None:
            with clients.looking() as consumer:
                return next(ours_backwards(consumer, self._source), None)

        self._producing = producing = Producing(clients)
        try:
            last = await self._transport.ask(look)
            await producing.greet(self._source)
        except BaseException:
            await self.close()
            raise
        if last is None:
            self._trail = Trail()
            return None
        message, self._trail = last
        return StreamId.of(message)

    async def after(self, position: int) -> list[StreamId]:
        clients = self._transport.clients()

        def look() -> list[StreamId]:
            with clients.looking() as consumer:
                ours = (message for message, _ in ours_backwards(consumer, self._source))
                return [StreamId.of(m) for m in takewhile(lambda m: m.position > position, ours)]

        return (await self._transport.ask(look))[::-1]

    async def publish(self, messages: Sequence[Envelope]) -> None:
        if self._producing is None or not self._transport.connected:
            raise TransportUnavailable(f"it is not known how the topic {self._source} ends")
        try:
            for message in messages:
                headers = headers_of(message, self._trail)
                self._producing.put(self._source, message.key, message.body, headers)
                self._trail.add(message)
            await self._producing.confirmed()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Publish no more; what is not confirmed is given up."""
        if (producing := self._producing) is not None:
            self._producing = None
            await producing.close()
