"""A database of ordering with orders in it, its views kept by their own code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count

import asyncpg

from services.ordering.app import service
from services.ordering.order import Order, OrderLine
from stagepost.aggregate import to_stored
from stagepost.engine.batch import Batch, Commit
from stagepost.engine.database import Connection, Pool, Queries, open_pool, read_statements
from stagepost.engine.follow import end
from stagepost.engine.replay.log import Log
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.tables_postgres import PostgresTables
from stagepost.engine.views import Views
from stagepost.view import View
from tests.conftest import Database
from tests.engine.stores import heard

ORDERS: View = service.views[0]
STATEMENTS = read_statements(service.sql / "queries.sql")


@dataclass
class Shop:
    """Who places orders, and keeps the view of them."""

    database: Database
    owner: Connection
    pool: Pool
    store: PostgresStore
    queries: Queries
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: count = field(default_factory=count)

    async def place(self, orders: int, at_once: int = 100) -> list[str]:
        """Place orders, each with a second event; return their ids."""
        names = [f"o-{next(self.numbers)}" for _ in range(orders)]
        for first in range(0, orders, at_once):
            some = names[first : first + at_once]
            await self.store.append(Batch([_placed(name) for name in some]))
            self.wake.set()
        return names

    @asynccontextmanager
    async def folding(self) -> AsyncIterator[None]:
        """Keep the view meanwhile."""
        tables = PostgresTables(self.pool, STATEMENTS)
        views = asyncio.create_task(Views([ORDERS], self.store, tables).run(self.wake))
        try:
            yield
            await self.until_folded()
        finally:
            await end([views])

    async def until_folded(self) -> None:
        async with asyncio.timeout(60):
            while await self.owner.fetchval(
                "SELECT (SELECT max(notification_id) FROM stored_events) IS DISTINCT FROM"
                " (SELECT position FROM cursors WHERE reader = 'view:orders')"
            ):
                self.wake.set()
                await asyncio.sleep(0.02)

    @property
    def log(self) -> Log:
        return Log(service, self.pool)

    async def rows(self) -> int:
        return await self.owner.fetchval("SELECT count(*) FROM orders")

    async def connect(self) -> Connection:
        return await asyncpg.connect(self.database.owner)


@asynccontextmanager
async def open_shop(database: Database) -> AsyncIterator[Shop]:
    owner = await asyncpg.connect(database.owner)
    pool = await open_pool(database.service)
    queries = Queries(pool, service.sql / "queries.sql")
    yield Shop(database, owner, pool, PostgresStore(pool, "ordering"), queries)
    await pool.close()
    await owner.close()


def _placed(name: str) -> Commit:
    line = OrderLine(sku="chair", quantity=2, unit_price=Decimal(1050))
    order = Order(
        order_id=name, customer_id="c1", lines=(line,), amount=2100, currency="EUR",
        payment_token="tok_ok", ship_to="Reims",
    )  # fmt: skip
    order.confirm(cancellation_too_late=False)
    return Commit(heard(name), events=[to_stored(e) for e in order.collect_events()])
