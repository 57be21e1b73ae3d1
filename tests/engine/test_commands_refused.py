"""Commands over HTTP that cannot be handled, or are refused: what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import httpx
import pytest

from stagepost import Decision, Load
from stagepost.engine.recipients_http import HttpRecipients
from stagepost.engine.transports.http_envelope import write_binary
from stagepost.engine.web.peers import Peers
from stagepost.errors import CallFailed, GivenUp
from stagepost.messages import Command, Message, encode
from tests.engine.counter import (
    COUNTER,
    POISON,
    Count,
    Counted,
    count,
    until_awaited,
)
from tests.engine.posting import (
    LONG,
    CountingWorld,
    Served,
    asked_until_known,
    total_of,
)
from tests.engine.shop import problem_of

pytestmark = pytest.mark.usefixtures("in_no_time")


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> CountingWorld:
    return cast("CountingWorld", request.getfixturevalue(f"counting_in_{request.param}"))


@pytest.fixture
def in_memory(counting_in_memory: CountingWorld) -> CountingWorld:
    return counting_in_memory


def declared(message: type[Message]) -> Peers:
    """Let the client pass the door with it: who decides does not rely on the door."""
    return Peers(sends={"client": frozenset({message.TYPE})})


# What cannot be handled.


@pytest.mark.parametrize(
    ("garbled", "reason"),
    [
        ({"version": 9}, "version 9"),
        ({"body": b'{"name": 1}'}, "counter.Count"),
    ],
)
async def test_what_nobody_knows_is_parked_and_202(
    world: CountingWorld, garbled: dict[str, object], reason: str
) -> None:
    async with world.serving() as served:
        command = world.next_command("a", 1, **garbled)
        assert await served.recipients.ask(command) is None
        assert await served.recipients.ask(command) is None
    (letter,) = await world.store.dead_letters(0, 10)
    assert letter.state == "parked"
    assert letter.message == command
    assert reason in letter.reason


@pytest.mark.parametrize(
    ("undeclared", "said"),
    [
        ({"type": "counter.Divide"}, "client does not declare that it sends counter.Divide here"),
        ({"source": "mallory"}, "mallory does not declare that it sends counter.Count here"),
    ],
)
async def test_what_its_sender_has_not_declared_is_refused_and_leaves_nothing(
    world: CountingWorld, undeclared: dict[str, str], said: str
) -> None:
    async with world.serving() as served:
        with pytest.raises(CallFailed, match=f"answered with 403: .*{said}"):
            await served.recipients.ask(world.next_command("a", 1, **undeclared))
    assert await world.heard("command") == []
    assert await world.store.dead_letters(0, 10) == []


async def test_what_was_parked_is_answered_once_it_is_redriven(world: CountingWorld) -> None:
    def knows_no_poison(command: Count, load: Load) -> Decision:
        return count(command.model_copy(update={"by": 5}), load)

    command, next_one = world.next_command("a", POISON), world.next_command("a", 1)
    async with world.serving() as served:
        assert await served.recipients.ask(command) is None
        assert await served.recipients.ask(next_one) is None
    letters = await world.store.dead_letters(0, 10)
    assert [letter.state for letter in letters] == ["parked", "waiting"]

    world.service = replace(COUNTER, handlers={**COUNTER.handlers, Count: knows_no_poison})
    async with world.serving() as served:
        await world.store.redrive([letters[0].id])
        assert total_of(await asked_until_known(served, command)) == 5
        assert total_of(await asked_until_known(served, next_one)) == 10
        assert await world.total(served.instance, "a") == 10
    assert await world.store.dead_letters(0, 10) == []


async def test_a_command_in_the_name_of_another_caller_is_a_dead_letter(
    world: CountingWorld,
) -> None:
    async with world.serving() as served:
        forged = world.next_command("a", 1, source="stranger")
        assert await served.recipients.ask(forged) is None
        assert await world.total(served.instance, "a") == 0
    (letter,) = await world.store.dead_letters(0, 10)
    assert "stranger" in letter.reason


async def test_a_discarded_command_that_is_brought_again_is_410_and_holds_up_nobody(
    world: CountingWorld,
) -> None:
    async with world.serving() as served:
        poison = world.next_command("a", POISON)
        assert await served.recipients.ask(poison) is None
        (letter,) = await world.store.dead_letters(0, 10)
        await world.store.discard([letter.id], "nobody wants it")
        await until_awaited(lambda: _is_free(served))

        with pytest.raises(GivenUp, match="discarded: nobody wants it"):
            await served.recipients.ask(poison)
        assert total_of(await served.recipients.ask(world.next_command("a", 1))) == 1
    assert await world.store.dead_letters(0, 10) == []


async def _is_free(served: Served) -> bool:
    return not served.instance.desk.parked


async def test_an_event_that_calls_itself_a_command_is_a_dead_letter(
    world: CountingWorld,
) -> None:
    class Happened(Message):
        KIND, KEY, OWNER = Counted.KIND, "name", "client"
        name: str

    heard: list[Message] = []

    def note(message: Message, _: Load) -> Decision:
        heard.append(message)
        return Decision()

    world.service = replace(COUNTER, handlers={**COUNTER.handlers, Happened: note})
    world.peers = declared(Happened)
    async with world.serving() as served:
        body = encode(Happened(name="a"))
        disguised = world.next_command("a", 1, type=Happened.TYPE, body=body)
        assert await served.recipients.ask(disguised) is None
    assert heard == []
    (letter,) = await world.store.dead_letters(0, 10)
    assert "command" in letter.reason


async def test_a_command_that_another_service_owns_is_a_dead_letter(world: CountingWorld) -> None:
    class Elsewhere(Command):
        OWNER, KEY = "stranger", "reference"

    world.peers = declared(Elsewhere)
    async with world.serving() as served:
        body = encode(Elsewhere(caller="client", reference="a"))
        strays = world.next_command("a", 1, type=Elsewhere.TYPE, body=body)
        assert await served.recipients.ask(strays) is None
    (letter,) = await world.store.dead_letters(0, 10)
    assert "stranger.Elsewhere" in letter.reason


async def test_a_command_that_nobody_here_handles_is_a_dead_letter(world: CountingWorld) -> None:
    """It would wait for its answer for ever, and nobody would see it."""
    handlers = {m: how for m, how in COUNTER.handlers.items() if m is not Count}
    world.service = replace(COUNTER, handlers=handlers)
    async with world.serving() as served:
        assert await served.recipients.ask(world.next_command("a", 1)) is None
    (letter,) = await world.store.dead_letters(0, 10)
    assert "counter.Count came as a command" in letter.reason


# What is refused, and changes nothing.


async def test_a_command_for_another_service_is_421(in_memory: CountingWorld) -> None:
    async with in_memory.serving() as served:
        strays = in_memory.next_command("a", 1, recipient="payments")
        recipients = HttpRecipients({"payments": served.url}, LONG, {})
        with pytest.raises(CallFailed, match=r"421.*this is counter.*to payments"):
            await recipients.ask(strays)
        await recipients.close()
    assert await in_memory.heard("command") == []


async def test_an_event_is_421(in_memory: CountingWorld) -> None:
    event = in_memory.next_command("a", 1, kind="event", recipient=None)
    async with in_memory.serving() as served, httpx.AsyncClient() as client:
        said = await client.post(
            f"{served.url}/commands", content=event.body, headers=write_binary(event)
        )
    assert problem_of(said)["status"] == 421
    assert await in_memory.heard("command", "event") == []


GARBAGE = {
    "no headers": dict.fromkeys(
        ("ce-id", "ce-type", "ce-source", "ce-kind", "ce-specversion", "content-type"), None
    ),
    "no id": {"ce-id": None},
    "an id that is none": {"ce-id": "eleven"},
    "another CloudEvents": {"ce-specversion": "0.3"},
    "a position that no outbox has": {"ce-position": "-1"},
    "a position without end": {"ce-position": "9" * 30},
    "a version in words": {"ce-version": "two"},
    "no recipient": {"ce-recipient": None},
    "a timer": {"ce-kind": "timer"},
    "a body that is no JSON by its type": {"content-type": "text/plain"},
    "a key of no text": {"ce-subject": "%ff"},
    "a key that nobody stores": {"ce-subject": "a%00"},
    "a time that never was": {"ce-time": "yesterday"},
}


@pytest.mark.parametrize("named", GARBAGE)
async def test_garbled_headers_are_400_and_say_so(in_memory: CountingWorld, named: str) -> None:
    command = in_memory.next_command("a", 1)
    headers = {k: v for k, v in {**write_binary(command), **GARBAGE[named]}.items() if v}
    async with in_memory.serving() as served, httpx.AsyncClient() as client:
        said = await client.post(f"{served.url}/commands", content=command.body, headers=headers)
    problem = problem_of(said)
    assert problem["status"] == 400
    assert problem["errors"][0]["detail"].startswith("not one of our messages: ")
    assert await in_memory.heard("command") == []


async def test_a_body_that_is_too_large_is_413(in_memory: CountingWorld) -> None:
    command = in_memory.next_command("a", 1, body=b" " * (1024 * 1024 + 1))
    async with in_memory.serving() as served, httpx.AsyncClient() as client:
        said = await client.post(
            f"{served.url}/commands", content=command.body, headers=write_binary(command)
        )
    assert problem_of(said)["status"] == 413
    assert await in_memory.heard("command") == []


async def test_the_largest_command_that_a_service_sends_is_taken(in_memory: CountingWorld) -> None:
    plain = in_memory.next_command("a", 1)
    large = replace(plain, body=plain.body + b" " * (900_000 - len(plain.body)))
    async with in_memory.serving() as served:
        assert total_of(await served.recipients.ask(large)) == 1


async def test_with_no_room_on_the_desk_it_is_503_and_nothing_is_kept(
    in_memory: CountingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.desk.MAX_WAITING", 0)
    async with in_memory.serving() as served:
        with pytest.raises(CallFailed, match="503"):
            await served.recipients.ask(in_memory.next_command("a", 1))
    assert await in_memory.heard("command") == []
