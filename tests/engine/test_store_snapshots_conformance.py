"""Snapshots, for every store: the newest counts, and only what is behind it is loaded."""

from __future__ import annotations

import pytest
from eventsourcing.persistence import StoredEvent

from stagepost.engine.store import Stream
from stagepost.engine.store_postgres import _STATEMENTS
from tests.engine.stores import PostgresWorld, World, append, happened, named, writes


def snapshot(stream: str, version: int, state: bytes = b"{}") -> StoredEvent:
    return StoredEvent(named(stream), version, "payments.Payment", state)


@pytest.fixture
async def kept(world: World) -> World:
    """Two streams, of five events and of one."""
    await append(world.store, writes("a", 1, 2, 3, 4, 5), writes("b", 1))
    return world


async def loaded(world: World, stream: str, *, from_start: bool = False) -> Stream:
    return (await world.store.load([named(stream)], from_start=from_start))[named(stream)]


async def test_a_stream_is_loaded_as_its_snapshot_and_the_events_behind_it(kept: World) -> None:
    await kept.store.keep_snapshots([snapshot("a", 3)])
    found = await kept.store.load([named("b"), named("a"), named("nowhere")])
    assert found == {
        named("a"): Stream([happened("a", 4), happened("a", 5)], snapshot("a", 3)),
        named("b"): Stream([happened("b", 1)]),
    }


async def test_a_snapshot_of_the_last_event_has_none_behind_it(kept: World) -> None:
    await kept.store.keep_snapshots([snapshot("a", 5), snapshot("b", 1)])
    assert await loaded(kept, "a") == Stream([], snapshot("a", 5))
    await append(kept.store, writes("a", 6))
    assert await loaded(kept, "a") == Stream([happened("a", 6)], snapshot("a", 5))


async def test_a_stream_can_be_loaded_from_the_start_all_the_same(kept: World) -> None:
    await kept.store.keep_snapshots([snapshot("a", 3)])
    everything = Stream([happened("a", version) for version in (1, 2, 3, 4, 5)])
    assert await loaded(kept, "a", from_start=True) == everything


async def test_the_newest_snapshot_counts_whichever_comes_last(kept: World) -> None:
    for version in (2, 4, 3):
        await kept.store.keep_snapshots([snapshot("a", version)])
    assert await loaded(kept, "a") == Stream([happened("a", 5)], snapshot("a", 4))


async def test_what_is_kept_of_a_version_stays(kept: World) -> None:
    await kept.store.keep_snapshots([snapshot("a", 4, b"first")])
    await kept.store.keep_snapshots([snapshot("a", 4, b"second")])
    assert (await loaded(kept, "a")).snapshot == snapshot("a", 4, b"first")


async def test_a_snapshot_ahead_of_its_stream_is_dropped(kept: World) -> None:
    ahead = [snapshot("a", 6), snapshot("b", 1), snapshot("nowhere", 1)]
    await kept.store.keep_snapshots(ahead)
    assert (await loaded(kept, "a")).snapshot is None
    assert (await loaded(kept, "b")).snapshot == snapshot("b", 1)
    assert await kept.store.load([named("nowhere")]) == {}


async def test_keeping_no_snapshots_changes_nothing(kept: World) -> None:
    await kept.store.keep_snapshots([])
    assert (await loaded(kept, "a")).snapshot is None


async def test_events_follow_on_what_is_stored_whatever_a_snapshot_says(kept: World) -> None:
    await kept.store.keep_snapshots([snapshot("a", 3)])
    await append(kept.store, writes("a", 4), writes("a", 6))
    assert (await loaded(kept, "a")).events == [happened("a", 4), happened("a", 5)]


# PostgreSQL


async def test_loading_is_probes_of_indexes_alone(postgres_world: PostgresWorld) -> None:
    """Even the plan that is made for empty tables: it is kept while they grow."""
    async with postgres_world.store._pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE load AS {_STATEMENTS['load']}")
        rows = await connection.fetch("EXPLAIN EXECUTE load ('{}', false)")
        await connection.execute("DEALLOCATE load")
    plan = [row[0].strip() for row in rows]
    probes = [line for line in plan if line.startswith("Index Cond: (")]
    scans = [line for line in plan if "Scan using" in line or "Bitmap Index Scan" in line]
    assert len(probes) == len(scans) == 3, plan
    assert all("originator_id = " in probe for probe in probes), plan
    assert sum("originator_version > " in probe for probe in probes) == 1, plan
    assert not any("Seq Scan" in line or "Filter: (originator" in line for line in plan), plan
