"""The memory adapters of one process, each call through the wires of `faults`."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from stagepost.engine.batch import Appended, Batch, Commit, Cursor, Outcome
from stagepost.engine.calls_memory import MemoryCalls
from stagepost.engine.envelope import Envelope
from stagepost.engine.recipients_memory import MemoryRecipients
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.tables_memory import MemoryTables
from stagepost.engine.transports import Received, StreamId, sent_at
from stagepost.engine.transports.memory import (
    MemoryPublisher,
    MemorySubscription,
    MemoryTransport,
)
from stagepost.engine.views import Move
from stagepost.errors import CallFailed, OutcomeUnknown, StoreUnavailable, TransportUnavailable
from stagepost.view import Row, View
from tests.simulation.faults import CALL, DELIVERY, PUBLISH, READ, WAKE, WRITE, Io
from tests.simulation.loop import Process
from tests.simulation.plan import Fault

T = TypeVar("T")

WRITES = frozenset(
    {
        *("take_lease", "renew_lease", "drop_lease", "stop_waiting"),
        *("raise_incarnation", "put_right", "keep_snapshots", "redrive", "discard"),
    }
)
"""What a store can be asked that changes it, beside `append`."""

_NOT_STORED = (StoreUnavailable("simulated"), OutcomeUnknown("simulated"))
"""What a store says that stored nothing: a connection that was cut does not know."""

Watch = Callable[[Batch], dict[int, str]]
"""Says, by commit, what would be broken if it were stored now (-1: if anything were)."""


class FaultyStore:
    """A service's database, as one process reaches it. `watch` sees each batch as it is stored."""

    def __init__(
        self,
        store: MemoryStore,
        io: Io,
        name: str,
        watch: Watch,
        refuses: Callable[[Commit], bool],
    ) -> None:
        self._store = store
        self._refuses = refuses
        self._io = io
        self._party = f"store {name}"
        self._watch = watch

    async def append(self, batch: Batch) -> Appended:
        async def act() -> Appended:
            if any(map(self._refuses, batch.commits)):
                raise ValueError("simulated: it does not fit the table")
            found = self._watch(batch)
            appended = await self._store.append(batch)
            for number, fault in found.items():
                if number < 0 or appended.outcomes[number] is Outcome.KEPT:
                    self._io.broken.append(fault)
            return appended

        return await self._io.reach(
            self._party,
            "store.append",
            act,
            able=WRITE,
            failed=self._io.draw(_NOT_STORED),
            unknown=OutcomeUnknown("simulated"),
        )

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        ask = getattr(self._store, name)
        able = WRITE if name in WRITES else READ

        async def reach(*args: Any, **options: Any) -> Any:
            return await self._io.reach(
                self._party,
                f"store.{name}",
                lambda: ask(*args, **options),
                able=able,
                failed=StoreUnavailable("simulated"),
            )

        self.__dict__[name] = reach
        return reach


class FaultyTables:
    """The tables of a service's views: they lie in the same database."""

    def __init__(self, tables: MemoryTables, io: Io, name: str) -> None:
        self._tables = tables
        self._io = io
        self._party = f"store {name}"

    async def positions(self, views: Collection[str]) -> dict[str, int]:
        return await self._reach("positions", lambda: self._tables.positions(views), READ)

    async def load(self, view: View[Any], keys: Collection[str]) -> dict[str, Row]:
        return await self._reach("load", lambda: self._tables.load(view, keys), READ)

    async def save(self, moves: Sequence[Move]) -> bool:
        return await self._reach("save", lambda: self._tables.save(moves), WRITE)

    async def _reach(
        self, call: str, act: Callable[[], Awaitable[T]], able: Collection[Fault]
    ) -> T:
        failed = StoreUnavailable("simulated")
        return await self._io.reach(self._party, f"tables.{call}", act, able=able, failed=failed)


class FaultyTransport:
    """One process's connection to the broker."""

    def __init__(self, transport: MemoryTransport, io: Io, process: Process) -> None:
        self._transport = transport
        self._io = io
        self._process = process
        self.lost = transport.lost
        self.subscription: FaultySubscription | None = None

    @property
    def connected(self) -> bool:
        return self._transport.connected

    async def publisher(self, source: str) -> FaultyPublisher:
        inner = await self._reach("transport.publisher", lambda: self._transport.publisher(source))
        return FaultyPublisher(inner, self._io)

    async def subscribe(
        self,
        reader: str,
        sources: Mapping[str, Collection[str]],
        cursors: Collection[Cursor],
        wake: Callable[[], None],
    ) -> FaultySubscription:
        def wake_if_heard() -> None:
            if self._io.next("transport.wake", WAKE) is None:
                wake()

        inner = await self._reach(
            "transport.subscribe",
            lambda: self._transport.subscribe(reader, sources, cursors, wake_if_heard),
        )
        self.subscription = FaultySubscription(inner, self._io, self._process, wake)
        self._process.node.connected(inner._tails)
        return self.subscription

    async def hear(self, service: str, heard: Callable[[str], None]) -> None:
        await self._reach("transport.hear", lambda: self._transport.hear(service, heard))

    async def tell(self, service: str, word: str) -> None:
        if self._io.next("transport.tell", WAKE) is None:
            await self._transport.tell(service, word)

    async def close(self) -> None:
        await self._transport.close()

    def cut(self) -> None:
        """Let the broker notice that the process is gone."""
        broker = self._transport._broker
        broker.connections.remove(self._transport)
        if self.subscription is not None and self.subscription.inner in broker.readers:
            broker.readers.remove(self.subscription.inner)

    async def _reach(self, call: str, act: Callable[[], Awaitable[Any]]) -> Any:
        failed = TransportUnavailable("simulated")
        return await self._io.reach("broker", call, act, able=READ, failed=failed)


