"""Customers and operators: they ask over HTTP, again and again until they are told something."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from random import Random
from typing import Any

from tests.simulation import web
from tests.simulation.plan import SERVICES, Order
from tests.simulation.web import Reply
from tests.simulation.world import World

OK = range(200, 300)
TRY_AGAIN = (0, 500, 503)
"""What leaves a client in doubt: no answer, or an excuse. (500 is a bug planted as poison.)"""


class Clients:
    """What they asked for, and what they were told."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = Random(f"clients {world.plan.seed}")
        self.accepted: dict[str, Order] = {}
        self.received: Counter[str] = Counter()

    async def all(self) -> None:
        """Fill the shelves; then place every order."""
        plan = self._world.plan
        async with asyncio.TaskGroup() as group:
            for at, sku, quantity in plan.deliveries:
                if at == 0:
                    group.create_task(self._deliver(at, sku, quantity))
        async with asyncio.TaskGroup() as group:
            for at, sku, quantity in plan.deliveries:
                if at > 0:
                    group.create_task(self._deliver(at, sku, quantity))
            for order in plan.orders:
                group.create_task(self._customer(order))

    async def redrive(self) -> None:
        """Have every dead letter handled again, until none is left."""
        while True:
            await asyncio.sleep(2)
            for store in self._world.stores.values():
                await store.redrive([letter.id for letter in await store.dead_letters(0, 100)])

    async def _deliver(self, at: float, sku: str, quantity: int) -> None:
        await asyncio.sleep(max(0.0, at - self._world.loop.time()))
        await self._until_told("inventory", "PUT", f"/stock/{sku}", expect=OK)
        receipt = {"quantity": quantity}
        key, path = f"delivery {sku} {at}", f"/stock/{sku}/receipts"
        await self._until_told("inventory", "POST", path, receipt, key=key, expect=OK)
        self.received[sku] += quantity

    async def _customer(self, order: Order) -> None:
        await asyncio.sleep(max(0.0, order.at - self._world.loop.time()))
        if order.cancel_before and order.own_id:
            path = f"/orders/{order.name}/cancellation"
            await self._until_told("ordering", "POST", path, expect=(404,))
        order_id = await self._place(order)
        if (seconds := _patience(order)) is not None:
            await asyncio.sleep(seconds)
            path = f"/orders/{order_id}/cancellation"
            await self._until_told("ordering", "POST", path, expect=(202, 409))
        if order.operator is not None and "fulfillment" in SERVICES:
            action, after = order.operator
            await asyncio.sleep(after)
            path = f"/processes/{order_id}/{action}"
            await self._until_told("fulfillment", "POST", path, expect=(202, 404, 409))
        if order.repeats and await self._place(order) != order_id:
            self._world.broken.append(f"3 nothing is done twice: {order.name} was placed twice")

    async def _place(self, order: Order) -> str:
        body: dict[str, Any] = {
            "customer_id": f"customer-of-{order.name}",
            "lines": [
                {"sku": sku, "quantity": quantity, "unit_price": price}
                for sku, quantity, price in order.lines
            ],
            "currency": "EUR",
            "payment_token": order.token,
            "ship_to": order.ship_to,
        }
        if order.own_id:
            body["order_id"] = order.name
        key = None if order.own_id and not order.has_key else f"key of {order.name}"
        asks = [
            asyncio.create_task(
                self._until_told("ordering", "POST", "/orders", body, key=key, expect=(202,))
            )
            for _ in range(2 if order.twice else 1)
        ]
        await asyncio.wait(asks, return_when=asyncio.FIRST_COMPLETED)
        reply = next(ask.result() for ask in asks if ask.done())
        order_id: str = reply.body["order_id"]
        self.accepted[order_id] = order
        await self._until_told("ordering", "GET", f"/orders/{order_id}", expect=(200,))
        return order_id

    async def _until_told(
        self,
        service: str,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        expect: Collection[int],
    ) -> Reply:
        world = self._world
        while True:
            node = self._random.choice(world.nodes_of(service))
            patience = self._random.choice((0.5, 3.0, 12.0))
            reply = await web.ask(
                world.loop, node.process, method, path, body, key=key, patience=patience
            )
            if reply.status not in TRY_AGAIN:
                break
            await asyncio.sleep(self._random.choice((0.01, 0.2, 1.0)))
        if reply.status not in expect:
            world.broken.append(f"10 {method} {path} was answered with {reply.status} {reply.body}")
        return reply


def _patience(order: Order) -> float | None:
    """Return after how long a customer cancels: where nobody minds a deadline, they have to."""
    waits_for_ever = order.token == "tok_down" and "fulfillment" not in SERVICES
    return 3.0 if waits_for_ever and order.cancel_after is None else order.cancel_after
