"""The rules of `append`, for every store: what becomes of each commit of a batch."""

from __future__ import annotations

import pytest

from stagepost.engine.batch import Commit, Handled
from tests.engine.stores import (
    BEHIND,
    CONFLICT,
    DUPLICATE,
    KEPT,
    World,
    answered,
    append,
    called,
    happened,
    heard,
    named,
    outcomes,
    reminder,
    told,
    versions,
    writes,
)

# Versions


async def test_the_first_event_of_a_stream_is_its_version_1(world: World) -> None:
    assert await outcomes(world.store, writes("a", 1)) == [KEPT]
    assert await versions(world.store, "a") == [[1]]


@pytest.mark.parametrize("first", [0, 2, 5])
async def test_a_stream_that_begins_elsewhere_is_a_conflict(world: World, first: int) -> None:
    assert await outcomes(world.store, writes("a", first)) == [CONFLICT]
    assert await versions(world.store, "a") == [[]]


async def test_an_event_follows_exactly_on_what_is_stored(world: World) -> None:
    await append(world.store, writes("a", 1, 2))
    assert await outcomes(world.store, writes("a", 2)) == [CONFLICT]
    assert await outcomes(world.store, writes("a", 4)) == [CONFLICT]
    assert await outcomes(world.store, writes("a", 3)) == [KEPT]


@pytest.mark.parametrize("gap", [(1, 3), (1, 1), (2, 1)])
async def test_events_of_one_commit_follow_on_one_another(
    world: World, gap: tuple[int, ...]
) -> None:
    assert await outcomes(world.store, writes("a", *gap)) == [CONFLICT]
    assert await versions(world.store, "a") == [[]]


async def test_commits_of_one_batch_follow_on_one_another(world: World) -> None:
    chain = [writes("a", 1), writes("a", 2, 3), writes("a", 4)]
    assert await outcomes(world.store, *chain) == [KEPT, KEPT, KEPT]
    assert await versions(world.store, "a") == [[1, 2, 3, 4]]


async def test_several_aggregates_of_one_commit_are_stored_together(world: World) -> None:
    both = Commit(heard("k"), events=[happened("a", 1), happened("b", 1), happened("a", 2)])
    assert await outcomes(world.store, both) == [KEPT]
    assert await versions(world.store, "a", "b") == [[1, 2], [1]]


async def test_several_aggregates_of_one_commit_fail_together(world: World) -> None:
    await append(world.store, writes("b", 1))
    both = Commit(heard("k"), events=[happened("a", 1), happened("b", 1)])
    assert await outcomes(world.store, both) == [CONFLICT]
    assert await versions(world.store, "a", "b") == [[], [1]]


async def test_what_was_only_read_must_still_stand_where_it_was_read(world: World) -> None:
    await append(world.store, writes("a", 1))
    stale = Commit(heard("k1"), checks=[(named("a"), 0)])
    fresh = Commit(heard("k2"), checks=[(named("b"), 0)], events=[happened("c", 1)])
    assert await outcomes(world.store, stale, fresh) == [CONFLICT, KEPT]


async def test_what_was_read_may_have_been_moved_by_the_batch_itself(world: World) -> None:
    reads = Commit(heard("k"), checks=[(named("a"), 1)])
    assert await outcomes(world.store, writes("a", 1), reads) == [KEPT, KEPT]
    assert await outcomes(
        world.store, writes("a", 2), writes("b", 1, checks=[(named("a"), 1)])
    ) == [
        KEPT,
        CONFLICT,
    ]


async def test_what_is_not_kept_leaves_nothing(world: World) -> None:
    everything = writes(
        "a",
        7,
        sends=[told(), called()],
        timers=[reminder()],
        parks=True,
        idempotency=answered("k"),
    )
    assert await outcomes(world.store, everything) == [CONFLICT]
    assert await versions(world.store, "a") == [[]]
    assert await world.store.journal(None, 0, 10) == []
    assert await world.store.idempotent(["k"]) == {}
    assert await world.store.dead_letters(0, 10) == []
    assert set((await world.store.backlog(["relay"])).values()) == {0}


async def test_an_empty_batch_changes_nothing(world: World) -> None:
    assert await outcomes(world.store) == []


# Duplicates


async def test_a_message_that_was_handled_is_a_duplicate(world: World) -> None:
    await append(world.store, writes("a", 1, cause=heard(name="m")))
    again = writes("b", 1, cause=heard(name="m"), sends=[told()])
    assert await outcomes(world.store, again) == [DUPLICATE]
    assert await versions(world.store, "b") == [[]]
    assert await world.store.outbox(0, 10) == []


async def test_the_same_message_twice_in_one_batch_is_handled_once(world: World) -> None:
    twice = [writes("a", 1, cause=heard("a", "m")), writes("a", 2, cause=heard("a", "m"))]
    assert await outcomes(world.store, *twice) == [KEPT, DUPLICATE]
    assert await versions(world.store, "a") == [[1]]


