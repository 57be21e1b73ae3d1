"""The relay: what it makes of the stream's tail, and of a database that was set back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

import pytest

from stagepost.engine.batch import Batch, Commit, Cursor, CursorId, Outgoing
from stagepost.engine.relay import Relay
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transports import StreamId
from stagepost.engine.transports.memory import MemoryPublisher, MemoryTransport
from stagepost.errors import Fenced
from tests.engine.counter import (
    COUNTER,
    Counted,
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
    return World()


async def test_another_message_at_our_position_is_not_taken_for_ours(world: World) -> None:
    async with world.running():
        await world.until_handled(await world.command("a", 1))
        await until(lambda: world.broker.streams.get("counter"))
    ours = world.broker.streams["counter"][-1]
    world.broker.streams["counter"][-1] = replace(ours, id=uuid4())

    async with world.running():

        async def began_again() -> bool:
            return bool(await world.store.incarnation() == 2)

        await until_awaited(began_again)


async def test_the_same_message_again_at_its_old_position_is_no_proof_of_what_lies_before_it(
    world: World,
) -> None:
    """Set back while the broker is away, the database makes another message, then the same."""
    same, later, other = counted(), counted(), counted()
    call = replace(other, kind="call", channel="world", lane="a")
    elsewhere = replace(other, type="counter.GoesElsewhere")
    first = [(1, same.id), (1, later.id)]
    again = [(2, other.id), (2, same.id), (2, later.id)]  # under 1, readers would take it for old
    for sends, published in (
        ([call, same], first[:1]),
        ([elsewhere, same, later], first),
        ([other, same, later], first + again),
    ):
        await publish(world, sends, len(published))
        stream = world.broker.streams["counter"]
        assert [(message.incarnation, message.id) for message in stream] == published


async def test_a_database_that_is_set_back_twice_gives_no_incarnation_twice(world: World) -> None:
    """Nor does the same message prove that this life has published it under that incarnation."""
    one, two, three = counted(), counted(), counted()
    for sends, total in (([one], 1), ([two], 2), ([three], 3), ([three, one], 5)):
        await publish(world, sends, total)
    stream = world.broker.streams["counter"]
    assert [(message.incarnation, message.id) for message in stream] == [
        *((1, one.id), (2, two.id), (3, three.id)),
        *((4, three.id), (4, one.id)),
    ]


async def publish(world: World, sends: Sequence[Outgoing], total: int) -> None:
    """Send these from a database that has nothing else, until so many lie in the stream."""
    store = Watched("counter")
    await store.append(Batch([Commit(heard(), sends=sends)]))
    lease = await store.take_lease("service", "counter-1", 60)
    assert lease is not None
    publisher = await MemoryTransport(world.broker).publisher("counter")
    cursor, carries = CursorId("relay", "counter"), {m.TYPE for m in COUNTER.sends}
    relay = Relay(store, publisher, cursor, carries, lease, Metrics("counter"))
    last = (await store.outbox(0, 10))[-1].position
    async with at_work(relay.run(asyncio.Event())):
        await until(lambda: relay._sent == last)
        await until(lambda: len(world.broker.streams["counter"]) == total)


def counted() -> Outgoing:
    return Outgoing(uuid4(), Counted.TYPE, 1, "event", "a", b"{}")


async def test_a_relay_whose_lease_has_passed_on_does_not_move_its_cursor(world: World) -> None:
    lease = await world.store.take_lease("service", "counter-1", 60)
    sent = Outgoing(uuid4(), "counter.Counted", 1, "event", "a", b"{}")
    await world.store.append(Batch([Commit(heard(), sends=[sent])]))
    publisher = await MemoryTransport(world.broker).publisher("counter")
    await world.store.take_lease("service", "counter-1", 60)

    cursor, carries = CursorId("relay", "counter"), {m.TYPE for m in COUNTER.sends}
    relay = Relay(world.store, publisher, cursor, carries, lease, Metrics("counter"))
    with pytest.raises(Fenced):
        async with asyncio.timeout(5):
            await relay.run(asyncio.Event())

    assert await world.store.cursors("relay") == {}


@pytest.mark.parametrize("has_all", [True, False], ids=["has all", "lost all"])
async def test_a_relay_goes_on_from_the_tail_though_a_late_note_of_its_position_lands(
    world: World, monkeypatch: pytest.MonkeyPatch, *, has_all: bool
) -> None:
    """The note was written before the connection was cut; nobody knew that it would still come."""
    monkeypatch.setattr("stagepost.engine.relay.NOTE_SECONDS", 0.01)
    lease = await world.store.take_lease("service", "counter-1", 60)
    for _ in range(3):
        sent = Outgoing(uuid4(), "counter.Counted", 1, "event", "a", b"{}")
        await world.store.append(Batch([Commit(heard(), sends=[sent])]))
    outbox = await world.store.outbox(0, 10)
    world.broker.streams["counter"] = [*outbox] if has_all else []
    first, second, last = (message.position for message in outbox)
    before = Cursor(CursorId("relay", "counter"), 0, first)
    await world.store.append(Batch(cursors=[before], lease=lease))

    class LateNote(MemoryPublisher):
        async def tail(self) -> StreamId | None:
            late = replace(before, at=first, to=second)
            await world.store.append(Batch(cursors=[late], lease=lease))
            return await super().tail()

    publisher = LateNote(world.broker, "counter")
    carries = {m.TYPE for m in COUNTER.sends}
    relay = Relay(world.store, publisher, before.id, carries, lease, Metrics("counter"))
    async with at_work(relay.run(asyncio.Event())):

        async def noted() -> bool:
            (cursor,) = (await world.store.cursors("relay")).values()
            return bool(cursor.at == last)

        await until_awaited(noted)

    assert world.broker.streams["counter"] == outbox
