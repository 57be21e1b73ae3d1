"""Several instances of a service: one leads, all are asked, and they tell each other."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import pytest

from stagepost import Decision, Load
from stagepost.engine.batch import Lease
from stagepost.engine.follow import POLL
from stagepost.engine.store import Leadership
from stagepost.engine.transports.memory import MemorySubscription, MemoryTransport
from tests.engine.counter import COUNTER, Announce, CountNow, World, grow, until

SOON = POLL / 5
"""Seconds: whoever acts by then was woken, and did not find it by looking."""


def count_and_announce(request: CountNow, load: Load) -> Decision:
    counter = grow(request.name, request.by, load)
    return Decision((counter,), (Announce(name=counter.name, total=counter.total),))


@pytest.fixture
def world() -> World:
    world = World(replace(COUNTER, handlers={**COUNTER.handlers, CountNow: count_and_announce}))
    world.lease_seconds = 60
    return world


async def leadership(world: World, holder: str | None, *waiting: str) -> Leadership:
    """Wait until this is how the lease stands."""
    async with asyncio.timeout(5):
        while True:
            stands: Leadership = await world.store.leadership("service")
            if (stands.holder, stands.waiting) == (holder, waiting):
                return stands
            await asyncio.sleep(0.005)


async def test_what_another_instance_wrote_wakes_the_holder_at_once(world: World) -> None:
    async with world.running("one"), world.running("two") as second:
        await leadership(world, "one", "two")
        await asyncio.sleep(0.05)  # the holder has looked at everything, and sleeps

        await second.desk.request(CountNow(name="a", by=1))

        async with asyncio.timeout(SOON):
            await until(lambda: world.announcements)


async def test_who_leads_and_who_waits_is_seen(world: World) -> None:
    async with world.running("one"), world.running("two"), world.running("three"):
        assert (await leadership(world, "one", "three", "two")).epoch == 1
    assert (await leadership(world, None)).epoch >= 1


async def test_an_instance_that_waited_and_ended_is_no_longer_seen(world: World) -> None:
    async with world.running("one"):
        async with world.running("two"):
            await leadership(world, "one", "two")
        await leadership(world, "one")


async def test_a_lease_that_is_given_back_is_taken_at_once(world: World) -> None:
    async with contextlib.AsyncExitStack() as second:
        async with world.running("one"):
            await leadership(world, "one")
            await second.enter_async_context(world.running("two"))
            await leadership(world, "one", "two")
        async with asyncio.timeout(SOON):
            await leadership(world, "two")


async def test_a_lease_that_expires_is_taken_in_that_moment(world: World) -> None:
    world.lease_seconds = 0.9
    await world.store.take_lease("service", "dead", 0.9)
    begun = asyncio.get_running_loop().time()
    async with world.running("two"):
        await leadership(world, "two")
    assert 0.85 < asyncio.get_running_loop().time() - begun < 1.1


async def test_instances_that_wait_do_not_talk_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    tell = MemoryTransport.tell

    async def note(self: MemoryTransport, service: str, word: str) -> None:
        told.append(word)
        await tell(self, service, word)

    monkeypatch.setattr(MemoryTransport, "tell", note)
    await world.store.take_lease("service", "elsewhere", 60)
    async with world.running("one") as first, world.running("two"):
        await leadership(world, "elsewhere", "one", "two")
        await first.desk.request(CountNow(name="a", by=1))
        await asyncio.sleep(0.1)  # in which words that call each other up would be thousands
    assert sorted(told) == ["calls", "events"]


async def test_who_was_paused_and_no_longer_leads_does_not_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribed: list[str] = []
    subscribe = MemoryTransport.subscribe

    async def note(self: MemoryTransport, reader: str, *args: Any) -> MemorySubscription:
        subscribed.append(reader)
        return await subscribe(self, reader, *args)

    monkeypatch.setattr(MemoryTransport, "subscribe", note)
    async with world.running("one"):
        await until(lambda: subscribed)
        await world.store.drop_lease(Lease("service", "one", 1))
        await world.store.take_lease("service", "two", 60)

        world.broker.stop()
        world.broker.start()

        await leadership(world, "two", "one")
    assert len(subscribed) == 1
