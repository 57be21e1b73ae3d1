"""An aggregate of long ago is folded from a snapshot near by, and such snapshots are verified."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from services.inventory.app import service
from services.inventory.stock import StockItem
from stagepost.aggregate import stream_id, to_snapshot, to_stored
from stagepost.engine.batch import Batch, Commit
from stagepost.engine.database import READ_ONLY, open_pool
from stagepost.engine.replay.log import Log
from stagepost.engine.replay.travel import aggregate_at
from stagepost.engine.replay.verify import check_snapshots
from stagepost.engine.store_postgres import PostgresStore
from tests.conftest import NewDatabase
from tests.engine.stores import heard

STREAM = stream_id("stock/11")
EVENTS = 3_150
TAKEN = (900, 1_020, 1_100, 2_000, 2_100, 3_100)
KEPT = [1_020, 2_000]


@dataclass
class Stock:
    """Stock that grew by one unit with each event, and snapshots that were taken on the way."""

    log: Log
    owner: asyncpg.Connection


@pytest.fixture(scope="module")
async def stock(new_database: NewDatabase) -> AsyncIterator[Stock]:
    database = await new_database("inventory")
    store = await PostgresStore.connect(database.service, "inventory")
    item, snapshots = StockItem(sku="11"), []
    while item.version < EVENTS:
        item.receive(quantity=1, note=None)
        if item.version in TAKEN:
            snapshots.append(to_snapshot(item))
    events = [to_stored(event) for event in item.collect_events()]
    await store.append(Batch([Commit(heard("11"), events=events)]))
    for snapshot in snapshots:
        await store.keep_snapshots([snapshot])
    pool = await open_pool(database.auditor, size=2, settings=READ_ONLY)
    owner = await asyncpg.connect(database.owner)
    yield Stock(Log(service, pool), owner)
    await owner.close()
    await pool.close()
    await store.close()


async def versions(stock: Stock, table: str) -> list[int]:
    rows = await stock.owner.fetch(f"SELECT originator_version FROM {table} ORDER BY 1")
    return [row[0] for row in rows]


async def test_of_those_that_are_replaced_the_first_of_each_thousand_stays(stock: Stock) -> None:
    assert await versions(stock, "snapshots") == [3_100]
    assert await versions(stock, "past_snapshots") == KEPT


@pytest.mark.parametrize(
    ("version", "after"),
    [(1_019, 0), (1_020, 1_020), (1_999, 1_020), (3_099, 2_000), (3_150, 3_100)],
)
async def test_an_aggregate_is_folded_from_the_last_snapshot_before(
    stock: Stock, monkeypatch: pytest.MonkeyPatch, version: int, after: int
) -> None:
    began: list[object] = []
    read_stream = Log.read_stream

    async def noted(*args: object, **more: object) -> None:
        began.append(more["after"])
        await read_stream(*args, **more)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(Log, "read_stream", noted)
    aggregate = await aggregate_at(stock.log, STREAM, version)
    assert isinstance(aggregate, StockItem)
    assert (aggregate.version, aggregate.on_hand) == (version, version - 1)
    assert began == [after]


async def test_each_is_compared_with_its_events_which_are_folded_once(stock: Stock) -> None:
    told: list[int] = []
    checked = await check_snapshots(stock.log, told.append)
    assert (checked.count, checked.differences, sum(told)) == (3, 0, 3_100)


async def test_one_that_its_events_do_not_make_is_found(stock: Stock) -> None:
    past = "FROM past_snapshots WHERE originator_version = 2000"
    was = await stock.owner.fetchval(f"SELECT state {past}")
    change = "UPDATE past_snapshots SET state = $1 WHERE originator_version = 2000"
    await stock.owner.execute(change, was.replace(b'"on_hand":1999', b'"on_hand":5'))
    try:
        checked = await check_snapshots(stock.log, lambda _: None)
    finally:
        await stock.owner.execute(change, was)
    assert (checked.count, checked.differences) == (3, 1)
    assert [(one.field, one.stored, one.replayed) for one in checked.first] == [
        ("on_hand", 5, 1_999)
    ]
