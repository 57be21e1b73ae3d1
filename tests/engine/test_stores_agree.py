"""Whatever happens, the store in memory and the one in PostgreSQL say and hold the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stagepost.engine.batch import Batch, Commit, Cursor, CursorId, Handled, Retry
from stagepost.engine.envelope import Envelope
from stagepost.engine.store import Store
from tests.engine.stores import (
    MemoryWorld,
    PostgresWorld,
    answered,
    called,
    happened,
    heard,
    ids,
    named,
    reminder,
    told,
)

KEYS = ("k1", "k2", "k3")
STREAMS = ("a", "b", "c")
READERS = (CursorId("consumer", "ordering"), CursorId("consumer", "shipping"))
few = st.integers(0, 3)
rarely = st.integers(0, 7).map(lambda n: n == 0)


@dataclass(frozen=True)
class Plan:
    """A commit as it is drawn: versions as distances from what fits, calls by their number."""

    message: int
    key: str
    events: list[tuple[str, int]]
    sends: list[str]
    timer: bool
    clears: bool
    call: int | None
    letter: int | None
    parks: bool
    request: str | None
    cursor: int | None


fits = st.sampled_from([0, 0, 0, 0, 0, 1, -1])
plans = st.builds(
    Plan,
    message=st.integers(0, 12),
    key=st.sampled_from(KEYS),
    events=st.lists(st.tuples(st.sampled_from(STREAMS), fits), max_size=3),
    sends=st.lists(st.sampled_from(["event", "call", "superseding call"]), max_size=2),
    timer=rarely,
    clears=rarely,
    call=st.none() | few,
    letter=st.none() | st.none() | st.integers(1, 4),
    parks=rarely,
    request=st.none() | st.none() | st.sampled_from(["r1", "r2", "r3"]),
    cursor=st.none() | st.sampled_from([0, 1]),
)


@dataclass(frozen=True)
class Step:
    """A batch, and what a person does about dead letters after it."""

    plans: list[Plan]
    moves: int
    retries: list[int]
    redrives: list[int]
    discards: list[int]


steps = st.builds(
    Step,
    plans=st.lists(plans, max_size=5),
    moves=few,
    retries=st.lists(few, max_size=1),
    redrives=st.lists(st.integers(1, 5), max_size=3),
    discards=st.lists(st.integers(1, 5), max_size=1),
)


@settings(max_examples=80)
@given(program=st.lists(steps, min_size=1, max_size=6))
async def test_both_stores_say_and_hold_the_same(
    postgres_store: PostgresWorld, program: list[Step]
) -> None:
    await postgres_store.empty()
    memory = MemoryWorld.new()
    for number, step in enumerate(program):
        expected = await take(memory.store, step, number)
        assert await take(postgres_store.store, step, number) == expected
        assert await held(postgres_store.store) == await held(memory.store)
        await memory.later(1)


async def take(store: Store, step: Step, number: int) -> list[object]:
    """Do a step, and return what the store said."""
    batch = await batch_of(store, step, number)
    stored = await store.append(batch)
    return [
        stored.outcomes,
        stored.cursors,
        stored.responses,
        await store.redrive(step.redrives),
        await store.discard(step.discards, "unwanted"),
    ]


async def batch_of(store: Store, step: Step, number: int) -> Batch:
    heads = Counter({name: len(await events_of(store, name)) for name in STREAMS})
    # Positions are the store's own: a call is known by its number among those that were sent.
    calls = [e.position for e in await store.journal(None, 0, 1000) if e.kind == "call"]
    letters = {letter.id: letter.message for letter in await store.dead_letters(0, 100)}
    commits = [
        commit_of(plan, f"{number}.{n}", heads, calls, letters)
        for n, plan in enumerate(step.plans, start=1)
    ]
    standing = await store.cursors("consumer")
    cursors = [
        # Now and then the batch is wrong about where a cursor stands.
        Cursor(
            name,
            standing[name].at if name in standing and step.moves else 0,
            10 * number + 9,
            number,
        )
        for name in READERS
    ]
    retries = [Retry(calls[n], 1000.0, n % 2 == 1) for n in step.retries if n < len(calls)]
    return Batch(commits, cursors, retries)


def commit_of(
    plan: Plan,
    name: str,
    heads: Counter[str],
    calls: list[int],
    letters: dict[int, Envelope],
) -> Commit:
    step, place = map(int, name.split("."))
    fresh = heard(plan.key, f"message {plan.message}", position=10 * step + place)
    cause = letters.get(plan.letter or 0, fresh)
    events = []
    for stream, distance in plan.events:
        heads[stream] += 1
        events.append(happened(stream, heads[stream] + distance))
    return Commit(
        cause,
        handled=Handled.PARKED if plan.parks else Handled.HANDLED,
        detail=f"step {name}",
        events=events,
        sends=[sent(kind, plan.key, f"{name}, {n}") for n, kind in enumerate(plan.sends)],
        timers=[reminder(plan.key, 1000, f"timer {name}")] if plan.timer else [],
        clears=plan.key if plan.clears else None,
        call=calls[plan.call] if plan.call is not None and plan.call < len(calls) else None,
        parks=plan.parks,
        redrives=plan.letter if plan.letter in letters else None,
        idempotency=answered(plan.request, name.encode()) if plan.request else None,
        cursor=plan.cursor,
    )


def sent(kind: str, key: str, name: str) -> Any:
    if kind == "event":
        return told(key, id=named(name))
    return called(key, id=named(name), supersedes=kind.startswith("superseding"))


async def events_of(store: Store, stream: str) -> list[object]:
    found = (await store.load([named(stream)])).get(named(stream))
    return list(found.events) if found else []


async def held(store: Store) -> dict[str, object]:
    """Return all that a store holds, but for times and positions."""
    journal = await store.journal(None, 0, 1000)
    calls, _ = await store.due_calls(100, [])
    letters = await store.dead_letters(0, 100)
    backlog = await store.backlog(["relay"])
    return {
        "streams": [await events_of(store, stream) for stream in STREAMS],
        "events": [n.event for n in await store.events(0, 1000)],
        "heard": [(e.id, e.outcome, e.detail) for e in journal if e.direction == "in"],
        "sent": [(e.id, e.causation, e.peer) for e in journal if e.direction == "out"],
        "outbox": ids(await store.outbox(0, 1000)),
        "calls": [(call.message.id, call.attempt) for call in calls],
        "waiting": (backlog["calls_pending"], backlog["timers_pending"]),
        "letters": [(d.id, d.state, d.reason, d.attempts, d.message.id) for d in letters],
        "redrivable": [letter.id for letter in await store.redrivable(100)],
        "cursors": await store.cursors("consumer"),
        "answers": await store.idempotent(["r1", "r2", "r3"]),
    }
