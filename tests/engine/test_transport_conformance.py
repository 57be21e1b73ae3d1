"""What every transport must do, run on each of them: memory, NATS JetStream, Kafka, HTTP feeds.

Commands over HTTP carry no streams: `test_recipients_conformance` is the suite for them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest

from stagepost.engine import recipients_http
from stagepost.engine.batch import Cursor, CursorId
from stagepost.engine.decide import MAX_BODY
from stagepost.engine.transports import StreamId, memory, nats_publisher
from stagepost.engine.transports import feed as feed_transport
from stagepost.engine.transports import kafka as kafka_transport
from stagepost.engine.transports import nats as nats_transport
from stagepost.errors import ForeignMessage, TransportError
from tests.engine.brokers import Broker
from tests.engine.transports import READER, SOURCE, TYPES, message, subscribe, take

PUBLISH, HINT = "publish: a source's outbox is its feed", "take a hint"
BY_TIME = "read a backlog of several sources in the order of time"
STRICT = ["memory", "nats"]
"""These refuse a stale writer; what becomes of Kafka's, `test_kafka_limits` shows."""

CANNOT = {
    memory: ["outlive its process"],
    nats_transport: ["keep what its disk loses"],
    kafka_transport: [
        "refuse a stale writer",
        "keep everything",
        "select by type or recipient",
        "notice, while connected, that the cluster lost",
        "name its writers",
        BY_TIME,
    ],
    feed_transport: [
        PUBLISH,
        HINT,
        BY_TIME,
        "push",
        "carry commands",
        "tell the instances",
        "set back",
    ],
    recipients_http: [
        "reach a recipient that does not run",
        "carry what the recipient tells others",
        "keep the order of answers",
        "give back",
    ],
}
LEFT_OUT = {
    "kafka": {"test_a_backlog_of_several_sources_is_read_in_the_order_of_time": BY_TIME},
    "feed": {
        "test_a_backlog_of_several_sources_is_read_in_the_order_of_time": BY_TIME,
        "test_the_tail_says_what_arrived_last": PUBLISH,
        "test_the_end_of_a_stream_is_what_it_has_behind_a_position": PUBLISH,
        "test_a_connection_that_is_lost_says_so_and_serves_again": PUBLISH,
        "test_a_cursor_whose_hint_is_wrong_reads_from_the_beginning": HINT,
    },
}
"""What a transport is not asked for, by test, and what it says itself why."""


@pytest.fixture(autouse=True)
def what_is_asked_of_it(request: pytest.FixtureRequest) -> None:
    if "broker" in request.fixturenames:
        transport = request.node.callspec.params["broker"]
        if reason := LEFT_OUT.get(transport, {}).get(request.node.originalname):
            pytest.skip(f"{transport} cannot {reason}")


@pytest.mark.parametrize("module", CANNOT, ids=lambda module: module.__name__)
def test_what_a_transport_cannot_do_is_named_where_it_is_described(module: ModuleType) -> None:
    described = " ".join(str(module.__doc__).split())
    _, _, cannot = described.partition("What it cannot do:")
    assert cannot
    for name in CANNOT[module]:
        assert name in cannot


@pytest.mark.parametrize("transport", LEFT_OUT)
def test_nothing_is_left_out_but_what_a_transport_says_that_it_cannot_do(transport: str) -> None:
    said = {reason for reasons in CANNOT.values() for reason in reasons}
    for name, reason in LEFT_OUT[transport].items():
        assert name in globals()
        assert reason in said


async def test_what_is_published_arrives_in_order_and_whole(broker: Broker) -> None:
    publisher = await (await broker.connect(SOURCE)).publisher(SOURCE)
    assert await publisher.tail() is None
    sent = [message(position) for position in (3, 4, 7, 9)]

    await publisher.publish(sent[:3])
    await publisher.publish(sent[3:])

    subscription, woken = await subscribe(await broker.connect(READER))
    got = await take(subscription, woken, 4)
    assert [received.message for received in got] == sent
    await subscription.close()


