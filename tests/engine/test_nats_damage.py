"""A broker whose files were damaged counts messages that it no longer has."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import nats
import pytest

from stagepost.engine.transports import StreamId, nats_api, nats_reader
from stagepost.engine.transports.nats import NatsTransport
from stagepost.engine.transports.nats_api import ask
from stagepost.engine.transports.nats_rules import ADMIN
from tests.engine.nats_server import NatsServer
from tests.engine.transports import READER, SOURCE, message, subscribe, take


async def test_the_tail_is_the_last_message_that_is_still_there(nats_server: NatsServer) -> None:
    await nats_server.provision()
    writer = NatsTransport(nats_server.url(SOURCE), SOURCE)
    publisher = await writer.publisher(SOURCE)
    await publisher.tail()
    one, two, three, four = (message(position) for position in range(1, 5))
    await publisher.publish([one, two, three, four])
    admin = await nats.connect(nats_server.url(ADMIN))
    for sequence in (2, 4):
        await ask(admin, f"STREAM.MSG.DELETE.{SOURCE}", {"seq": sequence})

    assert await publisher.tail() == StreamId(1, 3, three.id)
    assert [there.position for there in await publisher.after(0)] == [1, 3]
    await ask(admin, f"STREAM.MSG.DELETE.{SOURCE}", {"seq": 3})
    assert await publisher.tail() == StreamId(1, 1, one.id)

    later = message(5)
    await publisher.publish([later])
    reader = NatsTransport(nats_server.url(READER), READER)
    subscription, woken = await subscribe(reader)
    got = await take(subscription, woken, 2)
    assert [received.message for received in got] == [one, later]
    await subscription.close()
    for connection in (admin, writer, reader):
        await connection.close()


async def test_what_was_counted_and_does_not_come_holds_nobody_up(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask_and_count_more(client: Any, call: str, body: object = None) -> dict[str, Any]:
        answer = await ask(client, call, body)
        if call.startswith("CONSUMER.RESET.inventory"):
            answer["num_pending"] += 1  # it is taken out of the stream before it is delivered
        return answer

    monkeypatch.setattr(nats_reader, "PULL_SECONDS", 1)
    monkeypatch.setattr(nats_api, "ask", ask_and_count_more)
    await nats_server.provision()
    writer = NatsTransport(nats_server.url(SOURCE), SOURCE)
    publisher = await writer.publisher(SOURCE)
    await publisher.tail()
    sent = [message(n, time=datetime(2026, 1, 1, tzinfo=UTC)) for n in (1, 2)]
    await publisher.publish(sent)
    reader = NatsTransport(nats_server.url(READER), READER)
    types = {"inventory": ["inventory.StockReserved"], SOURCE: [sent[0].type]}

    woken = asyncio.Event()
    subscription = await reader.subscribe(READER, types, [], woken.set)

    assert [r.message for r in await take(subscription, woken, 2)] == sent
    assert not await subscription.behind()
    await subscription.close()
    for connection in (writer, reader):
        await connection.close()


async def test_garbage_in_a_backlog_holds_nobody_up(nats_server: NatsServer) -> None:
    await nats_server.provision()
    writer = NatsTransport(nats_server.url(SOURCE), SOURCE)
    publisher = await writer.publisher(SOURCE)
    await publisher.tail()
    sent = [message(n, time=datetime(2026, 1, 1, tzinfo=UTC)) for n in (1, 2)]
    await publisher.publish(sent)
    admin = await nats.connect(nats_server.url(ADMIN))
    for subject in ("payments.event.PaymentReceived", "inventory.event.StockReserved") * 3:
        await admin.request(subject, b"garbage", timeout=5)
    reader = NatsTransport(nats_server.url(READER), READER)
    types = {"inventory": ["inventory.StockReserved"], SOURCE: [sent[0].type]}

    woken = asyncio.Event()
    subscription = await reader.subscribe(READER, types, [], woken.set)

    assert [r.message for r in await take(subscription, woken, 2)] == sent
    async with asyncio.timeout(5):
        while await subscription.behind():
            assert subscription.take(1) == []
            await asyncio.sleep(0.01)
    await subscription.close()
    for connection in (admin, writer, reader):
        await connection.close()