class FaultyPublisher:
    """The writer of one stream."""

    def __init__(self, inner: MemoryPublisher, io: Io) -> None:
        self._inner = inner
        self._io = io

    async def tail(self) -> StreamId | None:
        failed = TransportUnavailable("simulated")
        return await self._io.reach(
            "broker", "publisher.tail", self._inner.tail, able=READ, failed=failed
        )

    async def after(self, position: int) -> list[StreamId]:
        return await self._io.reach(
            "broker",
            "publisher.after",
            lambda: self._inner.after(position),
            able=READ,
            failed=TransportUnavailable("simulated"),
        )

    async def publish(self, messages: Sequence[Envelope]) -> None:
        await self._io.reach(
            "broker",
            "publisher.publish",
            lambda: self._inner.publish(messages),
            able=PUBLISH,
            failed=TransportUnavailable("simulated"),
        )


class FaultySubscription:
    """The reader of several streams: each in its order, mixed, late and repeated as it may be."""

    def __init__(
        self, inner: MemorySubscription, io: Io, process: Process, wake: Callable[[], None]
    ) -> None:
        self.inner = inner
        self._io = io
        self._process = process
        self._wake = wake
        self._random = Random(f"subscription {io.calls}")
        self._queues: dict[str, deque[Received]] = {source: deque() for source in inner._sources}
        self._held: dict[str, float] = {}

    def take(self, limit: int) -> list[Received]:
        if not self._process.alive:
            return []
        for received in self.inner.take(limit):
            self._arrive(received)
        taken: list[Received] = []
        while len(taken) < limit and (source := self._next()):
            taken.append(self._queues[source].popleft())
        return taken

    def _next(self) -> str | None:
        """Return whose turn it is: in a backlog the oldest comes first, then they are mixed."""
        waiting = [source for source, queue in self._queues.items() if queue]
        if waiting and self.holds_old():
            waiting = [min(waiting, key=lambda source: sent_at(self._queues[source][0].message))]
        now = self._io.loop.time()
        ready = [source for source in waiting if self._held.get(source, 0) <= now]
        return self._random.choice(ready) if ready else None

    def _arrive(self, received: Received) -> None:
        source = received.message.source
        self._queues[source].append(received)
        match self._io.next("subscription.take", DELIVERY):
            case Fault.DUPLICATE:
                self._queues[source].append(received)
            case Fault.SLOW:
                seconds = self._random.choice((0.3, 2.0, 6.0))
                self._held[source] = self._io.loop.time() + seconds
                self._io.loop.call_later(seconds, self._wake)
            case Fault.CRASH_AFTER:
                self._io.crash(self._process)

    async def behind(self) -> bool:
        return await self.inner.behind() or self.holds_old()

    def holds_old(self) -> bool:
        """Tell whether something is on its way that stood in the broker at connect."""
        tails = self.inner._tails
        return any(r.hint <= tails[source] for source, q in self._queues.items() for r in q)

    async def close(self) -> None:
        if self.inner in self.inner._broker.readers:
            await self.inner.close()


class FaultyCalls:
    """The calls of one process to the world outside."""

    def __init__(self, calls: MemoryCalls, io: Io) -> None:
        self._calls = calls
        self._io = io

    async def post(self, to: str, path: str, body: bytes, idempotency_key: str) -> bytes:
        async def act() -> bytes:
            return await self._calls.post(to, path, body, idempotency_key)

        return await self._io.reach(
            "outside",
            "calls.post",
            act,
            able=CALL,
            failed=CallFailed("simulated"),
            garbled=b'{"what": "nonsense"}',
        )

    async def close(self) -> None:
        await self._calls.close()


class FaultyRecipients:
    """The way of one process to the recipients of its commands."""

    def __init__(self, recipients: MemoryRecipients, io: Io) -> None:
        self._recipients = recipients
        self._io = io

    async def ask(self, command: Envelope) -> Envelope | None:
        return await self._io.reach(
            f"service {command.recipient}",
            "recipients.ask",
            lambda: self._recipients.ask(command),
            able=WRITE,
            failed=CallFailed("simulated"),
        )

    async def close(self) -> None:
        await self._recipients.close()
