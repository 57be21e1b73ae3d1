"""What the HTTP APIs promise beside the orders themselves, on the whole stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import aiohttp
import asyncpg
import pytest

from services.demo.attempts import check_walls
from stagepost.engine.stack import Stack

_numbers = count(1)


@pytest.fixture
async def ordering(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(stack.url("ordering")) as http:
        yield http


@pytest.fixture
async def inventory(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(stack.url("inventory")) as http:
        yield http


@pytest.fixture
def key() -> dict[str, str]:
    """A header that no other test sends."""
    return {"Idempotency-Key": f"key {next(_numbers)}"}


@pytest.fixture
def customer() -> str:
    return f"http-{next(_numbers)}"


def order_of(customer: str, **more: Any) -> dict[str, Any]:
    return {
        "customer_id": customer,
        "lines": [{"sku": "no-such-thing", "quantity": 1, "unit_price": "100"}],
        "currency": "EUR",
        "payment_token": "tok_ok",
        "ship_to": "1 Station Road, Reims",
    } | more


async def placed_by(stack: Stack, customer: str) -> int:
    """How many orders of a customer ordering has stored."""
    connection = await asyncpg.connect(stack.dsn("ordering"))
    try:
        found = await connection.fetchval(
            """SELECT count(*) FROM stored_events
               WHERE topic = 'ordering.Order.Placed'
               AND convert_from(state, 'UTF8')::jsonb ->> 'customer_id' = $1""",
            customer,
        )
    finally:
        await connection.close()
    return int(found)


async def test_one_key_and_one_body_place_one_order_however_often(
    ordering: aiohttp.ClientSession, stack: Stack, key: dict[str, str], customer: str
) -> None:
    answers = []
    for _ in range(3):
        async with ordering.post("/orders", json=order_of(customer), headers=key) as answer:
            answers.append((answer.status, answer.headers["Location"], await answer.json()))

    assert answers[0] == answers[1] == answers[2]
    status, location, body = answers[0]
    assert (status, location) == (202, f"/orders/{body['order_id']}")
    assert await placed_by(stack, customer) == 1


async def test_one_key_at_once_from_several_sides_places_one_order(
    ordering: aiohttp.ClientSession, stack: Stack, key: dict[str, str], customer: str
) -> None:
    async def place() -> tuple[int, str]:
        async with ordering.post("/orders", json=order_of(customer), headers=key) as answer:
            return answer.status, (await answer.json())["order_id"]

    answers = await asyncio.gather(*(place() for _ in range(10)))

    assert len(set(answers)) == 1
    assert answers[0][0] == 202
    assert await placed_by(stack, customer) == 1


async def test_one_key_with_another_body_is_refused(
    ordering: aiohttp.ClientSession, stack: Stack, key: dict[str, str], customer: str
) -> None:
    async with ordering.post("/orders", json=order_of(customer), headers=key) as answer:
        assert answer.status == 202
    another = order_of(customer, ship_to="2 Station Road, Reims")
    async with ordering.post("/orders", json=another, headers=key) as answer:
        assert answer.status == 422
        assert answer.content_type == "application/problem+json"
        assert "Idempotency-Key" in (await answer.json())["detail"]
    assert await placed_by(stack, customer) == 1


async def test_without_a_key_each_request_is_an_order(
    ordering: aiohttp.ClientSession, stack: Stack, customer: str
) -> None:
    locations = set()
    for _ in range(2):
        async with ordering.post("/orders", json=order_of(customer)) as answer:
            locations.add(answer.headers["Location"])
    assert len(locations) == 2
    assert await placed_by(stack, customer) == 2


async def test_an_order_is_sent_again_only_when_it_has_changed(
    ordering: aiohttp.ClientSession, customer: str
) -> None:
    async with ordering.post("/orders", json=order_of(customer)) as answer:
        location = answer.headers["Location"]
    async with asyncio.timeout(30):
        while True:
            async with ordering.get(location) as answer:
                etag = answer.headers["ETag"]
                if (await answer.json())["status"] != "placed":
                    break
            await asyncio.sleep(0.02)

    for tags in (etag, f'"other", W/{etag}', "*"):
        async with ordering.get(location, headers={"If-None-Match": tags}) as answer:
            assert (answer.status, answer.headers["ETag"]) == (304, etag)
            assert await answer.read() == b""
    async with ordering.get(location, headers={"If-None-Match": '"other"'}) as answer:
        assert answer.status == 200


async def test_a_key_belongs_to_one_address(
    inventory: aiohttp.ClientSession, key: dict[str, str]
) -> None:
    for sku in ("pen", "pencil"):
        async with inventory.put(f"/stock/{sku}") as answer:
            assert answer.ok
    statuses = []
    for sku in ("pen", "pen", "pencil"):
        path = f"/stock/{sku}/receipts"
        async with inventory.post(path, json={"quantity": 7}, headers=key) as answer:
            statuses.append(answer.status)
    assert statuses == [200, 200, 422]
    async with inventory.get("/stock/pen") as answer:
        assert (await answer.json())["on_hand"] == 7


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("inventory", "PUT", "/stock/paper"),
        ("ordering", "POST", "/orders/some-order/cancellation"),
    ],
)
async def test_a_body_where_none_is_taken_is_refused(
    stack: Stack, service: str, method: str, path: str
) -> None:
    async with (
        aiohttp.ClientSession(stack.url(service)) as http,
        http.request(method, path, json={"quantity": 5}) as answer,
    ):
        assert answer.status == 400
        assert answer.content_type == "application/problem+json"


async def test_no_service_reaches_into_another(stack: Stack) -> None:
    services = [name for name in stack.names if name != "outside"]
    finding = await check_walls(stack, services, stack.names)
    assert finding.holds, finding.detail


async def test_who_reads_keeps_nobody_from_placing_an_order(
    stack: Stack, ordering: aiohttp.ClientSession, customer: str
) -> None:
    async def read() -> int:
        async with ordering.get("/orders") as answer:
            await answer.read()
            return answer.status

    locking = await asyncpg.connect(stack.databases.owner_dsn("ordering"))
    async with locking.transaction():
        await locking.execute("LOCK TABLE orders")
        readers = [asyncio.create_task(read()) for _ in range(20)]
        await asyncio.sleep(0.5)
        async with asyncio.timeout(5), ordering.post("/orders", json=order_of(customer)) as answer:
            assert answer.status == 202
        assert not any(reader.done() for reader in readers)
    assert {await reader for reader in readers} == {200}
    await locking.close()
