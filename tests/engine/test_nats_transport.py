"""What NATS does in its own way: what lies at the tail, and who else is given our messages."""

from __future__ import annotations

import asyncio
from typing import Any

import nats
import pytest
from nats.aio.subscription import Subscription

from stagepost.engine.batch import Cursor, CursorId
from stagepost.engine.transports import StreamId, nats_api, nats_reader
from stagepost.engine.transports.nats import NatsTransport
from stagepost.engine.transports.nats_api import ask, next_of
from stagepost.engine.transports.nats_envelope import headers_of, subject_of
from stagepost.engine.transports.nats_reader import PREFETCH
from stagepost.engine.transports.nats_rules import ADMIN
from tests.engine.nats_server import NatsServer
from tests.engine.transports import READER, SOURCE, message, subscribe, take


async def test_a_copy_of_an_old_message_at_the_tail_keeps_nobody_from_publishing(
    nats_server: NatsServer,
) -> None:
    await nats_server.provision()
    transport = NatsTransport(nats_server.url(SOURCE), SOURCE)
    publisher = await transport.publisher(SOURCE)
    await publisher.tail()
    sent = [message(n) for n in range(1, 7)]
    await publisher.publish(sent[:4])
    copy = headers_of(sent[0]) | {"Nats-Msg-Id": f"{SOURCE}:1:01"}
    client = await transport._connected()
    await client.request(subject_of(sent[0]), sent[0].body, headers=copy)

    assert await publisher.tail() == StreamId(1, 1, sent[0].id)
    await publisher.publish(sent[1:3])
    await publisher.publish(sent[3:])

    assert await publisher.tail() == StreamId(1, 6, sent[5].id)
    info = await ask(client, f"STREAM.INFO.{SOURCE}")
    assert info["state"]["messages"] == len(sent) + 1
    await transport.close()


async def test_what_somebody_has_delivered_into_our_stream_is_not_taken_for_ours(
    nats_server: NatsServer,
) -> None:
    """Who is where the streams are may have JetStream answer into any of them."""
    await nats_server.provision()
    ours = NatsTransport(nats_server.url(SOURCE), SOURCE)
    publisher = await ours.publisher(SOURCE)
    await publisher.tail()
    first, second = message(1), message(2)
    await publisher.publish([first])
    client = await ours._connected()

    async def until_stored(number: int) -> None:
        async with asyncio.timeout(5):
            while (await ask(client, f"STREAM.INFO.{SOURCE}"))["state"]["messages"] < number:
                await asyncio.sleep(0.05)

    thief = await nats.connect(nats_server.url(ADMIN))
    subject, inside = "customers.event.CustomerRegistered", f"{SOURCE}.event.Anything"
    forged = headers_of(message(2, incarnation=2**31 - 2))
    await thief.request(subject, b"{}", headers=forged)
    pull = next_of("customers", "customers")
    await thief.publish(pull, b'{"no_wait": true}', reply=inside)
    await until_stored(2)
    await thief.publish(subject, b"{}", reply=inside)  # the answer to it is the tail
    await until_stored(3)
    assert await publisher.tail() == StreamId(1, 1, first.id)
    await publisher.publish([second])
    assert await publisher.tail() == StreamId(1, 2, second.id)
    await thief.close()
    await ours.close()


async def test_a_reader_whose_deliveries_do_not_follow_on_each_other_begins_again(
    nats_server: NatsServer,
) -> None:
    await nats_server.provision()
    writer = NatsTransport(nats_server.url(SOURCE), SOURCE)
    reader = NatsTransport(nats_server.url(READER), READER)
    publisher = await writer.publisher(SOURCE)
    await publisher.tail()
    subscription, woken = await subscribe(reader)
    await publisher.publish([message(1), message(2)])
    await take(subscription, woken, 2)
    assert not reader.lost.is_set()

    admin = await nats.connect(nats_server.url(ADMIN))
    await ask(admin, f"CONSUMER.RESET.{SOURCE}.{READER}", {"seq": 2})  # as another instance would
    await publisher.publish([message(3)])

    async with asyncio.timeout(10):
        await reader.lost.wait()
    await subscription.close()
    for connection in (admin, writer, reader):
        await connection.close()


async def test_the_broker_forgets_whom_it_has_answered(nats_server: NatsServer) -> None:
    await nats_server.provision()
    writer = NatsTransport(nats_server.url(SOURCE), SOURCE)
    reader = NatsTransport(nats_server.url(READER), READER)
    publisher = await writer.publisher(SOURCE)
    await publisher.tail()
    subscription, woken = await subscribe(reader)
    for first in range(1, 6 * PREFETCH, PREFETCH):
        await publisher.publish([message(n) for n in range(first, first + PREFETCH)])
        await take(subscription, woken, PREFETCH)
    async with asyncio.timeout(5):
        while nats_server.answers_awaited() > 1:  # what is asked now
            await asyncio.sleep(0.05)
    await subscription.close()
    for connection in (writer, reader):
        await connection.close()


