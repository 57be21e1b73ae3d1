"""One instance leads; what happens when it, the broker or the database is not what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent

from stagepost.engine import follow
from stagepost.engine.batch import Appended, Batch, Lease
from stagepost.engine.clock import SystemClock
from stagepost.engine.store_memory import MemoryStore
from tests.engine.counter import (
    Counted,
    CountNow,
    Watched,
    World,
    until,
)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_holder_that_was_fenced_writes_nothing_and_begins_again(world: World) -> None:
    async with world.running("counter-1") as counter:
        one = await world.command("a", 1)
        await world.until_handled(one)
        await world.store.take_lease("service", "counter-1", 60)

        two = await world.command("a", 1)
        await world.until_handled(two)

        [first, second] = [lease for lease in world.store.leases if lease is not None][-2:]
        assert second.epoch > first.epoch
        assert await world.total(counter, "a") == 2
    assert await world.answers() == [Counted.TYPE, Counted.TYPE]


async def test_another_instance_takes_over_when_the_holder_is_gone(world: World) -> None:
    async with world.running("counter-1"):
        one = await world.command("a", 1)
        await world.until_handled(one)
        world.store.keeps_dropped_leases = True  # as after kill -9: nobody gives it back

    async with world.running("counter-2") as second:
        two = await world.command("a", 1)
        await world.until_handled(two)
        assert second.desk._lease == Lease("service", "counter-2", 2)
        assert await world.total(second, "a") == 2
    assert await world.answers() == [Counted.TYPE, Counted.TYPE]


async def test_requests_on_an_instance_without_the_lease_are_carried_out(world: World) -> None:
    async with world.running("counter-1") as first, world.running("counter-2") as second:
        totals = await asyncio.gather(
            *(i.desk.request(CountNow(name="a", by=1)) for i in (first, second) * 20)
        )
        assert sorted(answer.total for answer in totals) == list(range(1, 41))
        assert await world.total(first, "a") == 40


async def test_what_the_broker_lost_is_sent_again(world: World) -> None:
    async with world.running():
        one = await world.command("a", 1)
        await world.until_handled(one)
        await until(lambda: world.broker.streams.get("counter"))
        world.broker.wipe()
        await until(lambda: world.broker.streams.get("counter"))
    assert [m.causation for m in world.broker.streams["counter"]] == [one.id]


async def test_a_database_that_was_set_back_begins_a_new_incarnation(world: World) -> None:
    async with world.running():
        one = await world.command("a", 1)
        await world.until_handled(one)
        await until(lambda: world.broker.streams.get("counter"))
    left = world.broker.streams["counter"][-1]
    world.store = MemoryStore("counter", SystemClock())
    world.broker.streams["client"].clear()

    async with world.running():
        async with asyncio.timeout(5):
            while await world.store.incarnation() == 1:
                await asyncio.sleep(0)
        two = await world.command("b", 1)
        await world.until_handled(two)
        await until(lambda: world.broker.streams["counter"][-1] != left)
    new = world.broker.streams["counter"][-1]
    assert new.incarnation == 2
    assert new.position > left.position


async def test_what_arrives_while_stopping_is_kept_or_left_never_lost(world: World) -> None:
    sent = [await world.command(f"k{n}", 1) for n in range(500)]
    for _ in range(10):
        async with world.running():
            await asyncio.sleep(0)
    async with world.running() as counter:
        await world.until_handled(*sent)
        assert [await world.total(counter, f"k{n}") for n in range(500)] == [1] * 500


class Forgetful(Watched):
    """A store that hangs in two places until it is cancelled, and forgets that, once in each.

    As asyncpg may on Python 3.11.
    """

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.hangs: set[str] = set()
        self.forgot: set[str] = set()

    async def _hang(self, where: str) -> None:
        if where in self.hangs:
            return
        self.hangs.add(where)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.forgot.add(where)

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        lease = await super().take_lease(name, holder, seconds)
        if holder == "two":
            await self._hang("take")
        return lease

    async def renew_lease(self, lease: Lease, seconds: float) -> bool:
        await self._hang("renew")
        return await super().renew_lease(lease, seconds)


async def test_an_instance_ends_although_a_cancellation_was_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "CANCEL_AGAIN", 0.05)
    world.store = store = Forgetful("counter")
    async with asyncio.timeout(10):
        async with world.running("one"), world.running("two"):
            await until(lambda: store.hangs == {"take", "renew"})
    assert store.forgot == {"take", "renew"}


class Pondering(Watched):
    """A store that takes its time to load."""

    def __init__(self) -> None:
        super().__init__("counter")
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def load(self, streams: Collection[UUID]) -> dict[UUID, list[StoredEvent]]:
        self.asked.set()
        await self.go_on.wait()
        return await super().load(streams)


async def test_what_was_read_under_a_lease_is_not_written_without_one(world: World) -> None:
    world.store = store = Pondering()
    async with world.running() as counter:
        await world.command("a", 1)
        await store.asked.wait()

        counter.desk.step_down()
        await store.take_lease(
            "service", "counter-1", 60
        )  # a new epoch: the old one is worth nothing
        store.go_on.set()
        for _ in range(20):
            await asyncio.sleep(0)

        assert await store.journal(None, 0, 10) == []


class Overtaken(Watched):
    """A store that cannot store one name; when it first says so alone, the lease has passed on."""

    passes_on = True

    async def append(self, batch: Batch) -> Appended:
        if any(commit.cause.key == "bad" and not commit.parks for commit in batch.commits):
            if len(batch.commits) == 1 and self.passes_on:
                self.passes_on = False
                await self.take_lease("service", "counter-1", 60)
            raise ValueError("it does not fit the table")
        return await super().append(batch)


async def test_a_lease_that_passes_on_while_a_message_is_parked_ends_no_work(world: World) -> None:
    world.store = Overtaken("counter")
    async with world.running():
        bad, good = await world.command("bad", 1), await world.command("good", 1)
        outcomes = await world.until_handled(bad, good)
    assert outcomes == {bad.id: "parked", good.id: "handled"}
