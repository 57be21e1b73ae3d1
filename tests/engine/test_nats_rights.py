"""What each service's user may do on a real nats-server, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from tests.engine.nats_server import NatsServer

NOWHERE = "nowhere"


class User:
    """Somebody who is connected, and what the server has refused them."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.told = asyncio.Event()
        self.client = Client()

    async def note(self, error: Exception) -> None:
        if NOWHERE in str(error):
            self.told.set()
        else:
            self.refused.append(str(error))

    async def may(self, what: Callable[[], Awaitable[Any]]) -> bool:
        """Try something, and then what is refused for certain: refusals come in order."""
        self.refused.clear()
        self.told.clear()
        await what()
        await self.client.publish(NOWHERE)
        async with asyncio.timeout(5):
            await self.told.wait()
        return not self.refused

    async def may_publish(self, subject: str, body: object = None) -> bool:
        payload = b"" if body is None else json.dumps(body).encode()
        return await self.may(lambda: self.client.publish(subject, payload, reply=self.inbox))

    async def may_subscribe(self, subject: str) -> bool:
        return await self.may(lambda: self.client.subscribe(subject))

    @property
    def inbox(self) -> str:
        return self.client.new_inbox()


Connect = Callable[[str], Awaitable[User]]


@pytest.fixture
async def connect(nats_server: NatsServer) -> AsyncIterator[Connect]:
    await nats_server.provision()
    clients: list[Client] = []

    async def connected(name: str) -> User:
        user = User()
        user.client = await nats.connect(
            nats_server.url(name),
            inbox_prefix=f"_INBOX_{name}".encode(),
            error_cb=user.note,
            allow_reconnect=False,
        )
        clients.append(user.client)
        return user

    yield connected
    for client in clients:
        await client.close()


async def test_a_service_publishes_under_its_own_name_only(connect: Connect) -> None:
    for name, other in (("payments", "ordering"), ("ordering", "payments")):
        user = await connect(name)
        assert await user.may_publish(f"{name}.event.Something")
        assert await user.may_publish(f"{name}.command.{other}.DoIt")
        assert not await user.may_publish(f"{other}.event.Something")
        assert not await user.may_publish(f"{other}.command.{name}.DoIt")


async def test_a_service_makes_and_deletes_no_streams_or_consumers(connect: Connect) -> None:
    user = await connect("payments")
    stream = {"name": "payments", "subjects": ["payments.>"]}
    consumer = {"stream_name": "payments", "config": {"durable_name": "mine"}}
    for call, body in (
        ("STREAM.CREATE.payments", stream),
        ("STREAM.UPDATE.payments", stream),
        ("STREAM.DELETE.payments", None),
        ("STREAM.PURGE.payments", None),
        ("STREAM.MSG.DELETE.payments", {"seq": 1}),
        ("CONSUMER.CREATE.payments.mine", consumer),
        ("CONSUMER.DURABLE.CREATE.payments.mine", consumer),
        ("CONSUMER.DELETE.payments.fulfillment", None),
        ("CONSUMER.DELETE.fulfillment.payments", None),
        ("CONSUMER.RESET.payments.fulfillment", {"seq": 1}),
        ("CONSUMER.MSG.NEXT.payments.fulfillment", None),
    ):
        assert not await user.may_publish(f"$JS.API.{call}", body), call


async def test_a_service_looks_at_its_own_stream_and_at_those_it_reads(connect: Connect) -> None:
    user = await connect("payments")
    assert await user.may_publish("$JS.API.STREAM.INFO.payments")
    assert await user.may_publish("$JS.API.CONSUMER.RESET.fulfillment.payments", {"seq": 1})
    assert not await user.may_publish("$JS.API.STREAM.MSG.GET.shipping", {"seq": 1})
    assert not await user.may_publish("$JS.API.STREAM.INFO.shipping")


async def test_a_service_reads_what_it_tells_itself(connect: Connect) -> None:
    user = await connect("customers")
    assert await user.may_publish("$JS.API.CONSUMER.RESET.customers.customers", {"seq": 1})
    assert await user.may_publish("$JS.API.CONSUMER.MSG.NEXT.customers.customers")


@pytest.mark.parametrize(
    "subject", [">", "payments.>", "fulfillment.event.>", "_INBOX_ordering.>", "_INBOX.>", "$JS.>"]
)
async def test_a_service_hears_nothing_but_its_own_answers(connect: Connect, subject: str) -> None:
    user = await connect("payments")
    assert await user.may_subscribe("_INBOX_payments.x.>")
    assert not await user.may_subscribe(subject)


async def test_only_instances_of_a_service_tell_and_hear_each_others_words(
    connect: Connect,
) -> None:
    user = await connect("payments")
    assert await user.may_publish("_WORDS.payments")
    assert await user.may_subscribe("_WORDS.payments")
    assert not await user.may_publish("_WORDS.ordering")
    assert not await user.may_subscribe("_WORDS.ordering")


async def test_nobody_gets_in_without_a_name(nats_server: NatsServer) -> None:
    reading, writing = await asyncio.open_connection("127.0.0.1", nats_server.port)
    await reading.readline()  # what the server says of itself
    writing.write(b'CONNECT {"verbose": false}\r\nPING\r\n')
    assert b"Authorization Violation" in await reading.readline()
    writing.close()
    await writing.wait_closed()
