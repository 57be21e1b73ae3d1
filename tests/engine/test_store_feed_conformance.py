"""What every store tells whoever reads its feed: events, and between what the feed lies."""

from __future__ import annotations

from stagepost.engine.batch import Commit
from stagepost.engine.envelope import Place
from stagepost.engine.store import FeedPage
from tests.engine.stores import World, append, begin_anew, called, heard, ids, told

MAX = 2**63 - 1


async def test_an_empty_feed_begins_and_ends_at_nothing(world: World) -> None:
    await append(world.store, Commit(heard(), sends=[called()]))
    assert await world.store.feed(0, 10) == FeedPage([], 0, Place(1, 0))
    assert await world.store.pruned() == {}


async def test_the_feed_holds_events_only_and_in_the_order_of_commits(world: World) -> None:
    command = told(kind="command", recipient="shipping")
    one, two, three = told("a"), told("b"), told("a")
    await append(world.store, Commit(heard("a"), sends=[one, command]))
    await append(world.store, Commit(heard("b"), sends=[called(), two, three, command]))

    page = await world.store.feed(0, 10)

    assert ids(page.messages) == ids([one, two, three])
    rows = {message.id: message for message in await world.store.outbox(0, 10)}
    assert list(page.messages) == [rows[message.id] for message in (one, two, three)]
    assert (page.begin, page.end) == (0, Place(1, page.messages[-1].position))


async def test_the_feed_is_read_by_the_page_and_each_says_where_it_ends(world: World) -> None:
    await append(world.store, Commit(heard(), sends=[told() for _ in range(5)]))
    whole = await world.store.feed(0, 10)
    first = await world.store.feed(0, 3)
    rest = await world.store.feed(first.messages[-1].position, 3)
    assert [*first.messages, *rest.messages] == whole.messages
    assert first.end == rest.end == whole.end
    assert await world.store.feed(0, 0) == FeedPage([], 0, whole.end)
    assert await world.store.feed(MAX, 10) == FeedPage([], 0, whole.end)


async def test_the_feed_tells_which_life_of_the_database_it_is(world: World) -> None:
    await append(world.store, Commit(heard(), sends=[told(), told()]))
    first, second = (await world.store.feed(0, 10)).messages
    await begin_anew(world.store, first.position)
    page = await world.store.feed(0, 10)
    assert [message.incarnation for message in page.messages] == [1, 2]
    assert page.end == Place(2, second.position)


async def test_behind_what_was_pruned_the_feed_begins(world: World) -> None:
    sends = [told(), told(type="payments.PaymentDeclined"), told(), told()]
    await append(world.store, Commit(heard(), sends=sends))
    one, two, three, four = (await world.store.feed(0, 10)).messages

    await world.prune(three.position)

    assert await world.store.feed(0, 10) == FeedPage(
        [four], three.position, Place(1, four.position)
    )
    assert await world.store.pruned() == {
        one.type: Place(1, three.position),
        two.type: Place(1, two.position),
    }
    await world.prune(four.position)
    assert await world.store.feed(0, 10) == FeedPage([], four.position, Place(1, four.position))