async def test_nothing_is_taken_behind_what_a_paused_instance_was_given(
    nats_server: NatsServer,
) -> None:
    await nats_server.provision()
    writer = NatsTransport(nats_server.url(SOURCE), SOURCE)
    reader = NatsTransport(nats_server.url(READER), READER)
    publisher = await writer.publisher(SOURCE)
    await publisher.tail()
    subscription, _ = await subscribe(reader)
    prefix = f"_INBOX_{READER}".encode()
    paused = await nats.connect(nats_server.url(READER), inbox_prefix=prefix)
    inbox = paused.new_inbox()
    given = await paused.subscribe(inbox)
    asks = next_of(SOURCE, READER)
    await paused.publish(asks, b'{"batch": 3}', reply=inbox)
    await paused.flush()

    await publisher.publish([message(position) for position in range(1, 11)])

    async with asyncio.timeout(10):
        await reader.lost.wait()
        lost = int((await given.next_msg()).headers["Nats-Msg-Id"].rpartition(":")[2])
    await asyncio.sleep(0.1)  # time for the rest to come, which must not be taken
    taken = [received.message.position for received in subscription.take(100)]
    assert taken == list(range(1, lost))
    await subscription.close()
    await paused.close()
    for connection in (writer, reader):
        await connection.close()


async def until_nobody_asks() -> None:
    """Wait until no subscription asks for messages any more."""
    if asking := [task for task in asyncio.all_tasks() if "_ask_on" in repr(task.get_coro())]:
        _, going_on = await asyncio.wait(asking, timeout=2)
        assert not going_on


async def hang() -> None:
    """Come to no end."""
    await asyncio.Event().wait()


async def test_a_subscription_that_is_closed_takes_nothing_from_the_next(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = asyncio.Event()

    async def ask_and_forget(client: Any, call: str, body: object = None) -> dict[str, Any]:
        answer = await ask(client, call, body)
        if call.startswith("CONSUMER.INFO"):
            looking.set()
            try:
                await hang()
            except asyncio.CancelledError:  # as `wait_for` does whose answer is there already
                return answer
        return answer

    monkeypatch.setattr(nats_reader, "PULL_SECONDS", 1)
    monkeypatch.setattr(nats_reader, "ask", ask_and_forget)
    await nats_server.provision()
    reader = NatsTransport(nats_server.url(READER), READER)
    subscription, _ = await subscribe(reader)
    async with asyncio.timeout(10):
        await looking.wait()

    await subscription.close()

    await until_nobody_asks()
    await reader.close()


async def test_a_subscription_that_is_given_up_half_open_takes_nothing_from_the_next(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = asyncio.Event()

    async def ask_one(client: Any, call: str, body: object = None) -> dict[str, Any]:
        if call.startswith(f"CONSUMER.RESET.{SOURCE}"):
            second.set()
            await hang()
        return await ask(client, call, body)

    monkeypatch.setattr(nats_api, "ask", ask_one)
    await nats_server.provision()
    reader = NatsTransport(nats_server.url(READER), READER)
    types = {"inventory": ["inventory.StockReserved"], SOURCE: [message(1).type]}
    opening = asyncio.create_task(reader.subscribe(READER, types, [], lambda: None))
    async with asyncio.timeout(10):
        await second.wait()

    opening.cancel()  # as where the lease is lost

    await asyncio.wait([opening])
    await until_nobody_asks()
    await reader.close()


async def test_a_subscription_whose_closing_is_cut_short_takes_nothing_from_the_next(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nats_server.provision()
    reader = NatsTransport(nats_server.url(READER), READER)
    types = {"inventory": ["inventory.StockReserved"], SOURCE: [message(1).type]}
    subscription = await reader.subscribe(READER, types, [], lambda: None)
    unsubscribing, go_on = asyncio.Event(), asyncio.Event()

    async def unsubscribe(self: Subscription) -> None:
        unsubscribing.set()
        await go_on.wait()

    monkeypatch.setattr(Subscription, "unsubscribe", unsubscribe)
    closing = asyncio.create_task(subscription.close())
    await unsubscribing.wait()

    closing.cancel()

    await asyncio.wait([closing])
    go_on.set()
    await until_nobody_asks()
    await reader.close()


@pytest.mark.parametrize(
    ("at", "hint", "pending"), [(2, 2, 2), (4, 4, 0), (2, 1, 4), (2, 3, 4), (2, 99, 4), (0, 0, 4)]
)
async def test_reading_goes_on_behind_the_last_message_where_the_broker_has_it_there(
    nats_server: NatsServer, at: int, hint: int, pending: int
) -> None:
    await nats_server.provision()
    writer = NatsTransport(nats_server.url(SOURCE), SOURCE)
    publisher = await writer.publisher(SOURCE)
    await publisher.tail()
    await publisher.publish([message(n) for n in range(1, 5)])
    reader = NatsTransport(nats_server.url(READER), READER)

    cursor = Cursor(CursorId("consumer", SOURCE, 1), at, at, hint)
    subscription, woken = await subscribe(reader, cursor if at else None)

    assert await subscription.behind() == (pending > 0)
    found = await take(subscription, woken, pending)
    assert [each.message.position for each in found] == list(range(5 - pending, 5))
    await subscription.close()
    await reader.close()
    await writer.close()
