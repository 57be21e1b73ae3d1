"""What a fresh stack begins with."""

from __future__ import annotations

from aiohttp import web
from aiohttp.test_utils import TestServer

from services.seed import SHELF, seed


class Inventory:
    """As much of inventory as a seeding sees; a repeated key adds nothing."""

    def __init__(self, stock: dict[str, int]) -> None:
        self.stock = stock
        self.keys: set[str] = set()
        self.app = web.Application()
        self.app.router.add_get("/stock", self.list)
        self.app.router.add_put("/stock/{sku}", self.declare)
        self.app.router.add_post("/stock/{sku}/receipts", self.receive)

    async def list(self, _: web.Request) -> web.Response:
        return web.json_response({"items": list(self.stock)})

    async def declare(self, request: web.Request) -> web.Response:
        self.stock.setdefault(request.match_info["sku"], 0)
        return web.json_response({})

    async def receive(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        if key not in self.keys:
            self.keys.add(key)
            self.stock[request.match_info["sku"]] += (await request.json())["quantity"]
        return web.json_response({})


async def seeded(inventory: Inventory) -> dict[str, int]:
    async with TestServer(inventory.app) as server:
        await seed({"inventory": str(server.make_url("")).rstrip("/")}, {})
    return inventory.stock


async def test_an_empty_shelf_is_filled_with_a_dozen_skus() -> None:
    stock = await seeded(Inventory({}))
    assert stock == SHELF
    assert len(stock) == 12
    assert all(quantity > 0 for quantity in stock.values())


async def test_a_shelf_with_something_on_it_is_left_alone() -> None:
    assert await seeded(Inventory({"stool": 3})) == {"stool": 3}


async def test_a_seeding_that_was_interrupted_uses_the_same_keys_again() -> None:
    first, second = Inventory({}), Inventory({})
    await seeded(first)
    await seeded(second)
    assert first.keys == second.keys
    assert len(first.keys) == len(SHELF)
