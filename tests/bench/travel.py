"""A stream of 10,000 events: what it was at a time, from its snapshot and without one."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import asyncpg
from eventsourcing.persistence import StoredEvent

from services.inventory.stock import StockItem
from stagepost.aggregate import stream_id, to_snapshot, to_stored
from stagepost.engine.replay.log import Log
from stagepost.engine.replay.travel import Point, look
from tests.bench.replay import Place, place
from tests.bench.servers import Servers

EVENTS = 10_000
TIMES = 21
NAME = stream_id(StockItem.stream("red-chair"))


async def state_at_ms(servers: Servers, data: Path, say: Callable[[str], None]) -> float:
    """Return how long it takes to say what the stream was at a time, half of the times."""
    events, snapshot = _item()
    async with place(servers, data, "inventory") as store, store.log() as log:
        await store.fill(tuple(vars(event).values()) for event in events)
        await _keep(store, snapshot)
        with_snapshot = await _half(log, Point(at=datetime.now(UTC)))
        before = await _half(log, Point(version=snapshot.originator_version - 1))
    say(f"state at a time: {with_snapshot:.1f} ms; where every snapshot is later {before:.1f} ms")
    return with_snapshot


def _item() -> tuple[list[StoredEvent], StoredEvent]:
    """Return the events of a stock item, and the last snapshot that a service takes of them."""
    item = StockItem(sku="red-chair")
    item.receive(quantity=EVENTS, note=None)
    while item.version < EVENTS - StockItem.SNAPSHOT_EVERY:
        item.reserve(caller="fulfillment", reference=f"{item.version}", quantity=1)
    snapshot = to_snapshot(item)
    while item.version < EVENTS:
        item.reserve(caller="fulfillment", reference=f"{item.version}", quantity=1)
    return [to_stored(event) for event in item.collect_events()], snapshot  # type: ignore[arg-type]  # ours


async def _keep(store: Place, snapshot: StoredEvent) -> None:
    owner = await asyncpg.connect(store.databases.owner_dsn(store.service.name))
    await owner.execute("INSERT INTO snapshots VALUES ($1, $2, $3, $4)", *vars(snapshot).values())
    await owner.close()


async def _half(log: Log, point: Point) -> float:
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        seen = await look(log, NAME, point)
        seconds.append(time.perf_counter() - began)
        assert seen.aggregate is not None
    return median(seconds) * 1000
