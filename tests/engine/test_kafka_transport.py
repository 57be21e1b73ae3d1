"""What Kafka does in its own way: hints, brokers one by one, ends, what people get wrong."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from stagepost.engine.batch import Cursor, CursorId
from stagepost.engine.stack.kafka_mock import KafkaMock
from stagepost.engine.transports import StreamId, kafka_client, kafka_producer
from stagepost.engine.transports.kafka import KafkaTransport
from stagepost.engine.transports.kafka_client import Clients, KafkaError, _Looks
from stagepost.engine.transports.kafka_reader import BATCH, PREFETCH, KafkaSubscription
from stagepost.errors import BadSettings, TransportError, TransportUnavailable
from tests.engine.kafkas import Connect, positions, publisher_of, until
from tests.engine.transports import (
    READER,
    SOURCE,
    TYPES,
    kafka,
    message,
    subscribe,
    take,
)


@pytest.mark.parametrize("hint", [0, 2, 99])
async def test_a_hint_at_another_message_or_none_is_not_followed(
    connect: Connect, hint: int
) -> None:
    await (await publisher_of(connect(SOURCE))).publish([message(n) for n in (1, 2, 3)])

    cursor = Cursor(CursorId("consumer", SOURCE, 1), 2, 2, hint)
    subscription, woken = await subscribe(connect(READER), cursor)

    assert positions(await take(subscription, woken, 3)) == [1, 2, 3]
    await subscription.close()


async def test_what_was_read_ahead_is_still_to_be_taken(connect: Connect) -> None:
    await (await publisher_of(connect(SOURCE))).publish([message(1), message(2)])
    subscription, woken = await subscribe(connect(READER))
    async with asyncio.timeout(5):
        await woken.wait()

    assert len(subscription.take(1)) == 1
    assert await subscription.behind()
    assert len(subscription.take(1)) == 1
    assert not await subscription.behind()
    await subscription.close()


# Brokers, one by one.


async def test_a_broker_that_is_down_stops_only_what_it_leads(
    kafka_mock: KafkaMock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_producer, "ACK_SECONDS", 0.5)
    kafka_mock.create("inventory")
    kafka_mock.lead(SOURCE, 1)
    kafka_mock.lead("inventory", 2)
    ours = await publisher_of(connect(SOURCE))
    theirs = await publisher_of(connect("inventory"), "inventory")
    reader = connect(READER)
    woken = asyncio.Event()
    stock = "inventory.StockReserved"
    subscription = await reader.subscribe(
        READER, {SOURCE: TYPES, "inventory": (stock,)}, [], woken.set
    )

    kafka_mock.set_down(1)
    with pytest.raises(TransportUnavailable, match="not confirmed"):
        await ours.publish([message(1)])
    await theirs.publish([replace(message(1), source="inventory", type=stock)])
    assert [r.message.source for r in await take(subscription, woken, 1)] == ["inventory"]
    kafka_mock.set_up(1)

    async def published() -> bool:
        try:
            if await ours.tail() is None:
                await ours.publish([message(1)])
        except TransportError:
            return False
        return True

    await until(published)
    assert [r.message.source for r in await take(subscription, woken, 1)] == [SOURCE]
    assert not reader.lost.is_set()
    await subscription.close()


async def test_each_broker_may_be_down_for_a_while_if_another_takes_over(
    kafka_mock: KafkaMock, connect: Connect
) -> None:
    kafka_mock.lead(SOURCE, 3)
    publisher = await publisher_of(connect(SOURCE))
    reader = connect(READER)
    subscription, woken = await subscribe(reader)
    for position, down in enumerate((3, 1, 2), 1):
        kafka_mock.set_down(down)
        kafka_mock.lead(SOURCE, down % 3 + 1)  # the election, which the mock does not hold

        await publisher.publish([message(position)])

        assert positions(await take(subscription, woken, 1)) == [position]
        kafka_mock.set_up(down)
    assert not reader.lost.is_set()
    await subscription.close()


async def test_that_no_broker_is_left_is_seen_where_the_library_does_not_tell(
    kafka_mock: KafkaMock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Clients._common
    monkeypatch.setattr(Clients, "_common", lambda c: {**told(c), "error_cb": lambda _: None})
    writer, reader = connect(SOURCE), connect(READER)
    await (await publisher_of(writer)).publish([message(1)])
    subscription, woken = await subscribe(reader)
    await take(subscription, woken, 1)
    assert not writer.lost.is_set()
    assert not reader.lost.is_set()

    kafka_mock.stop()

    async with asyncio.timeout(10):
        await writer.lost.wait()
        await reader.lost.wait()
    assert not writer.connected
    assert not reader.connected
    await subscription.close()


def test_no_broker_is_left_once_none_is_seen_for_a_while_and_it_is_told_once() -> None:
    told: list[int] = []
    looks = _Looks(lambda error: told.append(error.code()))

    def look(*states: str) -> None:
        looks(json.dumps({"brokers": {str(n): {"state": s} for n, s in enumerate(states)}}))

    for states in (("DOWN", "UP"), ("INIT", "DOWN"), ("CONNECT",), ("INIT", "UP"), ("DOWN",), ()):
        look(*states)
    assert told == []
    for _ in range(5):
        look("TRY_CONNECT", "DOWN")
    assert told == [KafkaError._ALL_BROKERS_DOWN]
    look("UP")
    for _ in range(5):
        look()
    assert told == [KafkaError._ALL_BROKERS_DOWN] * 2


# Ends.


async def test_a_chunk_that_is_given_up_leaves_nothing_under_way(
    kafka_mock: KafkaMock, connect: Connect
) -> None:
    publisher = await publisher_of(connect(SOURCE))
    rows = [message(position) for position in range(1, 101)]
    await publisher.publish(rows[:1])
    kafka_mock.stop()
    under_way = asyncio.create_task(publisher.publish(rows[1:]))

    async def is_under_way() -> bool:
        return publisher._producing is not None and len(publisher._producing._producer) >= 99

    await until(is_under_way)
    under_way.cancel()
    async with asyncio.timeout(2):
        await asyncio.wait([under_way])
    assert under_way.cancelled()
    with pytest.raises(TransportUnavailable, match="not known how"):
        await publisher.publish(rows[1:])

    kafka_mock.start()
    tails: list[StreamId] = []

    async def reached() -> bool:
        try:
            tail = await publisher.tail()
        except TransportError:
            return False
        assert tail is not None
        tails.append(tail)
        return True

    await until(reached)
    assert tails[-1] == StreamId(1, 1, rows[0].id)


async def test_nothing_of_a_connection_is_left_when_it_is_closed(kafka_mock: KafkaMock) -> None:
    await asyncio.to_thread(int)  # the loop keeps threads of its own
    process = psutil.Process()
    before = process.num_threads()
    transport = kafka(kafka_mock, SOURCE)
    publisher = await publisher_of(transport)
    await publisher.publish([message(1)])
    _, woken = await subscribe(transport)
    async with asyncio.timeout(5):
        await woken.wait()
    assert process.num_threads() > before + 5

    async with asyncio.timeout(2):
        await transport.close()

    async def gone() -> bool:
        return bool(process.num_threads() <= before + 1)  # the loop may have needed one more

    await until(gone)


async def test_a_reader_that_takes_nothing_holds_a_bounded_number_of_messages(
    connect: Connect,
) -> None:
    publisher = await publisher_of(connect(SOURCE))
    rows = [message(position) for position in range(1, 4001)]
    for first in range(0, len(rows), 500):
        await publisher.publish(rows[first : first + 500])

    subscription, woken = await subscribe(connect(READER))
    assert isinstance(subscription, KafkaSubscription)
    async with asyncio.timeout(5):
        while len(subscription._arrived) < PREFETCH:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)  # time enough to read all that is there, were it not bounded

    assert len(subscription._arrived) < PREFETCH + BATCH
    assert [r.message for r in await take(subscription, woken, len(rows))] == rows
    await subscription.close()


# What people get wrong.


@pytest.mark.parametrize("partitions", [0, 4])
async def test_a_topic_that_would_lose_the_order_is_refused(
    kafka_mock: KafkaMock, connect: Connect, partitions: int
) -> None:
    if partitions:
        kafka_mock.create("ordering", partitions)
    transport = connect("ordering")

    with pytest.raises(TransportUnavailable, match=r"topic ordering .* create it with one"):
        await (await transport.publisher("ordering")).tail()
    with pytest.raises(TransportUnavailable, match=r"topic ordering .* create it with one"):
        await transport.subscribe(READER, {"ordering": ("x",)}, [], lambda: None)


async def test_properties_that_are_none_are_named() -> None:
    transport = KafkaTransport(lambda: {"bootstrap.server": "127.0.0.1:1"}, SOURCE)
    with pytest.raises(BadSettings, match=r"bootstrap\.server"):
        await (await transport.publisher(SOURCE)).tail()


async def test_brokers_that_cannot_be_reached_are_an_error_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_client, "ANSWER_SECONDS", 0.5)
    transport = KafkaTransport(lambda: {"bootstrap.servers": "127.0.0.1:1"}, SOURCE)
    async with asyncio.timeout(5):
        with pytest.raises(TransportUnavailable, match="Kafka"):
            await (await transport.publisher(SOURCE)).tail()
    assert not transport.connected


def test_without_the_extra_it_is_said_how_to_get_it() -> None:
    program = (
        "import sys; sys.modules['confluent_kafka'] = None\n"
        "from stagepost.errors import NotInstalled\n"
        "try:\n"
        "    import stagepost.engine.transports.kafka\n"
        "except NotInstalled as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("a link over Kafka needs the package confluent-kafka")
    assert "pip install 'stagepost[kafka]'" in said
