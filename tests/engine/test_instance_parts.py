"""The parts of an instance one by one: caller, timers, views, metrics, cache, and their faults."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from stagepost import Row, View
from stagepost.engine.batch import Appended, Batch, Commit, Outgoing, TimerSet
from stagepost.engine.cache import CAPACITY, Cache
from stagepost.engine.calls_memory import Reply
from stagepost.engine.decide import Decider, Loaded
from stagepost.engine.envelope import Envelope
from stagepost.engine.items import Item
from stagepost.engine.runtime import Instance
from stagepost.engine.tables_memory import MemoryTables
from stagepost.engine.timers import Timers
from stagepost.engine.transports import Received
from stagepost.engine.transports.memory import MemorySubscription
from stagepost.engine.views import Move, Views
from stagepost.handler import Decision
from stagepost.view import Recorded
from tests.engine.counter import (
    COUNTER,
    POISON,
    Announce,
    Counter,
    CountNow,
    Watched,
    World,
    at_work,
    heard,
    until,
    until_awaited,
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("stagepost.engine.runtime.AGAIN", 0.01)
    monkeypatch.setattr("stagepost.engine.caller.FIRST_RETRY", 0.001)
    return World()


# The desk.


async def test_what_a_desk_that_failed_had_read_is_read_again_before_what_lies_behind_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = MemorySubscription.take
    lost: list[Received] = []

    def fail_once(subscription: MemorySubscription, limit: int) -> list[Received]:
        taken = take(subscription, limit)
        if taken and not lost:
            lost.extend(taken)
            raise LookupError("nobody thought of this")
        return taken

    async def end_slowly(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)  # until then nobody subscribes anew

    monkeypatch.setattr(MemorySubscription, "take", fail_once)
    monkeypatch.setattr("stagepost.engine.relay.Relay.run", end_slowly)
    async with world.running() as counter:
        asking = asyncio.create_task(counter.desk.request(CountNow(name="b", by=4)))
        one = await world.command("a", 1)
        await until(lambda: lost)
        two = await world.command("a", 2)
        assert set((await world.until_handled(one, two)).values()) == {"handled"}
        await asking


# The caller.


class AnnounceOnce(Announce):
    OWNER, LANE, ONCE = "counter", "name", True


def asked_by(cause: Envelope, call: Announce) -> UUID:
    """Return the id under which a call is made that follows from a cause."""
    service = replace(
        COUNTER, handlers={CountNow: lambda *_: Decision(sends=(call,))}, processes=()
    )
    message = CountNow(name="a", by=1)
    return Decider(service, {}).decide(cause, message, Loaded({})).commit.sends[0].id


def test_what_is_done_once_is_asked_under_the_same_key_whatever_caused_it() -> None:
    one, other = heard(), heard()
    always, once = Announce(name="a", total=1), AnnounceOnce(name="a", total=1)

    assert asked_by(one, always) == asked_by(one, always) != asked_by(other, always)
    assert asked_by(one, once) == asked_by(other, once)
    assert asked_by(one, once) != asked_by(one, AnnounceOnce(name="b", total=1))


async def is_heard(counter: Instance) -> bool:
    """Tell whether the outside world's answer about `a` has been stored."""
    found = await counter.desk.find(Counter, Counter.stream("a"))
    return found is not None and found.heard == 1


class Patient(Watched):
    """A store that notes how long failed calls wait."""

    def __init__(self) -> None:
        super().__init__("counter")
        self.pauses: list[float] = []

    async def append(self, batch: Batch) -> Appended:
        self.pauses += [retry.seconds for retry in batch.retries]
        return await super().append(batch)


class Mumbling(World):
    """An outside world that first answers with what was not agreed."""

    REPLIES = (b"[]", b"7", b"{}", b'{"heard": "perhaps"}')

    async def announce(self, body: bytes, key: str) -> Reply:
        reply = await super().announce(body, key)
        number = len(self.announcements) - 1
        return Reply(self.REPLIES[number]) if number < len(self.REPLIES) else reply


