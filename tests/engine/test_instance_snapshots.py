"""An instance with hot streams: what it loads of them, and what happens to snapshots on the way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent

from stagepost import Decision, Load
from stagepost.aggregate import stream_id, to_stored
from stagepost.engine.batch import Batch, Commit, Outcome
from stagepost.engine.envelope import Envelope
from stagepost.engine.snapshots import Snapshots
from stagepost.engine.store import Stream
from stagepost.errors import Fenced, StoreUnavailable
from tests.engine.counter import COUNTER, Count, Counted, Counter, Watched, World, until
from tests.engine.counter import grow as grown
from tests.engine.stores import heard

EVERY = 10
LAST = 20
"""The version of the last snapshot of 26 events."""
HOT = stream_id(Counter.stream("hot"))


def count(command: Count, load: Load) -> Decision:
    counter = grown(command.name, command.by, load)
    about = {"caller": command.caller, "reference": command.reference, "name": command.name}
    return Decision((counter,), (Counted(**about, total=counter.total),))


class Weighed(Watched):
    """A store that notes how many events each load had, and can be unable to keep snapshots."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.loads: list[int] = []
        self.fault: Exception | None = None
        self.refused = 0

    async def load(
        self, streams: Collection[UUID], *, from_start: bool = False
    ) -> dict[UUID, Stream]:
        found = await super().load(streams, from_start=from_start)
        self.loads += [len(stream.events) for stream in found.values()]
        return found

    async def keep_snapshots(self, snapshots: Collection[StoredEvent]) -> None:
        if self.fault is not None:
            self.refused += 1
            raise self.fault
        await super().keep_snapshots(snapshots)

    @property
    def snapshot(self) -> StoredEvent | None:
        return self._snapshots.get(HOT)

    @property
    def newest(self) -> int:
        """The version of the hot stream's snapshot, 0 where there is none."""
        return self.snapshot.originator_version if self.snapshot else 0


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Weighed:
    monkeypatch.setattr(Counter, "SNAPSHOT_EVERY", EVERY)
    monkeypatch.setattr("stagepost.engine.snapshots.GATHER", 0)
    return Weighed("counter")


@pytest.fixture
def world(store: Weighed) -> World:
    """A counter that tells nobody outside, so that each step is one event."""
    world = World(replace(COUNTER, handlers={Count: count}))
    world.store = store
    return world


async def grow(world: World, steps: int) -> None:
    """Let the counter grow by one, so many times; that it began is an event before."""
    await world.until_handled(*[await world.command("hot", 1) for _ in range(steps)])


async def write_elsewhere(world: World, cause: Envelope | None = None) -> None:
    """Another instance makes the counter grow, so that the cache of the first is stale."""
    async with world.running("elsewhere") as other:
        counter = await other.desk.find(Counter, Counter.stream("hot"))
    assert counter is not None
    counter.grow(by=1)
    events = [to_stored(e) for e in counter.collect_events()]  # type: ignore[arg-type]  # ours
    appended = await world.store.append(Batch([Commit(cause or heard("hot"), events=events)]))
    assert appended.outcomes == [Outcome.KEPT]


async def test_a_restarted_instance_loads_only_what_is_behind_the_snapshot(
    world: World, store: Weighed
) -> None:
    async with world.running():
        await grow(world, 25)
        await until(lambda: store.newest == LAST)
    store.loads.clear()

    async with world.running("again") as again:
        await grow(world, 1)
        assert store.loads == [26 - LAST]
        assert await world.total(again, "hot") == 26


async def test_a_conflict_on_a_hot_stream_reloads_only_what_is_behind_the_snapshot(
    world: World, store: Weighed
) -> None:
    async with world.running() as counter:
        await grow(world, 25)
        await until(lambda: store.newest == LAST)
        await write_elsewhere(world)
        store.loads.clear()

        await grow(world, 1)

        assert store.loads == [27 - LAST]
        assert await world.total(counter, "hot") == 27


async def test_snapshots_are_kept_again_and_again_and_the_tail_stays_short(
    world: World, store: Weighed
) -> None:
    async with world.running():
        for steps in range(10, 100, 10):
            await grow(world, 10)
            await until(lambda: store.newest >= steps)  # noqa: B023  # it is awaited here
            assert (await store.load([HOT]))[HOT].events[EVERY:] == []


