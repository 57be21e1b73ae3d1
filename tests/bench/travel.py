"""A stream of 10,000 events: what it was now and long ago, from the snapshots kept of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from eventsourcing.persistence import StoredEvent

from services.inventory.stock import StockItem
from stagepost.aggregate import stream_id, to_snapshot, to_stored
from stagepost.engine.replay.log import Log
from stagepost.engine.replay.travel import Point, look
from stagepost.engine.store_postgres import PostgresStore
from tests.bench.replay import Place, place
from tests.bench.servers import Servers

EVENTS = 10_000
TIMES = 21
NAME = stream_id(StockItem.stream("red-chair"))


async def state_at_ms(servers: Servers, data: Path, say: Callable[[str], None]) -> float:
    """Return how long it takes to say what the stream was, half of the times: the slower of two.

    Now, with a snapshot's distance to fold; and long ago, in the last moment before a snapshot.
    """
    events, snapshots = _item()
    async with place(servers, data, "inventory") as store, store.log() as log:
        await store.fill(tuple(vars(event).values()) for event in events)
        await _keep(store, snapshots)
        now = await _half(log, Point(at=datetime.now(UTC)))
        long_ago = await _half(log, Point(version=EVENTS // 2 - 1))
    say(f"state at a time: now {now:.1f} ms; long ago {long_ago:.1f} ms")
    return max(now, long_ago)


def _item() -> tuple[list[StoredEvent], list[StoredEvent]]:
    """Return the events of a stock item, and the snapshots that a service takes of them."""
    item, snapshots = StockItem(sku="red-chair"), []
    item.receive(quantity=EVENTS, note=None)
    while item.version < EVENTS:
        item.reserve(caller="fulfillment", reference=f"{item.version}", quantity=1)
        if item.version % StockItem.SNAPSHOT_EVERY == 0 and item.version < EVENTS:
            snapshots.append(to_snapshot(item))
    return [to_stored(event) for event in item.collect_events()], snapshots  # type: ignore[arg-type]  # ours


async def _keep(store: Place, snapshots: Iterable[StoredEvent]) -> None:
    name = store.service.name
    kept = await PostgresStore.connect(store.databases.dsn(name), name)
    for snapshot in snapshots:
        await kept.keep_snapshots([snapshot])
    await kept.close()


async def _half(log: Log, point: Point) -> float:
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        seen = await look(log, NAME, point)
        seconds.append(time.perf_counter() - began)
        assert seen.aggregate is not None
    return median(seconds) * 1000
