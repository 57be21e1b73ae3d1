"""Messages that cannot be handled: they are kept with their key, and handled after all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent

from stagepost import Decision, Load, stream_id
from stagepost.engine import redriver
from stagepost.engine.batch import Appended, Batch, Commit
from stagepost.engine.envelope import Envelope
from stagepost.engine.store import DeadLetter
from stagepost.errors import OutcomeUnknown, UnreadableStream
from tests.engine.counter import (
    COUNTER,
    POISON,
    Count,
    Counted,
    Counter,
    CountNow,
    Watched,
    World,
    count,
    until,
    until_awaited,
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("stagepost.engine.redriver.LOOK_AGAIN", 0.01)
    return World()


async def test_poison_parks_its_key_and_nothing_else(world: World) -> None:
    async with world.running() as counter:
        sent = [
            await world.command("a", 1),
            await world.command("a", POISON),
            await world.command("a", 1),
            await world.command("b", 1),
        ]
        outcomes = await world.until_handled(*sent)
        assert [outcomes[m.id] for m in sent] == ["handled", "parked", "parked", "handled"]
        assert await world.total(counter, "a") == 1
        assert await world.total(counter, "b") == 1
    letters = await world.store.dead_letters(0, 10)
    assert [(letter.state, letter.message.id) for letter in letters] == [
        ("parked", sent[1].id),
        ("waiting", sent[2].id),
    ]
    assert "breaks me" in letters[0].reason


async def test_a_discarded_poison_lets_what_waits_behind_it_go_on_in_order(
    world: World,
) -> None:
    async with world.running() as counter:
        sent = [await world.command("a", by) for by in (POISON, 1, 2)]
        await world.until_handled(*sent)
        letters = await world.store.dead_letters(0, 10)

        await world.store.discard([letters[0].id], "it cannot be helped")

        await until(lambda: not counter.desk.parked)
        assert await world.total(counter, "a") == 3
        later = await world.command("a", 1)
        assert await world.until_handled(later) == {later.id: "handled"}


class Fragile(World):
    """A counter that cannot count ones until it is mended."""

    def __init__(self) -> None:
        super().__init__(replace(COUNTER, handlers={**COUNTER.handlers, Count: self.count}))
        self.mended = False

    def count(self, command: Count, load: Load) -> Decision:
        if command.by == 1 and not self.mended:
            raise RuntimeError("cannot count ones")
        return count(command, load)

    async def letters(self) -> list[DeadLetter]:
        letters: list[DeadLetter] = await self.store.dead_letters(0, 10)
        return letters

    async def totals(self) -> list[int]:
        """What the counter answered, in order."""
        sent: list[Envelope] = await self.store.outbox(0, 100)
        return [Counted.model_validate_json(message.body).total for message in sent]


async def test_a_redriven_message_is_handled_after_all_before_those_behind_it(
    world: World,
) -> None:
    fragile = Fragile()
    async with fragile.running() as counter:
        sent = [await fragile.command("a", by) for by in (1, 10, 100)]
        await fragile.until_handled(*sent)
        fragile.mended = True

        await fragile.store.redrive([(await fragile.letters())[0].id])

        await until(lambda: not counter.desk.parked)
        outcomes = await fragile.until_handled(*sent)
        assert [outcomes[message.id] for message in sent] == ["handled"] * 3
    assert await fragile.totals() == [1, 11, 111]
    assert await fragile.letters() == []


async def test_a_redriven_message_that_fails_again_is_parked_again(world: World) -> None:
    fragile = Fragile()
    async with fragile.running() as counter:
        sent = [await fragile.command("a", by) for by in (1, 10)]
        await fragile.until_handled(*sent)
        [first, _] = await fragile.letters()

        await fragile.store.redrive([first.id])

        async def tried_again() -> bool:
            return (await fragile.letters())[0].attempts == 2

        await until_awaited(tried_again)
        assert [letter.state for letter in await fragile.letters()] == ["parked", "waiting"]
        assert counter.desk.parked == {"a"}
    assert await fragile.totals() == []


async def test_what_waits_behind_a_letter_is_not_handled_with_it_where_it_fails_itself(
    world: World,
) -> None:
    fragile = Fragile()
    async with fragile.running():
        sent = [await fragile.command("a", by) for by in (1, POISON, 10)]
        await fragile.until_handled(*sent)
        fragile.mended = True

        await fragile.store.redrive([(await fragile.letters())[0].id])

        async def is_parked() -> bool:
            return (await fragile.letters())[0].state == "parked" and (await fragile.letters())[
                0
            ].message.id == sent[1].id

        await until_awaited(is_parked)
        assert [letter.state for letter in await fragile.letters()] == ["parked", "waiting"]
    assert await fragile.totals() == [1]


class SlowToSay(Watched):
    """A store that takes its time to say which keys are parked, while something goes on."""

    def __init__(self, world: World) -> None:
        super().__init__("counter")
        self._world = world
        self.sent: list[Envelope] = []
        self.has_said = False

    async def parked_keys(self) -> set[str]:
        keys = await super().parked_keys()
        if keys and not self.sent:
            self.sent.append(await self._world.command("b", POISON))
            for _ in range(50):
                await asyncio.sleep(0)
            redriver.LOOK_AGAIN = 60  # nobody looks again and finds out
            self.has_said = True
        return keys


async def test_a_key_that_is_parked_while_the_redriver_looks_stays_parked(world: World) -> None:
    world.store = SlowToSay(world)
    async with world.running():
        await world.until_handled(await world.command("a", POISON))
        await until(lambda: world.store.has_said)
        await world.until_handled(*world.store.sent)

        later = await world.command("b", 1)

        assert await world.until_handled(later) == {later.id: "parked"}


class CutAfterParking(Watched):
    """A store whose connection breaks once, after it parked something and before it said so."""

    is_cut = False

    async def append(self, batch: Batch) -> Appended:
        appended = await super().append(batch)
        if not self.is_cut and any(commit.parks for commit in batch.commits):
            self.is_cut = True
            raise OutcomeUnknown("cut")
        return appended


async def test_a_key_stays_parked_where_nobody_told_us_that_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def looks_too_late(_redriver: redriver.Redriver, _wake: asyncio.Event) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(redriver.Redriver, "run", looks_too_late)
    world.store = CutAfterParking("counter")
    async with world.running():
        await world.until_handled(await world.command("a", POISON))

        later = await world.command("a", 1)

        assert await world.until_handled(later) == {later.id: "parked"}
    assert world.store.is_cut


async def break_stream(world: World, name: str) -> None:
    """Let a newer release have stored an event that this one does not know."""
    cause = Envelope(uuid4(), "x.Y", 1, "request", "counter", name, uuid4(), None, b"{}")
    event = StoredEvent(stream_id(Counter.stream(name)), 1, "test.Counter.FromTheFuture", b"{}")
    await world.store.append(Batch([Commit(cause, events=[event])]))


async def test_an_event_that_cannot_be_read_parks_only_the_messages_of_its_stream(
    world: World,
) -> None:
    await break_stream(world, "a")
    sent = [await world.command(name, 1) for name in ("b", "a", "c")]
    async with world.running():
        outcomes = await world.until_handled(*sent)
    assert [outcomes[message.id] for message in sent] == ["handled", "parked", "handled"]
    [letter] = await world.store.dead_letters(0, 10)
    assert "FromTheFuture" in letter.reason


async def test_an_event_that_cannot_be_read_fails_only_the_requests_of_its_stream(
    world: World,
) -> None:
    await break_stream(world, "a")
    async with world.running() as counter:
        results = await asyncio.gather(
            *(counter.desk.request(CountNow(name=name, by=1)) for name in ("b", "a", "c")),
            return_exceptions=True,
        )
    assert isinstance(results[1], UnreadableStream)
    assert [r.total for r in (results[0], results[2])] == [1, 1]


class Picky(Watched):
    """A store that cannot store what happened to one key, as with text that no table takes."""

    async def append(self, batch: Batch) -> Appended:
        if any(commit.cause.key == "b" and not commit.parks for commit in batch.commits):
            raise ValueError("no table takes this")
        return await super().append(batch)


async def test_what_the_store_refuses_is_parked_and_the_rest_of_its_batch_kept(
    world: World,
) -> None:
    world.store = Picky("counter")
    sent = [await world.command(name, 1) for name in ("a", "b", "a", "b", "c")]
    async with world.running() as counter:
        outcomes = await world.until_handled(*sent)
        assert [outcomes[message.id] for message in sent] == [
            "handled", "parked", "handled", "parked", "handled",
        ]  # fmt: skip
        assert await world.total(counter, "a") == 2
    letters = await world.store.dead_letters(0, 10)
    assert [(letter.state, letter.message.id) for letter in letters] == [
        ("parked", sent[1].id),
        ("waiting", sent[3].id),
    ]
    assert letters[0].reason == "cannot be stored: no table takes this"


async def test_a_request_that_the_store_refuses_fails_alone(world: World) -> None:
    world.store = Picky("counter")
    async with world.running() as counter:
        results = await asyncio.gather(
            *(counter.desk.request(CountNow(name=name, by=1)) for name in ("a", "b", "c")),
            return_exceptions=True,
        )
    assert isinstance(results[1], ValueError)
    assert [r.total for r in (results[0], results[2])] == [1, 1]
