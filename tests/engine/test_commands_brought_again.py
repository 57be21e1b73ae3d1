"""Commands over HTTP that are brought again and again: what that costs their recipient."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from stagepost.engine.batch import Appended, Batch
from stagepost.errors import OutcomeUnknown
from tests.engine.posting import (
    PATIENT,
    CountingWorld,
    asked_until_known,
    total_of,
)

pytestmark = pytest.mark.usefixtures("in_no_time")


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> CountingWorld:
    return cast("CountingWorld", request.getfixturevalue(f"counting_in_{request.param}"))


@pytest.fixture
def in_memory(counting_in_memory: CountingWorld) -> CountingWorld:
    return counting_in_memory


async def test_what_is_brought_again_before_it_is_stored_lies_on_the_desk_once(
    in_memory: CountingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a recipient that is slow for a moment is brought more and more of the same."""
    monkeypatch.setattr("stagepost.engine.desk.REQUEST_SECONDS", 0.02)
    keeps, goes_on = in_memory.store.append, asyncio.Event()

    async def slow(batch: Batch) -> Appended:
        if batch.commits:
            await goes_on.wait()
        appended: Appended = await keeps(batch)
        return appended

    in_memory.store.append = slow
    command = in_memory.next_command("a", 2)
    async with in_memory.serving() as served:
        for _ in range(5):
            with pytest.raises(OutcomeUnknown):
                await served.instance.answers.answer(command)
        assert len(served.instance.desk._waiting) == 0
        goes_on.set()
        assert total_of(await asked_until_known(served, command)) == 2


async def test_what_is_brought_again_while_it_has_no_answer_is_not_handled_again(
    world: CountingWorld,
) -> None:
    world.service = PATIENT
    world.failures = 10**9
    command = world.next_command("a", 2)
    keeps, handled = world.store.append, []

    async def noting(batch: Batch) -> Appended:
        handled.extend(commit.cause.id for commit in batch.commits)
        appended: Appended = await keeps(batch)
        return appended

    world.store.append = noting
    async with world.serving() as served:
        for _ in range(3):
            assert await served.recipients.ask(command) is None
        assert handled.count(command.id) == 1


async def test_what_a_database_that_was_set_back_forgot_is_handled_when_it_is_brought_again(
    in_memory: CountingWorld,
) -> None:
    in_memory.service = PATIENT
    in_memory.failures = 10**9
    command = in_memory.next_command("a", 2)
    async with in_memory.serving() as served:
        assert await served.recipients.ask(command) is None
        in_memory.store._heard.clear()
        in_memory.store._streams.clear()
        served.instance.desk._decisions.cache.clear()

        assert await served.recipients.ask(command) is None
        assert len(await in_memory.heard("command")) == 2