async def test_an_answer_that_does_not_fit_is_asked_for_again_after_growing_pauses(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.caller.LAST_RETRY", 0.005)
    mumbling = Mumbling()
    mumbling.store = Patient()
    async with mumbling.running() as counter:
        await counter.desk.request(CountNow(name="a", by=1))
        await mumbling.command("a", 2)
        await until_awaited(lambda: is_heard(counter))
    assert mumbling.store.pauses == [0.001, 0.002, 0.004, 0.005]
    assert len({key for _, key in mumbling.announcements}) == 1


async def test_a_call_that_cannot_be_read_does_not_keep_the_others_waiting(world: World) -> None:
    world.store = Patient()
    unreadable = Outgoing(
        uuid4(), "counter.Shout", 1, "call", "x", b"{}", channel="world", lane="x"
    )
    damaged = Outgoing(uuid4(), Announce.TYPE, 1, "call", "y", b"{", channel="world", lane="y")
    await world.store.append(Batch([Commit(heard(), sends=[unreadable, damaged])]))
    async with world.running() as counter:
        await world.command("a", 3)
        await until_awaited(lambda: is_heard(counter))
        await until(lambda: len(world.store.pauses) >= 2)  # they wait for a release that can
    assert (await world.store.backlog(["relay"]))["calls_pending"] >= 2


# Timers.


class Ledge:
    """Where due timers are laid down, and handled at once."""

    def __init__(self, store: Watched) -> None:
        self._store = store
        self.laid: list[str] = []

    def put(self, item: Item) -> None:
        self.laid.append(item.cause.key)
        self._task = asyncio.create_task(self._store.append(Batch([Commit(item.cause)])))
        self._task.add_done_callback(lambda _: item.finish())


async def test_due_timers_wait_for_the_backlog_each_time(world: World) -> None:
    store, is_behind, asked = world.store, True, 0
    ledge = Ledge(store)
    wake = asyncio.Event()

    async def behind() -> bool:
        nonlocal asked
        asked += 1
        return is_behind

    async def set_timer(key: str) -> None:
        timer = TimerSet(uuid4(), "x.Due", 1, key, b"{}", 0)
        await store.append(Batch([Commit(heard(), timers=[timer])]))
        wake.set()

    timers = Timers(store, ledge, behind)  # type: ignore[arg-type]  # all that it needs of a desk
    async with at_work(timers.run(wake)):
        for number, key in enumerate(("a", "b")):
            is_behind = True
            before = asked
            await set_timer(key)
            await until(lambda: asked >= before + 2)  # noqa: B023  # awaited here
            assert len(ledge.laid) == number

            is_behind = False

            await until(lambda: key in ledge.laid)  # noqa: B023  # awaited here


# Views.


class Seen(Row):
    name: str
    total: int


def see(row: Seen | None, recorded: Recorded) -> Seen:
    match recorded.event:
        case Counter.Began(name=name):
            return Seen(name=name, total=0)
        case Counter.Grew(by=by):
            assert row is not None
            return row.model_copy(update={"total": row.total + by})
        case _:
            raise AssertionError(recorded)


SEEN = View("seen", Seen, "name", key_of=lambda _: "a", fold=see)


class Contested(MemoryTables):
    """Tables into which another instance folds the first event just before we do."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = 0

    async def save(self, moves: Sequence[Move]) -> bool:
        if not self.refused:
            await super().save([Move(SEEN, [Seen(name="a", total=0)], 0, 1)])
        saved = await super().save(moves)
        self.refused += not saved
        return saved


async def test_a_view_that_somebody_else_moved_is_folded_on_from_there(world: World) -> None:
    tables = Contested()
    wake = asyncio.Event()
    async with world.running() as counter:
        await counter.desk.request(CountNow(name="a", by=2))
    async with at_work(Views([SEEN], world.store, tables).run(wake)):

        async def is_folded() -> bool:
            return await tables.positions(["seen"]) == {"seen": 2}

        await until_awaited(is_folded)
    assert tables.refused == 1
    assert await tables.load(SEEN, ["a"]) == {"a": Seen(name="a", total=2)}


# Metrics.


async def test_metrics_count_messages_by_outcome_and_what_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.runtime.MEASURE_SECONDS", 0.01)
    world.failures = 10**6
    async with world.running() as counter:
        sent = [
            await world.command("a", 3),
            await world.command("b", 1),
            await world.command("b", -1),
            await world.command("c", POISON),
            await world.command("c", 1),
        ]
        await world.until_handled(*sent)

        def value(name: str, **labels: str) -> float | None:
            return counter.metrics.registry.get_sample_value(
                f"stagepost_{name}", {"service": "counter", **labels}
            )

        outcomes = ("handled", "refused", "parked")
        assert [value("messages_handled_total", outcome=o) for o in outcomes] == [2, 1, 2]
        assert value("messages_sent_total", channel="broker") == 3
        assert value("messages_sent_total", channel="world") == 1
        await until(lambda: value("outbox_published_total") == 3)
        await until(lambda: value("dead_letters") == 2)
        await until(lambda: value("calls_pending") == 1)
        await until(lambda: value("outbox_pending_messages") == 0)
        await until(lambda: value("calls_total", to="world", result="failed"))
        assert value("leader") == 1
        assert value("transport_connected", transport="nats") == 1


# The cache.


def test_the_cache_keeps_what_was_used_last_and_no_more_than_it_may() -> None:
    cache = Cache()
    names = [uuid4() for _ in range(CAPACITY + 10)]
    for name in names:
        cache.keep({name: Counter("a")})
    cache.keep({names[0]: cache[names[0]]})

    cache.trim()

    assert len(cache) == CAPACITY
    assert names[0] in cache
    assert names[-1] in cache
    assert names[1] not in cache
