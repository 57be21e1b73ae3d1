"""An aggregate is seen as it was, from a snapshot or without one, and what changed it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from services.inventory.app import service
from services.inventory.stock import StockItem
from stagepost.aggregate import stream_id, to_snapshot, to_stored
from stagepost.engine.batch import Batch, Commit
from stagepost.engine.database import READ_ONLY, open_pool
from stagepost.engine.replay.log import Log
from stagepost.engine.replay.names import find_stream
from stagepost.engine.replay.travel import Point, Step, aggregate_at, between, look, steps
from stagepost.engine.replay.travel_shown import object_of, text_of, text_of_step
from stagepost.engine.store_postgres import PostgresStore
from stagepost.errors import BadSettings, StoreUnavailable
from tests.conftest import NewDatabase
from tests.engine.stores import heard

STREAM = stream_id("stock/11")
EVENTS = 250


@dataclass
class Stock:
    """Stock that grew by one unit with each event, and the log that it is in."""

    log: Log
    store: PostgresStore


@pytest.fixture(scope="module")
async def stock(new_database: NewDatabase) -> AsyncIterator[Stock]:
    database = await new_database("inventory")
    store = await PostgresStore.connect(database.service, "inventory")
    item = StockItem(sku="11")
    for _ in range(EVENTS - 1):
        item.receive(quantity=1, note=None)
    events = [to_stored(event) for event in item.collect_events()]
    for first in range(0, EVENTS, 50):
        commit = Commit(heard("11"), events=events[first : first + 50])
        await store.append(Batch([commit]))
    pool = await open_pool(database.auditor, size=2, settings=READ_ONLY)
    yield Stock(Log(service, pool), store)
    await pool.close()
    await store.close()


async def snapshot(stock: Stock, version: int) -> None:
    aggregate = await aggregate_at(stock.log, STREAM, version)
    assert aggregate is not None
    await stock.store.keep_snapshots([to_snapshot(aggregate)])


@pytest.mark.parametrize("version", [1, 7, 100, 101, 199, 200, 250])
async def test_a_snapshot_changes_nothing_but_time(stock: Stock, version: int) -> None:
    without = await aggregate_at(stock.log, STREAM, version)
    await snapshot(stock, 100)
    assert await aggregate_at(stock.log, STREAM, version) == without
    assert isinstance(without, StockItem)
    assert (without.version, without.on_hand) == (version, version - 1)


async def test_it_is_seen_at_a_version_a_position_a_time_and_now(stock: Stock) -> None:
    now = await look(stock.log, STREAM, Point())
    assert now.stand is not None
    assert now.stand.version == now.stand.position == EVENTS
    assert (await look(stock.log, STREAM, Point(position=120))).stand.version == 120
    at_50 = (await look(stock.log, STREAM, Point(version=50))).stand
    at_time = await look(stock.log, STREAM, Point(at=at_50.recorded_at))
    assert at_time.stand == at_50
    shown = text_of("stock/11", at_time).splitlines()
    assert shown[0].startswith("stock/11  version 50, since ")
    assert "    on_hand = 49" in shown


async def test_before_its_first_event_it_was_not_there(stock: Stock) -> None:
    seen = await look(stock.log, STREAM, Point(at=datetime.now(UTC) - timedelta(days=3)))
    assert text_of("stock/11", seen) == "stock/11 was not there yet"
    assert object_of(seen) == {
        "id": STREAM,
        "version": 0,
        "position": None,
        "recorded_at": None,
        "state": None,
    }


@pytest.mark.parametrize(
    ("point", "said"),
    [
        (Point(version=251), "there is no version 251: there are 1 to 250"),
        (Point(version=0), "there is no version 0: there are 1 to 250"),
        (Point(position=1200), "there is no position 1,200 in inventory, whose last is 250"),
        (Point(position=-1), "nearest: 1"),
    ],
)
async def test_what_does_not_exist_is_refused(stock: Stock, point: Point, said: str) -> None:
    with pytest.raises(BadSettings) as refused:
        await look(stock.log, STREAM, point)
    assert said in str(refused.value)


async def test_a_stream_is_found_by_its_name_and_its_id(stock: Stock) -> None:
    assert await find_stream(stock.log, "stock/11") == STREAM
    assert await find_stream(stock.log, str(STREAM)) == STREAM
    with pytest.raises(BadSettings, match="called 'stock/12'; did you mean stock/11"):
        await find_stream(stock.log, "stock/12")
    with pytest.raises(BadSettings, match="there is no stream"):
        await find_stream(stock.log, str(uuid4()))


async def test_each_event_is_shown_with_what_it_changed(stock: Stock) -> None:
    seen: list[Step] = []
    await steps(stock.log, STREAM, 1, 3, seen.append)
    assert [step.entry.version for step in seen] == [2, 3]
    assert text_of_step(seen[1]).splitlines()[1:] == ["    on_hand: 1 -> 2"]


async def test_a_range_ends_with_the_version_to_come_at_most(stock: Stock) -> None:
    assert await between(stock.log, STREAM, 1, 3) == 3
    assert await between(stock.log, STREAM, 0, None) == EVENTS
    assert await between(stock.log, STREAM, 0, EVENTS + 1) == EVENTS
    for after, until in ((0, EVENTS + 2), (EVENTS + 1, None), (-1, None), (3, 1)):
        with pytest.raises(BadSettings):
            await between(stock.log, STREAM, after, until)


@pytest.mark.parametrize(
    "effect",
    [
        "INSERT INTO timers (key) VALUES ('k')",
        "INSERT INTO calls VALUES (1, 'provider', 'k', 0, now())",
        "DELETE FROM stored_events",
        "UPDATE cursors SET position = 0",
        "SELECT nextval('log_position')",
        "SELECT set_config('default_transaction_read_only', 'off', false)",
    ],
)
async def test_a_replay_can_have_no_effect(stock: Stock, effect: str) -> None:
    """Neither in its sessions, nor where one is told to write: the auditor may not."""
    head = await stock.log.head()
    if "set_config" in effect:
        await stock.log.fetch(effect)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stock.log.fetch("DELETE FROM stored_events")
        await stock.log.fetch("SELECT set_config('default_transaction_read_only', 'on', false)")
    else:
        with pytest.raises((StoreUnavailable, asyncpg.InsufficientPrivilegeError)):
            await stock.log.fetch(effect)
    assert await stock.log.head() == head
