"""What Kafka cannot do, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from stagepost.engine.batch import LEASE, Cursor, CursorId
from stagepost.engine.clock import SystemClock
from stagepost.engine.envelope import Envelope
from stagepost.engine.links import relay_name
from stagepost.engine.relay import Relay
from stagepost.engine.stack.kafka_mock import KafkaMock
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transport_names import KAFKA
from stagepost.engine.transports import Received, StreamId
from stagepost.engine.transports.cloudevents import MAX_INCARNATION, MAX_POSITION
from stagepost.engine.transports.kafka import KafkaTransport
from stagepost.engine.transports.kafka_envelope import Headers, Trail, headers_of
from tests.bench.parts import SOURCE as BENCH
from tests.bench.parts import batches
from tests.engine.kafkas import Connect, positions, publisher_of, until
from tests.engine.transports import (
    READER,
    SOURCE,
    TYPES,
    message,
    subscribe,
    take,
)


def beyond_cursor(taken: Iterable[Received], at: int = 0) -> list[Envelope]:
    """Return what a reader handles: whatever lies at or before its cursor it knows."""
    handled: list[Envelope] = []
    for received in taken:
        if received.message.position > at:
            handled.append(received.message)
            at = received.message.position
    return handled


def stranger(mock: KafkaMock) -> Producer:
    """Return somebody who writes where only we should."""
    return Producer({**mock.properties, "log_level": 0})


# It cannot refuse a stale writer.


async def test_a_stale_relay_can_only_write_again_what_is_there_or_comes(connect: Connect) -> None:
    rows = [message(position) for position in range(1, 7)]
    ours = await publisher_of(connect(SOURCE))
    await ours.publish(rows[:2])
    stale = await publisher_of(connect(SOURCE))  # it has read what follows, and is paused

    await ours.publish(rows[2:5])
    await stale.publish(rows[2:4])
    await ours.publish(rows[5:])

    subscription, woken = await subscribe(connect(READER))
    taken = await take(subscription, woken, 8)
    assert positions(taken) == [1, 2, 3, 4, 5, 3, 4, 6]
    assert beyond_cursor(taken) == rows
    await subscription.close()


async def test_who_begins_behind_a_stale_relay_sends_again_what_readers_know(
    connect: Connect,
) -> None:
    rows = [message(position) for position in range(1, 6)]
    ours = await publisher_of(connect(SOURCE))
    stale = await publisher_of(connect(SOURCE))
    await ours.publish(rows[:4])
    await stale.publish(rows[:2])

    successor = await connect(SOURCE).publisher(SOURCE)
    assert await successor.tail() == StreamId(1, 2, rows[1].id)
    await successor.publish(rows[2:])

    reader = connect(READER)
    subscription, woken = await subscribe(reader)
    assert beyond_cursor(await take(subscription, woken, 9)) == rows
    assert not reader.lost.is_set()
    await subscription.close()


# It cannot keep everything.

WANTED, OTHER = TYPES[0], "payments.NobodyReads"


async def test_a_reader_that_needs_what_is_gone_stops_there_and_says_so(
    kafka_mock: KafkaMock, connect: Connect
) -> None:
    kafka_mock.create("inventory")
    publisher = await publisher_of(connect(SOURCE))
    await publisher.publish([message(position) for position in range(1, 11)])
    kafka_mock.trim(SOURCE, 6)
    reader = connect(READER)
    cursor = Cursor(CursorId("consumer", SOURCE, 1), 4, 4, hint=3)
    sources = {SOURCE: TYPES, "inventory": ("inventory.StockReserved",)}
    woken = asyncio.Event()

    subscription = await reader.subscribe(READER, sources, [cursor], woken.set)
    async with asyncio.timeout(5):
        await reader.lost.wait()  # it might have been the topic of another life
    await subscription.close()
    reader.lost.clear()
    subscription = await reader.subscribe(READER, sources, [cursor], woken.set)

    async with asyncio.timeout(5):
        while not reader.gaps:
            await asyncio.sleep(0.01)
    assert reader.gaps.keys() == {SOURCE}
    for word in (READER, "up to 4", "goes on at 7", f"lost {WANTED} 6", "over http"):
        assert word in reader.gaps[SOURCE]
    # Never past it, and nothing else stops.
    await publisher.publish([message(11)])
    other = replace(message(1), source="inventory", type="inventory.StockReserved")
    await (await publisher_of(connect("inventory"), "inventory")).publish([other])
    assert [r.message for r in await take(subscription, woken, 1)] == [other]
    assert subscription.take(10) == []
    assert not await subscription.behind()
    assert not reader.lost.is_set()
    await subscription.close()


@pytest.mark.parametrize(
    ("gone", "at"),
    [(4, 4), (6, 4), (6, 6), (6, 9)],
    ids=["nothing", "what nobody reads", "what was read", "what was read long ago"],
)
async def test_a_reader_that_needs_nothing_of_what_is_gone_reads_on(
    kafka_mock: KafkaMock, connect: Connect, gone: int, at: int
) -> None:
    unread = {5, 6}
    rows = [message(n, type_=OTHER if n in unread else WANTED) for n in range(1, 11)]
    await (await publisher_of(connect(SOURCE))).publish(rows)
    kafka_mock.trim(SOURCE, gone)
    reader = connect(READER)

    cursor = Cursor(CursorId("consumer", SOURCE, 1), at, at, hint=at - 1)
    subscription, woken = await subscribe(reader, cursor)

    wanted = [row for row in rows if row.type == WANTED and row.position > at]
    assert [r.message for r in await take(subscription, woken, len(wanted))] == wanted
    assert not reader.lost.is_set()
    await subscription.close()


async def test_a_new_reader_of_a_topic_that_lost_its_beginning_does_not_start_in_the_middle(
    kafka_mock: KafkaMock, connect: Connect
) -> None:
    await (await publisher_of(connect(SOURCE))).publish([message(n) for n in range(1, 5)])
    kafka_mock.trim(SOURCE, 2)
    reader = connect(READER)

    subscription, _ = await subscribe(reader)

    async with asyncio.timeout(5):
        await reader.lost.wait()
    assert subscription.take(10) == []
    await subscription.close()


async def test_what_went_before_is_known_to_who_publishes_next(
    kafka_mock: KafkaMock, connect: Connect
) -> None:
    await (await publisher_of(connect(SOURCE))).publish([message(1), message(2, type_=OTHER)])
    await (await publisher_of(connect(SOURCE))).publish([message(3, type_=OTHER)])
    kafka_mock.trim(SOURCE, 2)
    reader = connect(READER)

    subscription, _ = await subscribe(reader)

    async with asyncio.timeout(5):
        await reader.lost.wait()
    await subscription.close()


async def test_a_topic_that_ends_before_the_reader_makes_it_begin_again(
    kafka_mock: KafkaMock, connect: Connect
) -> None:
    await (await publisher_of(connect(SOURCE))).publish([message(n) for n in range(1, 5)])
    reader = connect(READER)
    subscription, woken = await subscribe(reader)
    last = (await take(subscription, woken, 4))[-1]

    kafka_mock.delete(SOURCE)
    kafka_mock.create(SOURCE)

    async with asyncio.timeout(10):
        await reader.lost.wait()
    await subscription.close()
    await (await publisher_of(connect(SOURCE))).publish([message(n) for n in range(1, 6)])
    cursor = Cursor(CursorId("consumer", SOURCE, 1), 4, 4, last.hint)
    subscription, woken = await subscribe(reader, cursor)
    assert positions(await take(subscription, woken, 1)) == [5]
    await subscription.close()


async def test_a_cluster_that_lost_everything_is_sent_all_again() -> None:
    store = MemoryStore(BENCH.name, SystemClock())
    for batch in batches(400):
        await store.append(batch)
    rows = await store.outbox(0, 1000)
    lease = await store.take_lease(LEASE, "one", 60)
    assert lease is not None
    clusters: list[KafkaMock] = []
    transport = KafkaTransport(lambda: clusters[-1].properties, BENCH.name)
    metrics = Metrics(BENCH.name)

    async def relay_all() -> None:
        publisher = await transport.publisher(BENCH.name)
        cursor = CursorId(relay_name(KAFKA), BENCH.name)
        relay = Relay(store, publisher, cursor, {"bench.Done"}, lease, metrics)
        running = asyncio.create_task(relay.run(asyncio.Event()))
        looking = await KafkaTransport(lambda: clusters[-1].properties, "look").publisher("bench")

        async def all_there() -> bool:
            tail = await looking.tail()
            return tail is not None and tail.id == rows[-1].id

        await until(all_there)
        await looking.close()
        running.cancel()
        await asyncio.wait([running])

    with KafkaMock() as first:
        first.create(BENCH.name)
        clusters.append(first)
        await relay_all()
    async with asyncio.timeout(10):
        await transport.lost.wait()

    with KafkaMock() as second:
        second.create(BENCH.name)
        clusters.append(second)
        await relay_all()
        woken = asyncio.Event()
        cursor = Cursor(CursorId("consumer", BENCH.name, 1), rows[99].position, 0, hint=99)
        subscription = await transport.subscribe(
            "reader", {BENCH.name: ["bench.Done"]}, [cursor], woken.set
        )
        taken = await take(subscription, woken, 300)
        assert beyond_cursor(taken, rows[99].position) == rows[100:]
        assert transport.gaps == {}
        await subscription.close()
        await transport.close()


# It cannot name its writers: what is not ours stops neither writer nor reader.


async def test_garbage_behind_our_last_message_stops_neither_writer_nor_reader(
    kafka_mock: KafkaMock, connect: Connect
) -> None:
    publisher = await publisher_of(connect(SOURCE))
    first, second = message(1), message(2)
    await publisher.publish([first])
    ours = headers_of(first, Trail())
    somebody = stranger(kafka_mock)
    garbage: tuple[Headers, ...] = (
        {},
        {"ce_id": "\N{SNOWMAN}"},
        {"ce_id": b"\xff"},
        {**ours, "ce_source": "ordering"},
        {**ours, "ce_position": str(2**63)},
        {**ours, "ce_position": "9", "ce_previous": "payments.PaymentReceived"},
        {**ours, "ce_id": "mine", "ce_position": "9", "ce_previous": f"{WANTED}=1.8"},
    )
    for headers in garbage:
        somebody.produce(SOURCE, b"\xff{", headers=headers)
    somebody.produce(SOURCE, None, headers=ours)
    assert somebody.flush(5) == 0

    assert await publisher.tail() == StreamId(1, 1, first.id)
    await publisher.publish([second])

    reader = connect(READER)
    subscription, woken = await subscribe(reader)
    assert [r.message for r in await take(subscription, woken, 2)] == [first, second]
    assert not await subscription.behind()
    assert not reader.lost.is_set()
    await subscription.close()


async def test_a_place_that_leaves_none_above_it_is_not_the_tail(
    kafka_mock: KafkaMock, connect: Connect
) -> None:
    publisher = await publisher_of(connect(SOURCE))
    await publisher.publish([only := message(1)])
    somebody = stranger(kafka_mock)
    for forged in (message(MAX_POSITION), message(9, incarnation=MAX_INCARNATION)):
        somebody.produce(SOURCE, forged.body, headers=headers_of(forged, Trail()))
    assert somebody.flush(5) == 0

    assert await publisher.tail() == StreamId(1, 1, only.id)


async def test_the_tail_is_found_behind_more_garbage_than_is_looked_at_in_one_go(
    kafka_mock: KafkaMock, connect: Connect
) -> None:
    publisher = await publisher_of(connect(SOURCE))
    await publisher.publish([only := message(1)])
    somebody = stranger(kafka_mock)
    for _ in range(2500):
        somebody.produce(SOURCE, b"?")
    assert somebody.flush(5) == 0

    assert await publisher.tail() == StreamId(1, 1, only.id)
