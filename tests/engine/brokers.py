"""What transports are tested on: a broker of each kind, which can be stopped and started again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import pytest

from stagepost.engine.clock import ManualClock
from stagepost.engine.stack.kafka_mock import KafkaMock
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.transports.feed import FeedTransport
from stagepost.engine.transports.kafka import KafkaTransport
from stagepost.engine.transports.memory import MemoryBroker, MemoryTransport
from stagepost.engine.transports.nats import NatsTransport
from tests.engine.feeds import Teller, serving
from tests.engine.nats_server import NatsServer
from tests.engine.transports import SOURCE, kafka

Transport = MemoryTransport | NatsTransport | KafkaTransport


@dataclass
class Broker:
    """A broker under test: how to connect to it as a service, to stop it and to start it again."""

    connect: Callable[[str], Awaitable[Transport]]
    stop: Callable[[], None]
    start: Callable[[], None]


@asynccontextmanager
async def broker_of(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    """Run a broker of this kind; whatever was connected to it is closed behind the test."""
    opened: list[Transport] = []

    async def connect(transport: Transport) -> Transport:
        opened.append(transport)
        return transport

    if kind == "memory":
        streams = MemoryBroker()
        yield Broker(lambda _: connect(MemoryTransport(streams)), streams.stop, streams.start)
    elif kind == "nats":
        server: NatsServer = request.getfixturevalue("nats_server")
        await server.provision()
        yield Broker(
            lambda name: connect(NatsTransport(server.url(name), name)), server.kill, server.start
        )
    elif kind == "feed":
        async with fed(connect) as source:
            yield source
            while opened:
                await opened.pop().close()
    else:
        mock: KafkaMock = request.getfixturevalue("kafka_mock")
        yield Broker(lambda name: connect(kafka(mock, name)), mock.stop, mock.start)
    for transport in opened:
        await transport.close()


@asynccontextmanager
async def fed(connect: Callable[[Transport], Awaitable[Transport]]) -> AsyncIterator[Broker]:
    """A source whose outbox is written as it is, served by the route that every service has."""
    store = MemoryStore(SOURCE, ManualClock())
    async with serving(store) as source:

        def either(name: str) -> Awaitable[Transport]:
            end = (
                Teller(source, store) if name == SOURCE else FeedTransport({SOURCE: source.url}, {})
            )
            return connect(cast("Transport", end))  # each is one half of one

        yield Broker(either, lambda: None, lambda: None)
