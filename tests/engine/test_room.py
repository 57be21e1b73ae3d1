"""New work is turned away while there is no room for it; what was accepted goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from stagepost import Decision, Load
from stagepost.engine import desk as desks
from stagepost.engine import runtime
from stagepost.engine.batch import Batch, Commit, Cursor, CursorId, Outgoing
from stagepost.engine.room import Room
from stagepost.engine.store_postgres import PostgresStore
from stagepost.errors import NoRoom, OutcomeUnknown, StoreUnavailable
from tests.engine import stores
from tests.engine.counter import COUNTER, Counter, CountNow, Total, World, grow, until

RELAY = CursorId("relay", stores.SERVICE)


# What is measured; for every store.


@pytest.fixture(params=["memory", "postgres"])
def stored(request: pytest.FixtureRequest) -> stores.World:
    found: stores.World = request.getfixturevalue(f"{request.param}_world")
    return found


async def send(world: stores.World, *messages: Outgoing) -> None:
    await stores.append(world.store, *(Commit(stores.heard(), sends=[m]) for m in messages))


async def test_messages_that_wait_for_the_broker_are_counted_up_to_a_limit(
    stored: stores.World,
) -> None:
    assert await stored.store.unpublished(["relay"], 10) == 0
    await send(stored, *(stores.told() for _ in range(5)), stores.called())
    assert await stored.store.unpublished(["relay"], 10) == 5
    assert await stored.store.unpublished(["relay"], 3) == 3


async def test_messages_that_were_published_no_longer_wait(stored: stores.World) -> None:
    await send(stored, stores.told(), stores.told())
    [first, _] = await stored.store.outbox(0, 10)
    await stored.store.append(Batch(cursors=[Cursor(RELAY, 0, first.position)]))
    assert await stored.store.unpublished(["relay"], 10) == 1


async def test_room_is_lacking_when_more_wait_than_may(stored: stores.World) -> None:
    room = Room(backlog=2)
    await send(stored, stores.told(), stores.told())
    assert await room.lacking(stored.store, ["relay"]) is None
    await send(stored, stores.told())
    assert await room.lacking(stored.store, ["relay"]) == "more than 2 messages wait for the broker"


async def test_room_is_lacking_when_the_disk_is_nearly_full(
    memory_world: stores.MemoryWorld, tmp_path: Path
) -> None:
    assert await Room(disk=tmp_path, floor=1).lacking(memory_world.store, ["relay"]) is None
    lacking = await Room(disk=tmp_path, floor=1 << 60).lacking(memory_world.store, ["relay"])
    assert lacking is not None
    assert lacking.startswith("the disk has")


async def test_a_full_disk_of_the_database_is_no_bug_and_changes_nothing(
    postgres_world: stores.PostgresWorld,
) -> None:
    await postgres_world.owner.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;"
        "CREATE TRIGGER full_disk BEFORE INSERT ON outbox EXECUTE FUNCTION full_disk()"
    )
    try:
        with pytest.raises(StoreUnavailable, match="could not extend file"):
            await send(postgres_world, stores.told())
    finally:
        await postgres_world.owner.execute("DROP FUNCTION full_disk CASCADE")
    assert await postgres_world.store.outbox(0, 10) == []
    assert await postgres_world.store.journal(None, 0, 10) == []


async def test_a_server_too_full_to_let_us_in_is_no_bug() -> None:
    class Full:
        async def acquire(self) -> None:
            raise asyncpg.DiskFullError("could not write init file")

    store = PostgresStore(Full(), "payments")  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await store.append(Batch())


# What an instance does about it.


def place(request: CountNow, load: Load) -> Decision:
    """Count once; the same again is granted again, and changes nothing."""
    counter = load.one(Counter, Counter.stream(request.name))
    if counter is not None:
        return Decision(answer=Total(total=counter.total))
    return Decision((grow(request.name, request.by, load),), answer=Total(total=request.by))


@pytest.fixture
def world() -> World:
    return World(replace(COUNTER, handlers={**COUNTER.handlers, CountNow: place}))


FULL = "the disk is nearly full"


async def test_without_room_what_is_new_is_turned_away_and_nothing_stored(world: World) -> None:
    async with world.running() as counter:
        counter.desk.no_room = FULL
        with pytest.raises(NoRoom, match=FULL):
            await counter.desk.request(CountNow(name="a", by=1))
        assert await counter.desk.find(Counter, Counter.stream("a")) is None
        assert await world.store.journal(None, 0, 10) == []
        counter.desk.no_room = None
        assert (await counter.desk.request(CountNow(name="a", by=1))).total == 1


async def test_without_room_what_was_granted_before_is_granted_again(world: World) -> None:
    async with world.running() as counter:
        first = await counter.desk.request(CountNow(name="a", by=1))
        keyed = await counter.desk.request(CountNow(name="b", by=2), "key", b"print")
        counter.desk.no_room = FULL
        assert await counter.desk.request(CountNow(name="a", by=1)) == first
        again = await counter.desk.request(CountNow(name="b", by=2), "key", b"print")
        assert Total.model_validate_json(again) == keyed


async def test_what_was_turned_away_grants_nothing_to_who_asks_for_the_same(world: World) -> None:
    async with world.running() as counter:
        counter.desk.no_room = FULL
        asked = (counter.desk.request(CountNow(name="a", by=1)) for _ in range(5))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(answer) for answer in answers} == {NoRoom}


async def test_without_room_messages_are_handled_all_the_same(world: World) -> None:
    async with world.running() as counter:
        counter.desk.no_room = FULL
        await world.until_handled(await world.command("a", 3))
        assert await world.total(counter, "a") == 3


async def test_an_instance_sees_for_itself_whether_there_is_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "LOOK_SECONDS", 0.01)
    world.broker.stop()
    world.room = Room(backlog=3)
    for _ in range(4):
        await world.store.append(Batch([Commit(stores.heard(), sends=[stores.told()])]))
    async with world.running() as counter:
        await until(lambda: counter.desk.no_room)
        with pytest.raises(NoRoom, match="wait for the broker"):
            await counter.desk.request(CountNow(name="a", by=1))
        world.broker.start()
        await until(lambda: counter.desk.no_room is None)
        assert (await counter.desk.request(CountNow(name="a", by=1))).total == 1


async def test_no_more_requests_wait_than_may(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "MAX_WAITING", 3)
    monkeypatch.setattr(desks, "REQUEST_SECONDS", 0.05)
    idle = world.instance()  # nobody works on it
    asked: Any = (idle.desk.request(CountNow(name="a", by=1), f"key {n}") for n in range(5))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [*[OutcomeUnknown] * 3, NoRoom, NoRoom]
