"""A view, a snapshot or an event that is not what it should be is found, and named."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from stagepost.engine.database import PLANS, READ_ONLY
from stagepost.engine.replay.verify import Checked, ViewsCheck
from tests.conftest import NewDatabase
from tests.replay.orders import Shop, open_shop


@pytest.fixture(scope="module")
async def kept(new_database: NewDatabase) -> AsyncIterator[Shop]:
    async with open_shop(await new_database("ordering")) as shop:
        async with shop.folding():
            await shop.place(3)
        yield shop


@pytest.fixture
async def shop(kept: Shop) -> AsyncIterator[Shop]:
    """Whatever a test does to rows and events is undone."""
    await kept.owner.execute(
        "CREATE TABLE o AS TABLE orders; CREATE TABLE e AS TABLE stored_events"
    )
    yield kept
    await kept.owner.execute(
        "DELETE FROM orders; INSERT INTO orders TABLE o; DELETE FROM stored_events;"
        " INSERT INTO stored_events TABLE e; DROP TABLE o, e"
    )


async def verify(shop: Shop) -> dict[str, Checked]:
    connection = await asyncpg.connect(shop.database.auditor, server_settings=PLANS | READ_ONLY)
    try:
        checked = await ViewsCheck(connection, shop.log, lambda _: None).run()
        return {one.what: one for one in checked}
    finally:
        await connection.close()


async def test_what_equals_its_replay_is_equal(shop: Shop) -> None:
    found = await verify(shop)
    assert found["orders"] == Checked("ordering", "orders", 6, 3)
    assert found["events"] == Checked("ordering", "events", 6, 6)


async def test_a_changed_row_is_named_by_key_and_field(shop: Shop) -> None:
    stream = await shop.owner.fetchval(
        "UPDATE orders SET amount = 5 WHERE order_id = 'o-1' RETURNING stream"
    )
    found = (await verify(shop))["orders"]
    assert found.differences == 1
    assert [str(one) for one in found.first] == [f"{stream}: amount is 5, the events make it 2100"]


async def test_a_row_too_many_and_one_that_is_missing_are_named(shop: Shop) -> None:
    await shop.owner.execute("UPDATE orders SET stream = gen_random_uuid() WHERE order_id = 'o-1'")
    found = (await verify(shop))["orders"]
    assert found.differences == 2
    assert {str(one).partition(": ")[2] for one in found.first} == {
        "is not stored",
        "no event makes it",
    }


async def test_a_changed_event_makes_another_row(shop: Shop) -> None:
    await shop.owner.execute(
        "UPDATE stored_events SET state = convert_to(replace(convert_from(state, 'UTF8'),"
        """ '"amount":2100', '"amount":-1'), 'UTF8') WHERE notification_id = 3"""
    )
    found = (await verify(shop))["orders"]
    assert [(one.field, one.stored, one.replayed) for one in found.first] == [("amount", 2100, -1)]


@pytest.mark.parametrize(
    "harm",
    [
        "state = 'no json' WHERE notification_id = 3",
        "state = '{}' WHERE notification_id = 3",
        "topic = 'ordering.Order.Unheard' WHERE notification_id = 3",
    ],
)
async def test_an_event_that_cannot_be_read_is_named(shop: Shop, harm: str) -> None:
    await shop.owner.execute(f"UPDATE stored_events SET {harm}")
    found = await verify(shop)
    assert "position 3" in str(found["events"].fault)
    assert "ordering.Order." in str(found["events"].fault)
    assert not found["orders"].is_equal


async def test_an_event_that_cannot_be_folded_is_named(shop: Shop) -> None:
    await shop.owner.execute("DELETE FROM stored_events WHERE notification_id = 3")
    found = await verify(shop)
    assert "position 4" in str(found["orders"].fault)
    assert "ordering.Order.Confirmed" in str(found["orders"].fault)


async def test_a_view_is_compared_where_it_stands_and_what_comes_behind_is_read(shop: Shop) -> None:
    """Nobody folds the new event, which is broken."""
    await shop.place(1)
    await shop.owner.execute("UPDATE stored_events SET state = '[' WHERE notification_id = 8")
    found = await verify(shop)
    assert found["orders"].is_equal
    assert found["orders"].position == 6
    assert "position 8" in str(found["events"].fault)
    await shop.owner.execute("DELETE FROM stored_events WHERE notification_id > 6")


async def test_the_session_can_write_nothing_else(shop: Shop) -> None:
    connection = await asyncpg.connect(shop.database.auditor, server_settings=READ_ONLY)
    await ViewsCheck(connection, shop.log, lambda _: None).run()
    for statement in ("DELETE FROM public.orders", "INSERT INTO cursors VALUES ('x','y',0,0,0,0)"):
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"BEGIN READ WRITE; {statement}")
        await connection.execute("ROLLBACK")
    await connection.close()
