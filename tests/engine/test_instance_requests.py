"""What is asked over HTTP: one answer, stored or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from stagepost import Decision, Load
from stagepost.engine.batch import Appended, Batch, Outcome
from stagepost.engine.clock import SystemClock
from stagepost.engine.desk import MAX_BATCH
from stagepost.engine.store import Stream
from stagepost.engine.store_memory import MemoryStore
from stagepost.errors import (
    Conflict,
    LoadBeforeChange,
    NotDeclared,
    OutcomeUnknown,
    StoreUnavailable,
    Unprocessable,
)
from tests.engine.counter import (
    COUNTER,
    POISON,
    Count,
    Counted,
    Counter,
    CountNow,
    Total,
    Watched,
    World,
    count,
    count_now,
    grow,
)


@pytest.fixture
def world() -> World:
    return World()


async def test_requests_share_transactions_and_see_each_other(world: World) -> None:
    async with world.running() as counter:
        answers = await asyncio.gather(
            *(counter.desk.request(CountNow(name="a", by=1)) for _ in range(100))
        )
        assert sorted(answer.total for answer in answers) == list(range(1, 101))
        assert await world.total(counter, "a") == 100


async def test_a_refused_request_leaves_nothing(world: World) -> None:
    async with world.running() as counter:
        with pytest.raises(Conflict):
            await counter.desk.request(CountNow(name="a", by=-1))
    assert await world.store.journal(None, 0, 10) == []


async def test_a_request_that_breaks_does_not_harm_its_batch(world: World) -> None:
    async with world.running() as counter:
        results = await asyncio.gather(
            *(counter.desk.request(CountNow(name="a", by=by)) for by in (1, POISON, 1)),
            return_exceptions=True,
        )
        assert isinstance(results[1], RuntimeError)
        assert await world.total(counter, "a") == 2


async def test_one_key_gets_one_answer_whoever_asks_at_once(world: World) -> None:
    async with world.running() as counter:

        async def ask() -> Any:
            return await counter.desk.request(CountNow(name="a", by=5), "key", b"print")

        answers = await asyncio.gather(*(ask() for _ in range(5)), ask())
        assert await world.total(counter, "a") == 5
        assert {a if isinstance(a, bytes) else a.model_dump_json().encode() for a in answers} == {
            b'{"total":5}'
        }
        with pytest.raises(Unprocessable):
            await counter.desk.request(CountNow(name="a", by=6), "key", b"another print")


class Ambiguous(MemoryStore):
    """A store whose connection is cut, once in the middle of an append and once before."""

    def __init__(self) -> None:
        super().__init__("counter", SystemClock())
        self.cuts = [OutcomeUnknown("cut"), StoreUnavailable("gone")]

    async def append(self, batch: Batch) -> Appended:
        if batch.commits and self.cuts:
            error = self.cuts.pop()
            if isinstance(error, OutcomeUnknown):
                await super().append(batch)
            raise error
        return await super().append(batch)


async def test_what_may_have_been_stored_is_stored_once(world: World) -> None:
    world.store = Ambiguous()
    async with world.running() as counter:
        sent = await world.command("a", 2)
        answer = await counter.desk.request(CountNow(name="b", by=1), "key", b"print")
        await world.until_handled(sent)
        assert await world.total(counter, "a") == 2
        assert await world.total(counter, "b") == 1
        assert b'"total":1' in (
            answer if isinstance(answer, bytes) else answer.model_dump_json().encode()
        )
    assert await world.answers() == [Counted.TYPE]


def take(request: CountNow, load: Load) -> Decision:
    """Count, but never below nothing."""
    counter = load.one(Counter, Counter.stream(request.name)) or Counter(request.name)
    if counter.total + request.by < 0:
        raise Conflict("there is less than that")
    counter.grow(request.by)
    return Decision((counter,), answer=Total(total=counter.total))


async def test_a_request_is_not_refused_on_the_ground_of_what_was_true_before() -> None:
    world = World(replace(COUNTER, handlers={CountNow: take}))
    async with world.running("counter-1") as first, world.running("counter-2") as second:
        await second.desk.request(CountNow(name="a", by=1))
        await first.desk.request(CountNow(name="a", by=5))

        answer = await second.desk.request(CountNow(name="a", by=-4))

        assert answer.total == 2
        with pytest.raises(Conflict):
            await second.desk.request(CountNow(name="a", by=-3))


class Held(Watched):
    """A store whose appends wait until they are let go; before that the power can be cut."""

    def __init__(self) -> None:
        super().__init__("counter")
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def append(self, batch: Batch) -> Appended:
        if batch.commits:
            self.reached.set()
            await self.go_on.wait()
        return await super().append(batch)


def take_once(request: CountNow, load: Load) -> Decision:
    """Count a name once: whoever asks again hears what there is, or that it is another number."""
    counter = load.one(Counter, Counter.stream(request.name))
    if counter is None:
        return count_now(request, load)
    if counter.total != request.by:
        raise Conflict("it was counted by another number")
    return Decision(answer=Total(total=counter.total))


async def test_nobody_is_told_what_is_not_stored_yet() -> None:
    world = World(replace(COUNTER, handlers={CountNow: take_once}))
    world.store = store = Held()
    async with world.running() as counter:
        asked = [
            asyncio.create_task(counter.desk.request(CountNow(name="a", by=by))) for by in (1, 1, 2)
        ]
        await store.reached.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not any(task.done() for task in asked)

        store.go_on.set()
        first, again, other = await asyncio.gather(*asked, return_exceptions=True)

    assert first == again == Total(total=1)
    assert isinstance(other, Conflict)


class Picky(Watched):
    """A store that cannot store one name."""

    async def append(self, batch: Batch) -> Appended:
        if any(commit.cause.key == "bad" for commit in batch.commits):
            raise ValueError("it does not fit the table")
        return await super().append(batch)


async def test_what_was_decided_behind_a_refused_commit_is_stored_and_not_only_remembered() -> None:
    world = World(replace(COUNTER, handlers={CountNow: take_once}))
    world.store = Picky("counter")
    async with world.running() as counter:
        bad, good = await asyncio.gather(
            *(counter.desk.request(CountNow(name=name, by=1)) for name in ("bad", "good")),
            return_exceptions=True,
        )
        assert isinstance(bad, ValueError)
        assert good == Total(total=1)
        assert await world.total(counter, "good") == 1


def add(request: CountNow, load: Load) -> Decision:
    """Count on, where somebody has begun."""
    counter = load.one(Counter, Counter.stream(request.name))
    if counter is None and request.by > 1:
        raise Conflict("nobody has begun")
    return count_now(request, load)


async def test_what_was_not_there_for_a_refused_request_may_be_there_for_the_next() -> None:
    world = World(replace(COUNTER, handlers={CountNow: add}))
    async with world.running("counter-1") as first, world.running("counter-2") as second:
        with pytest.raises(Conflict):
            await first.desk.request(CountNow(name="a", by=2))
        await second.desk.request(CountNow(name="a", by=1))

        answer = await first.desk.request(CountNow(name="a", by=2))

    assert answer.total == 3


def change_then_load(request: CountNow, load: Load) -> Decision:
    counter = grow(request.name, request.by, load)
    load.one(Counter, Counter.stream("another"))
    return Decision((counter,))


async def test_a_handler_that_changes_before_it_has_loaded_all_changes_nothing() -> None:
    handlers = {CountNow: change_then_load, Count: count}
    world = World(replace(COUNTER, handlers=handlers))
    async with world.running() as counter:
        sent = await world.command("a", 1)
        await world.until_handled(sent)
        with pytest.raises(LoadBeforeChange):
            await counter.desk.request(CountNow(name="a", by=5))

        await world.until_handled(await world.command("a", 1))

        assert await world.total(counter, "a") == 2


async def test_a_handler_that_sends_what_its_service_does_not_declare_is_found() -> None:
    def tell(request: CountNow, load: Load) -> Decision:
        return Decision(sends=(Counted(caller="x", reference="a", name="a", total=1),))

    world = World(replace(COUNTER, handlers={CountNow: tell}, sends=()))
    async with world.running() as counter:
        with pytest.raises(NotDeclared, match=r"counter\.Counted"):
            await counter.desk.request(CountNow(name="a", by=5))
    assert await world.answers() == []


async def test_whoever_asks_does_not_wait_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.desk.REQUEST_SECONDS", 0.01)
    idle = world.instance()
    with pytest.raises(OutcomeUnknown, match="same Idempotency-Key"):
        await idle.desk.request(CountNow(name="a", by=1))
    with pytest.raises(OutcomeUnknown, match=r"counter\.Count .*under the same id"):
        await idle.desk.take_in(world.next_command("a", 1))


class Slow(Watched):
    """A store whose transactions take a while."""

    async def append(self, batch: Batch) -> Appended:
        for _ in range(5):
            await asyncio.sleep(0)
        return await super().append(batch)


async def test_what_was_asked_before_an_instance_stops_is_stored(world: World) -> None:
    world.store = Slow("counter")
    async with world.running() as counter:
        asked = [
            asyncio.create_task(counter.desk.request(CountNow(name="a", by=1)))
            for _ in range(2 * MAX_BATCH + 1)
        ]
        await asyncio.sleep(0)
    done, _ = await asyncio.wait(asked, timeout=1)
    assert sorted(task.result().total for task in done) == list(range(1, 2 * MAX_BATCH + 2))


def grow_all(request: CountNow, load: Load) -> Decision:
    """Count the same on one counter of its own, and on one that all share."""
    load.one(Counter, Counter.stream(request.name))
    shared, own = grow("all", request.by, load), grow(request.name, request.by, load)
    return Decision((shared, own), answer=Total(total=shared.total))


class Strict(Watched):
    """A store that counts how often streams were asked for, and remembers what it did not keep."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.loads = 0
        self.not_kept: list[Outcome] = []

    async def load(
        self, streams: Collection[UUID], *, from_start: bool = False
    ) -> dict[UUID, Stream]:
        self.loads += 1
        return await super().load(streams, from_start=from_start)

    async def append(self, batch: Batch) -> Appended:
        appended = await super().append(batch)
        self.not_kept.extend(o for o in appended.outcomes if o is not Outcome.KEPT)
        return appended


async def test_a_batch_is_decided_in_its_order_whatever_is_in_memory() -> None:
    world = World(replace(COUNTER, handlers={CountNow: grow_all}))
    world.store = store = Strict("counter")
    async with world.running() as counter:
        async with asyncio.timeout(5):
            while counter.desk._lease is None:  # then it begins with nothing in memory
                await asyncio.sleep(0.001)
        await counter.desk.request(CountNow(name="warm", by=1))
        store.loads = 0

        names = ("cold", "warm", "icy", "warm")
        totals = await asyncio.gather(
            *(counter.desk.request(CountNow(name=name, by=1)) for name in names)
        )

    assert [total.total for total in totals] == [2, 3, 4, 5]
    assert store.loads == 1
    assert store.not_kept == []


async def test_all_who_ask_for_the_same_at_once_are_granted_it_once() -> None:
    world = World(replace(COUNTER, handlers={CountNow: take_once}))
    async with world.running() as counter:
        asked = (counter.desk.request(CountNow(name="a", by=1)) for _ in range(5))
        assert {answer.total for answer in await asyncio.gather(*asked)} == {1}
        assert await world.total(counter, "a") == 1
