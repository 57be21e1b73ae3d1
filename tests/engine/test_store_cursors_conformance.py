"""Cursors move with what was kept, and leases fence who comes too late; for every store."""

from __future__ import annotations

import pytest

from stagepost.engine.batch import Batch, Commit, Cursor, CursorId, Lease, Retry
from stagepost.errors import Fenced
from tests.engine.stores import (
    BEHIND,
    CONFLICT,
    CONSUMER,
    DUPLICATE,
    KEPT,
    World,
    append,
    called,
    happened,
    heard,
    outcomes,
    versions,
    writes,
)

# Cursors


def at(position: int, key: str = "k", name: str | None = None, **known: object) -> Commit:
    """A commit of the message that stands at this position of the consumer's log."""
    return Commit(heard(key, name, position=position), cursor=0, **known)  # type: ignore[arg-type]


async def stands(world: World, who: CursorId = CONSUMER) -> tuple[int, int]:
    cursor = (await world.store.cursors(who.reader))[who]
    return cursor.at, cursor.hint


async def test_a_cursor_moves_with_what_was_kept(world: World) -> None:
    goal = Cursor(CONSUMER, at=0, to=5, hint=50)
    moved = await append(world.store, at(3), at(5), cursors=[goal])
    assert moved.cursors == [5]
    assert await world.store.cursors("consumer") == {CONSUMER: Cursor(CONSUMER, 5, 5, 50)}
    assert await world.store.cursors("relay") == {}


async def test_a_cursor_moves_without_commits(world: World) -> None:
    await append(world.store, cursors=[Cursor(CONSUMER, 0, 7)])
    assert (await append(world.store, cursors=[Cursor(CONSUMER, 7, 9)])).cursors == [9]


async def test_a_cursor_stops_just_before_the_first_commit_that_failed(world: World) -> None:
    conflict = at(3, "a", events=[happened("a", 9)])
    batch = [at(1, "x"), conflict, at(4, "y"), at(6, "a")]
    goal = Cursor(CONSUMER, at=0, to=6, hint=60)
    stored = await append(world.store, *batch, cursors=[goal])
    assert stored.outcomes == [KEPT, CONFLICT, KEPT, BEHIND]
    assert stored.cursors == [2]


async def test_what_was_kept_beyond_the_cursor_is_a_duplicate_when_it_is_read_again(
    world: World,
) -> None:
    conflict = at(2, "a", "second", events=[happened("a", 9)])
    goal = Cursor(CONSUMER, at=0, to=3)
    await append(world.store, at(1, "x"), conflict, at(3, "y", "third"), cursors=[goal])

    decided_again = at(2, "a", "second", events=[happened("a", 1)])
    rest = Cursor(CONSUMER, at=1, to=3)
    stored = await append(world.store, decided_again, at(3, "y", "third"), cursors=[rest])
    assert stored.outcomes == [KEPT, DUPLICATE]
    assert stored.cursors == [3]


async def test_a_cursor_passes_duplicates(world: World) -> None:
    await append(world.store, at(1, name="m"))
    goal = Cursor(CONSUMER, at=0, to=2)
    assert (await append(world.store, at(1, name="m"), at(2), cursors=[goal])).cursors == [2]


async def test_a_cursor_that_stands_elsewhere_is_left_alone_and_says_where(world: World) -> None:
    await append(world.store, cursors=[Cursor(CONSUMER, 0, 5, hint=50)])
    believed_wrong = Cursor(CONSUMER, at=3, to=9, hint=90)
    stored = await append(world.store, at(4), cursors=[believed_wrong])
    assert stored.outcomes == [KEPT]
    assert stored.cursors == [5]
    assert await stands(world) == (5, 50)


async def test_a_cursor_that_nobody_has_moved_stands_at_0(world: World) -> None:
    assert (await append(world.store, cursors=[Cursor(CONSUMER, 4, 9)])).cursors == [0]
    assert await world.store.cursors("consumer") == {}


async def test_a_cursor_never_goes_back(world: World) -> None:
    await append(world.store, cursors=[Cursor(CONSUMER, 0, 5)])
    conflict = at(2, "a", events=[happened("a", 9)])
    assert (await append(world.store, conflict, cursors=[Cursor(CONSUMER, 5, 8)])).cursors == [5]


async def test_a_cursor_that_stops_early_keeps_its_old_hint(world: World) -> None:
    await append(world.store, cursors=[Cursor(CONSUMER, 0, 1, hint=10)])
    conflict = at(3, "a", events=[happened("a", 9)])
    await append(world.store, conflict, cursors=[Cursor(CONSUMER, 1, 3, hint=30)])
    assert await stands(world) == (2, 10)


