"""What an operator sees of orders, and can do about them: fulfillment on a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from httpx import ASGITransport, AsyncClient

from contracts import inventory, ordering, payments
from services.fulfillment.app import service
from services.fulfillment.process import SlaDue
from stagepost.engine.calls_memory import MemoryCalls
from stagepost.engine.database import Queries, open_pool, read_statements
from stagepost.engine.discovery import find_services
from stagepost.engine.envelope import Envelope
from stagepost.engine.flow import Flow
from stagepost.engine.ids import SystemIds
from stagepost.engine.network import Network
from stagepost.engine.runtime import Instance
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.tables_postgres import PostgresTables
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.memory import MemoryBroker, MemoryTransport
from stagepost.engine.web import make_app
from stagepost.messages import Message, encode, example
from tests.conftest import NewDatabase

SQL = service.sql / "queries.sql"


@dataclass
class Fulfillment:
    """The service, and the others' side of the broker."""

    client: AsyncClient
    broker: MemoryBroker
    positions: dict[str, int] = field(default_factory=dict)

    async def hears(self, message: Message) -> None:
        """Let a message's owner say it."""
        position = self.positions[message.OWNER] = self.positions.get(message.OWNER, 0) + 1
        publisher = await MemoryTransport(self.broker).publisher(message.OWNER)
        await publisher.tail()
        said = Envelope(
            id=uuid4(),
            type=message.TYPE,
            version=message.VERSION,
            kind=message.KIND,
            source=message.OWNER,
            key=message.key,
            correlation=uuid4(),
            causation=uuid4(),
            body=encode(message),
            incarnation=1,
            position=position,
        )
        await publisher.publish([said])

    async def get(self, path: str) -> Any:
        answer = await self.client.get(path)
        return answer.json()

    async def until(self, order_id: str, state: str) -> dict[str, Any]:
        """Wait until an order stands somewhere, in itself and in the list; return what is shown."""
        async with asyncio.timeout(10):
            while True:  # each look lets the others work
                shown: dict[str, Any] = await self.get(f"/processes/{order_id}")
                times = shown.get("times")
                if shown.get("state") == state and times and times["state"] == state:
                    return shown


@asynccontextmanager
async def running(dsn: str, delays: dict[str, float]) -> AsyncIterator[Fulfillment]:
    pool = await open_pool(dsn)
    store, broker, metrics = PostgresStore(pool, service.name), MemoryBroker(), Metrics("test")
    instance = Instance(
        service,
        find_services(),
        holder="fulfillment-1",
        store=store,
        tables=PostgresTables(pool, read_statements(SQL)),
        network=Network({NATS: MemoryTransport(broker)}),
        calls=MemoryCalls({}, timeout=1),
        ids=SystemIds(),
        metrics=metrics,
        delays=delays,
        lease_seconds=5,
    )
    app = make_app(
        service,
        desk=instance.desk,
        queries=Queries(pool, SQL),
        store=store,
        ids=SystemIds(),
        answers=instance.answers,
        probes=(),
        registry=metrics.registry,
        flow=Flow(),
    )
    task = asyncio.create_task(instance.run())
    transport = ASGITransport(app)  # type: ignore[arg-type]  # Litestar says ASGI more exactly
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        yield Fulfillment(client, broker)
    task.cancel()
    await asyncio.wait([task])
    await pool.close()


@pytest.fixture
async def fulfillment(new_database: NewDatabase) -> AsyncIterator[Fulfillment]:
    database = await new_database("fulfillment")
    async with running(database.service, {SlaDue.__name__: 0.0}) as service:
        yield service


def placed(order_id: str) -> ordering.OrderPlaced:
    return example(ordering.OrderPlaced, order_id=order_id)


def answer(cls: type[Any], order_id: str, **more: object) -> Message:
    message: Message = example(
        cls, order_id=order_id, caller="fulfillment", reference=order_id, **more
    )
    return message


def heard_and_said(shown: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry["direction"], entry["type"]) for entry in shown["journal"]]


