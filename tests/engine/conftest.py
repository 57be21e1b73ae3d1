"""What tests of the engine run in: stores in memory and in PostgreSQL, brokers, readers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import asyncpg
import pytest
from structlog.testing import capture_logs

from stagepost.engine import answers
from stagepost.engine.stack.kafka_mock import KafkaMock
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.transports import feed, kafka_reader
from stagepost.engine.transports.feed import FeedTransport
from stagepost.engine.transports.kafka import KafkaTransport
from tests.conftest import Database, NewDatabase
from tests.engine.brokers import Broker, broker_of
from tests.engine.feeds import Reader, ReaderOf
from tests.engine.kafkas import Connect
from tests.engine.nats_server import NatsServer
from tests.engine.posting import CountingWorld
from tests.engine.stores import SERVICE, MemoryWorld, PostgresWorld, World
from tests.engine.transports import SOURCE, kafka


@pytest.fixture
def memory_world() -> MemoryWorld:
    return MemoryWorld.new()


@pytest.fixture(scope="session")
async def store_database(new_database: NewDatabase) -> Database:
    """A database of our own: it is emptied before each test."""
    return await new_database(SERVICE)


@pytest.fixture(scope="session")
async def postgres_store(store_database: Database) -> AsyncIterator[PostgresWorld]:
    owner = await asyncpg.connect(store_database.owner)
    store = await PostgresStore.connect(store_database.service, SERVICE)
    yield PostgresWorld(owner, store)
    await store.close()
    await owner.close()


@pytest.fixture
async def postgres_world(postgres_store: PostgresWorld) -> PostgresWorld:
    await postgres_store.empty()
    return postgres_store


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> World:
    return cast("World", request.getfixturevalue(f"{request.param}_world"))


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def kafka_mock(monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaMock]:
    """A cluster of its own, which costs no more than its topics would: five milliseconds."""
    monkeypatch.setattr(kafka_reader, "LOOK_SECONDS", 0.02)  # how long a reader takes to end
    with KafkaMock() as mock:
        mock.create("payments")
        yield mock


@pytest.fixture
async def connect(kafka_mock: KafkaMock) -> AsyncIterator[Connect]:
    """Connections to the cluster, which are closed behind the test."""
    opened: list[KafkaTransport] = []

    def open_one(name: str) -> KafkaTransport:
        opened.append(kafka(kafka_mock, name))
        return opened[-1]

    yield open_one
    for transport in opened:
        await transport.close()


@pytest.fixture
async def reader_of(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ReaderOf]:
    """Readers of the feed at a URL; they do not pause for long."""
    monkeypatch.setattr(feed, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(feed, "LAST_PAUSE", 0.1)
    readers: list[Reader] = []
    with capture_logs() as logs:

        async def make(url: str) -> Reader:
            readers.append(Reader(FeedTransport({SOURCE: url}, {}), logs))
            return readers[-1]

        yield make
        for reader in readers:
            if reader.subscription is not None:
                await reader.subscription.close()
            await reader.transport.close()


@pytest.fixture
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for an answer to a command over HTTP hears soon that there is none yet."""
    monkeypatch.setattr("stagepost.engine.redriver.LOOK_AGAIN", 0.01)
    monkeypatch.setattr(answers, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(answers, "LOOK_SECONDS", 0.02)


@pytest.fixture
def counting_in_memory() -> CountingWorld:
    return CountingWorld()


@pytest.fixture
async def counting_in_postgres(
    postgres_world: PostgresWorld, store_database: Database
) -> AsyncIterator[CountingWorld]:
    world = CountingWorld()
    world.store = await PostgresStore.connect(store_database.service, "counter")
    yield world
    await world.store.close()


@pytest.fixture(params=["memory", "nats", "kafka", "feed"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    async with broker_of(request.param, request) as broker:
        yield broker
