"""A view is rebuilt beside the live one, while it is read and kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from stagepost.engine.replay import rebuild as module
from stagepost.engine.replay.log import Entry, Log, Which
from stagepost.engine.replay.rebuild import Rebuild, Rebuilt
from stagepost.engine.tables_postgres import PostgresTables
from stagepost.engine.views import Move, fold
from stagepost.errors import Busy, UnreadableEvent
from tests.conftest import NewDatabase
from tests.replay.orders import ORDERS, STATEMENTS, Shop, open_shop


@pytest.fixture
async def shop(new_database: NewDatabase) -> AsyncIterator[Shop]:
    async with open_shop(await new_database("ordering")) as shop:
        yield shop


async def rebuild(shop: Shop, log: Log | None = None) -> Rebuilt:
    connection = await shop.connect()
    try:
        said: list[str] = []
        return await Rebuild(
            connection,
            ORDERS,
            STATEMENTS,
            log=log or shop.log,
            told=lambda _: None,
            say=said.append,
        ).run()
    finally:
        await connection.close()


SHAPE = """
    SELECT 'index ' || indexdef FROM pg_indexes WHERE tablename = 'orders'
    UNION ALL SELECT 'constraint ' || conname || ' ' || pg_get_constraintdef(c.oid)
      FROM pg_constraint c JOIN pg_class t ON t.oid = conrelid WHERE relname = 'orders'
    UNION ALL SELECT 'right ' || r::text FROM pg_class, unnest(relacl) r WHERE relname = 'orders'
    UNION ALL SELECT concat('column ', attnum, attname, atttypid::regtype, atttypmod, attnotnull)
      FROM pg_attribute JOIN pg_class t ON t.oid = attrelid WHERE relname = 'orders' AND attnum > 0
    UNION ALL SELECT concat('table ', relnamespace::regnamespace, relowner::regrole, reloptions)
      FROM pg_class WHERE relname = 'orders'
    UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname LIKE 'rebuild%'
    ORDER BY 1"""


async def test_a_rebuilt_view_is_as_its_events_make_it_and_says_what_was_not(shop: Shop) -> None:
    async with shop.folding():
        first, second, third = await shop.place(3)
        await shop.until_folded()
    await shop.owner.execute("UPDATE orders SET amount = 1 WHERE order_id = $1", first)
    await shop.owner.execute("DELETE FROM orders WHERE order_id = $1", second)
    await shop.owner.execute(
        "INSERT INTO orders SELECT gen_random_uuid(), 'x', 'c', 'placed', NULL, 'none', 1, 'EUR',"
        " 77, now()"
    )
    stream = await shop.owner.fetchval("SELECT stream FROM orders WHERE order_id = $1", first)

    rebuilt = await rebuild(shop)

    assert rebuilt.position == 6
    assert rebuilt.rows == 3
    assert rebuilt.compared.differences == 3
    assert f"{stream}: amount is 1, the events make it 2100" in map(str, rebuilt.compared.first)
    found = await shop.owner.fetch("SELECT order_id, amount FROM orders ORDER BY position")
    assert [tuple(row) for row in found] == [(first, 2100), (second, 2100), (third, 2100)]
    assert (await rebuild(shop)).compared.differences == 0


async def test_a_rebuilt_table_has_indexes_constraints_rights_and_options_of_the_live_one(
    shop: Shop,
) -> None:
    await shop.owner.execute(
        "ALTER TABLE orders SET (fillfactor = 70); COMMENT ON TABLE orders IS 'of customers';"
        " GRANT SELECT (order_id) ON orders TO PUBLIC;"
        " CREATE INDEX mine ON orders (lower(order_id))"
    )
    before = await shop.owner.fetch(SHAPE)
    await shop.place(2)
    await rebuild(shop)
    assert await shop.owner.fetch(SHAPE) == before
    assert await shop.owner.fetchval("SELECT obj_description('orders'::regclass)") == "of customers"


async def test_readers_see_no_error_and_no_gap_while_orders_flow(shop: Shop) -> None:
    seen: list[int] = []
    done = asyncio.Event()

    async def read_all_along() -> None:
        after = 0
        while not done.is_set():
            rows = await shop.queries.fetch("list_orders", 0, None, 100_000)
            assert len(rows) >= after
            after = len(rows)
            seen.append(after)

    async def place_all_along() -> None:
        while not done.is_set():
            await shop.place(20, 5)

    async with shop.folding():
        await shop.place(500)
        await shop.until_folded()
        work = [asyncio.create_task(w()) for w in (read_all_along, read_all_along, place_all_along)]
        for _ in range(5):
            rebuilt = await rebuild(shop)
            assert rebuilt.compared.differences == 0
            assert rebuilt.held_up < 2
        done.set()
        await asyncio.gather(*work)
        await shop.until_folded()
    assert min(seen) >= 500
    assert (await rebuild(shop)).compared.differences == 0
    assert await shop.rows() * 2 == (await rebuild(shop)).position


async def test_who_had_read_the_old_rows_does_not_write_what_follows_from_them(shop: Shop) -> None:
    """The live view has loaded rows that are wrong when they are swapped away beneath it."""
    async with shop.folding():
        await shop.place(1)
        await shop.until_folded()
    await shop.owner.execute("UPDATE orders SET amount = 1")
    tables = PostgresTables(shop.pool, STATEMENTS)
    at = (await tables.positions(["orders"]))["orders"]
    await shop.place(1)
    page = [entry.recorded() for entry in await shop.log.page(Which(), at, 1000, 10)]
    stale = await tables.load(
        ORDERS, [str(r["stream"]) for r in await shop.owner.fetch("SELECT stream FROM orders")]
    )
    rows = list(stale.values()) + list(
        fold(ORDERS, {}, [(ORDERS.key_of(r.event), r) for r in page]).values()
    )

    rebuilt = await rebuild(shop)

    assert not await tables.save([Move(ORDERS, rows, at, page[-1].position)])
    assert rebuilt.position == page[-1].position
    assert await shop.owner.fetchval("SELECT max(amount) = min(amount) FROM orders")


async def test_the_second_rebuild_of_a_view_at_once_is_told_so(shop: Shop) -> None:
    await shop.place(1)
    waits, goes_on = asyncio.Event(), asyncio.Event()

    class SlowLog(Log):
        async def page(self, *which: Any) -> list[Entry]:
            waits.set()
            await goes_on.wait()
            return await super().page(*which)

    # the live view stands behind the first events, so that a rebuild reads at once
    await shop.owner.execute(
        "INSERT INTO cursors VALUES ('view:orders', 'stored_events', 0, 0, 2, 0)"
    )
    first = asyncio.create_task(rebuild(shop, SlowLog(shop.log.service, shop.pool)))
    await waits.wait()
    with pytest.raises(Busy, match="orders is being rebuilt already"):
        await rebuild(shop)
    goes_on.set()
    assert (await first).rows == 1


async def test_one_that_is_ended_leaves_nothing_and_one_that_was_killed_no_hindrance(
    shop: Shop,
) -> None:
    await shop.place(1)
    before = await shop.owner.fetch(SHAPE)
    await shop.owner.execute(
        "INSERT INTO cursors VALUES ('view:orders', 'stored_events', 0, 0, 2, 0)"
    )
    waits = asyncio.Event()

    class EndlessLog(Log):
        async def page(self, *which: Any) -> list[Entry]:
            waits.set()
            await asyncio.sleep(100)
            return []

    ended = asyncio.create_task(rebuild(shop, EndlessLog(shop.log.service, shop.pool)))
    await waits.wait()
    ended.cancel()
    await asyncio.gather(ended, return_exceptions=True)
    assert await shop.owner.fetch(SHAPE) == before

    await shop.owner.execute(
        "CREATE SCHEMA rebuild_orders; CREATE TABLE rebuild_orders.orders (half int)"
    )
    assert (await rebuild(shop)).rows == 1
    assert await shop.owner.fetch(SHAPE) == before


async def test_an_event_that_cannot_be_folded_is_named_and_the_live_view_stays(shop: Shop) -> None:
    async with shop.folding():
        await shop.place(2)
        await shop.until_folded()
    await shop.owner.execute(
        """UPDATE stored_events SET topic = 'ordering.Order.Confirmed',
                  state = '{"cancellation_too_late": false}' WHERE notification_id = 3"""
    )
    before = await shop.owner.fetch("SELECT * FROM orders ORDER BY position")
    with pytest.raises(
        UnreadableEvent, match=r"ordering.Order.Confirmed, at position 3, cannot be"
    ):
        await rebuild(shop)
    assert await shop.owner.fetch("SELECT * FROM orders ORDER BY position") == before


async def test_the_swap_waits_for_who_reads_and_lets_others_pass(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.05)
    monkeypatch.setattr(module, "HOLDS_UP", 50)
    await shop.place(1)
    reader = await asyncpg.connect(shop.database.service)
    async with reader.transaction():
        await reader.fetch("SELECT * FROM orders")
        rebuilding = asyncio.create_task(rebuild(shop))
        for _ in range(10):
            await shop.queries.fetch("list_orders", 0, None, 10)
            await asyncio.sleep(0.05)
        assert not rebuilding.done()
    assert (await rebuilding).rows == 1
    await reader.close()
