"""The shop that has run, and a transaction for each test to do harm in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.demo.promises import SESSION, Audit
from tests.conftest import NewDatabase
from tests.promises import world

ORDERS = (
    world.place("good-1", chair=2, lamp=1),
    world.place("good-2", chair=1),
    world.place("lost-answer", "c2", token="tok_lost_answer", lamp=2),
    world.place("declined", token="tok_declined", chair=1),
    world.place("refused", to="REFUSED Lane", chair=1, lamp=1),
    world.place("cancel-1", chair=1),
    world.place("too-many", vase=2),
)
STOCK = {"chair": 10, "lamp": 10, "vase": 1}


@pytest.fixture(scope="session")
async def shop(new_database: NewDatabase) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection to all that the shop has stored, as the checks see it."""
    database = await new_database("ordering")
    connection = await asyncpg.connect(database.owner, server_settings=SESSION)
    await world.make_schemas(connection)
    await world.run_shop(database.owner, ORDERS, STOCK, Audit(connection))
    yield connection
    await connection.close()


@pytest.fixture
async def audit(shop: asyncpg.Connection[asyncpg.Record]) -> AsyncIterator[Audit]:
    """The checks; whatever a test changes is undone."""
    harm = shop.transaction()
    await harm.start()
    yield Audit(shop, accepted=[order.order_id for order in ORDERS])
    await harm.rollback()
