"""The load: one POST an order, a bounded number of orders open, and what customers change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import asyncpg
import orjson

from services.demo.book import Cancel, Order
from services.demo.drive import as_json, tasks
from stagepost.engine.database import Connection as Database
from tests.bench.book import waits
from tests.bench.http import Connections, request

CONNECTIONS = 64
MAX_OPEN = 400
"""Orders under way at once, those not counted that wait by the clock: what a second brings."""
LOOK = 0.025
"""Seconds between two looks at which orders have ended: an order's end is seen so late at most."""
STALLED = 60.0
"""Seconds without any order's end, after which the bench gives up."""
TRY_AGAIN = 0.1
"""Seconds before an order is sent again that the shop had no room for."""
WITH_THE_CARRIER = 2.0
"""Seconds after which a slow carrier has a parcel in hand, and has not answered yet."""

ENDED = """SELECT position, key FROM outbox WHERE position > $1
  AND type IN ('ordering.OrderConfirmed', 'ordering.OrderRejected') ORDER BY position"""


class BenchFailed(Exception):
    """The stack did not do what the bench measures: there is no figure."""


@dataclass(frozen=True)
class Run:
    """Seconds from the first POST to the last, and to the last order's end."""

    orders: int
    placed: float
    ended: float

    @property
    def orders_per_second(self) -> float:
        return self.orders / self.ended


class Load:
    """Pushes orders through the shop and sees each of them end."""

    def __init__(
        self, url: str, headers: Mapping[str, str], connections: Connections, database: Database
    ) -> None:
        self._url = url
        self._headers = headers
        self._connections = connections
        self._database = database
        self._room = asyncio.Semaphore(MAX_OPEN)
        self._open: dict[str, tuple[Order, asyncio.Event]] = {}

    async def run(self, orders: Sequence[Order]) -> Run:
        """Place these orders and wait until all have ended, and every customer is content.

        Raises:
            BenchFailed: an order was not accepted, or nothing moves any longer.
        """
        requests = {o.order_id: self._post("", orjson.dumps(as_json(o))) for o in orders}
        after = await self._database.fetchval("SELECT coalesce(max(position), 0) FROM outbox")
        started = time.perf_counter()
        async with tasks() as together:
            watching = together.create_task(self._watch(len(orders), after))
            await self._place(orders, requests, together)
            placed = time.perf_counter() - started
        return Run(len(orders), placed, watching.result() - started)

    async def _place(
        self, orders: Sequence[Order], requests: Mapping[str, bytes], minds: asyncio.TaskGroup
    ) -> None:
        """Place orders in their turn, as many at once as there are connections.

        Who changes their mind does so as a task of `minds`.
        """
        waiting = iter(orders)

        async def customers() -> None:
            for order in waiting:
                if not waits(order):
                    await self._room.acquire()
                self._open[order.order_id] = order, asyncio.Event()
                await self._ask(requests[order.order_id])
                if order.cancel is not Cancel.NEVER:
                    minds.create_task(self._change_mind(order))

        async with tasks() as group:
            for _ in range(CONNECTIONS):
                group.create_task(customers())

    async def _ask(self, message: bytes, *also: HTTPStatus) -> None:
        while True:
            status = await self._connections.ask(message)
            if status in {HTTPStatus.ACCEPTED, *also}:
                return
            if status != HTTPStatus.SERVICE_UNAVAILABLE:
                raise BenchFailed(f"{message[:60]!r} was answered {status}")
            await asyncio.sleep(TRY_AGAIN)

    async def _change_mind(self, order: Order) -> None:
        if order.cancel is Cancel.WITH_THE_CARRIER:
            await asyncio.sleep(WITH_THE_CARRIER)
        elif order.cancel is Cancel.AFTER_THE_END:
            await self._open[order.order_id][1].wait()
        await self._ask(self._post(f"/{order.order_id}/cancellation"), HTTPStatus.CONFLICT)

    def _post(self, path: str, body: bytes = b"") -> bytes:
        return request("POST", f"{self._url}/orders{path}", body, self._headers)

    async def _watch(self, orders: int, after: int) -> float:
        """See orders end, and make room for others; return when the last one did."""
        moved = time.perf_counter()
        while orders:
            await asyncio.sleep(LOOK)
            rows = await self._database.fetch(ENDED, after)
            for position, order_id in rows:
                after = position
                orders -= self._end(order_id)
            if rows:
                moved = time.perf_counter()
            elif time.perf_counter() - moved > STALLED:
                raise BenchFailed(f"no order has ended for {STALLED:g} s; {orders} have not")
        return moved

    def _end(self, order_id: str) -> int:
        order, ended = self._open[order_id]
        if ended.is_set():
            return 0
        ended.set()
        if not waits(order):
            self._room.release()
        return 1


async def drive(url: str, headers: Mapping[str, str], dsn: str, orders: Sequence[Order]) -> Run:
    """Push orders through ordering, which is at this URL and has this database.

    `headers` say who we are.

    Raises:
        BenchFailed
    """
    connections = await Connections.open(url, CONNECTIONS)
    database: Database = await asyncpg.connect(dsn)
    try:
        return await Load(url, headers, connections, database).run(orders)
    finally:
        connections.close()
        await database.close()
