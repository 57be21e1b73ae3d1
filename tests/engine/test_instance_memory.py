"""What an instance holds on to, and what it lets go."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from stagepost.errors import Conflict
from tests.engine.counter import CountNow, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("key", [None, "key"])
async def test_what_a_refused_request_held_is_freed_without_looking_for_garbage(
    world: World, key: str | None
) -> None:
    async with world.running() as counter:
        gc.disable()
        try:
            with pytest.raises(Conflict) as refused:
                await counter.desk.request(CountNow(name="a", by=-1), key)
            refusal = weakref.ref(refused.value)
            del refused
            await asyncio.sleep(0)  # what called back is done with
            assert refusal() is None
        finally:
            gc.enable()
