"""From one flow to another on the same data: only when all work is done, and none is done twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from stagepost.engine.batch import Batch, Commit, Cursor, CursorId, Handled
from stagepost.engine.database import open_pool
from stagepost.engine.discovery import find_services
from stagepost.engine.flow import Flow
from stagepost.engine.flow_kept import change_flow, check_flow, kept_flow
from stagepost.engine.links import CONSUMER
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.flow_change import settle_flow
from stagepost.engine.store import Store
from stagepost.engine.store_postgres import PostgresStore
from stagepost.errors import StackError
from tests.conftest import Database, NewDatabase
from tests.engine.stores import begin_anew, called, heard, reminder, told, writes

SYNCHRONOUS = Flow("synchronous")
NAMES = tuple(find_services())
Stores = dict[str, PostgresStore]


@pytest.fixture(scope="session")
async def shop(new_database: NewDatabase) -> dict[str, Database]:
    return {name: await new_database(name) for name in NAMES}


@pytest.fixture
async def stores(shop: dict[str, Database], databases: Databases) -> AsyncIterator[Stores]:
    """Empty stores of every service."""
    opened = {}
    for name, database in shop.items():
        owner = await asyncpg.connect(database.owner)
        await owner.execute(
            "TRUNCATE flow, outbox, inbox, calls, timers, dead_letters, cursors, stored_events"
            " CASCADE; UPDATE incarnation SET incarnation = 1"
        )
        await owner.close()
        opened[name] = await PostgresStore.connect(database.service, name)
    yield opened
    for store in opened.values():
        await store.close()


@pytest.fixture
def settle(shop: dict[str, Database]) -> Callable[[Flow], Awaitable[None]]:
    async def settle(flow: Flow) -> None:
        await settle_flow(list(NAMES), lambda name: shop[name].owner, flow)

    return settle


Settle = Callable[[Flow], Awaitable[None]]


async def kept_by(shop: dict[str, Database]) -> set[str]:
    found = set()
    for database in shop.values():
        owner = await asyncpg.connect(database.owner)
        found.add(str(await kept_flow(owner)))
        await owner.close()
    return found


async def test_new_stores_take_any_flow_and_drained_ones_another(
    stores: Stores, settle: Settle, shop: dict[str, Database]
) -> None:
    for flow in (SYNCHRONOUS, Flow(), Flow("choreographed"), SYNCHRONOUS, SYNCHRONOUS):
        await settle(flow)
        assert await kept_by(shop) == {flow.style}


async def _undrained(store: Store, **of_commit: Any) -> None:
    await store.append(Batch([writes("a", 1, **of_commit)]))


@pytest.mark.parametrize(
    ("undone", "said"),
    [
        ({"sends": [called("a")]}, "payments has 1 calls waiting"),
        ({"timers": [reminder("a")]}, "payments has 1 timers waiting"),
        ({"parks": True, "handled": Handled.PARKED}, "payments has 1 dead letters waiting"),
        ({"sends": [told("a")]}, "fulfillment has 1 messages of payments to read"),
    ],
    ids=["a call", "a timer", "a dead letter", "a message unread"],
)
async def test_while_work_is_not_done_another_flow_is_refused_and_says_what_it_is(
    stores: Stores, settle: Settle, shop: dict[str, Database], undone: dict[str, Any], said: str
) -> None:
    await settle(Flow())
    await stores["payments"].append(Batch([Commit(heard("a"), **undone)]))
    with pytest.raises(StackError) as refused:
        await settle(SYNCHRONOUS)
    assert said in str(refused.value)
    assert "services that are orchestrated" in str(refused.value)
    assert await kept_by(shop) == {"orchestrated"}
    await settle(Flow())  # as they are they may go on


async def test_a_message_that_was_read_or_passed_is_no_work(stores: Stores, settle: Settle) -> None:
    await settle(Flow())
    await stores["payments"].append(Batch([Commit(heard("a"), sends=[told("a"), told("b")])]))
    first, second = await stores["payments"].outbox(0, 10)
    reader = stores["fulfillment"]
    await reader.append(Batch([Commit(first)]))
    with pytest.raises(StackError, match="fulfillment has 1 messages of payments"):
        await settle(SYNCHRONOUS)
    cursor = CursorId(CONSUMER, "payments", 1)
    await reader.append(Batch(cursors=[Cursor(cursor, 0, second.position)]))
    await settle(SYNCHRONOUS)


async def test_a_letter_that_was_given_up_is_no_work(stores: Stores, settle: Settle) -> None:
    await settle(Flow())
    store = stores["payments"]
    await store.append(Batch([Commit(heard("a"), parks=True, handled=Handled.PARKED)]))
    (letter,) = await store.dead_letters(0, 10)
    await store.discard([letter.id], "nobody wants it")
    await settle(SYNCHRONOUS)


async def test_of_stores_with_several_flows_each_must_be_done(
    stores: Stores, settle: Settle, shop: dict[str, Database]
) -> None:
    """A change that was cut off in the middle is finished by the next."""
    await settle(Flow())
    owner = await asyncpg.connect(shop["shipping"].owner)
    await change_flow(owner, SYNCHRONOUS)
    await owner.close()
    await settle(SYNCHRONOUS)
    assert await kept_by(shop) == {"synchronous"}


async def test_what_was_told_in_one_style_is_not_done_again_in_another(
    stores: Stores, settle: Settle
) -> None:
    """Payments would charge every order of old a second time."""
    await settle(Flow())
    placed = told("a", type="ordering.OrderPlaced")
    await stores["ordering"].append(Batch([Commit(heard("a"), sends=[placed])]))
    (order,) = await stores["ordering"].outbox(0, 10)
    await stores["fulfillment"].append(Batch([Commit(order)]))

    await settle(Flow("choreographed"))

    at = CursorId(CONSUMER, "ordering", order.incarnation)
    for reader in ("payments", "inventory", "shipping"):
        cursor = (await stores[reader].cursors(CONSUMER))[at]
        assert cursor.at == order.position
    assert await stores["fulfillment"].cursors(CONSUMER) == {}  # it has nothing to do there


async def test_a_cursor_that_is_further_stays_where_it_is(stores: Stores, settle: Settle) -> None:
    await settle(Flow())
    placed = told("a", type="ordering.OrderPlaced")
    await stores["ordering"].append(Batch([Commit(heard("a"), sends=[placed])]))
    cursor = CursorId(CONSUMER, "ordering", 1)
    await stores["payments"].append(Batch(cursors=[Cursor(cursor, 0, 1000, 77)]))
    await stores["fulfillment"].append(Batch(cursors=[Cursor(cursor, 0, 1000)]))

    await settle(Flow("choreographed"))

    stands = (await stores["payments"].cursors(CONSUMER))[cursor]
    assert (stands.at, stands.hint) == (1000, 77)


async def test_a_store_that_is_new_hears_what_was_told_before_it_was_there(
    stores: Stores, settle: Settle, shop: dict[str, Database]
) -> None:
    await settle(Flow("choreographed"))
    placed = told("a", type="ordering.OrderPlaced")
    await stores["ordering"].append(Batch([Commit(heard("a"), sends=[placed])]))
    cursor = CursorId(CONSUMER, "ordering", 1)
    for reader in ("payments", "inventory", "shipping"):
        await stores[reader].append(Batch(cursors=[Cursor(cursor, 0, 1000)]))
    owner = await asyncpg.connect(shop["fulfillment"].owner)
    await owner.execute("TRUNCATE flow")
    await owner.close()

    await settle(Flow())

    assert await stores["fulfillment"].cursors(CONSUMER) == {}


async def test_what_was_told_again_after_a_set_back_is_work_as_well(
    stores: Stores, settle: Settle
) -> None:
    """It stands at places that the reader had passed in the former life."""
    await settle(Flow())
    source, reader = stores["payments"], stores["fulfillment"]
    former = CursorId(CONSUMER, "payments", 1)
    await reader.append(Batch(cursors=[Cursor(former, 0, 1000)]))
    await source.append(Batch([Commit(heard("a"), sends=[told("a"), told("b")])]))
    assert await begin_anew(source, since=0) == 2
    first, second = await source.outbox(0, 10)
    now = CursorId(CONSUMER, "payments", 2)
    await reader.append(Batch(cursors=[Cursor(now, 0, first.position)]))

    with pytest.raises(StackError, match="fulfillment has 1 messages of payments to read"):
        await settle(SYNCHRONOUS)

    await reader.append(Batch(cursors=[Cursor(now, first.position, second.position)]))
    await settle(SYNCHRONOUS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Flow(), Flow(transports={"default": "nats"})),
        (
            Flow(transports={"fulfillment->payments": "http"}),
            Flow(transports={"fulfillment -> payments": "http"}),
        ),
    ],
)
async def test_a_flow_that_is_only_written_otherwise_is_no_other(
    stores: Stores, settle: Settle, shop: dict[str, Database], one: Flow, other: Flow
) -> None:
    await settle(one)
    await _undrained(stores["payments"], sends=[called("a")])
    await settle(other)
    pool = await open_pool(shop["payments"].service, size=1)
    await check_flow(pool, "payments", one)
    await pool.close()