async def test_an_order_shows_where_it_stands_and_how_it_came_there(
    fulfillment: Fulfillment,
) -> None:
    await fulfillment.hears(placed("a"))
    await fulfillment.hears(answer(payments.PaymentReceived, "a"))

    shown = await fulfillment.until("a", "AwaitingStock")

    assert shown["waits_for"] == ["inventory.StockReserved", "inventory.StockRejected"]
    assert shown["remaining"][0] == "inventory.StockReserved"
    assert shown["remaining"][-1] == "ordering.OrderConfirmed"
    assert {
        ("in", "ordering.OrderPlaced"),
        ("out", "payments.RetrievePayment"),
        ("out", "inventory.ReserveStock"),
        ("in", "payments.PaymentReceived"),
    } <= set(heard_and_said(shown))
    causes = {entry["type"]: entry["causation"] for entry in shown["journal"]}
    ids = {entry["type"]: entry["id"] for entry in shown["journal"]}
    assert causes["payments.RetrievePayment"] == ids["ordering.OrderPlaced"]


async def test_an_order_past_its_service_level_is_overdue_and_said_to_be(
    fulfillment: Fulfillment,
) -> None:
    await fulfillment.hears(placed("a"))
    await fulfillment.until("a", "AwaitingBoth")

    shown = await fulfillment.get("/processes/a")
    async with asyncio.timeout(10):
        while ("out", "fulfillment.FulfillmentOverdue") not in heard_and_said(shown):
            shown = await fulfillment.get("/processes/a")

    late = await fulfillment.get("/processes?overdue=true")
    in_time = await fulfillment.get("/processes?overdue=false")
    assert shown["times"]["overdue"]
    assert [row["order_id"] for row in late["items"]] == ["a"]
    assert in_time["items"] == []


async def test_the_list_is_read_in_pages_and_by_state(fulfillment: Fulfillment) -> None:
    for order_id in ("b", "a", "c"):
        await fulfillment.hears(placed(order_id))
        await fulfillment.until(order_id, "AwaitingBoth")
    await fulfillment.hears(answer(payments.PaymentDeclined, "a", reason="no funds"))
    await fulfillment.until("a", "UndoingStock")

    first = await fulfillment.get("/processes?limit=2")
    second = await fulfillment.get(first["next"])
    undoing = await fulfillment.get("/processes?state=UndoingStock")

    assert [row["order_id"] for row in first["items"]] == ["b", "a"]
    assert [row["order_id"] for row in second["items"]] == ["c"]
    assert [(row["order_id"], row["reason"]) for row in undoing["items"]] == [("a", "no funds")]


async def test_a_state_that_does_not_exist_is_refused(fulfillment: Fulfillment) -> None:
    answer = await fulfillment.client.get("/processes?state=Lost")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/state"


async def test_a_retry_says_the_unanswered_commands_again(fulfillment: Fulfillment) -> None:
    await fulfillment.hears(placed("a"))
    await fulfillment.hears(answer(payments.PaymentReceived, "a"))
    await fulfillment.until("a", "AwaitingStock")

    answered = await fulfillment.client.post("/processes/a/retry")

    assert (answered.status_code, answered.json()["state"]) == (202, "AwaitingStock")
    said = heard_and_said(await fulfillment.get("/processes/a"))
    assert said.count(("out", "inventory.ReserveStock")) == 2
    assert said.count(("out", "payments.RetrievePayment")) == 1


async def test_a_process_that_is_cancelled_is_undone_and_then_at_its_end(
    fulfillment: Fulfillment,
) -> None:
    await fulfillment.hears(placed("a"))
    await fulfillment.until("a", "AwaitingBoth")

    answered = await fulfillment.client.post("/processes/a/cancel")
    assert (answered.status_code, answered.json()["state"]) == (202, "UndoingBoth")

    await fulfillment.hears(answer(payments.PaymentRefunded, "a"))
    await fulfillment.hears(answer(inventory.StockReleased, "a"))
    await fulfillment.until("a", "Rejecting")
    await fulfillment.hears(answer(ordering.OrderRejected, "a", reason="cancelled by the operator"))
    shown = await fulfillment.until("a", "Rejected")
    assert shown["times"]["reason"] == "cancelled by the operator"
    assert shown["times"]["ended_at"] is not None
    assert (shown["waits_for"], shown["remaining"], shown["times"]["overdue"]) == ([], [], False)
    for request in ("retry", "cancel"):
        assert (await fulfillment.client.post(f"/processes/a/{request}")).status_code == 409


@pytest.mark.parametrize("request_of", ["", "/retry", "/cancel"])
async def test_an_unknown_order_is_not_found(fulfillment: Fulfillment, request_of: str) -> None:
    method = "POST" if request_of else "GET"
    answered = await fulfillment.client.request(method, f"/processes/nobody{request_of}")

    assert answered.status_code == 404
    assert "nobody" in answered.json()["detail"]
