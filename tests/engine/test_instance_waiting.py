"""Who asks over HTTP and waits: for how long, how many of them, and for whose look-up."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from stagepost.engine.batch import Idempotency
from stagepost.errors import Conflict, NoRoom, OutcomeUnknown, StoreUnavailable
from tests.engine.counter import CountNow, Total, Watched, World


@pytest.fixture
def world() -> World:
    return World()


class Forgetful(Watched):
    """A store that is slow to look up what was answered, or is parked, and may fail to."""

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

    async def parked_keys(self) -> set[str]:
        await self.go_on.wait()
        return await super().parked_keys()


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


async def test_who_asks_with_a_key_waits_no_longer_for_a_database_that_hangs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.desk.REQUEST_SECONDS", 0.05)
    world.store = Forgetful()
    idle = world.instance()
    keys = ("one", "one", "another")  # two of them wait for one look-up
    asked: Any = (idle.desk.request(CountNow(name="a", by=1), key, b"print") for key in keys)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [OutcomeUnknown] * 3


async def test_who_brings_a_command_waits_no_longer_for_a_database_that_hangs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.desk.REQUEST_SECONDS", 0.05)
    world.store = Forgetful()
    idle = world.instance()
    async with asyncio.timeout(5):
        with pytest.raises(OutcomeUnknown):
            await idle.desk.take_in(world.next_command("a", 1))


@pytest.mark.parametrize("keys", [[None] * 3, ["same"] * 3, ["one", "two", "three"]])
async def test_who_waits_for_a_look_up_counts_among_those_who_wait(
    world: World, monkeypatch: pytest.MonkeyPatch, keys: list[str | None]
) -> None:
    monkeypatch.setattr("stagepost.engine.desk.MAX_WAITING", 2)
    monkeypatch.setattr("stagepost.engine.desk.REQUEST_SECONDS", 0.05)
    world.store = Forgetful()
    idle = world.instance()
    asked: Any = (idle.desk.request(CountNow(name="a", by=1), key, b"print") for key in keys)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [OutcomeUnknown, OutcomeUnknown, NoRoom]


async def test_who_was_answered_refused_or_given_up_on_makes_room_for_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.desk.MAX_WAITING", 1)
    monkeypatch.setattr("stagepost.engine.desk.REQUEST_SECONDS", 0.05)
    world.store = store = Forgetful()
    async with world.running() as counter:
        with pytest.raises(Conflict):
            await counter.desk.request(CountNow(name="a", by=-1))
        with pytest.raises(OutcomeUnknown):
            await counter.desk.request(CountNow(name="a", by=1), "key", b"print")
        store.go_on.set()
        for total in (1, 2):
            answer = await counter.desk.request(CountNow(name="a", by=1), f"{total}", b"print")
            assert answer == Total(total=total)


async def test_what_lies_on_the_desk_counts_though_nobody_waits_for_it_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.desk.MAX_WAITING", 1)
    monkeypatch.setattr("stagepost.engine.desk.REQUEST_SECONDS", 0.05)
    idle = world.instance()
    with pytest.raises(OutcomeUnknown):
        await idle.desk.request(CountNow(name="a", by=1))
    with pytest.raises(NoRoom):
        await idle.desk.request(CountNow(name="a", by=1))
