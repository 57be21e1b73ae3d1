"""The mock cluster of the stack: a process that serves until it is told to end, and forgets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from stagepost.engine.decide import MAX_BODY
from stagepost.engine.stack.kafka import start_kafka
from stagepost.engine.stack.kafka_mock import BROKERS, KafkaMock
from stagepost.engine.stack.processes import Supervisor
from stagepost.engine.transports import StreamId
from stagepost.engine.transports.kafka import KafkaTransport
from stagepost.engine.transports.kafka_client import read_properties
from stagepost.errors import NotInstalled, StackError, TransportError, TransportUnavailable
from tests.engine.transports import (
    READER,
    SOURCE,
    kafka,
    message,
    subscribe,
    take,
)


@dataclass
class Started:
    """The mock as a process, what it says, and the file that says how it is reached."""

    supervisor: Supervisor
    file: Path
    log: Path

    async def start(self) -> None:
        await start_kafka(self.supervisor, self.file, [SOURCE], self.log)

    @property
    def transport(self) -> KafkaTransport:
        return KafkaTransport(partial(read_properties, self.file), SOURCE)


@pytest.fixture
async def started(supervisor: Supervisor, tmp_path: Path) -> AsyncIterator[Started]:
    mock = Started(supervisor, tmp_path / "kafka.json", tmp_path / "kafka.log")
    await mock.start()
    yield mock
    await supervisor.stop(["kafka"], 5)


async def test_it_says_what_it_is_and_ends_when_it_is_asked_to(started: Started) -> None:
    assert str(read_properties(started.file)["bootstrap.servers"]).count(",") == BROKERS - 1
    assert started.log.read_text().startswith("a mock of Kafka, not durable: ")

    async with asyncio.timeout(4):
        await started.supervisor.stop(["kafka"], 5)

    assert "Traceback" not in started.log.read_text()


async def test_one_that_takes_its_place_is_found_where_the_former_was_and_has_nothing(
    started: Started,
) -> None:
    transport = started.transport
    publisher = await transport.publisher(SOURCE)
    await publisher.tail()
    await publisher.publish([only := message(1)])
    assert await publisher.tail() == StreamId(1, 1, only.id)

    started.supervisor["kafka"].kill()
    async with asyncio.timeout(10):
        await transport.lost.wait()
    with pytest.raises(TransportError):
        await publisher.tail()
    await started.supervisor.stop(["kafka"], 5)
    await started.start()

    assert await publisher.tail() is None
    await publisher.publish([only])
    subscription, woken = await subscribe(transport)
    assert [r.message for r in await take(subscription, woken, 1)] == [only]
    await transport.close()


async def test_without_the_extra_it_is_said_how_to_get_it(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.stack.kafka.find_spec", lambda _: None)
    with pytest.raises(
        NotInstalled, match=r"mock of Kafka needs .*pip install 'stagepost\[kafka\]'"
    ):
        await start_kafka(supervisor, tmp_path / "kafka.json", [SOURCE], tmp_path / "kafka.log")


async def test_a_reader_that_is_further_behind_than_the_mock_keeps_is_told(
    kafka_mock: KafkaMock,
) -> None:
    writer, reader = kafka(kafka_mock, SOURCE), kafka(kafka_mock, READER)
    publisher = await writer.publisher(SOURCE)
    await publisher.tail()
    for position in range(1, 8):  # 6.3 MB that cannot be compressed; it keeps 5 MiB
        await publisher.publish([replace(message(position), body=os.urandom(MAX_BODY))])

    subscription, _ = await subscribe(reader)
    async with asyncio.timeout(10):
        await reader.lost.wait()
    await subscription.close()
    subscription, _ = await subscribe(reader)
    async with asyncio.timeout(10):
        while not reader.gaps:
            await asyncio.sleep(0.01)
    assert "up to 0, the topic goes on at 3" in reader.gaps[SOURCE]
    assert subscription.take(10) == []
    for transport in (reader, writer):
        await transport.close()


def test_what_it_does_not_do_is_told() -> None:
    with KafkaMock() as mock, pytest.raises(StackError, match="refuses topic_delete"):
        mock.delete("nobody's")


def test_a_file_that_is_not_there_yet_is_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(TransportUnavailable, match="where Kafka is"):
        read_properties(tmp_path / "kafka.json")
