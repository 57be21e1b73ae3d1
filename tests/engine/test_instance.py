"""One service on memory ports: what is promised of a message, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel

from stagepost import (
    Aggregate,
    Answer,
    Call,
    CallAnswer,
    Command,
    Decision,
    DomainEvent,
    FirstEvent,
    Load,
    Process,
    Reaction,
    Refusal,
    Request,
    State,
    Timer,
    event,
    ignore,
    move,
    stream_id,
)
from stagepost.engine.calls_memory import MemoryCalls, Reply
from stagepost.engine.clock import SystemClock
from stagepost.engine.decide import Decider, Loaded
from stagepost.engine.ids import SeededIds
from stagepost.engine.runtime import Instance
from stagepost.engine.service import Service
from stagepost.engine.store import Appended, Batch, Envelope, Handled, Lease
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.tables_memory import MemoryTables
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transports.memory import MemoryBroker, MemoryTransport
from stagepost.errors import Conflict, OutcomeUnknown, StoreUnavailable, Unprocessable
from stagepost.messages import encode

# A counter that others command, whose every third step is announced to the outside world.


class Count(Command):
    KEY, OWNER = "name", "counter"
    name: str
    by: int


class Counted(Answer, to=Count):
    KEY, OWNER = "name", "counter"
    name: str
    total: int


class NotCounted(Refusal, to=Count):
    KEY, OWNER = "name", "counter"
    name: str


class Announce(Call):
    OWNER, KEY, TO, PATH = "counter", "name", "world", "/announcements"
    name: str
    total: int


class Announced(CallAnswer):
    OWNER = "counter"
    call: Announce
    heard: bool


Announce.ANSWER = Announced


class CountNow(Request):
    KEY, OWNER = "name", "counter"
    name: str
    by: int


class Total(BaseModel):
    total: int


class Counter(Aggregate):
    TOPIC = "test.Counter"

    class Began(FirstEvent):
        TOPIC = "test.Counter.Began"
        name: str

    class Grew(DomainEvent):
        TOPIC = "test.Counter.Grew"
        by: int

    class Heard(DomainEvent):
        TOPIC = "test.Counter.Heard"

    @staticmethod
    def stream(name: str) -> str:
        return f"counter/{name}"

    @staticmethod
    def create_id(name: str) -> UUID:
        return stream_id(Counter.stream(name))

    @event(Began)
    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0
        self.heard = 0

    @event(Grew)
    def grow(self, by: int) -> None:
        self.total += by

    @event(Heard)
    def note_heard(self) -> None:
        self.heard += 1


POISON = 666


def grow(name: str, by: int, load: Load) -> Counter:
    counter = load.one(Counter, Counter.stream(name)) or Counter(name)
    counter.grow(by)
    if by == POISON:
        raise RuntimeError("this number breaks me")
    return counter


def count(command: Count, load: Load) -> Decision:
    about = {"caller": command.caller, "reference": command.reference, "name": command.name}
    if command.by < 0:
        return Decision(sends=(NotCounted(**about, reason="it only grows"),))
    counter = grow(command.name, command.by, load)
    sends: list[Any] = [Counted(**about, total=counter.total)]
    if counter.total % 3 == 0:
        sends.append(Announce(name=command.name, total=counter.total))
    return Decision((counter,), tuple(sends))


def count_now(request: CountNow, load: Load) -> Decision:
    if request.by < 0:
        raise Conflict("it only grows")
    counter = grow(request.name, request.by, load)
    return Decision((counter,), answer=Total(total=counter.total))


def announced(answer: Announced, load: Load) -> Decision:
    counter = load.one(Counter, Counter.stream(answer.call.name))
    assert counter is not None
    counter.note_heard()
    return Decision((counter,))


COUNTER = Service(
    name="counter",
    about="Counts.",
    port=0,
    sql=Path(),
    handlers={Count: count, CountNow: count_now, Announced: announced},
    sends=(Counted, NotCounted),
    calls=("world",),
)
COUNTER_CLIENT = Service(name="client", about="Asks.", port=0, sql=Path(), sends=(Count,))


class Watched(MemoryStore):
    """A store that notes who was given a lease, and can ignore that it is given back."""

    def __init__(self, service: str) -> None:
        super().__init__(service, SystemClock())
        self.leases: list[Lease | None] = []
        self.keeps_dropped_leases = False

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        lease = await super().take_lease(name, holder, seconds)
        self.leases.append(lease)
        return lease

    async def drop_lease(self, lease: Lease) -> None:
        if not self.keeps_dropped_leases:
            await super().drop_lease(lease)


class World:
    """The counter service, what is around it, and a client that writes commands to the broker."""

    def __init__(self, service: Service = COUNTER) -> None:
        self.service = service
        self.store: Any = Watched(service.name)
        self.broker = MemoryBroker()
        self.announcements: list[tuple[bytes, str]] = []
        self.failures = 0
        self._position = 0

    async def announce(self, body: bytes, key: str) -> Reply:
        self.announcements.append((body, key))
        if self.failures:
            self.failures -= 1
            raise ConnectionResetError
        return Reply(b'{"heard": true}')

    def instance(self, holder: str = "counter-1") -> Instance:
        return Instance(
            self.service,
            {"client": COUNTER_CLIENT},
            holder=holder,
            store=self.store,
            tables=MemoryTables(),
            transport=MemoryTransport(self.broker),
            calls=MemoryCalls({("world", "/announcements"): self.announce}, timeout=1),
            ids=SeededIds(7),
            metrics=Metrics(self.service.name),
            delays={},
            lease_seconds=0.6,
        )

    @asynccontextmanager
    async def running(self, holder: str = "counter-1") -> AsyncIterator[Instance]:
        instance = self.instance(holder)
        task = asyncio.create_task(instance.run())
        yield instance
        task.cancel()
        await asyncio.wait([task])

    async def command(self, name: str, by: int, **more: Any) -> Envelope:
        """Let the client send one command, as its relay would."""
        self._position += 1
        message = Count(caller="client", reference=name, name=name, by=by)
        sent = Envelope(
            id=uuid4(),
            type=message.TYPE,
            version=1,
            kind="command",
            source="client",
            key=name,
            correlation=uuid4(),
            causation=uuid4(),
            body=encode(message),
            recipient="counter",
            incarnation=1,
            position=self._position,
        )
        sent = replace(sent, **more)
        await self.put(sent)
        return sent

    async def put(self, *messages: Envelope) -> None:
        publisher = await MemoryTransport(self.broker).publisher("client")
        await publisher.tail()
        await publisher.publish(messages)

    async def until_handled(self, *sent: Envelope) -> dict[UUID, str]:
        """Wait until these are in the inbox; return the outcomes."""
        wanted = {message.id for message in sent}
        async with asyncio.timeout(5):
            while True:
                seen = {
                    e.id: e.outcome
                    for e in await self.store.journal(None, 0, 10_000)
                    if e.direction == "in"
                }
                if wanted <= seen.keys():
                    return {name: str(seen[name]) for name in wanted}
                await asyncio.sleep(0)

    async def total(self, instance: Instance, name: str) -> int:
        counter = await instance.desk.find(Counter, Counter.stream(name))
        return counter.total if counter else 0

    async def answers(self) -> list[str]:
        return [message.type for message in await self.store.outbox(0, 1000)]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_command_is_carried_out_and_answered_through_the_broker(world: World) -> None:
    async with world.running() as counter:
        sent = await world.command("a", 2)
        assert await world.until_handled(sent) == {sent.id: "handled"}
        assert await world.total(counter, "a") == 2

        async with asyncio.timeout(5):
            while not world.broker.streams.get("counter"):
                await asyncio.sleep(0)
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
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.redriver.LOOK_AGAIN", 0.01)
    async with world.running() as counter:
        sent = [await world.command("a", by) for by in (POISON, 1, 2)]
        await world.until_handled(*sent)
        letters = await world.store.dead_letters(0, 10)

        await world.store.discard([letters[0].id], "it cannot be helped")

        async with asyncio.timeout(5):
            while counter.desk.parked:
                await asyncio.sleep(0)
        assert await world.total(counter, "a") == 3
        later = await world.command("a", 1)
        assert await world.until_handled(later) == {later.id: "handled"}


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


@pytest.mark.parametrize(
    ("caller", "handled"), [("somebody", Handled.IGNORED), ("counter", Handled.HANDLED)]
)
def test_an_answer_is_heeded_by_whoever_asked(caller: str, handled: Handled) -> None:
    service = replace(COUNTER, handlers={}, processes=(ANSWERED,), sends=(Late,))
    answer = Counted(caller=caller, reference="a", name="a", total=1)
    came = Envelope(uuid4(), answer.TYPE, 1, "event", "counter", "a", uuid4(), None, encode(answer))
    process = stream_id(ANSWERED.stream("a"))

    decided = Decider(service, {}).decide(came, answer, Loaded({process: None}))

    assert decided.commit.handled is handled


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


async def test_a_holder_that_was_fenced_writes_nothing_and_begins_again(world: World) -> None:
    async with world.running("counter-1") as counter:
        one = await world.command("a", 1)
        await world.until_handled(one)
        await world.store.take_lease("service", "counter-1", 60)

        two = await world.command("a", 1)
        await world.until_handled(two)

        [first, second] = [lease for lease in world.store.leases if lease is not None][-2:]
        assert second.epoch > first.epoch
        assert await world.total(counter, "a") == 2
    assert await world.answers() == [Counted.TYPE, Counted.TYPE]


async def test_another_instance_takes_over_when_the_holder_is_gone(world: World) -> None:
    async with world.running("counter-1"):
        one = await world.command("a", 1)
        await world.until_handled(one)
        world.store.keeps_dropped_leases = True  # as after kill -9: nobody gives it back

    async with world.running("counter-2") as second:
        two = await world.command("a", 1)
        await world.until_handled(two)
        assert second.desk._lease == Lease("service", "counter-2", 2)
        assert await world.total(second, "a") == 2
    assert await world.answers() == [Counted.TYPE, Counted.TYPE]


async def test_requests_on_an_instance_without_the_lease_are_carried_out(world: World) -> None:
    async with world.running("counter-1") as first, world.running("counter-2") as second:
        totals = await asyncio.gather(
            *(i.desk.request(CountNow(name="a", by=1)) for i in (first, second) * 20)
        )
        assert sorted(answer.total for answer in totals) == list(range(1, 41))


async def test_what_the_broker_lost_is_sent_again(world: World) -> None:
    async with world.running():
        one = await world.command("a", 1)
        await world.until_handled(one)
        async with asyncio.timeout(5):
            while not world.broker.streams.get("counter"):
                await asyncio.sleep(0)
        world.broker.wipe()
        async with asyncio.timeout(5):
            while len(world.broker.streams.get("counter", ())) < 1:
                await asyncio.sleep(0)
    assert [m.causation for m in world.broker.streams["counter"]] == [one.id]


async def test_a_database_that_was_set_back_begins_a_new_incarnation(world: World) -> None:
    async with world.running():
        one = await world.command("a", 1)
        await world.until_handled(one)
        async with asyncio.timeout(5):
            while not world.broker.streams.get("counter"):
                await asyncio.sleep(0)
    left = world.broker.streams["counter"][-1]
    world.store = MemoryStore("counter", SystemClock())
    world.broker.streams["client"].clear()

    async with world.running():
        async with asyncio.timeout(5):
            while await world.store.incarnation() == 1:
                await asyncio.sleep(0)
        two = await world.command("b", 1)
        await world.until_handled(two)
        async with asyncio.timeout(5):
            while world.broker.streams["counter"][-1] == left:
                await asyncio.sleep(0)
    new = world.broker.streams["counter"][-1]
    assert new.incarnation == 2
    assert new.position > left.position


# A process that gives its counter a time limit.


class LimitDue(Timer):
    OWNER, KEY, DELAY = "counter", "name", 0.01
    name: str


class Waiting(State):
    pass


class Over(State):
    pass


class Late(Counted):
    OWNER = "counter"


def watch(state: State, message: Any) -> Reaction[State]:
    match state, message:
        case Waiting(), CountNow(name=name):
            return move(Waiting(), LimitDue(name=name))
        case Waiting(), LimitDue(name=name):
            return move(Over(), Late(caller="client", reference=name, name=name, total=0))
        case _:
            return ignore(state)


WATCH = Process[State](
    name="watch",
    initial=Waiting(),
    react=watch,
    starts_on=Counted,
    listens_to=(CountNow, LimitDue),
    states=(Waiting, Over),
    done=(Over,),
    due=LimitDue,
)


ANSWERED = replace(
    WATCH,
    react=lambda _, heard: move(Over(), Late(caller="x", reference="a", name=heard.key, total=0)),
)


async def test_a_timer_comes_when_it_is_due_and_only_then() -> None:
    service = replace(COUNTER, processes=(WATCH,), sends=(Counted, NotCounted, Late))
    world = World(service)
    async with world.running() as counter:
        await counter.desk.request(CountNow(name="a", by=1))
        async with asyncio.timeout(5):
            while Late.TYPE not in await world.answers():
                await asyncio.sleep(0)
        [letter, *_] = [e for e in await world.store.journal("a", 0, 10) if e.kind == "timer"]
        assert letter.outcome == "handled"
        await counter.desk.request(CountNow(name="a", by=1))
        assert (await world.store.backlog())["timers_pending"] == 0


async def test_what_arrives_while_stopping_is_kept_or_left_never_lost(world: World) -> None:
    sent = [await world.command(f"k{n}", 1) for n in range(500)]
    for _ in range(10):
        async with world.running():
            await asyncio.sleep(0)
    async with world.running() as counter:
        await world.until_handled(*sent)
        assert [await world.total(counter, f"k{n}") for n in range(500)] == [1] * 500
