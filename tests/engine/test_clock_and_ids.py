"""Time that a test turns by hand, and ids that sort."""

from __future__ import annotations

import asyncio

import pytest

from stagepost.engine.clock import ManualClock
from stagepost.engine.ids import SeededIds, SystemIds


async def test_a_clock_that_nobody_turns_stands_still() -> None:
    clock = ManualClock()
    before = clock.now()
    sleeper = asyncio.create_task(clock.sleep(1))
    await clock.turn(0.9)
    assert not sleeper.done()
    await clock.turn(0.1)
    await sleeper
    assert (clock.now() - before).total_seconds() == 1
    assert clock.monotonic() == 1


async def test_sleepers_wake_in_the_order_of_their_time_and_see_it() -> None:
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeps(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic()))

    sleepers = asyncio.gather(sleeps("late", 3), sleeps("often", 1, 1), sleeps("soon", 0.5))
    await asyncio.sleep(0)
    await clock.turn(10)
    await sleepers
    assert woken == [("soon", 0.5), ("often", 1), ("often", 2), ("late", 3)]


async def test_a_sleeper_that_was_cancelled_holds_nobody_up() -> None:
    clock = ManualClock()
    gone, stays = asyncio.create_task(clock.sleep(1)), asyncio.create_task(clock.sleep(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    await clock.turn(3)
    await stays
    assert gone.cancelled()


def test_new_ids_are_of_version_7_and_differ() -> None:
    made = [SystemIds().new() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert {(made_id.version, made_id.variant) for made_id in made} == {
        (7, "specified in RFC 4122")
    }


def test_ids_of_a_later_time_sort_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000_000_000_000
    ids = SystemIds()
    made = []
    for nanoseconds in (0, 300, 1_000_000, 10**9, 10**15):
        monkeypatch.setattr("time.time_ns", lambda at=now + nanoseconds: at)
        made.append(ids.new())
    assert made == sorted(made)


def test_a_seed_determines_the_ids() -> None:
    one, same, other = SeededIds(1), SeededIds(1), SeededIds(2)
    made = [one.new() for _ in range(100)]
    assert made == [same.new() for _ in range(100)] == sorted(set(made))
    assert not set(made) & {other.new() for _ in range(100)}
