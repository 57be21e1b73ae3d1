"""Dead letters park a key until they are redriven or discarded; for every store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stagepost.engine.batch import Commit, Handled
from tests.engine.stores import (
    CONFLICT,
    DUPLICATE,
    KEPT,
    SERVICE,
    World,
    append,
    heard,
    named,
    outcomes,
    told,
    writes,
)


async def park(world: World, key: str, name: str, reason: str = "cannot be read") -> Commit:
    commit = Commit(
        heard(key, name, position=7, body=b'{"bad":true}', recipient=SERVICE),
        handled=Handled.PARKED,
        detail=reason,
        parks=True,
    )
    await append(world.store, commit)
    return commit


async def letter_states(world: World) -> list[tuple[str, str]]:
    return [(d.message.key, d.state) for d in await world.store.dead_letters(0, 100)]


async def to_redrive(world: World) -> list[int]:
    return [letter.id for letter in await world.store.redrivable(100)]


async def redriven(world: World, number: int, **known: object) -> Commit:
    (letter,) = [d for d in await world.store.redrivable(100) if d.id == number]
    return Commit(letter.message, redrives=number, **known)  # type: ignore[arg-type]


async def test_a_parked_message_is_kept_with_its_reason(world: World) -> None:
    parked = await park(world, "k", "m")
    (letter,) = await world.store.dead_letters(0, 10)
    assert (letter.state, letter.reason, letter.attempts) == ("parked", "cannot be read", 1)
    assert replace(letter.message, time=None) == parked.cause
    assert await world.store.parked_keys() == {"k"}
    assert await outcomes(world.store, Commit(parked.cause)) == [DUPLICATE]


async def test_a_message_behind_a_parked_one_waits(world: World) -> None:
    await park(world, "k", "first")
    await park(world, "k", "second")
    await park(world, "other", "third")
    assert await letter_states(world) == [("k", "parked"), ("k", "waiting"), ("other", "parked")]
    assert await to_redrive(world) == []


async def test_of_two_parked_in_one_batch_the_second_waits(world: World) -> None:
    parked = [Commit(heard("k"), handled=Handled.PARKED, parks=True) for _ in range(2)]
    await append(world.store, *parked)
    assert await letter_states(world) == [("k", "parked"), ("k", "waiting")]


async def test_what_is_redriven_is_handled_in_the_order_of_its_key(world: World) -> None:
    for name in ("first", "second", "third"):
        await park(world, "k", name)
    assert await world.store.redrive([1, 2]) == 1
    for number in (1, 2, 3):
        assert await to_redrive(world) == [number]
        assert await world.store.parked_keys() == {"k"}
        assert await outcomes(world.store, await redriven(world, number)) == [KEPT]
    assert await to_redrive(world) == []
    assert await world.store.parked_keys() == set()
    assert await letter_states(world) == []


async def test_a_redriven_message_that_fails_again_is_parked_again(world: World) -> None:
    await park(world, "k", "first")
    await park(world, "k", "second")
    await world.store.redrive([1])
    again = await redriven(world, 1, handled=Handled.PARKED, parks=True, detail="still bad")
    assert await outcomes(world.store, again) == [KEPT]
    assert await to_redrive(world) == []
    letter = (await world.store.dead_letters(0, 1))[0]
    assert (letter.state, letter.reason, letter.attempts) == ("parked", "still bad", 2)


async def test_a_redriven_message_whose_commit_failed_is_still_to_be_redriven(world: World) -> None:
    await park(world, "k", "first")
    await world.store.redrive([1])
    conflict = replace(await redriven(world, 1), events=writes("a", 9).events)
    assert await outcomes(world.store, conflict) == [CONFLICT]
    assert await to_redrive(world) == [1]


async def test_a_redriven_message_is_handled_once(world: World) -> None:
    await park(world, "k", "first")
    await world.store.redrive([1])
    commit = await redriven(world, 1, sends=[told()])
    assert await outcomes(world.store, commit, commit) == [KEPT, DUPLICATE]
    assert await outcomes(world.store, commit) == [DUPLICATE]
    assert len(await world.store.outbox(0, 10)) == 1


async def test_a_message_that_nobody_asked_to_redrive_stays_parked(world: World) -> None:
    parked = await park(world, "k", "first")
    uninvited = Commit(parked.cause, redrives=1)
    assert await outcomes(world.store, uninvited) == [DUPLICATE]
    assert await outcomes(world.store, Commit(heard("k"), redrives=99)) == [DUPLICATE]
    assert await letter_states(world) == [("k", "parked")]


async def test_a_discarded_message_frees_the_next_of_its_key(world: World) -> None:
    await park(world, "k", "first")
    await park(world, "k", "second")
    assert await world.store.discard([1, 99], "a test order") == 1
    assert await letter_states(world) == [("k", "waiting")]
    assert await to_redrive(world) == [2]
    assert await world.store.discard([1], "again") == 0
    await world.store.discard([2], "a test order")
    assert await world.store.parked_keys() == set()


async def test_dead_letters_are_read_by_the_page(world: World) -> None:
    for key in ("a", "b", "c"):
        await park(world, key, key)
    assert ids_of(await world.store.dead_letters(0, 2)) == [1, 2]
    assert ids_of(await world.store.dead_letters(2, 2)) == [3]
    await world.store.redrive([1, 2, 3])
    assert ids_of(await world.store.redrivable(2)) == [1, 2]


def ids_of(letters: Sequence[object]) -> list[int]:
    return [letter.id for letter in letters]  # type: ignore[attr-defined]


async def test_a_message_that_is_handled_after_all_keeps_its_place_in_the_journal(
    world: World,
) -> None:
    await park(world, "k", "first")
    await append(world.store, Commit(heard("other")))
    await world.store.redrive([1])
    await append(world.store, await redriven(world, 1, sends=[told("k")]))
    first, _, sent = await world.store.journal(None, 0, 10)
    assert (first.id, first.outcome) == (named("first"), "handled")
    assert sent.causation == first.id
