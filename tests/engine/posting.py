"""A counter that is commanded over HTTP, served by the real server, and a client that commands."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from stagepost import Decision, Load, Request
from stagepost.engine.calls_memory import MemoryCalls
from stagepost.engine.clock import SystemClock
from stagepost.engine.envelope import Envelope
from stagepost.engine.flow import Flow
from stagepost.engine.ids import SeededIds
from stagepost.engine.links import Links
from stagepost.engine.network import Network
from stagepost.engine.recipients import Recipients
from stagepost.engine.recipients_http import HttpRecipients
from stagepost.engine.runtime import Instance
from stagepost.engine.service import Service
from stagepost.engine.store import JournalEntry
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.tables_memory import MemoryTables
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transport_names import HTTP, NATS
from stagepost.engine.transports.memory import MemoryBroker, MemoryTransport
from stagepost.engine.web import http_server, make_app
from stagepost.engine.web.peers import Peers
from stagepost.messages import decode, encode
from tests.callers import the_sender
from tests.engine.counter import (
    COUNTER,
    Announce,
    Announced,
    Count,
    Counted,
    NotCounted,
    World,
    grow,
    until_awaited,
)

LONG = 30.0
POSTED = Links(commands=HTTP)
SENDERS = Peers(sends=dict.fromkeys(("client", "stranger"), frozenset({Count.TYPE})))


class CountingWorld(World):
    """The counter of other tests, with commands over HTTP."""

    peers = SENDERS

    def network(self) -> Network:
        return replace(super().network(), links=POSTED)

    @asynccontextmanager
    async def serving(self, holder: str = "counter-1") -> AsyncIterator[Served]:
        """Run an instance, and serve its HTTP side on a socket of its own."""
        async with self.running(holder) as instance, _on_a_socket(instance, self) as url:
            recipients = HttpRecipients({"counter": url}, LONG, {})
            try:
                yield Served(instance, url, recipients)
            finally:
                await recipients.close()

    async def heard(self, *kinds: str) -> list[JournalEntry]:
        """Return what the inbox has of these kinds."""
        journal = await self.store.journal(None, 0, 10_000)
        return [e for e in journal if e.direction == "in" and e.kind in kinds]

    async def sent(self, message: str) -> int:
        """Count what was sent of a type."""
        return (await self.answers()).count(message)


@dataclass(frozen=True)
class Served:
    """An instance, where it is, and a client that brings it commands."""

    instance: Instance
    url: str
    recipients: Recipients


@asynccontextmanager
async def _on_a_socket(instance: Instance, world: CountingWorld) -> AsyncIterator[str]:
    app = make_app(
        instance.service,
        desk=instance.desk,
        queries=None,  # type: ignore[arg-type]  # no route asks it
        store=world.store,
        ids=SeededIds(3),
        answers=instance.answers,
        probes=[],
        registry=CollectorRegistry(),
        flow=Flow(),
        authenticate=the_sender,
        peers=world.peers,
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = http_server(app, host="127.0.0.1", port=0)
        serving = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.end()
            await serving


# An answer that takes its time: the outside world is asked first.


def later(command: Count, load: Load) -> Decision:
    """Answer only once the outside world has: `Announced` comes back, and then we tell."""
    counter = grow(command.name, command.by, load)
    return Decision((counter,), (Announce(name=command.name, total=counter.total),))


def told(answer: Announced, load: Load) -> Decision:
    name = answer.call.name
    return Decision(
        sends=(Counted(caller="client", reference=name, name=name, total=answer.call.total),)
    )


PATIENT = replace(COUNTER, handlers={**COUNTER.handlers, Count: later, Announced: told})


def total_of(answer: Envelope | None) -> int:
    assert answer is not None
    message = decode(answer.type, answer.version, answer.body)
    assert isinstance(message, Counted)
    return message.total


async def asked_until_known(served: Served, command: Envelope) -> Envelope:
    """Bring a command again and again, as its sender does."""
    async with asyncio.timeout(LONG):
        while (answer := await served.recipients.ask(command)) is None:
            pass
        return answer


# The other side: a service whose commands go over HTTP.


class AskToCount(Request):
    KEY, OWNER = "name", "client"
    name: str
    by: Sequence[int]


def ask_to_count(request: AskToCount, _: Load) -> Decision:
    name = request.name
    return Decision(
        sends=tuple(Count(caller="client", reference=name, name=name, by=by) for by in request.by)
    )


def note(_message: object, _: Load) -> Decision:
    return Decision()


CLIENT = Service(
    name="client",
    about="Asks.",
    port=0,
    sql=Path(),
    handlers={AskToCount: ask_to_count, Counted: note, NotCounted: note},
    sends=(Count,),
)


class AskingWorld:
    """The client: its store, and whom it brings its commands to."""

    def __init__(self, recipients: Recipients) -> None:
        self.store: Any = MemoryStore("client", SystemClock())
        self.recipients = recipients
        self.broker = MemoryBroker()
        self.lease_seconds = 60.0
        self.service = CLIENT
        self.calls = MemoryCalls({}, LONG)

    @asynccontextmanager
    async def running(self, holder: str = "client-1") -> AsyncIterator[Instance]:
        transport = MemoryTransport(self.broker)
        instance = Instance(
            self.service,
            {"counter": COUNTER},
            holder=holder,
            store=self.store,
            tables=MemoryTables(),
            network=Network({NATS: transport}, transport, self.recipients, POSTED),
            calls=self.calls,
            ids=SeededIds(11),
            metrics=Metrics("client"),
            delays={},
            lease_seconds=self.lease_seconds,
        )
        task = asyncio.create_task(instance.run())
        try:
            yield instance
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def open_calls(self) -> int:
        return int((await self.store.backlog(["relay"]))["calls_pending"])

    async def heard(self) -> list[tuple[str, str]]:
        """Return the key and type of every answer that was handled, in order."""
        journal = await self.store.journal(None, 0, 10_000)
        return [(e.key, e.type) for e in journal if e.direction == "in" and e.kind == "event"]

    async def letters(self) -> list[str]:
        return [letter.reason for letter in await self.store.dead_letters(0, 100)]


Answer = Callable[[Envelope], Awaitable[Envelope | None]]


class Scripted:
    """Recipients that are one function; it notes what is brought."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.brought: list[Envelope] = []

    async def ask(self, command: Envelope) -> Envelope | None:
        self.brought.append(command)
        return await self.answer(command)

    async def close(self) -> None:
        """Do nothing."""

    def times(self, key: str) -> int:
        return sum(command.key == key for command in self.brought)


def answer_to(command: Envelope, total: int = 1, **more: Any) -> Envelope:
    """Make the counter's answer to a command."""
    name = more.pop("reference", command.key)
    message = Counted(caller="client", reference=name, name=command.key, total=total)
    answer = Envelope(
        id=SeededIds(command.id.int % 2**32).new(),
        type=message.TYPE,
        version=1,
        kind="event",
        source="counter",
        key=command.key,
        correlation=command.correlation,
        causation=command.id,
        body=encode(message),
        incarnation=1,
        position=7,
    )
    return replace(answer, **more)


async def answers(command: Envelope) -> Envelope | None:
    return answer_to(command)


async def ask(instance: Any, name: str, *by: int) -> None:
    await instance.desk.request(AskToCount(name=name, by=by or (1,)))


async def all_answered(world: AskingWorld) -> None:
    async def none_open() -> bool:
        return await world.open_calls() == 0

    await until_awaited(none_open)