async def test_each_cursor_of_a_batch_stops_for_its_own_commits_only(world: World) -> None:
    other = CursorId("consumer", "shipping", incarnation=1)
    fails = Commit(heard("a", position=2), cursor=0, events=[happened("a", 9)])
    passes = Commit(heard("b", position=2), cursor=1)
    goals = [Cursor(CONSUMER, 0, 2), Cursor(other, 0, 2)]
    assert (await append(world.store, fails, passes, cursors=goals)).cursors == [1, 2]


async def test_cursors_are_kept_per_reader_source_incarnation_and_partition(world: World) -> None:
    names = [
        CursorId("consumer", "ordering", 1, 0),
        CursorId("consumer", "ordering", 1, 1),
        CursorId("consumer", "ordering", 2, 0),
        CursorId("consumer", "shipping", 1, 0),
        CursorId("relay", "ordering", 1, 0),
    ]
    await append(world.store, cursors=[Cursor(name, 0, n) for n, name in enumerate(names, 1)])
    found = {**await world.store.cursors("consumer"), **await world.store.cursors("relay")}
    assert {name: cursor.at for name, cursor in found.items()} == dict(
        zip(names, range(1, 6), strict=True)
    )


# Leases


async def take(world: World, holder: str) -> Lease:
    lease = await world.store.take_lease("worker", holder, 10)
    assert lease is not None
    return lease


async def test_a_lease_has_one_holder_at_a_time(world: World) -> None:
    assert await world.store.take_lease("worker", "one", 10) == Lease("worker", "one", 1)
    assert await world.store.take_lease("worker", "two", 10) is None
    assert await world.store.take_lease("another", "two", 10) == Lease("another", "two", 1)


async def test_a_lease_that_expired_goes_to_the_next_under_a_new_epoch(world: World) -> None:
    await take(world, "one")
    await world.later(11)
    assert await take(world, "two") == Lease("worker", "two", 2)


async def test_a_lease_that_is_renewed_does_not_expire_and_keeps_its_epoch(world: World) -> None:
    lease = await take(world, "one")
    await world.later(8)
    assert await world.store.renew_lease(lease, 10)
    await world.later(8)
    assert await world.store.take_lease("worker", "two", 10) is None
    assert await outcomes(world.store, writes("a", 1), lease=lease) == [KEPT]


async def test_a_lease_that_passed_on_cannot_be_renewed(world: World) -> None:
    lease = await take(world, "one")
    await world.later(11)
    newer = await take(world, "two")
    assert not await world.store.renew_lease(lease, 10)
    await world.later(11)
    assert (await take(world, "three")).epoch == newer.epoch + 1


async def test_a_lease_that_a_wrong_clock_gave_holds_nobody_up(world: World) -> None:
    former = await take(world, "one")
    await world.later(-3600)
    assert not await world.store.renew_lease(former, 10)
    lease = await take(world, "two")
    assert lease.epoch == former.epoch + 1
    assert await world.store.take_lease("worker", "one", 10) is None
    assert await world.store.renew_lease(lease, 10)


async def test_a_lease_that_is_given_back_is_free_at_once(world: World) -> None:
    await world.store.drop_lease(await take(world, "one"))
    assert await take(world, "two") == Lease("worker", "two", 2)


async def test_only_the_holder_gives_a_lease_back(world: World) -> None:
    former = await take(world, "one")
    await world.later(11)
    await take(world, "two")
    await world.store.drop_lease(former)
    assert await world.store.take_lease("worker", "three", 10) is None


async def test_a_zombie_writes_nothing(world: World) -> None:
    zombie = await take(world, "one")
    await world.later(11)
    await take(world, "two")
    charge = called("c")
    await append(world.store, Commit(heard("c"), sends=[charge]))
    before = await world.store.journal(None, 0, 10)
    (call,), _ = await world.store.due_calls(10, [])

    with pytest.raises(Fenced):
        await world.store.append(
            Batch([writes("a", 1)], [Cursor(CONSUMER, 0, 1)], [Retry(call.position, 60)], zombie)
        )
    assert await versions(world.store, "a") == [[]]
    assert await world.store.cursors("consumer") == {}
    assert await world.store.journal(None, 0, 10) == before
    assert await world.store.due_calls(10, []) == ([call], None)


async def test_a_process_that_restarts_fences_its_former_self(world: World) -> None:
    former = await take(world, "one")
    assert await take(world, "one") == Lease("worker", "one", former.epoch + 1)
    with pytest.raises(Fenced):
        await append(world.store, writes("a", 1), lease=former)


async def test_a_lease_that_nobody_ever_took_is_fenced(world: World) -> None:
    with pytest.raises(Fenced):
        await append(world.store, writes("a", 1), lease=Lease("worker", "one", 1))
