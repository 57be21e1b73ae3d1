"""Processes on an instance: their timers, and the answers that they wait for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from stagepost import Process, Reaction, State, Timer, ignore, move, stream_id
from stagepost.engine.batch import Handled
from stagepost.engine.clock import SystemClock
from stagepost.engine.decide import Decider, Loaded
from stagepost.engine.envelope import Envelope
from stagepost.errors import ForgedSource
from stagepost.messages import encode
from tests.engine.counter import (
    COUNTER,
    Counted,
    CountNow,
    NotCounted,
    World,
    until_awaited,
)

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


def until_zero(state: State, message: Any) -> Reaction[State]:
    match message:
        case CountNow(by=0):
            return move(Over())
        case CountNow(name=name):
            return move(Waiting(), LimitDue(name=name))
        case _:
            return ignore(state)


UNTIL_ZERO = replace(WATCH, react=until_zero)


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
        assert (await world.store.backlog(["relay"]))["timers_pending"] == 0


class SetClock(SystemClock):
    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


async def test_a_timer_is_not_an_hour_late_where_the_clock_was_an_hour_ahead() -> None:
    world = World(replace(COUNTER, processes=(WATCH,), sends=(Counted, NotCounted, Late)))
    world.delays = {"LimitDue": 0.5}
    world.store._clock = clock = SetClock()
    clock.ahead = timedelta(hours=1)
    async with world.running() as counter:
        await counter.desk.request(CountNow(name="a", by=1))
        clock.ahead = timedelta()
        async with asyncio.timeout(10):
            while Late.TYPE not in await world.answers():
                await asyncio.sleep(0.01)


def test_an_answer_of_somebody_who_does_not_own_it_is_forged() -> None:
    service = replace(COUNTER, handlers={}, processes=(ANSWERED,), sends=(Late,))
    answer = Counted(caller="counter", reference="a", name="a", total=1)
    forged = Envelope(
        uuid4(), answer.TYPE, 1, "event", "client", "a", uuid4(), None, encode(answer)
    )
    with pytest.raises(ForgedSource, match="client"):
        Decider(service, {}).decide(forged, answer, Loaded({stream_id(ANSWERED.stream("a")): None}))


async def test_a_process_that_is_done_leaves_no_timers() -> None:
    world = World(replace(COUNTER, processes=(UNTIL_ZERO,)))
    world.delays = {"LimitDue": 60}
    async with world.running() as counter:
        await counter.desk.request(CountNow(name="a", by=1))
        await counter.desk.request(CountNow(name="b", by=1))
        assert (await world.store.backlog(["relay"]))["timers_pending"] == 2

        await counter.desk.request(CountNow(name="a", by=0))

        assert (await world.store.backlog(["relay"]))["timers_pending"] == 1
        _, next_in = await world.store.due_timers(10)
        assert 59 < next_in <= 60


async def test_what_waits_at_the_broker_is_handled_before_a_timer_that_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stagepost.engine.runtime.AGAIN", 0.01)
    world = World(replace(COUNTER, processes=(UNTIL_ZERO,)))
    async with world.running() as counter:
        await world.until_handled(await world.command("a", 1))
        world.broker.stop()
        await counter.desk.request(CountNow(name="a", by=1))

        async def is_due() -> bool:
            return bool((await world.store.due_timers(1))[0])

        await until_awaited(is_due)
        world.broker.streams["client"].append(world.next_command("a", 2))
        world.broker.start()

        async def has_fired() -> bool:
            return not (await world.store.backlog(["relay"]))["timers_pending"]

        await until_awaited(has_fired)
    heard = [e.kind for e in await world.store.journal("a", 0, 100) if e.direction == "in"]
    assert heard == ["command", "request", "command", "timer"]
