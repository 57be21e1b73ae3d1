"""A reader that was not there from the start catches up, while orders flow and it reads live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count

import asyncpg
import pytest

from services.customers.requests import RegisterCustomer
from services.demo.promises import SESSION, Audit
from services.inventory.requests import DeclareSku, ReceiveStock
from stagepost.engine.backfill import Backfill, Backfilled
from stagepost.engine.backfill_stack import page_of
from stagepost.engine.database import SQL, Connection, Queries, open_pool, read_statements
from stagepost.engine.flow import Flow
from stagepost.engine.runtime import Instance
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.transports.memory import MemoryBroker
from stagepost.errors import FeedRefused
from tests.conftest import NewDatabase
from tests.promises import world

CUSTOMERS = ("c1", "c2", "c3")
PROMISES = "2 no message is lost", "3 nothing is done twice", "11 points are what was bought"
PASS = read_statements(SQL / "flow.sql")["pass"]


@dataclass
class Town:
    """A shop in which loyalty may be missing; every order is worth 21 points to its customer."""

    dsn: str
    owner: Connection
    exits: AsyncExitStack
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    instances: dict[str, Instance] = field(default_factory=dict)
    numbers: count = field(default_factory=count)

    @property
    def audit(self) -> Audit:
        return Audit(self.owner)

    async def start(self, *names: str) -> None:
        connection = await asyncpg.connect(world.in_schema(self.dsn, "outside"))
        outside = world.Outside(connection)
        self.exits.push_async_callback(connection.close)
        for name in names:
            made = await world._instance(name, self.dsn, self.broker, outside, self.exits)
            self.instances[name] = made
            task = asyncio.create_task(made.run())
            self.exits.push_async_callback(asyncio.gather, task, return_exceptions=True)
            self.exits.callback(task.cancel)

    async def open(self) -> None:
        await self.instances["inventory"].desk.request(DeclareSku(sku="chair"))
        await self.instances["inventory"].desk.request(ReceiveStock(sku="chair", quantity=1000))
        for name in CUSTOMERS:
            ask = RegisterCustomer(customer_id=name, name="Ada", email=f"{name}@example.org")
            await self.instances["customers"].desk.request(ask)

    async def place(self, orders: int) -> None:
        for _ in range(orders):
            number = next(self.numbers)
            order = world.place(f"o-{number}", CUSTOMERS[number % 3], chair=2)
            await self.instances["ordering"].desk.request(order)

    async def at_rest(self) -> None:
        await world.until_at_rest(self.audit)

    async def until_confirmed(self, orders: int) -> None:
        """Wait until so many orders have ended well, with loyalty or without."""
        confirmed = "SELECT count(*) FROM ordering.orders WHERE status = 'confirmed'"
        async with asyncio.timeout(60):
            while await self.owner.fetchval(confirmed) < orders:
                await asyncio.sleep(0.05)

    async def pass_history(self) -> None:
        """Have loyalty begin behind all that was told till now, as one that joins another flow."""
        for source in ("ordering", "customers"):
            last = await self.owner.fetchval(f"SELECT max(position) FROM {source}.outbox")
            await self.owner.execute("SET search_path = loyalty")
            await self.owner.execute(PASS, source, 1, last)
            await self.owner.execute("RESET search_path")

    async def backfill(self, source: str, reader: str = "loyalty") -> Backfilled:
        async with AsyncExitStack() as exits:
            pools = [
                await open_pool(world.in_schema(self.dsn, n), size=2) for n in (reader, source)
            ]
            for pool in pools:
                exits.push_async_callback(pool.close)
            told = PostgresStore(pools[1], source)
            return await Backfill(
                Flow(),
                world.SERVICES[reader],
                world.SERVICES[source],
                store=PostgresStore(pools[0], reader),
                queries=Queries(pools[0], SQL / "flow.sql"),
                ask=lambda after, limit: page_of(told, after, min(limit, 3)),
                told=lambda _: None,
            ).run()

    async def points(self) -> dict[str, int]:
        rows = await self.owner.fetch(
            "SELECT customer_id, sum(points) AS points FROM ("
            " SELECT convert_from(body, 'UTF8')::jsonb ->> 'customer_id' AS customer_id,"
            "        (convert_from(body, 'UTF8')::jsonb ->> 'points')::int AS points"
            " FROM loyalty.outbox WHERE type = 'loyalty.PointsAwarded') told GROUP BY 1"
        )
        return {row["customer_id"]: row["points"] for row in rows}

    async def due(self) -> dict[str, int]:
        """What a loyalty that was there from the start would have awarded."""
        rows = await self.owner.fetch(
            "SELECT customer_id, sum(amount / 100) AS points FROM ordering.orders"
            " WHERE status = 'confirmed' GROUP BY 1"
        )
        return {row["customer_id"]: int(row["points"]) for row in rows}


@pytest.fixture
async def town(new_database: NewDatabase) -> AsyncIterator[Town]:
    """All services but loyalty."""
    database = await new_database("ordering")
    owner = await asyncpg.connect(database.owner, server_settings=SESSION)
    await world.make_schemas(owner)
    async with AsyncExitStack() as exits:
        town = Town(database.owner, owner, exits)
        await town.start(*(name for name in world.SERVICES if name != "loyalty"))
        await town.open()
        yield town
    await owner.close()


async def test_a_reader_that_comes_late_has_the_points_of_one_that_was_there(town: Town) -> None:
    await town.place(10)
    await town.pass_history()
    placing = asyncio.create_task(town.place(20))
    await town.start("loyalty")
    await asyncio.gather(town.backfill("ordering"), town.backfill("customers"))
    await placing
    await town.at_rest()

    assert await town.points() == await town.due() == {"c1": 210, "c2": 210, "c3": 210}
    again = await town.backfill("ordering")
    assert (again.known, again.handled) == (30, 0)
    assert await town.points() == await town.due()
    for promise in PROMISES:
        found = await town.audit.check(promise)
        assert found.holds, found.detail


async def test_a_reader_that_does_not_run_catches_up_and_goes_on_behind_that(town: Town) -> None:
    await town.place(6)
    await town.until_confirmed(6)
    done = await town.backfill("ordering")
    assert (done.handled, done.known, done.goes_on) == (6, 0, True)
    assert await town.points() == {}  # nobody is enrolled, as far as loyalty knows
    await town.backfill("customers")
    assert await town.points() == await town.due()

    reached = await town.owner.fetchval(
        "SELECT position FROM loyalty.cursors WHERE reader = 'consumer' AND source = 'ordering'"
    )
    assert reached == done.until.position
    await town.start("loyalty")
    await town.place(6)
    await town.at_rest()
    assert await town.points() == await town.due() == {"c1": 84, "c2": 84, "c3": 84}


async def test_what_the_source_has_forgotten_is_refused(town: Town) -> None:
    await town.owner.execute("INSERT INTO ordering.pruned VALUES ('ordering.OrderConfirmed', 1, 2)")
    with pytest.raises(FeedRefused, match=r"no longer kept \(ordering.OrderConfirmed\)"):
        await town.backfill("ordering")


async def test_a_reader_that_has_forgotten_what_it_heard_is_refused(town: Town) -> None:
    await town.owner.execute("INSERT INTO loyalty.pruned VALUES ('loyalty.PointsAwarded', 1, 2)")
    with pytest.raises(FeedRefused, match="loyalty was pruned"):
        await town.backfill("ordering")
