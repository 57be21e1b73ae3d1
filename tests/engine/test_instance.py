"""What becomes of a message, whatever it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from stagepost.messages import encode
from tests.engine.counter import (
    Count,
    Counted,
    Counter,
    NotCounted,
    World,
    until,
)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_command_is_carried_out_and_answered_through_the_broker(world: World) -> None:
    async with world.running() as counter:
        sent = await world.command("a", 2)
        assert await world.until_handled(sent) == {sent.id: "handled"}
        assert await world.total(counter, "a") == 2

        await until(lambda: world.broker.streams.get("counter"))
    [answer] = world.broker.streams["counter"]
    assert (answer.type, answer.causation, answer.correlation) == (
        Counted.TYPE,
        sent.id,
        sent.correlation,
    )


async def test_a_refusing_answer_is_recorded_as_refused(world: World) -> None:
    async with world.running():
        sent = await world.command("a", -1)
        assert await world.until_handled(sent) == {sent.id: "refused"}
    assert await world.answers() == [NotCounted.TYPE]


async def test_the_same_message_twice_counts_once(world: World) -> None:
    async with world.running() as counter:
        first = await world.command("a", 2)
        await world.put(replace(first, position=50))
        last = await world.command("a", 1, position=51)
        await world.until_handled(first, last)
        assert await world.total(counter, "a") == 3


async def test_a_message_of_a_newer_version_is_kept_with_its_key(world: World) -> None:
    async with world.running():
        newer = await world.command("a", 1, version=9)
        later = await world.command("a", 1)
        outcomes = await world.until_handled(newer, later)
        assert (outcomes[newer.id], outcomes[later.id]) == ("parked", "parked")
    letters = await world.store.dead_letters(0, 10)
    assert [letter.message.id for letter in letters] == [newer.id, later.id]
    assert "version 9" in letters[0].reason


async def test_a_body_that_does_not_fit_its_contract_is_kept(world: World) -> None:
    async with world.running():
        sent = await world.command("a", 1, body=b'{"caller": "client", "by": "many"}')
        assert await world.until_handled(sent) == {sent.id: "parked"}
    [letter] = await world.store.dead_letters(0, 10)
    assert "/reference" in letter.reason
    assert letter.message.body == sent.body


async def test_what_no_broker_would_take_is_not_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.decide.MAX_BODY", 10)
    async with world.running():
        sent = await world.command("a", 1)
        assert await world.until_handled(sent) == {sent.id: "parked"}
    assert await world.answers() == []


async def test_a_command_in_the_name_of_another_is_refused_as_forged(world: World) -> None:
    async with world.running():
        forged = Count(caller="somebody", reference="a", name="a", by=1)
        sent = await world.command("a", 1, body=encode(forged))
        assert await world.until_handled(sent) == {sent.id: "parked"}
    [letter] = await world.store.dead_letters(0, 10)
    assert "somebody" in letter.reason


async def test_a_call_is_made_until_it_is_answered_always_under_one_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.caller.FIRST_RETRY", 0.01)
    world.failures = 2
    async with world.running() as counter:
        await world.command("a", 3)
        async with asyncio.timeout(5):
            while True:
                found = await counter.desk.find(Counter, Counter.stream("a"))
                if found is not None and found.heard:
                    break
                await asyncio.sleep(0)
        assert found.heard == 1
    assert len(world.announcements) == 3
    assert len({key for _, key in world.announcements}) == 1


async def test_what_is_decided_again_has_the_same_id_unless_it_is_decided_otherwise() -> None:
    first, again, otherwise = World(), World(), World()
    sent = first.next_command("a", 1)
    refused = replace(sent, body=encode(Count(caller="client", reference="a", name="a", by=-1)))
    for world, command in ((first, sent), (again, sent), (otherwise, refused)):
        async with world.running():
            await world.put(command)
            await world.until_handled(command)
    ids = [(await world.store.outbox(0, 1))[0].id for world in (first, again, otherwise)]
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]
