"""Commands over HTTP, as their recipient answers them: on the real route, on a real socket."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast
from uuid import uuid4

import httpx
import pytest

from contracts import ordering
from stagepost import Decision, Load
from stagepost.engine import answers
from stagepost.engine.envelope import Envelope
from stagepost.engine.transports.http_envelope import read_binary, write_binary
from stagepost.messages import Answer, Command, encode, example
from tests.engine.counter import (
    COUNTER,
    POISON,
    Announced,
    Count,
    CountNow,
    count,
    until,
    until_awaited,
)
from tests.engine.posting import (
    LONG,
    PATIENT,
    CountingWorld,
    Served,
    asked_until_known,
    later,
    told,
    total_of,
)

pytestmark = pytest.mark.usefixtures("in_no_time")


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> CountingWorld:
    return cast("CountingWorld", request.getfixturevalue(f"counting_in_{request.param}"))


@pytest.fixture
def in_memory(counting_in_memory: CountingWorld) -> CountingWorld:
    return counting_in_memory


# What comes back.


async def test_a_command_comes_back_with_its_answer(world: CountingWorld) -> None:
    async with world.serving() as served:
        command = world.next_command("a", 2)
        answer = await served.recipients.ask(command)

    assert answer is not None
    assert total_of(answer) == 2
    assert (answer.type, answer.source, answer.kind) == ("counter.Counted", "counter", "event")
    assert (answer.key, answer.correlation, answer.causation) == (
        "a",
        command.correlation,
        command.id,
    )
    (kept,) = await world.store.outbox(0, 10)
    assert answer == kept


async def test_a_refusal_is_an_answer_too(world: CountingWorld) -> None:
    async with world.serving() as served:
        answer = await served.recipients.ask(world.next_command("a", -1))
        assert answer is not None
        assert answer.type == "counter.NotCounted"


async def test_who_asks_plainly_gets_200_and_a_cloud_event(in_memory: CountingWorld) -> None:
    command = in_memory.next_command("a", 2)
    async with in_memory.serving() as served, httpx.AsyncClient() as client:
        said = await client.post(
            f"{served.url}/commands", content=command.body, headers=write_binary(command)
        )
    assert said.status_code == 200
    assert said.headers["content-type"] == "application/json"
    assert said.headers["ce-specversion"] == "1.0"
    assert said.headers["ce-causationid"] == str(command.id)
    assert total_of(read_binary(said.headers, said.content)) == 2


async def test_without_an_answer_it_is_202_and_200_under_the_same_id_once_there_is_one(
    world: CountingWorld,
) -> None:
    world.service = PATIENT
    world.failures = 10**9
    async with world.serving() as served:
        command = world.next_command("a", 2)
        async with httpx.AsyncClient() as client:
            said = await client.post(
                f"{served.url}/commands", content=command.body, headers=write_binary(command)
            )
        assert (said.status_code, said.content) == (202, b"")
        assert int(said.headers["retry-after"]) >= 1

        world.failures = 0
        assert total_of(await asked_until_known(served, command)) == 2
        assert await world.total(served.instance, "a") == 2


async def test_the_same_id_gets_the_same_answer_whatever_came_since(world: CountingWorld) -> None:
    async with world.serving() as served:
        first, second = world.next_command("a", 1), world.next_command("a", 1)
        one = await asked_until_known(served, first)
        two = await asked_until_known(served, second)
        assert (total_of(one), total_of(two)) == (1, 2)

        assert await asked_until_known(served, first) == one
        assert await asked_until_known(served, second) == two
        assert await world.total(served.instance, "a") == 2
    assert await world.sent("counter.Counted") == 2


async def test_what_was_told_to_others_under_the_same_key_is_no_answer(
    world: CountingWorld,
) -> None:
    async def mine(served: Served, **said: str) -> Envelope | None:
        count = Count(**{"caller": "client", "reference": "a", "name": "a", "by": 1, **said})
        command = replace(world.next_command("a", 1), body=encode(count), source=str(count.caller))
        return await asked_until_known(served, command)

    async with world.serving() as served:
        found = [
            await mine(served, caller="stranger"),
            await mine(served, reference="another"),
            await mine(served),
        ]
    assert [total_of(answer) for answer in found] == [1, 2, 3]


async def test_what_another_caller_was_told_is_no_answer_to_who_still_waits_for_theirs(
    world: CountingWorld,
) -> None:
    def strangers_at_once(command: Count, load: Load) -> Decision:
        return (later if command.caller == "client" else count)(command, load)

    world.service = replace(PATIENT, handlers={**PATIENT.handlers, Count: strangers_at_once})
    world.failures = 10**9
    stranger = Count(caller="stranger", reference="a", name="a", by=1)
    async with world.serving() as served:
        waits = world.next_command("a", 1)
        assert await served.recipients.ask(waits) is None
        told = world.next_command("a", 1, body=encode(stranger), source="stranger")
        assert total_of(await served.recipients.ask(told)) == 2
        assert await served.recipients.ask(waits) is None


@pytest.mark.parametrize("asked", [ordering.ConfirmOrder, ordering.RejectOrder])
@pytest.mark.parametrize("ended", [ordering.OrderConfirmed, ordering.OrderRejected])
def test_an_order_that_has_ended_otherwise_answers_who_wants_it_to_end(
    asked: type[Command], ended: type[Answer]
) -> None:
    about = {"caller": "fulfillment", "reference": "10248", "order_id": "10248"}
    assert answers.is_answer(example(ended, **about), example(asked, **about))


async def test_an_answer_from_before_a_restart_is_found_by_another_instance(
    world: CountingWorld,
) -> None:
    command = world.next_command("a", 1)
    async with world.serving() as served:
        answer = await served.recipients.ask(command)
    async with world.serving("counter-2") as served:
        assert await served.recipients.ask(command) == answer
        assert await world.total(served.instance, "a") == 1


# At once.


async def test_two_who_bring_one_command_at_once_are_both_answered_and_it_is_handled_once(
    world: CountingWorld,
) -> None:
    async with world.serving() as served:
        command = world.next_command("a", 2)
        brought = await asyncio.gather(*(served.recipients.ask(command) for _ in range(8)))
        assert [total_of(answer) for answer in brought] == [2] * 8
        assert await world.total(served.instance, "a") == 2
    assert len(await world.heard("command")) == 1


async def test_who_gives_up_takes_nothing_from_who_waits_beside_them(
    in_memory: CountingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "WAIT_SECONDS", LONG)
    in_memory.service = PATIENT
    in_memory.failures = 10**9
    command = in_memory.next_command("a", 2)
    async with in_memory.serving() as served:
        takes = served.instance.answers
        first = asyncio.create_task(takes.answer(command))
        second = asyncio.create_task(takes.answer(command))
        await until(lambda: [wanted.waiting for wanted in takes._wanted.values()] == [2])
        first.cancel()
        await asyncio.wait([first])
        in_memory.failures = 0
        async with asyncio.timeout(5):
            assert total_of(await second) == 2


async def test_many_commands_at_once_are_all_answered_in_the_order_of_their_key(
    world: CountingWorld,
) -> None:
    async with world.serving() as served:
        commands = [world.next_command(f"k{n % 10}", 1) for n in range(100)]
        found = await asyncio.gather(*(asked_until_known(served, c) for c in commands))
        assert sorted(map(total_of, found)) == sorted([*range(1, 11)] * 10)


# Several instances, and their end.


async def test_who_does_not_lead_takes_commands_too(world: CountingWorld) -> None:
    world.lease_seconds = 60
    async with world.running("one"), world.serving("two") as second:
        assert second.instance._lease is None
        assert total_of(await second.recipients.ask(world.next_command("a", 1))) == 1


async def test_what_the_leader_answers_is_found_by_who_was_asked(world: CountingWorld) -> None:
    world.lease_seconds = 60
    world.service = PATIENT
    async with world.running("one"), world.serving("two") as second:
        command = world.next_command("a", 1)
        assert total_of(await asked_until_known(second, command)) == 1


async def test_an_answer_by_the_leader_is_found_however_busy_this_instance_is(
    in_memory: CountingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "WAIT_SECONDS", 1.0)

    def some_later(command: Count, load: Load) -> Decision:
        return (later if command.name == "a" else count)(command, load)

    in_memory.lease_seconds = 60
    in_memory.failures = 2  # the answer comes while others are
    handlers = {**COUNTER.handlers, Count: some_later, Announced: told}
    in_memory.service = replace(COUNTER, handlers=handlers)
    async with in_memory.running("one"), in_memory.serving("two") as second:

        async def keep_busy() -> None:
            while True:
                await second.recipients.ask(in_memory.next_command("b", 1))

        busy = [asyncio.create_task(keep_busy()) for _ in range(4)]
        assert total_of(await second.recipients.ask(in_memory.next_command("a", 1))) == 1
        for task in busy:
            task.cancel()
        await asyncio.wait(busy)


async def test_what_waits_behind_a_dead_letter_waits_whichever_instance_it_comes_to(
    world: CountingWorld,
) -> None:
    world.lease_seconds = 60
    async with world.serving("one") as leader, world.serving("two") as second:
        assert await second.recipients.ask(world.next_command("a", POISON)) is None
        assert await leader.recipients.ask(world.next_command("a", 1)) is None
        assert await second.recipients.ask(world.next_command("a", 1)) is None
        assert await world.total(leader.instance, "a") == 0
    letters = await world.store.dead_letters(0, 10)
    assert [letter.state for letter in letters] == ["parked", "waiting", "waiting"]


async def test_what_was_parked_by_who_does_not_lead_is_redriven_by_the_leader(
    world: CountingWorld,
) -> None:
    world.lease_seconds = 60
    async with world.running("one"), world.serving("two") as second:
        next_one = world.next_command("a", 1)
        assert await second.recipients.ask(world.next_command("a", POISON)) is None
        assert await second.recipients.ask(next_one) is None
        (first, _) = await world.store.dead_letters(0, 10)
        await world.store.discard([first.id], "nobody wants it")
        async with asyncio.timeout(2):
            assert total_of(await asked_until_known(second, next_one)) == 1


async def test_nobody_is_kept_waiting_by_an_instance_that_ends(
    in_memory: CountingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "WAIT_SECONDS", LONG)
    in_memory.service = PATIENT
    in_memory.failures = 10**9
    async with in_memory.serving() as served:
        waiting = asyncio.create_task(served.recipients.ask(in_memory.next_command("a", 1)))
        await until_awaited(lambda: in_memory.heard("command"))
        assert not waiting.done()

        served.instance.answers.end()
        async with asyncio.timeout(2):
            assert await waiting is None
            assert await served.recipients.ask(in_memory.next_command("b", 1)) is None


async def test_what_cannot_be_read_in_our_own_outbox_keeps_no_answer_away(
    in_memory: CountingWorld,
) -> None:
    async with in_memory.serving() as served:
        command = in_memory.next_command("a", 1)
        answer = await served.recipients.ask(command)
        kept = in_memory.store._outbox
        kept.insert(0, replace(kept[0], id=uuid4(), type="counter.OfAFormerRelease"))

        assert await served.recipients.ask(command) == answer


async def test_a_request_of_the_same_key_is_told_apart(in_memory: CountingWorld) -> None:
    async with in_memory.serving() as served:
        await served.instance.desk.request(CountNow(name="a", by=4))
        assert total_of(await served.recipients.ask(in_memory.next_command("a", 1))) == 5
