"""The load: orders at a steady rate, in windows whose orders and goods are their own.

A window is what happens around one fault: its orders and SKUs begin with its name, so that the
promises can be checked on it alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import aiohttp
from pydantic_core import from_json

from services.demo.book import Cancel, Order, generate
from services.demo.drive import Shop, as_json

RATE = 30.0
"""Orders a second."""

PATIENCE = 90.0
"""Seconds in which whoever tries again and again must have been heard."""

AGAIN = 0.1
"""Seconds before somebody who was not heard tries again."""

ONE_TRY = aiohttp.ClientTimeout(total=5)

IDLE = 0.5
"""Seconds for which a customer keeps an idle connection: less than a server that parts waits. In
HTTP/1.1 nobody can tell a request from a farewell that crosses it."""

BOOK = 4000
"""Orders that are thought out for a window: more than come while everybody is patient."""

PLENTY, SCARCE = 100_000, 25
"""Units on the shelf of each SKU, and of those that run out."""
_SCARCE = ("last-vase", "rare-mirror")

REGISTERED = 8
"""Customers of a window who are registered; the others order as well, and no mail reaches them."""

DOWN, IN_VAIN = "tok_down", 1.5
"""The card that the provider never answers for, and how many seconds its holder waits."""

FAST = ("tok_ok", "tok_declined")


class NotHeard(Exception):
    """Somebody asked again and again, and was not answered as they must be."""


@dataclass
class Window:
    """The orders around one fault.

    `asked` says when each was first sent, `accepted` when it was accepted, `answers` what else was
    said: a status, or that the connection was `cut:` and how, or that the answer was `late`.
    """

    name: str
    opened_at: float = field(default_factory=time.monotonic)
    asked: dict[str, float] = field(default_factory=dict)
    accepted: dict[str, float] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        return f"{self.name}-"


class Load:
    """Places orders as customers do who try again: an order has its own id, and is placed once.

    Where nobody owned the deadline of an order, its customer gives up one that nobody answers.
    """

    def __init__(
        self,
        urls: Mapping[str, str],
        headers: Mapping[str, str],
        seed: int,
        rate: float = RATE,
        *,
        owned: bool = True,
    ) -> None:
        self._owned = owned
        self._urls = urls
        self._headers = headers
        self._seed = seed
        self._rate = rate
        self._windows = 0
        self.window = Window("none")
        """To which what is placed now belongs."""
        self._book: Iterator[Order] = iter(())
        self.calm = False
        """Whether only orders come that are soon at their end: no slow card, no lost answer."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE),
            timeout=ONE_TRY,
            headers=self._headers,
        )
        self._task = asyncio.create_task(self._flow())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        for task in self.window.tasks:
            task.cancel()
        await asyncio.gather(self._task, *self.window.tasks, return_exceptions=True)
        await self._session.close()

    async def open_window(self) -> Window:
        """Begin a new window: customers register, shelves are filled; then its orders come."""
        self._windows += 1
        window = Window(f"w{self._windows:04}")
        book = generate(BOOK, self._seed + self._windows)
        shop = _PatientShop(self._session, self._urls, window)
        await asyncio.gather(
            *(shop.register(window.prefix + name) for name in book.customers[:REGISTERED]),
            *(
                shop.put_on_shelf(window.prefix + sku, SCARCE if sku in _SCARCE else PLENTY)
                for sku in book.stock
            ),
        )
        self._book = (_of(window, order) for order in book.orders)
        window.opened_at = time.monotonic()
        self.window, self.calm = window, False
        return window

    async def until_accepted(self, window: Window) -> list[str]:
        """Wait until every order of a window is accepted, and its customers have said it all.

        Returns what was asked again and again, and was not answered as it must be.
        """
        ends = await asyncio.gather(*window.tasks, return_exceptions=True)
        return [str(end) for end in ends if end is not None]

    async def _flow(self) -> None:
        due = time.monotonic()
        while True:
            due += 1 / self._rate
            await asyncio.sleep(due - time.monotonic())
            order = next((o for o in self._book if not self.calm or _is_fast(o)), None)
            if order is not None:
                self.window.tasks.append(asyncio.create_task(self._place(self.window, order)))

    async def _place(self, window: Window, order: Order) -> None:
        shop = _PatientShop(self._session, self._urls, window)
        window.asked[order.order_id] = time.time()
        window.accepted[order.order_id] = await shop.place(order)
        match order.cancel:
            case Cancel.NEVER if order.payment_token == DOWN and not self._owned:
                await asyncio.sleep(IN_VAIN)
            case Cancel.NEVER:
                return
            case Cancel.WITH_THE_CARRIER:
                await _either(shop, order)
            case Cancel.AFTER_THE_END:
                while not await shop.has_ended(order):
                    await asyncio.sleep(AGAIN)
        await shop.cancel(order)


async def _either(shop: Shop, order: Order) -> None:
    while not (await shop.is_with_the_carrier(order) or await shop.has_ended(order)):
        await asyncio.sleep(AGAIN)


@dataclass(frozen=True)
class _PatientShop(Shop):
    """A customer who tries again, and notes what else was answered."""

    window: Window

    async def place(self, order: Order) -> float:
        await self._ask("POST", f"{self.urls['ordering']}/orders", as_json(order), (202,))
        return time.time()

    async def _ask(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None = None,
        expected: tuple[int, ...] = (200, 201),
    ) -> Any:
        until = time.monotonic() + PATIENCE
        while True:
            status, text = await self._request(method, url, body)
            if status in expected:
                return from_json(text) if text else None
            if time.monotonic() > until or (400 <= status < 500 and status != 429):
                raise NotHeard(f"{method} {url} was answered {status}: {text[:300].decode()}")
            await asyncio.sleep(AGAIN)

    async def _request(
        self, method: str, url: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, bytes]:
        try:
            async with self.session.request(method, url, json=body) as response:
                status, text = response.status, await response.read()
        except TimeoutError:
            self.window.answers["late"] += 1
            return 0, b"no answer in time"
        except aiohttp.ClientError as error:
            self.window.answers[f"cut: {type(error).__name__}"] += 1
            return 0, f"no answer: {error!r}".encode()
        if status >= 500:
            self.window.answers[str(status)] += 1
        return status, text


def _of(window: Window, order: Order) -> Order:
    lines = tuple(replace(line, sku=window.prefix + line.sku) for line in order.lines)
    number = order.order_id.removeprefix("demo-")
    return replace(
        order,
        order_id=window.prefix + number,
        customer_id=window.prefix + order.customer_id,
        lines=lines,
    )


def _is_fast(order: Order) -> bool:
    return (
        order.payment_token in FAST
        and "Slow" not in order.ship_to
        and order.cancel is not Cancel.WITH_THE_CARRIER
    )
