"""Reading feeds, of every store: where a reader goes on, and what it does not pass by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from stagepost.engine.transports import feed
from tests.engine.feeds import Reader, ReaderOf, Source, behind, serving
from tests.engine.stores import SERVICE, World, begin_anew, told
from tests.engine.transports import READER, SOURCE, TYPES

assert SOURCE == SERVICE


@pytest.fixture
async def source(world: World) -> AsyncIterator[Source]:
    async with serving(world.store) as source:
        yield source


@pytest.fixture
async def reader(source: Source, reader_of: ReaderOf) -> Reader:
    return await reader_of(source.url)


async def test_who_comes_back_goes_on_where_it_was(source: Source, reader: Reader) -> None:
    sent = await source.tell(*[told() for _ in range(5)])
    await reader.read()
    first = await reader.take(2)

    await reader.read(behind(first[-1]))

    assert [*first, *await reader.take(3)] == sent


async def test_an_old_cursor_of_another_life_is_not_gone_by(source: Source, reader: Reader) -> None:
    sent = await source.tell(told(), told())
    await begin_anew(source.store, sent[0].position)
    newer = replace(sent[1], incarnation=2)
    await reader.read()
    assert await reader.take(2) == [sent[0], newer]

    cursors = [behind(newer), behind(sent[0])]
    await reader.subscription.close()  # type: ignore[union-attr]
    reader.subscription = await reader.transport.subscribe(
        READER, {SOURCE: TYPES}, cursors, reader.woken.set
    )

    await reader.until_not_behind()
    assert reader.take_all() == []


async def test_a_source_that_is_gone_is_waited_for_and_read_on(
    source: Source, reader: Reader
) -> None:
    await reader.read()
    before = await source.tell(told())
    assert await reader.take(1) == before
    assert reader.transport.connected

    await source.stop()
    await reader.until(lambda: not reader.transport.connected)
    while_away = await source.tell(told(), told())
    await asyncio.sleep(0.5)  # meanwhile it is tried again and again
    assert len(reader.said("a feed is not read")) == 1
    await source.start()

    assert await reader.take(2) == while_away
    assert reader.transport.connected
    assert len(reader.said("reading on")) == 1
    assert not reader.transport.lost.is_set()


async def test_a_source_that_is_not_there_yet_counts_as_backlog(
    source: Source, reader: Reader
) -> None:
    await source.tell(told())
    await source.stop()
    await reader.read()
    await reader.until(lambda: reader.said("a feed is not read"))
    assert reader.subscription is not None
    assert await reader.subscription.behind()

    await source.start()

    await reader.take(1)
    assert not await reader.subscription.behind()


async def test_a_feed_of_nothing_of_interest_is_no_backlog(source: Source, reader: Reader) -> None:
    await source.tell(told(type="payments.PaymentRefunded"))
    await reader.read()
    await reader.until_not_behind()
    assert reader.take_all() == []


async def test_a_cursor_from_the_future_stays_where_it_is_and_says_so(
    source: Source, reader: Reader
) -> None:
    *_, last = await source.tell(told(), told())
    await reader.read(behind(replace(last, position=last.position + 1000)))

    await reader.until(lambda: reader.transport.refusals[SOURCE] > 2)

    (reason,) = reader.said("a feed is not read")
    assert f"the feed of payments: the feed ends at {last.position}" in reason
    assert "set back" in reason
    assert not reader.transport.connected
    assert reader.take_all() == []


async def test_a_source_that_noticed_that_it_was_set_back_is_read_from_its_beginning(
    source: Source, reader: Reader
) -> None:
    first, second = await source.tell(told(), told())
    seen = behind(replace(second, position=second.position + 1000))
    await reader.read(seen)
    await reader.until(lambda: reader.transport.refusals[SOURCE])

    await begin_anew(source.store, first.position)

    assert await reader.take(2) == [first, replace(second, incarnation=2)]
    assert reader.transport.connected


async def test_a_source_that_was_set_back_to_a_former_life_is_not_read_until_it_has_noticed(
    source: Source, reader: Reader
) -> None:
    first, second = await source.tell(told(), told())
    await reader.read(behind(replace(first, incarnation=2)))

    await reader.until(lambda: reader.transport.refusals[SOURCE] > 2)
    (reason,) = reader.said("a feed is not read")
    assert "was set back: this is its incarnation 1, and we have read events of 2" in reason
    assert reader.take_all() == []

    await begin_anew(source.store, second.position)
    await begin_anew(source.store, second.position)
    assert await reader.take(2) == [first, second]  # of its first life: cursors drop what was read


async def test_who_has_not_read_what_was_pruned_stays_where_it_is_and_says_so(
    world: World, source: Source, reader: Reader
) -> None:
    first, second, _ = await source.tell(told(), told(), told())
    await world.prune(second.position)
    await reader.read(behind(first))

    await reader.until(lambda: reader.transport.refusals[SOURCE] > 2)

    (reason,) = reader.said("a feed is not read")
    assert f"events up to {second.position} are no longer kept" in reason
    assert "(payments.PaymentReceived)" in reason
    assert reader.take_all() == []


async def test_who_has_read_all_of_interest_that_was_pruned_goes_on_behind_it(
    world: World, source: Source, reader: Reader
) -> None:
    first, other, third = await source.tell(told(), told(type="payments.PaymentRefunded"), told())
    await world.prune(other.position)

    await reader.read(behind(first))

    assert await reader.take(1) == [third]
    assert not reader.transport.refusals


async def test_what_a_new_life_told_and_pruned_is_not_passed_by(
    world: World, source: Source, reader: Reader
) -> None:
    first, second, third = await source.tell(told(), told(), told())
    await begin_anew(source.store, first.position)
    await world.prune(second.position)

    await reader.read(behind(third))  # of the former life: the second has come in this one as well

    await reader.until(lambda: reader.transport.refusals[SOURCE] > 2)
    assert reader.take_all() == []


async def test_no_more_is_read_ahead_than_two_pages(
    monkeypatch: pytest.MonkeyPatch, source: Source, reader: Reader
) -> None:
    monkeypatch.setattr(feed, "LIMIT", 4)
    sent = await source.tell(*[told() for _ in range(20)])
    await reader.read()
    await asyncio.sleep(0.3)  # time enough to read all 20, were it not bounded
    first = reader.take_all()
    assert 4 <= len(first) <= 7
    assert [*first, *await reader.take(20 - len(first))] == sent


async def test_a_reader_is_behind_until_it_has_taken_the_last_that_stood_there(
    monkeypatch: pytest.MonkeyPatch, source: Source, reader: Reader
) -> None:
    monkeypatch.setattr(feed, "LIMIT", 4)
    await source.tell(*[told() for _ in range(20)])
    await reader.read()
    subscription = reader.subscription
    assert subscription is not None
    left = 20
    while left:
        assert await subscription.behind(), left
        left -= len(reader.take_all())
        await asyncio.sleep(0)
    assert not await subscription.behind()

    await source.tell(told())
    await reader.until(lambda: subscription._readings[0]._arrived)
    assert not await subscription.behind()
