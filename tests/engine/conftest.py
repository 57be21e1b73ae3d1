"""The worlds in which stores are tested: one in memory, one in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import asyncpg
import pytest

from stagepost.engine.stack.kafka_mock import KafkaMock
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.transports import kafka_reader
from stagepost.engine.transports.kafka import KafkaTransport
from tests.conftest import Database, NewDatabase
from tests.engine.kafkas import Connect
from tests.engine.nats_server import NatsServer
from tests.engine.stores import SERVICE, MemoryWorld, PostgresWorld, World
from tests.engine.transports import kafka


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
