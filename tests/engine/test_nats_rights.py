"""What each service's user may do on a real nats-server, and what is refused."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout

from stagepost.engine.external import EXTERNAL
from stagepost.engine.flow import Flow
from stagepost.engine.links import Routes, routes_of
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports import nats_config, nats_rules
from stagepost.engine.transports.nats_api import API, OWN_API, ask, next_of
from stagepost.engine.transports.nats_config import CONNECTIONS, SUBSCRIPTIONS
from stagepost.engine.transports.nats_rules import ADMIN, service_rights
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
        for api in (API, OWN_API):
            assert not await user.may_publish(f"{api}.{call}", body), (api, call)


async def test_a_service_looks_at_its_own_stream_and_at_those_it_reads(connect: Connect) -> None:
    user = await connect("payments")
    assert await user.may_publish(f"{API}.STREAM.INFO.payments")
    assert await user.may_publish(f"{API}.CONSUMER.RESET.fulfillment.payments", {"seq": 1})
    assert not await user.may_publish(f"{API}.STREAM.MSG.GET.shipping", {"seq": 1})
    assert not await user.may_publish(f"{API}.STREAM.INFO.shipping")


async def test_a_service_reads_what_it_tells_itself(connect: Connect) -> None:
    user = await connect("customers")
    assert await user.may_publish(f"{API}.CONSUMER.RESET.customers.customers", {"seq": 1})
    assert await user.may_publish(f"{API}.CONSUMER.MSG.NEXT.customers.customers")


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


async def test_what_a_service_is_answered_comes_to_no_other_s_stream(
    connect: Connect, nats_server: NatsServer
) -> None:
    """No rule is about where the answer shall go: who is where the streams are gets it anywhere."""
    fulfillment = await connect("fulfillment")
    for _ in range(2):
        await fulfillment.client.request("fulfillment.command.payments.RetrievePayment", b"{}")
    asks = (
        "payments.event.PaymentReceived",
        f"{API}.STREAM.INFO.payments",
        f"{API}.CONSUMER.INFO.fulfillment.payments",
        next_of("fulfillment", "payments"),
    )
    payments, admin = [(await connect(name)).client for name in ("payments", ADMIN)]
    for count, subject in enumerate(asks, 1):
        for client in (payments, admin):
            await client.publish(subject, reply="ordering.event.OrderPlaced")
            await client.flush()
        await until_stored(nats_server, "ordering", count)
    assert await stored(nats_server, "ordering") == len(asks)


async def test_a_service_is_in_a_place_of_its_own_even_without_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_config, "permissions", lambda *_: {})
    server = NatsServer(tmp_path)
    server.start()
    try:
        await server.provision()
        payments = await nats.connect(server.url("payments"))
        fulfillment = await nats.connect(server.url("fulfillment"))
        heard = await payments.subscribe("fulfillment.>")
        await payments.publish("fulfillment.event.Forged")
        await payments.publish("$JS.API.STREAM.DELETE.fulfillment")
        await payments.publish(f"{API}.STREAM.DELETE.fulfillment")
        await payments.publish(f"{API}.CONSUMER.DELETE.fulfillment.payments")
        await payments.flush()
        await fulfillment.request("fulfillment.event.FulfillmentOverdue")
        assert await stored(server, "fulfillment") == 1
        assert (await heard.next_msg()).subject == "fulfillment.event.Forged"  # said by itself
        with pytest.raises(NatsTimeout):
            await heard.next_msg(0.2)
        await payments.request(next_of("fulfillment", "payments"), b'{"no_wait": true}')
        for client in (payments, fulfillment):
            await client.close()
    finally:
        server.kill()


async def test_a_service_leaves_the_others_room_at_the_broker(nats_server: NatsServer) -> None:
    clients = [Client() for _ in range(CONNECTIONS + 1)]
    told: list[Exception] = []

    async def note(error: Exception) -> None:
        told.append(error)

    async def connect(client: Client, name: str = "payments") -> None:
        await client.connect(nats_server.url(name), error_cb=note, allow_reconnect=False)

    *most, last = clients
    await asyncio.gather(*map(connect, most))
    with pytest.raises(NatsError):
        await connect(last)
    assert "maximum account active connections exceeded" in str(told)
    other = Client()
    await connect(other, "ordering")
    await other.flush()
    for client in (*clients, other):
        await client.close()


async def test_a_service_hears_so_many_subjects_and_no_more(connect: Connect) -> None:
    user = await connect("payments")
    for number in range(SUBSCRIPTIONS):
        await user.client.subscribe(f"_INBOX_payments.{number}")
    await user.client.flush()
    assert user.client.is_connected
    await user.client.subscribe("_INBOX_payments.more")
    async with asyncio.timeout(5):  # the library hangs up when it is told
        while user.client.is_connected:
            await asyncio.sleep(0.01)


async def stored(server: NatsServer, stream: str) -> int:
    """Return how many messages a stream has."""
    admin = await nats.connect(server.url(ADMIN))
    info = await ask(admin, f"STREAM.INFO.{stream}")
    await admin.close()
    return int(info["state"]["messages"])


async def until_stored(server: NatsServer, stream: str, count: int) -> None:
    async with asyncio.timeout(5):
        while await stored(server, stream) < count:
            await asyncio.sleep(0.02)


async def test_nobody_gets_in_without_a_name(nats_server: NatsServer) -> None:
    reading, writing = await asyncio.open_connection("127.0.0.1", nats_server.port)
    await reading.readline()  # what the server says of itself
    writing.write(b'CONNECT {"verbose": false}\r\nPING\r\n')
    assert b"Authorization Violation" in await reading.readline()
    writing.close()
    await writing.wait_closed()


# Rules and links


FLOWS = {
    "orchestrated": Flow(),
    "choreographed": Flow("choreographed"),
    "synchronous": Flow("synchronous"),
    "one link over HTTP": Flow(transports={"ordering->fulfillment": "http"}),
    "no link over NATS": Flow(transports={"default": "kafka"}),
}


def pulls(flow: Flow, reader: str) -> set[str]:
    """From whom a service may pull, by the rules."""
    used = service_rights(flow.services[reader], flow.services, flow.links).uses
    found = [re.fullmatch(r"\$JS\.API\.CONSUMER\.MSG\.NEXT\.(\w+)\.(\w+)", each) for each in used]
    assert {each[2] for each in found if each} <= {reader}
    return {each[1] for each in found if each}


def hears_outside(flow: Flow, name: str) -> bool:
    """Tell whether commands from outside come to a service over NATS."""
    return routes_of(flow.services[name], flow.services, flow.links).hears_outside


@pytest.mark.parametrize("name", FLOWS)
def test_the_rules_let_a_service_read_what_its_links_over_nats_say_and_nothing_else(
    name: str,
) -> None:
    flow = FLOWS[name]
    declared = {
        (link.reader, link.sender)
        for link in flow.links.between(flow.services)
        if link.transport == NATS
    } | {(name, EXTERNAL) for name in flow.services if hears_outside(flow, name)}
    ruled = {(reader, source) for reader in flow.services for source in pulls(flow, reader)}
    assert ruled == declared


@pytest.mark.parametrize("name", FLOWS)
def test_no_rule_lets_anybody_make_anything_or_see_another_s_stream(name: str) -> None:
    flow = FLOWS[name]
    for service in flow.services.values():
        for subject in service_rights(service, flow.services, flow.links).uses:
            if subject == f"$JS.API.STREAM.INFO.{EXTERNAL}":
                assert hears_outside(flow, service.name)
                continue
            own = (f"{service.name}.", "$JS.API.CONSUMER.")
            stream = re.fullmatch(r"\$JS\.API\.STREAM\.(INFO|MSG\.GET)\.(\w+)", subject)
            assert subject.startswith(own) or (stream and stream[2] == service.name), subject
            assert not re.search(r"CREATE|DELETE|PURGE|UPDATE", subject)


async def test_the_server_holds_services_to_their_links(connect: Connect) -> None:
    flow = Flow()
    declared = {(link.reader, link.sender) for link in flow.links.between(flow.services)}
    declared |= {(name, EXTERNAL) for name in flow.services if hears_outside(flow, name)}
    for reader in flow.services:
        user = await connect(reader)
        for source in (*flow.services, EXTERNAL):
            may = await user.may_publish(f"{API}.CONSUMER.MSG.NEXT.{source}.{reader}")
            assert may == ((reader, source) in declared), (reader, source)
            assert not await user.may_publish(f"{API}.CONSUMER.MSG.NEXT.{source}.other")
            for get in ("STREAM.MSG.GET", "DIRECT.GET", "STREAM.INFO"):
                may = source == reader and get != "DIRECT.GET"
                if (source, get) == (EXTERNAL, "STREAM.INFO"):
                    may = (reader, EXTERNAL) in declared
                assert await user.may_publish(f"{API}.{get}.{source}", {"seq": 1}) == may
            assert await user.may_publish(f"{source}.event.Forged") == (source == reader)
            assert not await user.may_publish(f"{API}.STREAM.CREATE.{source}")


async def test_a_rule_too_many_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests above compare is what the server is given, and a slip in it is seen."""
    flow = FLOWS["orchestrated"]
    everybody = {name: [] for name in flow.services}
    monkeypatch.setattr(nats_rules, "routes_of", lambda *_: Routes(reads={NATS: everybody}))
    assert pulls(flow, "payments") == set(flow.services)