@pytest.mark.parametrize("harm", [b"", b"{}", b'{"class_version": 1, "values": {}}'])
async def test_a_snapshot_that_cannot_be_read_is_ignored(
    harm: bytes, world: World, store: Weighed
) -> None:
    async with world.running():
        await grow(world, 25)
        await until(lambda: store.newest == LAST)
    assert store.snapshot is not None
    store._snapshots[HOT] = replace(store.snapshot, state=harm)

    async with world.running("again") as again:
        await grow(world, 1)
        assert await world.total(again, "hot") == 26


async def test_a_snapshot_of_an_unknown_class_is_ignored(world: World, store: Weighed) -> None:
    async with world.running():
        await grow(world, 25)
        await until(lambda: store.newest == LAST)
    assert store.snapshot is not None
    store._snapshots[HOT] = replace(store.snapshot, topic="counter.Forgotten")

    async with world.running("again") as again:
        await grow(world, 1)
        assert await world.total(again, "hot") == 26


async def test_a_new_class_version_folds_from_the_start_and_keeps_its_own_snapshots(
    world: World, store: Weighed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.running():
        await grow(world, 25)
        await until(lambda: store.newest == LAST)
    monkeypatch.setattr(Counter, "class_version", 2)
    store.loads.clear()

    async with world.running("newer") as newer:
        await grow(world, 10)
        assert store.loads == [26 - LAST, 26]
        await until(lambda: store.newest > LAST)
        store.loads.clear()
        assert await world.total(newer, "hot") == 35
        assert store.loads == [36 - store.newest]


@pytest.mark.parametrize("fault", [StoreUnavailable("down"), Fenced("gone"), RuntimeError("bug")])
async def test_snapshots_that_cannot_be_kept_hold_nothing_up(
    fault: Exception, world: World, store: Weighed
) -> None:
    store.fault = fault
    async with world.running() as counter:
        await grow(world, 25)
        assert await world.total(counter, "hot") == 25
        await until(lambda: store.refused)
        store.fault = None
        await grow(world, 10)
        await until(lambda: store.newest)


async def test_what_is_not_kept_leaves_no_snapshot(world: World, store: Weighed) -> None:
    """A stale decision passes a multiple; what took its place does not reach it."""
    async with world.running() as counter:
        await grow(world, EVERY - 2)  # with the first, one before the multiple
        await write_elsewhere(world)  # now at the multiple, where nobody took a snapshot
        await grow(world, 1)  # decided as the multiple, in conflict, decided again behind it
        await until(lambda: not counter.desk.snapshots._newest)  # what was taken is written
        assert await world.total(counter, "hot") == EVERY
    assert store.newest == 0


async def test_what_somebody_else_has_handled_leaves_no_snapshot(
    world: World, store: Weighed
) -> None:
    """It was decided here as well, as another multiple than the one that is stored."""
    async with world.running() as counter:
        await grow(world, EVERY - 2)  # with the first, one before the multiple
        command = world.next_command("hot", 5)
        await write_elsewhere(world, command)  # now at the multiple, by one
        await world.put(command)  # decided as the multiple, by five
        await grow(world, 1)
        await until(lambda: not counter.desk.snapshots._newest)  # what was taken is written
        assert await world.total(counter, "hot") == EVERY
    assert store.newest == 0


async def test_who_no_longer_leads_writes_no_snapshots_of_before(
    store: Weighed, world: World
) -> None:
    counter = world.instance()
    counter.desk.snapshots.put([StoredEvent(HOT, 1, Counter.TOPIC, b"{}")])
    counter.desk.step_down()
    assert await counter.desk.snapshots._take(10) == []


async def test_of_several_snapshots_of_a_stream_the_last_is_written(store: Weighed) -> None:
    snapshots = Snapshots(store)
    snapshots.put([StoredEvent(HOT, version, Counter.TOPIC, b"{}") for version in (10, 20)])
    assert [s.originator_version for s in await snapshots._take(10)] == [20]
