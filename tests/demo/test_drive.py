"""The drive against a shop that is a few lines of aiohttp: what it asks, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.demo.book import Book, Cancel, Line, Order
from services.demo.drive import (
    DriveFailed,
    Shop,
    as_json,
    fill_the_shelves,
    not_placed_yet,
    open_shop,
    place_serially,
    place_together,
    register_customers,
)

LINE = Line("chair", 2, Decimal("1339.50"))
ORDER = Order("o1", "c1", (LINE,), "EUR", "tok_ok", "Reims")


def orders(count: int, cancel: Cancel = Cancel.NEVER) -> list[Order]:
    return [replace(ORDER, order_id=f"o{n}", cancel=cancel) for n in range(1, count + 1)]


@dataclass
class FakeShop:
    """Remembers what it was asked; an order ends after so many looks at it."""

    looks: int = 2
    said: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    refuse: str = ""
    unknown: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        line = f"{request.method} {request.path}"
        self.said.append(line)
        if line == self.refuse:
            return web.json_response({"title": "The request is not valid"}, status=400)
        if line == self.unknown:
            return web.json_response({"title": "There is no such order"}, status=404)
        if request.method == "POST" and request.can_read_body:
            self.bodies.append(await request.json())
        match request.method, request.path.split("/")[1:]:
            case "GET", ["orders", order_id]:
                return web.json_response({"status": self._status(order_id)})
            case "POST", ["orders"]:
                return web.json_response({}, status=202)
            case "POST", ["orders", _, "cancellation"]:
                return web.json_response({}, status=202)
            case _:
                return web.json_response({})

    def _status(self, order_id: str) -> str:
        self.left[order_id] = self.left.get(order_id, self.looks) - 1
        return "placed" if self.left[order_id] > 0 else "confirmed"


@pytest.fixture
def fake() -> FakeShop:
    return FakeShop()


@pytest.fixture
async def shop(fake: FakeShop) -> AsyncIterator[Shop]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/")).rstrip("/")
        async with open_shop(
            dict.fromkeys(("ordering", "inventory", "shipping", "customers"), url), {}
        ) as shop:
            yield shop


def test_a_price_travels_as_exact_text() -> None:
    assert as_json(ORDER)["lines"] == [{"sku": "chair", "quantity": 2, "unit_price": "1339.5"}]


@pytest.mark.parametrize(("price", "text"), [("24900", "24900"), ("1E+3", "1000"), ("0.00", "0")])
def test_a_price_has_no_exponent(price: str, text: str) -> None:
    order = replace(ORDER, lines=(replace(LINE, unit_price=Decimal(price)),))
    assert as_json(order)["lines"][0]["unit_price"] == text


async def test_each_sku_is_declared_and_then_received(shop: Shop, fake: FakeShop) -> None:
    await fill_the_shelves(shop, Book("", (), {"chair": 10}))
    assert fake.said == ["PUT /stock/chair", "POST /stock/chair/receipts"]
    assert fake.bodies == [{"quantity": 10}]


async def test_a_book_that_the_shop_has_had_comes_again_as_other_orders(
    shop: Shop, fake: FakeShop
) -> None:
    book = Book("", tuple(orders(2)), {})
    fake.unknown = "GET /orders/o1"
    assert await not_placed_yet(shop, book) == book

    fake.unknown = "GET /orders/o1-3"
    placed = (await not_placed_yet(shop, book)).orders
    assert [order.order_id for order in placed] == ["o1-3", "o2-3"]


async def test_everybody_who_orders_is_registered_once(shop: Shop, fake: FakeShop) -> None:
    eve = replace(ORDER, order_id="o9", customer_id="Eve")
    await register_customers(shop, Book("", (*orders(2), eve), {}))
    assert fake.said == ["POST /customers"] * 2
    assert {body["customer_id"]: body["email"] for body in fake.bodies} == {
        "c1": "c1@example.org",
        "Eve": "Eve@example.org",
    }


async def test_a_sku_of_which_there_is_none_is_only_declared(shop: Shop, fake: FakeShop) -> None:
    await fill_the_shelves(shop, Book("", (), {"chair": 0}))
    assert fake.said == ["PUT /stock/chair"]


async def test_an_order_is_placed_only_when_the_one_before_has_ended(
    shop: Shop, fake: FakeShop
) -> None:
    accepted: dict[str, float] = {}
    await place_serially(shop, orders(2), accepted)
    look = ["GET /orders/o1"] * 2, ["GET /orders/o2"] * 2
    assert fake.said == ["POST /orders", *look[0], "POST /orders", *look[1]]
    assert [body["order_id"] for body in fake.bodies] == ["o1", "o2"]
    assert accepted["o1"] < accepted["o2"]


async def test_no_more_orders_are_open_than_there_is_room_for(shop: Shop, fake: FakeShop) -> None:
    accepted: dict[str, float] = {}
    room = asyncio.Semaphore(3)
    placing = asyncio.create_task(place_together(shop, orders(5), accepted, room))
    while len(accepted) < 3:  # the drive tells nobody
        await asyncio.sleep(0)
    assert room.locked()
    assert fake.said.count("POST /orders") == 3
    room.release()
    room.release()
    await placing
    assert fake.said.count("POST /orders") == 5


async def test_who_cancels_at_once_says_so_after_the_order_was_accepted(
    shop: Shop, fake: FakeShop
) -> None:
    await place_together(shop, orders(1, Cancel.AT_ONCE), {}, asyncio.Semaphore(9))
    assert fake.said == ["POST /orders", "POST /orders/o1/cancellation"]


async def test_who_cancels_with_the_carrier_waits_for_the_parcel(
    shop: Shop, fake: FakeShop
) -> None:
    await place_together(shop, orders(1, Cancel.WITH_THE_CARRIER), {}, asyncio.Semaphore(9))
    assert fake.said == ["POST /orders", "GET /shipments/o1", "POST /orders/o1/cancellation"]


async def test_who_cancels_after_the_end_waits_for_it_and_takes_no_for_an_answer(
    shop: Shop, fake: FakeShop
) -> None:
    await place_together(shop, orders(1, Cancel.AFTER_THE_END), {}, asyncio.Semaphore(9))
    assert fake.said[-2:] == ["GET /orders/o1", "POST /orders/o1/cancellation"]


async def test_an_order_that_is_not_taken_ends_the_drive_with_the_answer(
    shop: Shop, fake: FakeShop
) -> None:
    fake.refuse = "POST /orders"
    with pytest.raises(DriveFailed, match=r"answered 400: .*The request is not valid"):
        await place_together(shop, orders(3), {}, asyncio.Semaphore(9))


async def test_a_service_that_is_gone_ends_the_drive() -> None:
    nowhere = dict.fromkeys(("ordering", "inventory"), "http://127.0.0.1:1")
    async with open_shop(nowhere, {}) as shop:
        with pytest.raises(DriveFailed, match="was not answered"):
            await fill_the_shelves(shop, Book("", (), {"chair": 1}))
