"""A customer of the whole stack, over HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

from stagepost.engine.stack import Stack

_numbers = count(1)


@dataclass(frozen=True)
class Customer:
    """Somebody who orders, and looks at what becomes of it; `accepted` are the orders told so."""

    http: aiohttp.ClientSession
    stack: Stack
    accepted: list[str] = field(default_factory=list)

    async def register(self, customer_id: str, **more: Any) -> int:
        """Register a customer, whose address is `<customer_id>@example.org`; return the status."""
        body = {
            "customer_id": customer_id,
            "name": f"{customer_id} Lovelace",
            "email": f"{customer_id}@example.org",
        }
        url = f"{self.stack.url('customers')}/customers"
        async with self.http.post(url, json=body | more) as answer:
            return answer.status

    async def until_onboarding(self, customer_id: str, state: str) -> Any:
        """Wait until a customer's onboarding stands there."""
        async with asyncio.timeout(30):
            while True:
                found = await self.see("customers", f"/customers/{customer_id}/onboarding")
                if found is not None and found["state"] == state:
                    return found
                await asyncio.sleep(0.02)

    async def until_notified(self, customer_id: str, expected: dict[str, str]) -> dict[str, Any]:
        """Wait until a customer's notifications have these statuses, by their id; return them."""
        async with asyncio.timeout(30):
            while True:
                page = await self.see("notifications", f"/notifications?customer_id={customer_id}")
                found = {row["id"]: row for row in page["items"]}
                if {name: row["status"] for name, row in found.items()} == expected:
                    return found
                await asyncio.sleep(0.02)

    async def until_points(self, customer_id: str, balance: int) -> None:
        """Wait until a customer has so many points."""
        async with asyncio.timeout(30):
            while True:
                account = await self.see("loyalty", f"/accounts/{customer_id}")
                if account is not None and account["balance"] == balance:
                    return
                await asyncio.sleep(0.02)

    async def order(self, sku: str = "chair", quantity: int = 1, **more: Any) -> str:
        order_id = f"journey-{next(_numbers)}"
        body = {
            "order_id": order_id,
            "customer_id": "ada",
            "lines": [{"sku": sku, "quantity": quantity, "unit_price": "1250.5"}],
            "currency": "EUR",
            "payment_token": "tok_ok",
            "ship_to": "1 Station Road, Reims",
        }
        url = f"{self.stack.url('ordering')}/orders"
        async with self.http.post(url, json=body | more) as answer:
            assert answer.status == 202, await answer.text()
        self.accepted.append(order_id)
        return order_id

    async def cancel(self, order_id: str) -> int:
        url = f"{self.stack.url('ordering')}/orders/{order_id}/cancellation"
        async with self.http.post(url) as answer:
            return answer.status

    async def see(self, service: str, path: str) -> Any:
        async with self.http.get(f"{self.stack.url(service)}{path}") as answer:
            return await answer.json() if answer.status == 200 else None

    async def until_ended(self, order_id: str) -> Any:
        """Wait until an order is confirmed or rejected."""
        async with asyncio.timeout(30):
            while True:
                order = await self.see("ordering", f"/orders/{order_id}")
                if order["status"] != "placed":
                    return order
                await asyncio.sleep(0.02)

    async def until_in(self, order_id: str, state: str) -> None:
        """Wait until the order's process stands there."""
        async with asyncio.timeout(30):
            while True:
                process = await self.see("fulfillment", f"/processes/{order_id}")
                if process is not None and process["state"] == state:
                    return
                await asyncio.sleep(0.01)

    async def paid(self, order_id: str) -> int:
        """What we hold of the customer's money for this order, as payments sees it."""
        async with asyncio.timeout(10):
            while True:
                payments = await self.see("payments", f"/payments/{order_id}")
                if payments:
                    return sum(p["received"] - p["refunded"] for p in payments)
                await asyncio.sleep(0.02)

    async def stock(self, sku: str) -> dict[str, int]:
        found: dict[str, int] = await self.see("inventory", f"/stock/{sku}")
        return {where: found[where] for where in ("on_hand", "reserved", "gone")}

    async def receive(self, sku: str, quantity: int) -> None:
        stock = f"{self.stack.url('inventory')}/stock/{sku}"
        async with self.http.put(stock) as answer:
            assert answer.status in {200, 201}
        async with self.http.post(f"{stock}/receipts", json={"quantity": quantity}) as answer:
            assert answer.status == 200
