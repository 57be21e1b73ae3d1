"""Commands over HTTP beside calls to the world, and beside each other: nobody holds up another."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from stagepost import Call, CallAnswer, Decision, Load
from stagepost.engine import caller
from stagepost.engine.calls_memory import MemoryCalls, Reply
from stagepost.engine.envelope import Envelope
from stagepost.errors import GivenUp
from tests.engine.counter import (
    until_awaited,
)
from tests.engine.posting import (
    CLIENT,
    LONG,
    AskingWorld,
    AskToCount,
    Scripted,
    all_answered,
    answer_to,
    answers,
    ask,
    ask_to_count,
)


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "FIRST_RETRY", 0.02)
    monkeypatch.setattr(caller, "LAST_LOOK", 0.1)


@pytest.fixture
def recipients() -> Scripted:
    return Scripted(answers)


@pytest.fixture
def world(recipients: Scripted) -> AskingWorld:
    """A client whose recipients do as they are told."""
    return AskingWorld(recipients)


class CallBack(Call):
    KEY, OWNER, LANE, SUPERSEDES, TO, PATH = "name", "client", "thing", True, "world", "/"
    name: str
    thing: str


class CalledBack(CallAnswer):
    OWNER = "client"
    call: CallBack


CallBack.ANSWER = CalledBack


def count_and_call_back(request: AskToCount, load: Load) -> Decision:
    back = CallBack(name=request.name, thing=f"counter/{request.name}")
    return Decision(sends=(*ask_to_count(request, load).sends, back))


async def answered(world: AskingWorld, key: str) -> bool:
    return (key, "counter.Counted") in await world.heard()


async def test_who_never_answers_keeps_nobody_else_waiting(
    world: AskingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "MAX_CALLS", 3)
    called_back: list[str] = []

    async def hangs(_body: bytes, key: str) -> Reply:
        called_back.append(key)
        await asyncio.sleep(LONG)
        return Reply(b"{}")

    world.calls = MemoryCalls({("world", "/"): hangs}, LONG)
    handlers = {**CLIENT.handlers, AskToCount: count_and_call_back}
    world.service = replace(CLIENT, handlers=handlers, calls=("world",))
    async with world.running() as client:
        for name in "abcdefgh":
            await ask(client, name)

        async def all_counted() -> bool:
            return {key for key, _ in await world.heard()} == set("abcdefgh")

        await until_awaited(all_counted)
        assert len(called_back) == 3


async def test_what_its_recipient_has_given_up_is_brought_no_more_and_the_journal_says_why(
    world: AskingWorld, recipients: Scripted
) -> None:
    async def first_is_given_up(command: Envelope) -> Envelope | None:
        if b'"by":1' in command.body:
            raise GivenUp("discarded: nobody wants it")
        return answer_to(command)

    recipients.answer = first_is_given_up
    async with world.running() as client:
        await ask(client, "a", 1, 2)
        await all_answered(world)
    assert await world.heard() == [("a", "counter.Counted")]
    assert recipients.times("a") == 2
    (noted,) = [e for e in await world.store.journal("a", 0, 100) if e.outcome == "refused"]
    assert (noted.peer, noted.type, noted.causation) == (
        "counter",
        "counter.Count",
        recipients.brought[0].id,
    )
    assert noted.detail == "discarded: nobody wants it"
    assert await world.letters() == []


async def test_a_call_that_makes_those_before_it_void_takes_no_command_with_it(
    world: AskingWorld,
) -> None:
    """However its lane is called: this one as a recipient and a key."""
    handlers = {**CLIENT.handlers, AskToCount: count_and_call_back}
    world.service = replace(CLIENT, handlers=handlers, calls=("world",))
    async with world.running() as client:
        await ask(client, "a")
        await until_awaited(lambda: answered(world, "a"))
