"""Commands over HTTP, as their sender brings them: again and again, in the order of their key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from stagepost import Decision, Load
from stagepost.engine import caller
from stagepost.engine.batch import Appended, Batch
from stagepost.engine.envelope import Envelope
from stagepost.engine.store import Store
from stagepost.engine.store_postgres import PostgresStore
from stagepost.errors import CallFailed, StoreUnavailable
from tests.conftest import Database
from tests.engine.counter import (
    COUNTER,
    Announce,
    Announced,
    Count,
    Counted,
    grow,
    until,
)
from tests.engine.posting import (
    AskingWorld,
    CountingWorld,
    Scripted,
    all_answered,
    answer_to,
    answers,
    ask,
)
from tests.engine.stores import (
    PostgresWorld,
)

GONE = CallFailed("nobody there")


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "FIRST_RETRY", 0.02)
    monkeypatch.setattr(caller, "LAST_LOOK", 0.1)


async def nobody(command: Envelope) -> Envelope | None:
    raise GONE


async def no_answer_yet(command: Envelope) -> Envelope | None:
    return None


@pytest.fixture
async def in_postgres(
    postgres_world: PostgresWorld, store_database: Database
) -> AsyncIterator[Store]:
    store = await PostgresStore.connect(store_database.service, "client")
    yield store
    await store.close()


@pytest.fixture(params=["memory", "postgres"])
def recipients(request: pytest.FixtureRequest) -> Scripted:
    return Scripted(answers)


@pytest.fixture
def world(recipients: Scripted, request: pytest.FixtureRequest) -> AskingWorld:
    """A client whose recipients do as they are told."""
    world = AskingWorld(recipients)
    if request.node.callspec.params["recipients"] == "postgres":
        world.store = request.getfixturevalue("in_postgres")
    return world


# From one service to the other.


async def test_commands_of_one_service_are_handled_by_the_other_and_the_answers_come_back() -> None:
    counting = CountingWorld()
    async with counting.serving() as served:
        asking = AskingWorld(served.recipients)
        async with asking.running() as client:
            for name in "abc":
                await ask(client, name, 1, 2, -1)
            await all_answered(asking)
        assert [await counting.total(served.instance, name) for name in "abc"] == [3, 3, 3]
    told = await asking.heard()
    for name in "abc":
        assert [t for key, t in told if key == name] == [
            "counter.Counted",
            "counter.Counted",
            "counter.NotCounted",
        ]
    assert await asking.letters() == []


async def test_what_takes_time_is_delivered_first_and_its_answer_comes_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stagepost.engine.answers.WAIT_SECONDS", 0.05)
    counting = CountingWorld()
    counting.failures = 10**9

    def later(command: Count, load: Load) -> Decision:
        counter = grow(command.name, command.by, load)
        return Decision((counter,), (Announce(name=command.name, total=counter.total),))

    def told(answer: Announced, load: Load) -> Decision:
        message = answer_to_call(answer)
        return Decision(sends=(message,))

    counting.service = replace(
        COUNTER, handlers={**COUNTER.handlers, Count: later, Announced: told}
    )
    async with counting.serving() as served:
        asking = AskingWorld(served.recipients)
        async with asking.running() as client:
            await ask(client, "a")
            await until(lambda: counting.announcements)
            assert await asking.open_calls() == 1
            counting.failures = 0
            await all_answered(asking)
    assert await asking.heard() == [("a", "counter.Counted")]


def answer_to_call(answer: Announced) -> Counted:
    name, total = answer.call.name, answer.call.total
    return Counted(caller="client", reference=name, name=name, total=total)


# Who is gone, and who is slow.


async def test_a_recipient_that_is_gone_is_tried_again_with_growing_pauses_and_others_go_on(
    world: AskingWorld, recipients: Scripted
) -> None:
    put_off: list[float] = []
    append_before = world.store.append

    async def watched(batch: Batch) -> Appended:
        put_off.extend(retry.seconds for retry in batch.retries)
        appended: Appended = await append_before(batch)
        return appended

    async def a_is_gone(command: Envelope) -> Envelope | None:
        return await (nobody if command.key == "a" else answers)(command)

    recipients.answer = a_is_gone
    world.store.append = watched
    async with world.running() as client:
        await ask(client, "a")
        await ask(client, "b")
        await until(lambda: recipients.times("a") >= 6)
        assert await world.heard() == [("b", "counter.Counted")]
        recipients.answer = answers
        await all_answered(world)
    assert put_off[:6] == [0.02, 0.04, 0.08, 0.1, 0.1, 0.1]
    assert len({command.id for command in recipients.brought if command.key == "a"}) == 1
    assert ("a", "counter.Counted") in await world.heard()


@pytest.mark.parametrize("attempt", [0, 5, 2_000, 10**6])
def test_what_is_tried_for_weeks_is_tried_again_at_most_so_late(attempt: int) -> None:
    call: Any = type("Call", (), {"attempt": attempt})
    assert caller._wait(call, 30.0) == min(0.02 * 2 ** min(attempt, 10), 30.0)


def test_no_wait_ends_its_growth_below_the_longest() -> None:
    first = 0.2
    assert first * 2**caller.DOUBLED >= caller.LAST_RETRY


async def test_what_was_not_delivered_holds_up_the_next_of_its_key_and_of_no_other(
    world: AskingWorld, recipients: Scripted
) -> None:
    recipients.answer = nobody
    async with world.running() as client:
        await ask(client, "a", 1, 2)
        await ask(client, "b")
        await until(lambda: recipients.times("a") >= 4 and recipients.times("b") >= 4)
        assert len({command.id for command in recipients.brought}) == 2
        recipients.answer = answers
        await all_answered(world)
    first, second = dict.fromkeys(c.body for c in recipients.brought if c.key == "a")
    assert (b'"by":1' in first, b'"by":2' in second) == (True, True)


async def test_what_was_delivered_holds_up_nothing_and_is_asked_about_until_it_is_answered(
    world: AskingWorld, recipients: Scripted
) -> None:
    async def first_is_slow(command: Envelope) -> Envelope | None:
        return None if b'"by":1' in command.body else answer_to(command)

    recipients.answer = first_is_slow
    async with world.running() as client:
        await ask(client, "a", 1, 2)
        await until(lambda: recipients.times("a") >= 5)
        assert await world.heard() == [("a", "counter.Counted")]
        assert await world.open_calls() == 1
        recipients.answer = answers
        await all_answered(world)
    assert len(await world.heard()) == 2


# Answers that are none.


@pytest.mark.parametrize(
    "wrong",
    [{"reference": "another"}, {"source": "mallory"}],
    ids=["to a question never asked", "of another source"],
)
async def test_an_answer_to_something_else_is_refused_and_the_question_asked_again(
    world: AskingWorld, recipients: Scripted, wrong: dict[str, str]
) -> None:
    async def something_else(command: Envelope) -> Envelope | None:
        return answer_to(command, **wrong)

    recipients.answer = something_else
    async with world.running() as client:
        await ask(client, "a")
        await until(lambda: recipients.times("a") >= 3)
        assert (await world.heard(), await world.letters()) == ([], [])
        recipients.answer = answers
        await all_answered(world)
    assert await world.heard() == [("a", "counter.Counted")]


@pytest.mark.parametrize(
    "garbled",
    [{"type": "counter.Unheard"}, {"version": 7}, {"body": b"{}"}],
    ids=["type", "version", "body"],
)
async def test_an_answer_that_nobody_can_read_is_parked_and_ends_its_call(
    world: AskingWorld, recipients: Scripted, garbled: dict[str, Any]
) -> None:
    async def unreadable(command: Envelope) -> Envelope | None:
        return answer_to(command, **garbled)

    recipients.answer = unreadable
    async with world.running() as client:
        await ask(client, "a")
        await all_answered(world)
    assert recipients.times("a") == 1
    (letter,) = await world.store.dead_letters(0, 10)
    assert letter.message.source == "counter"


async def test_an_unreadable_answer_of_another_source_is_refused_all_the_same(
    world: AskingWorld, recipients: Scripted
) -> None:
    async def forged(command: Envelope) -> Envelope | None:
        return answer_to(command, type="mallory.Unheard", source="mallory")

    recipients.answer = forged
    async with world.running() as client:
        await ask(client, "a")
        await until(lambda: recipients.times("a") >= 3)
        assert await world.letters() == []


# Once, whatever happens.


async def test_two_commands_with_one_answer_are_both_done_and_it_is_handled_once(
    world: AskingWorld, recipients: Scripted
) -> None:
    first: list[Envelope] = []

    async def one_answer(command: Envelope) -> Envelope | None:
        first.append(answer_to(command))
        return first[0]

    recipients.answer = one_answer
    async with world.running() as client:
        await ask(client, "a", 1, 1)
        await all_answered(world)
    assert await world.heard() == [("a", "counter.Counted")]


async def test_what_was_answered_and_not_stored_is_asked_again_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stagepost.engine.runtime.DRAIN_SECONDS", 0.05)
    counting = CountingWorld()
    async with counting.serving() as served:
        asking = AskingWorld(served.recipients)
        asking.lease_seconds = 0.6
        keeps = asking.store.append
        lost: list[Batch] = []

        async def loses_answers(batch: Batch) -> Appended:
            if any(commit.call is not None for commit in batch.commits):
                lost.append(batch)
                raise StoreUnavailable("the power goes just now")
            appended: Appended = await keeps(batch)
            return appended

        asking.store.append = loses_answers
        async with asking.running() as client:
            await ask(client, "a", 2)
            await until(lambda: lost)
        assert await asking.open_calls() == 1

        asking.store.append = keeps
        async with asking.running("client-2"):
            await all_answered(asking)
        assert await counting.total(served.instance, "a") == 2
    assert await counting.sent("counter.Counted") == 1
    assert await asking.heard() == [("a", "counter.Counted")]


async def test_what_was_asked_and_cut_off_is_asked_again_by_the_next_who_leads(
    world: AskingWorld, recipients: Scripted
) -> None:
    async def never(command: Envelope) -> Envelope | None:
        await asyncio.Event().wait()
        return None

    recipients.answer = never
    async with world.running() as client:
        await ask(client, "a")
        await until(lambda: recipients.brought)
    recipients.answer = answers
    async with world.running("client-2"):
        await all_answered(world)
    assert recipients.times("a") == 2
    assert await world.heard() == [("a", "counter.Counted")]
