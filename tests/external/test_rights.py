"""What senders from outside may do on a real nats-server, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from stagepost.engine.transports.nats_api import API
from tests.engine.nats_server import NatsServer
from tests.engine.test_nats_rights import User, stored, until_stored

SENDERS = {
    "webshop": ("payments.RetrievePayment", "shipping.ShipGoods"),
    "idle": ("nowhere.DoNothing",),
}

Connect = Callable[[str], Awaitable[User]]


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats"), senders=SENDERS)
    server.start()
    await server.provision()
    yield server
    server.kill()


@pytest.fixture
async def connect(server: NatsServer) -> AsyncIterator[Connect]:
    users: list[User] = []

    async def connected(name: str) -> User:
        user = User()
        await user.client.connect(
            server.url(name),
            inbox_prefix=f"_INBOX_{name}".encode(),
            error_cb=user.note,
            allow_reconnect=False,
        )
        users.append(user)
        return user

    yield connected
    for user in users:
        await user.client.close()


async def test_a_sender_publishes_what_it_declares_under_its_own_name(connect: Connect) -> None:
    webshop = await connect("webshop")
    assert await webshop.may_publish("EXTERNAL.webshop.command.payments.RetrievePayment")
    assert await webshop.may_publish("EXTERNAL.webshop.command.shipping.ShipGoods")
    for subject in (
        "EXTERNAL.webshop.command.payments.RefundPayment",
        "EXTERNAL.webshop.command.payments.>",
        "EXTERNAL.webshop.command.inventory.ReserveStock",
        "EXTERNAL.webshop.event.PaymentReceived",
        "EXTERNAL.operator.command.payments.RetrievePayment",
        "fulfillment.command.payments.RetrievePayment",
        "payments.event.PaymentReceived",
        "_WORDS.payments",
        "_INBOX_payments.x",
    ):
        assert not await webshop.may_publish(subject), subject


async def test_who_declares_what_nobody_takes_may_do_nothing(connect: Connect) -> None:
    idle = await connect("idle")
    assert not await idle.may_publish("EXTERNAL.idle.command.payments.RetrievePayment")
    assert not await idle.may_publish("payments.event.PaymentReceived")
    assert await idle.may_subscribe("_INBOX_idle.x")


async def test_a_sender_takes_the_answers_to_what_it_declares_and_makes_nothing(
    connect: Connect,
) -> None:
    webshop = await connect("webshop")
    assert await webshop.may_publish("$JS.API.CONSUMER.MSG.NEXT.payments.webshop")
    assert await webshop.may_publish("$JS.ACK.payments.webshop.1.1.1.1.0")
    for call in (
        "CONSUMER.MSG.NEXT.inventory.webshop",
        "CONSUMER.MSG.NEXT.payments.fulfillment",
        "CONSUMER.MSG.NEXT.EXTERNAL.payments",
        "CONSUMER.CREATE.payments.mine",
        "CONSUMER.CREATE.payments.webshop",
        "CONSUMER.RESET.payments.webshop",
        "CONSUMER.DELETE.payments.webshop",
        "STREAM.CREATE.mine",
        "STREAM.INFO.EXTERNAL",
        "STREAM.MSG.GET.payments",
        "STREAM.PURGE.EXTERNAL",
    ):
        assert not await webshop.may_publish(f"$JS.API.{call}"), call
    assert not await webshop.may_publish("$JS.ACK.payments.fulfillment.1.1.1.1.0")


@pytest.mark.parametrize(
    "subject", [">", "EXTERNAL.>", "payments.event.>", "_INBOX_payments.>", "_INBOX.>", "$JS.>"]
)
async def test_a_sender_hears_nothing_but_its_own_answers(connect: Connect, subject: str) -> None:
    webshop = await connect("webshop")
    assert await webshop.may_subscribe("_INBOX_webshop.x.>")
    assert not await webshop.may_subscribe(subject)


async def test_what_a_sender_is_answered_is_no_command_of_another(
    connect: Connect, server: NatsServer
) -> None:
    webshop, operator = [(await connect(name)).client for name in ("webshop", "operator")]
    before = await stored(server, "EXTERNAL")
    refund = "EXTERNAL.operator.command.payments.RefundPayment"
    for subject in (
        "EXTERNAL.webshop.command.payments.RetrievePayment",
        "$JS.API.CONSUMER.MSG.NEXT.payments.webshop",
    ):
        await webshop.publish(subject, b'{"no_wait": true}', reply=refund)
    await webshop.flush()
    await operator.publish("EXTERNAL.operator.command.payments.RetrievePayment", reply=refund)
    await until_stored(server, "EXTERNAL", before + 3)  # the operator itself may
    assert await stored(server, "EXTERNAL") == before + 3


async def test_the_operator_commands_everybody_and_hears_everything(connect: Connect) -> None:
    operator = await connect("operator")
    assert await operator.may_publish("EXTERNAL.operator.command.payments.RefundPayment")
    assert not await operator.may_publish("EXTERNAL.webshop.command.payments.RetrievePayment")
    assert not await operator.may_publish("fulfillment.command.payments.RefundPayment")
    assert not await operator.may_publish("$JS.API.STREAM.PURGE.EXTERNAL")
    for subject in ("*.event.>", "*.command.>", "EXTERNAL.*.command.*.*", "payments.event.>"):
        assert await operator.may_subscribe(subject)
    assert not await operator.may_subscribe("_INBOX_payments.>")


async def test_a_service_reads_what_is_for_it_and_writes_nothing_there(connect: Connect) -> None:
    payments = await connect("payments")
    assert await payments.may_publish(f"{API}.STREAM.INFO.EXTERNAL")
    assert await payments.may_publish(f"{API}.CONSUMER.MSG.NEXT.EXTERNAL.payments")
    assert not await payments.may_publish(f"{API}.CONSUMER.MSG.NEXT.EXTERNAL.shipping")
    assert not await payments.may_publish(f"{API}.STREAM.MSG.GET.EXTERNAL")
    assert not await payments.may_publish("EXTERNAL.payments.command.shipping.ShipGoods")
    assert not await payments.may_publish("EXTERNAL.operator.command.shipping.ShipGoods")
    loyalty = await connect("loyalty")  # which nobody commands
    assert not await loyalty.may_publish(f"{API}.STREAM.INFO.EXTERNAL")


async def test_an_undeclared_sender_is_not_let_in(server: NatsServer) -> None:
    reading, writing = await asyncio.open_connection("127.0.0.1", server.port)
    await reading.readline()  # what the server says of itself
    writing.write(b'CONNECT {"verbose": false, "user": "stranger", "pass": "secret"}\r\nPING\r\n')
    assert b"Authorization Violation" in await reading.readline()
    writing.close()
    await writing.wait_closed()