async def test_a_reader_is_woken_by_what_comes_later(broker: Broker) -> None:
    publisher = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await publisher.tail()
    subscription, woken = await subscribe(await broker.connect(READER))

    await publisher.publish([message(1)])

    assert [r.message.position for r in await take(subscription, woken, 1)] == [1]
    await subscription.close()


async def test_a_backlog_of_several_sources_is_read_in_the_order_of_time(broker: Broker) -> None:
    """So who has forgotten what it decided, decides the same: no answer before its question."""
    types = {SOURCE: TYPES, "inventory": ("inventory.StockReserved",)}
    began = datetime(2026, 1, 1, tzinfo=UTC)
    sent = {
        source: [
            message(n, source=source, type_=types[source][0], time=began + timedelta(seconds=n))
            for n in range(first, 1200, 2)
        ]
        for first, source in enumerate(types, 1)
    }
    for source, messages in sent.items():
        publisher = await (await broker.connect(source)).publisher(source)
        await publisher.tail()
        for n in range(0, len(messages), 200):
            await publisher.publish(messages[n : n + 200])

    woken = asyncio.Event()
    transport = await broker.connect(READER)
    subscription = await transport.subscribe(READER, types, [], woken.set)
    got = await take(subscription, woken, 1199)

    assert [received.message.position for received in got] == [*range(1, 1200)]
    assert not await subscription.behind()
    await subscription.close()


async def test_the_tail_says_what_arrived_last(broker: Broker) -> None:
    publisher = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await publisher.tail()

    last = message(8)
    await publisher.publish([message(5), last])

    assert await publisher.tail() == StreamId(1, 8, last.id)


async def test_the_end_of_a_stream_is_what_it_has_behind_a_position(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_publisher, "AT_ONCE", 3)
    publisher = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await publisher.tail()
    former, ours = (3, 5, 7, 9), (4, 5, 6, 8, 10, 12, 13)  # a database that was set back to 3
    sent = [*map(message, former), *(message(position, incarnation=2) for position in ours)]
    await publisher.publish(sent)
    await publisher.tail()

    ends = {after: await publisher.after(after) for after in (0, 3, 4, 5, 13)}

    names = [StreamId(m.incarnation, m.position, m.id) for m in sent]
    assert ends == {0: names, 3: names[1:], 4: names[5:], 5: names[6:], 13: []}


async def test_a_reader_goes_on_behind_its_cursor(broker: Broker) -> None:
    publisher = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await publisher.tail()
    await publisher.publish([message(position) for position in (1, 2, 3)])
    first, woken = await subscribe(await broker.connect(READER))
    second_message = (await take(first, woken, 2))[1]
    await first.close()

    cursor = Cursor(CursorId("consumer", SOURCE, 1), 2, 2, second_message.hint)
    second, woken = await subscribe(await broker.connect(READER), cursor)

    assert [r.message.position for r in await take(second, woken, 1)] == [3]
    await second.close()


async def test_a_cursor_whose_hint_is_wrong_reads_from_the_beginning(broker: Broker) -> None:
    publisher = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await publisher.tail()
    await publisher.publish([message(position) for position in (1, 2, 3)])

    elsewhere = Cursor(CursorId("consumer", SOURCE, 1), 2, 2, hint=3)
    subscription, woken = await subscribe(await broker.connect(READER), elsewhere)

    assert [r.message.position for r in await take(subscription, woken, 3)] == [1, 2, 3]
    await subscription.close()


async def test_a_reader_gets_only_the_types_it_asks_for(broker: Broker) -> None:
    publisher = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await publisher.tail()
    await publisher.publish([message(1, type_="payments.NobodyReads"), message(2)])

    subscription, woken = await subscribe(await broker.connect(READER))

    assert [r.message.position for r in await take(subscription, woken, 1)] == [2]
    assert subscription.take(10) == []
    await subscription.close()