async def test_a_duplicate_does_not_hold_up_the_commit_that_follows_on_it(world: World) -> None:
    first = writes("a", 1, cause=heard("a", "m"))
    await append(world.store, first)
    assert await outcomes(world.store, first, writes("a", 2)) == [DUPLICATE, KEPT]
    assert await versions(world.store, "a") == [[1, 2]]


async def test_a_duplicate_stays_one_behind_a_commit_that_failed(world: World) -> None:
    first = writes("a", 1, cause=heard("a", "m"))
    await append(world.store, first)
    assert await outcomes(world.store, writes("a", 9), first) == [CONFLICT, DUPLICATE]


async def test_a_message_kept_in_the_batch_stays_a_duplicate_behind_one_that_failed(
    world: World,
) -> None:
    first = writes("a", 1, cause=heard("a", "m"))
    assert await outcomes(world.store, first, writes("a", 9), first) == [KEPT, CONFLICT, DUPLICATE]


async def test_a_message_that_failed_is_no_duplicate(world: World) -> None:
    await append(world.store, writes("a", 2, cause=heard(name="m")))
    assert await outcomes(world.store, writes("a", 1, cause=heard(name="m"))) == [KEPT]


# Behind


async def test_a_commit_on_the_key_of_one_that_failed_is_behind(world: World) -> None:
    batch = [writes("a", 9, key="k"), writes("b", 1, key="k"), writes("b", 1, key="other")]
    assert await outcomes(world.store, *batch) == [CONFLICT, BEHIND, BEHIND]
    assert await outcomes(world.store, writes("a", 9, key="k"), writes("c", 1, key="x")) == [
        CONFLICT,
        KEPT,
    ]


async def test_a_commit_on_the_aggregate_of_one_that_failed_is_behind(world: World) -> None:
    await append(world.store, writes("a", 1))
    would_fit = writes("a", 2, key="k2")
    assert await outcomes(world.store, writes("a", 1, key="k1"), would_fit) == [CONFLICT, BEHIND]
    assert await versions(world.store, "a") == [[1]]


async def test_what_is_behind_holds_up_its_own_key_and_aggregates_too(world: World) -> None:
    batch = [
        writes("a", 9, key="k1"),
        Commit(heard("k2"), events=[happened("a", 1), happened("b", 1)]),
        writes("b", 1, key="k3"),
        Commit(heard("k3")),
        Commit(heard("k4")),
    ]
    assert await outcomes(world.store, *batch) == [CONFLICT, BEHIND, BEHIND, BEHIND, KEPT]


# Idempotency keys


async def test_a_request_under_a_known_key_is_a_duplicate_with_the_first_answer(
    world: World,
) -> None:
    first = answered("key", b"first")
    await append(world.store, writes("a", 1, idempotency=first))
    second = writes("b", 1, idempotency=answered("key", b"second"))
    stored = await append(world.store, writes("c", 1), second)
    assert stored.outcomes == [KEPT, DUPLICATE]
    assert stored.responses == {1: first}
    assert await world.store.idempotent(["key", "other"]) == {"key": first}


async def test_of_two_requests_with_one_key_in_a_batch_one_is_kept_and_answers_both(
    world: World,
) -> None:
    first, second = answered("key", b"first"), answered("key", b"second")
    batch = [writes("a", 1, idempotency=first), writes("b", 1, idempotency=second)]
    stored = await append(world.store, *batch)
    assert stored.outcomes == [KEPT, DUPLICATE]
    assert stored.responses == {1: first}
    assert await world.store.idempotent(["key"]) == {"key": first}


async def test_a_request_that_is_asked_again_under_its_id_gets_its_answer(world: World) -> None:
    request = writes("a", 1, cause=heard(name="m"), idempotency=answered("key"))
    await append(world.store, request)
    assert (await append(world.store, request)).responses == {0: answered("key")}


async def test_the_key_of_a_request_that_failed_is_free(world: World) -> None:
    first, second = answered("key", b"first"), answered("key", b"second")
    batch = [writes("a", 9, idempotency=first), writes("b", 1, idempotency=second)]
    stored = await append(world.store, *batch)
    assert stored.outcomes == [CONFLICT, KEPT]
    assert stored.responses == {}
    assert await world.store.idempotent(["key"]) == {"key": second}


async def test_an_idempotency_key_is_kept_for_24_hours(world: World) -> None:
    await append(world.store, writes("a", 1, idempotency=answered("key", b"first")))
    await world.later(24 * 3600 - 60)
    assert await world.store.idempotent(["key"]) == {"key": answered("key", b"first")}
    await world.later(61)
    assert await world.store.idempotent(["key"]) == {}
    second = writes("b", 1, idempotency=answered("key", b"second"))
    assert await outcomes(world.store, second) == [KEPT]
    assert await world.store.idempotent(["key"]) == {"key": answered("key", b"second")}


async def test_what_was_done_about_a_message_is_recorded(world: World) -> None:
    refused = Commit(heard("k"), handled=Handled.REFUSED, detail="no such order")
    await append(world.store, refused)
    (entry,) = await world.store.journal(None, 0, 10)
    assert (entry.outcome, entry.detail) == ("refused", "no such order")
