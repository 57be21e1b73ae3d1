"""Who asks over HTTP and waits: for how long, how many of them, and for whose look-up."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from stagepost.engine.store import Idempotency
from stagepost.errors import StoreUnavailable
from tests.engine.counter import CountNow, Total, Watched, World


@pytest.fixture
def world() -> World:
    return World()


class Forgetful(Watched):
    """A store that is slow to look up what was answered, and may fail to."""

    def __init__(self) -> None:
        super().__init__("counter")
        self.faults: list[Exception] = []
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def idempotent(self, keys: Collection[str]) -> dict[str, Idempotency]:
        self.reached.set()
        if self.faults:
            raise self.faults.pop()
        await self.go_on.wait()
        return await super().idempotent(keys)


@pytest.mark.parametrize("fault", [StoreUnavailable("gone"), RuntimeError("nobody thought of it")])
async def test_a_key_that_could_not_be_looked_up_can_be_asked_with_again(
    world: World, fault: Exception
) -> None:
    world.store = store = Forgetful()
    store.faults = [fault]
    store.go_on.set()
    async with world.running() as counter:
        with pytest.raises(type(fault)):
            await counter.desk.request(CountNow(name="a", by=5), "key", b"print")
        async with asyncio.timeout(5):
            answer = await counter.desk.request(CountNow(name="a", by=5), "key", b"print")
    assert answer == Total(total=5)


async def test_who_waits_for_an_answer_that_nobody_asks_for_any_more_asks_alone(
    world: World,
) -> None:
    world.store = store = Forgetful()
    async with world.running() as counter:

        async def ask() -> Any:
            return await counter.desk.request(CountNow(name="a", by=5), "key", b"print")

        first, second = asyncio.create_task(ask()), asyncio.create_task(ask())
        await store.reached.wait()
        first.cancel()  # its client has gone
        store.go_on.set()
        async with asyncio.timeout(5):
            assert await second == Total(total=5)