async def test_a_command_goes_to_its_recipient_only(broker: Broker) -> None:
    publisher = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await publisher.tail()
    theirs = replace(message(1), kind="command", recipient="shipping")
    await publisher.publish([theirs, message(2)])

    subscription, woken = await subscribe(await broker.connect(READER))

    assert [r.message.position for r in await take(subscription, woken, 1)] == [2]
    await subscription.close()


@pytest.mark.parametrize("broker", STRICT, indirect=True)
async def test_two_writers_of_one_stream_do_not_mix(broker: Broker) -> None:
    ours = await (await broker.connect(SOURCE)).publisher(SOURCE)
    zombie = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await ours.tail()
    await zombie.tail()
    only = message(1)
    await ours.publish([only])

    with pytest.raises(ForeignMessage):
        await zombie.publish([message(2), message(3), message(4)])

    assert await ours.tail() == StreamId(1, 1, only.id)


@pytest.mark.parametrize("broker", STRICT, indirect=True)
async def test_what_a_foreign_writer_put_into_the_stream_is_not_taken_for_ours(
    broker: Broker,
) -> None:
    ours = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await ours.tail()
    await ours.publish([message(1)])
    other = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await other.tail()
    foreign = message(2, incarnation=9)
    await other.publish([foreign])

    with pytest.raises(ForeignMessage):
        await ours.publish([message(2), message(3)])

    assert await ours.tail() == StreamId(9, 2, foreign.id)


async def test_a_reader_is_behind_until_it_has_taken_what_stood_there(
    broker: Broker,
) -> None:
    publisher = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await publisher.tail()
    await publisher.publish([message(1), message(2)])

    subscription, woken = await subscribe(await broker.connect(READER))

    assert await subscription.behind()
    await take(subscription, woken, 2)
    assert not await subscription.behind()
    await subscription.close()


async def test_a_backlog_larger_than_the_prefetch_arrives_whole(broker: Broker) -> None:
    publisher = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await publisher.tail()
    for first in range(1, 2001, 500):
        await publisher.publish([message(position) for position in range(first, first + 500)])

    subscription, woken = await subscribe(await broker.connect(READER))

    got = await take(subscription, woken, 2000)
    assert [r.message.position for r in got] == list(range(1, 2001))
    await subscription.close()


async def test_the_largest_message_that_a_service_may_send_arrives_whole(
    broker: Broker,
) -> None:
    publisher = await (await broker.connect(SOURCE)).publisher(SOURCE)
    await publisher.tail()
    largest = replace(message(2), body=b'"%s"' % (b"x" * (MAX_BODY - 2)), key="\N{SNOWMAN}" * 1000)
    sent = [message(1), largest, message(3)]

    await publisher.publish(sent)

    subscription, woken = await subscribe(await broker.connect(READER))
    assert [received.message for received in await take(subscription, woken, 3)] == sent
    await subscription.close()


async def test_a_connection_that_is_lost_says_so_and_serves_again(
    broker: Broker,
) -> None:
    transport = await broker.connect(SOURCE)
    publisher = await transport.publisher(SOURCE)
    await publisher.tail()
    one, two, three = message(1), message(2), message(3)
    await publisher.publish([one])

    broker.stop()
    async with asyncio.timeout(10):
        await transport.lost.wait()
    assert not transport.connected
    with pytest.raises(TransportError):
        await publisher.publish([two])
    broker.start()

    # Whether the message without a confirmation arrived, or still will, is open: who looks at the
    # tail and tries again gets the next one in, once.
    async with asyncio.timeout(20):
        while True:
            try:
                assert await publisher.tail() in {StreamId(1, 1, one.id), StreamId(1, 2, two.id)}
                await publisher.publish([three])
                break
            except TransportError:
                await asyncio.sleep(0)
    assert transport.connected
    assert await publisher.tail() == StreamId(1, 3, three.id)
