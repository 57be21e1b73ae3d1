"""Push an order book through the shop as its customers would: over HTTP, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from pydantic_core import from_json

from services.demo.book import Book, Cancel, Order
from stagepost.errors import StagepostError

IN_FLIGHT = 16
"""How many requests are on their way at once."""

MAX_OPEN = 32
"""How many orders wait for their end at once: few enough for each to be in time."""

OK = 200

ANSWER_WITHIN = aiohttp.ClientTimeout(total=30)

T = TypeVar("T")


class DriveFailed(StagepostError):
    """The shop did not take what the book has; the message says what, and what it answered."""


@dataclass(frozen=True)
class Shop:
    """The services' HTTP APIs, as a customer and the warehouse use them."""

    session: aiohttp.ClientSession
    urls: Mapping[str, str]

    async def register(self, customer_id: str) -> None:
        """Register a customer; the same one twice is one customer."""
        who = {
            "customer_id": customer_id,
            "name": f"Customer {customer_id}",
            "email": f"{customer_id}@example.org",
        }
        await self._ask("POST", f"{self.urls['customers']}/customers", who)

    async def put_on_shelf(self, sku: str, quantity: int) -> None:
        """Declare an SKU, and receive goods of it."""
        stock = f"{self.urls['inventory']}/stock/{sku}"
        await self._ask("PUT", stock)
        if quantity:
            await self._ask("POST", f"{stock}/receipts", {"quantity": quantity})

    async def place(self, order: Order) -> float:
        """Place an order; return when it was accepted, as seconds since the epoch."""
        await self._ask("POST", f"{self.urls['ordering']}/orders", as_json(order), expected=(202,))
        return time.time()

    async def cancel(self, order: Order) -> None:
        """Ask for a cancellation; that it is too late is an answer, too."""
        url = f"{self.urls['ordering']}/orders/{order.order_id}/cancellation"
        await self._ask("POST", url, expected=(202, 409))

    async def has_ended(self, order: Order) -> bool:
        """Tell whether an order is confirmed or rejected."""
        answer = await self._ask("GET", f"{self.urls['ordering']}/orders/{order.order_id}")
        return bool(answer["status"] != "placed")

    async def knows(self, order: Order) -> bool:
        """Tell whether an order of this id was placed."""
        status, _ = await self._request("GET", f"{self.urls['ordering']}/orders/{order.order_id}")
        return status == OK

    async def is_with_the_carrier(self, order: Order) -> bool:
        """Tell whether shipping has the order's parcel in hand."""
        url = f"{self.urls['shipping']}/shipments/{order.order_id}"
        status, _ = await self._request("GET", url)
        return status == OK

    async def _ask(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None = None,
        expected: tuple[int, ...] = (OK, 201),
    ) -> Any:
        status, text = await self._request(method, url, body)
        if status not in expected:
            raise DriveFailed(f"{method} {url} answered {status}: {text[:500].decode()}")
        return from_json(text) if text else None

    async def _request(
        self, method: str, url: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, bytes]:
        try:
            async with self.session.request(method, url, json=body) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DriveFailed(f"{method} {url} was not answered: {error!r}") from error


@asynccontextmanager
async def open_shop(urls: Mapping[str, str], headers: Mapping[str, str]) -> AsyncIterator[Shop]:
    """Connect to the shop's services, which are at these URLs; `headers` say who we are."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=ANSWER_WITHIN, headers=headers
    ) as session:
        yield Shop(session, urls)


def as_json(order: Order) -> dict[str, Any]:
    """Return the body of `POST /orders`; prices travel as text, exactly."""
    return {
        "order_id": order.order_id,
        "customer_id": order.customer_id,
        "lines": [
            {
                "sku": line.sku,
                "quantity": line.quantity,
                "unit_price": format(line.unit_price.normalize(), "f"),
            }
            for line in order.lines
        ],
        "currency": order.currency,
        "payment_token": order.payment_token,
        "ship_to": order.ship_to,
    }


async def not_placed_yet(shop: Shop, book: Book) -> Book:
    """Return the book with ids that the shop does not know: it may have had the same before."""
    run, fresh = 1, book
    while await shop.knows(fresh.orders[0]):
        run += 1
        fresh = book.again(run)
    return fresh


async def register_customers(shop: Shop, book: Book) -> None:
    """Register everybody who orders, before they do."""
    await _each(book.customers, shop.register, IN_FLIGHT)


async def fill_the_shelves(shop: Shop, book: Book) -> None:
    """Declare every SKU of the book and receive what there is of it, before the first order."""
    await _each(book.stock.items(), lambda item: shop.put_on_shelf(*item), IN_FLIGHT)


async def place_together(
    shop: Shop, orders: Iterable[Order], accepted: dict[str, float], room: asyncio.Semaphore
) -> None:
    """Place orders, many at once, each in its turn; note in `accepted` when each was.

    Each takes one place of `room`, which whoever watches gives back when an order has ended: the
    shop works as fast as it can, and no order waits behind a thousand others. Returns when the
    last customer who changes their mind has said so.
    """

    async def enter(_: Order) -> None:
        await room.acquire()

    await _place(shop, orders, accepted, IN_FLIGHT, before=enter)


async def place_serially(shop: Shop, orders: Iterable[Order], accepted: dict[str, float]) -> None:
    """Place an order only when the one before has ended; note in `accepted` when each was."""

    async def wait(order: Order) -> None:
        await _until(shop.has_ended, order, every=0.005)

    await _place(shop, orders, accepted, 1, after=wait)


async def _place(
    shop: Shop,
    orders: Iterable[Order],
    accepted: dict[str, float],
    in_flight: int,
    *,
    before: Callable[[Order], Awaitable[None]] | None = None,
    after: Callable[[Order], Awaitable[None]] | None = None,
) -> None:
    async with tasks() as minds:

        async def place(order: Order) -> None:
            if before is not None:
                await before(order)
            accepted[order.order_id] = await shop.place(order)
            if order.cancel is not Cancel.NEVER:
                minds.create_task(_change_mind(shop, order))
            if after is not None:
                await after(order)

        await _each(orders, place, in_flight)


async def _change_mind(shop: Shop, order: Order) -> None:
    match order.cancel:
        case Cancel.WITH_THE_CARRIER:
            await _until(_either(shop.is_with_the_carrier, shop.has_ended), order)
        case Cancel.AFTER_THE_END:
            await _until(shop.has_ended, order)
    await shop.cancel(order)


async def _each(items: Iterable[T], act: Callable[[T], Awaitable[None]], in_flight: int) -> None:
    """Do this for each item in their order, a few at a time; the first failure ends all."""
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            await act(item)

    async with tasks() as workers:
        for _ in range(in_flight):
            workers.create_task(work())


@asynccontextmanager
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """Run tasks together; the first failure ends all, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _until(
    holds: Callable[[Order], Awaitable[bool]], order: Order, *, every: float = 0.1
) -> None:
    while not await holds(order):  # noqa: ASYNC110  # it happens in another process
        await asyncio.sleep(every)


def _either(*conditions: Callable[[Order], Awaitable[bool]]) -> Callable[[Order], Awaitable[bool]]:
    async def any_holds(order: Order) -> bool:
        for condition in conditions:
            if await condition(order):
                return True
        return False

    return any_holds
