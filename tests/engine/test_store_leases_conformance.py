"""Who holds a lease, for how long, and who waits for it; for every store."""

from __future__ import annotations

from stagepost.engine.store import Leadership
from tests.engine.stores import World


async def test_nobody_leads_where_nobody_ever_did(world: World) -> None:
    assert await world.store.leadership("worker") == Leadership()


async def test_the_holder_is_shown_with_its_epoch_and_how_long_it_has(world: World) -> None:
    await world.store.take_lease("worker", "one", 10)
    stands = await world.store.leadership("worker")
    assert (stands.holder, stands.epoch, stands.waiting) == ("one", 1, ())
    assert 9 < stands.expires_in <= 10


async def test_a_lease_that_expired_or_was_given_back_is_nobodys(world: World) -> None:
    await world.store.take_lease("worker", "one", 10)
    await world.later(11)
    assert await world.store.leadership("worker") == Leadership(None, 1, 0, ())
    lease = await world.store.take_lease("worker", "one", 10)
    assert lease is not None
    await world.store.drop_lease(lease)
    assert await world.store.leadership("worker") == Leadership(None, 2, 0, ())


async def test_who_does_not_get_the_lease_is_shown_as_waiting(world: World) -> None:
    await world.store.take_lease("worker", "one", 10)
    await world.store.take_lease("worker", "three", 10)
    await world.store.take_lease("worker", "two", 10)
    await world.store.take_lease("worker", "two", 10)
    assert (await world.store.leadership("worker")).waiting == ("three", "two")


async def test_who_no_longer_asks_vanishes(world: World) -> None:
    lease = await world.store.take_lease("worker", "one", 10)
    assert lease is not None
    await world.store.take_lease("worker", "two", 10)
    await world.later(6)
    await world.store.renew_lease(lease, 10)
    await world.store.take_lease("worker", "three", 10)
    await world.later(6)
    assert (await world.store.leadership("worker")).waiting == ("three",)
    await world.store.take_lease("worker", "two", 10)  # and is there again
    assert (await world.store.leadership("worker")).waiting == ("three", "two")


async def test_who_gets_the_lease_waits_no_longer(world: World) -> None:
    await world.store.take_lease("worker", "one", 10)
    await world.store.take_lease("worker", "two", 30)
    await world.later(11)
    await world.store.take_lease("worker", "two", 10)
    stands = await world.store.leadership("worker")
    assert (stands.holder, stands.waiting) == ("two", ())


async def test_who_ends_waits_no_longer(world: World) -> None:
    await world.store.take_lease("worker", "one", 10)
    await world.store.take_lease("worker", "two", 10)
    await world.store.stop_waiting("worker", "two")
    assert (await world.store.leadership("worker")).waiting == ()


async def test_each_lease_has_its_own_holder_and_waiters(world: World) -> None:
    await world.store.take_lease("worker", "one", 10)
    await world.store.take_lease("another", "two", 10)
    await world.store.take_lease("another", "one", 10)
    assert (await world.store.leadership("worker")).waiting == ()
    assert (await world.store.leadership("another")).waiting == ("one",)
