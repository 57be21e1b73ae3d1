"""A service that counts, on memory ports: what the tests of an instance are written with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel

from stagepost import (
    Aggregate,
    Answer,
    Call,
    CallAnswer,
    Command,
    Decision,
    DomainEvent,
    FirstEvent,
    Load,
    Refusal,
    Request,
    event,
    stream_id,
)
from stagepost.engine.batch import Lease
from stagepost.engine.calls_memory import MemoryCalls, Reply
from stagepost.engine.clock import SystemClock
from stagepost.engine.envelope import Envelope
from stagepost.engine.ids import SeededIds
from stagepost.engine.network import Network
from stagepost.engine.room import Room
from stagepost.engine.runtime import Instance
from stagepost.engine.service import Service
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.tables_memory import MemoryTables
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.memory import MemoryBroker, MemoryTransport
from stagepost.errors import Conflict
from stagepost.messages import encode

# A counter that others command, whose every third step is announced to the outside world.


class Count(Command):
    KEY, OWNER = "name", "counter"
    name: str
    by: int


class Counted(Answer, to=Count):
    KEY, OWNER = "name", "counter"
    name: str
    total: int


class NotCounted(Refusal, to=Count):
    KEY, OWNER = "name", "counter"
    name: str


class Announce(Call):
    OWNER, KEY, TO, PATH = "counter", "name", "world", "/announcements"
    name: str
    total: int


class Announced(CallAnswer):
    OWNER = "counter"
    call: Announce
    heard: bool


Announce.ANSWER = Announced


class CountNow(Request):
    KEY, OWNER = "name", "counter"
    name: str
    by: int


class Total(BaseModel):
    total: int


class Counter(Aggregate):
    TOPIC = "test.Counter"

    class Began(FirstEvent):
        TOPIC = "test.Counter.Began"
        name: str

    class Grew(DomainEvent):
        TOPIC = "test.Counter.Grew"
        by: int

    class Heard(DomainEvent):
        TOPIC = "test.Counter.Heard"

    @staticmethod
    def stream(name: str) -> str:
        return f"counter/{name}"

    @staticmethod
    def create_id(name: str) -> UUID:
        return stream_id(Counter.stream(name))

    @event(Began)
    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0
        self.heard = 0

    @event(Grew)
    def grow(self, by: int) -> None:
        self.total += by

    @event(Heard)
    def note_heard(self) -> None:
        self.heard += 1


POISON = 666


def grow(name: str, by: int, load: Load) -> Counter:
    counter = load.one(Counter, Counter.stream(name)) or Counter(name)
    counter.grow(by)
    if by == POISON:
        raise RuntimeError("this number breaks me")
    return counter


def count(command: Count, load: Load) -> Decision:
    about = {"caller": command.caller, "reference": command.reference, "name": command.name}
    if command.by < 0:
        return Decision(sends=(NotCounted(**about, reason="it only grows"),))
    counter = grow(command.name, command.by, load)
    sends: list[Any] = [Counted(**about, total=counter.total)]
    if counter.total % 3 == 0:
        sends.append(Announce(name=command.name, total=counter.total))
    return Decision((counter,), tuple(sends))


def count_now(request: CountNow, load: Load) -> Decision:
    if request.by < 0:
        raise Conflict("it only grows")
    counter = grow(request.name, request.by, load)
    return Decision((counter,), answer=Total(total=counter.total))


def announced(answer: Announced, load: Load) -> Decision:
    counter = load.one(Counter, Counter.stream(answer.call.name))
    assert counter is not None
    counter.note_heard()
    return Decision((counter,))


COUNTER = Service(
    name="counter",
    about="Counts.",
    port=0,
    sql=Path(),
    handlers={Count: count, CountNow: count_now, Announced: announced},
    sends=(Counted, NotCounted),
    calls=("world",),
)
COUNTER_CLIENT = Service(name="client", about="Asks.", port=0, sql=Path(), sends=(Count,))


class Watched(MemoryStore):
    """A store that notes who was given a lease, and can ignore that it is given back."""

    def __init__(self, service: str) -> None:
        super().__init__(service, SystemClock())
        self.leases: list[Lease | None] = []
        self.keeps_dropped_leases = False

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        lease = await super().take_lease(name, holder, seconds)
        self.leases.append(lease)
        return lease

    async def drop_lease(self, lease: Lease) -> None:
        if not self.keeps_dropped_leases:
            await super().drop_lease(lease)


class World:
    """The counter service, what is around it, and a client that writes commands to the broker."""

    def __init__(self, service: Service = COUNTER) -> None:
        self.service = service
        self.store: Any = Watched(service.name)
        self.broker = MemoryBroker()
        self.announcements: list[tuple[bytes, str]] = []
        self.ids = SeededIds(7)
        self.failures = 0
        self.delays: dict[str, float] = {}
        self.lease_seconds = 0.6
        self.room = Room()
        self._position = 0

    async def announce(self, body: bytes, key: str) -> Reply:
        self.announcements.append((body, key))
        if self.failures:
            self.failures -= 1
            raise ConnectionResetError
        return Reply(b'{"heard": true}')

    def instance(self, holder: str = "counter-1") -> Instance:
        return Instance(
            self.service,
            {"client": COUNTER_CLIENT},
            holder=holder,
            store=self.store,
            tables=MemoryTables(),
            network=self.network(),
            calls=MemoryCalls({("world", "/announcements"): self.announce}, timeout=1),
            ids=self.ids,
            metrics=Metrics(self.service.name),
            delays=self.delays,
            lease_seconds=self.lease_seconds,
            room=self.room,
        )

    def network(self) -> Network:
        transport = MemoryTransport(self.broker)
        return Network({NATS: transport}, transport)

    @asynccontextmanager
    async def running(self, holder: str = "counter-1") -> AsyncIterator[Instance]:
        instance = self.instance(holder)
        task = asyncio.create_task(instance.run())
        try:
            yield instance
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def command(self, name: str, by: int, **more: Any) -> Envelope:
        """Let the client send one command, as its relay would."""
        sent = self.next_command(name, by, **more)
        await self.put(sent)
        return sent

    def next_command(self, name: str, by: int, **more: Any) -> Envelope:
        """Make the client's next command."""
        self._position += 1
        message = Count(caller="client", reference=name, name=name, by=by)
        sent = Envelope(
            id=uuid4(),
            type=message.TYPE,
            version=1,
            kind="command",
            source="client",
            key=name,
            correlation=uuid4(),
            causation=uuid4(),
            body=encode(message),
            recipient="counter",
            incarnation=1,
            position=self._position,
        )
        return replace(sent, **more)

    async def put(self, *messages: Envelope) -> None:
        publisher = await MemoryTransport(self.broker).publisher("client")
        await publisher.tail()
        await publisher.publish(messages)

    async def until_handled(self, *sent: Envelope) -> dict[UUID, str]:
        """Wait until these are in the inbox; return the outcomes."""
        wanted = {message.id for message in sent}
        async with asyncio.timeout(5):
            while True:
                seen = {
                    e.id: e.outcome
                    for e in await self.store.journal(None, 0, 10_000)
                    if e.direction == "in"
                }
                if wanted <= seen.keys():
                    return {name: str(seen[name]) for name in wanted}
                await asyncio.sleep(0)

    async def total(self, instance: Instance, name: str) -> int:
        counter = await instance.desk.find(Counter, Counter.stream(name))
        return counter.total if counter else 0

    async def answers(self) -> list[str]:
        return [message.type for message in await self.store.outbox(0, 1000)]


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that the instance does; fail where it does not come about."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def until_awaited(ask: Callable[[], Awaitable[object]]) -> None:
    """Wait for something that has to be asked for."""
    async with asyncio.timeout(5):
        while not await ask():
            await asyncio.sleep(0)


@asynccontextmanager
async def at_work(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def heard(**known: Any) -> Envelope:
    """A message that causes something."""
    cause = Envelope(uuid4(), "x.Y", 1, "request", "counter", "a", uuid4(), None, b"{}")
    return replace(cause, **known)
