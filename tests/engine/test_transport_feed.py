"""Reading feeds: what goes wrong on the way, and what a source may not make us believe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import count, pairwise
from typing import Any

import pytest
from aiohttp import test_utils, web
from structlog.testing import capture_logs

from stagepost.engine.batch import Cursor, CursorId
from stagepost.engine.envelope import Envelope
from stagepost.engine.transports import feed
from stagepost.engine.transports.feed import FeedSubscription, FeedTransport
from stagepost.engine.transports.http_envelope import BATCH, write_batch
from stagepost.errors import BadSettings
from tests.engine.feeds import Source, serving
from tests.engine.stores import SERVICE, World, begin_anew, told
from tests.engine.transports import READER, SOURCE, TYPES, message, take

assert SOURCE == SERVICE


class Reader:
    """A transport, one subscription on it, and what it has logged."""

    def __init__(self, transport: FeedTransport, logs: list[Any]) -> None:
        self.transport = transport
        self.logs = logs
        self.woken = asyncio.Event()
        self.subscription: FeedSubscription | None = None

    async def read(self, after: Cursor | None = None, types: tuple[str, ...] = TYPES) -> None:
        """Subscribe, and again from another place."""
        if self.subscription is not None:
            await self.subscription.close()
        cursors = [after] if after else []
        self.subscription = await self.transport.subscribe(
            READER, {SOURCE: types}, cursors, self.woken.set
        )

    async def take(self, number: int) -> list[Envelope]:
        assert self.subscription is not None
        return [got.message for got in await take(self.subscription, self.woken, number)]

    def take_all(self) -> list[Envelope]:
        assert self.subscription is not None
        return [received.message for received in self.subscription.take(10_000)]

    def said(self, event: str) -> list[str]:
        """Return why, as often as it was logged."""
        return [str(line.get("reason", "")) for line in self.logs if line["event"] == event]

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.01)

    async def until_not_behind(self) -> None:
        assert self.subscription is not None
        async with asyncio.timeout(10):
            while await self.subscription.behind():
                await asyncio.sleep(0.01)


ReaderOf = Callable[[str], Awaitable[Reader]]


@pytest.fixture
async def reader_of(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ReaderOf]:
    """Readers of the feed at a URL; they do not pause for long."""
    monkeypatch.setattr(feed, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(feed, "LAST_PAUSE", 0.1)
    readers: list[Reader] = []
    with capture_logs() as logs:

        async def make(url: str) -> Reader:
            readers.append(Reader(FeedTransport({SOURCE: url}), logs))
            return readers[-1]

        yield make
        for reader in readers:
            if reader.subscription is not None:
                await reader.subscription.close()
            await reader.transport.close()


@pytest.fixture
async def source(world: World) -> AsyncIterator[Source]:
    async with serving(world.store) as source:
        yield source


@pytest.fixture
async def reader(source: Source, reader_of: ReaderOf) -> Reader:
    return await reader_of(source.url)


def behind(read: Envelope) -> Cursor:
    place = CursorId("consumer", SOURCE, read.incarnation)
    return Cursor(place, read.position, read.position)


# With the real feed, of every store.


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
    await asyncio.sleep(0.5)
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
    await asyncio.sleep(0.3)
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


# With sources that lie or stumble. What they answer is scripted, the last answer for ever.


class Script:
    """A server whose answers are given: bytes, with the headers of a feed unless others are."""

    def __init__(self) -> None:
        self.answers: list[
            web.Response | Callable[[web.Request], Awaitable[web.StreamResponse]]
        ] = []
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(str(request.rel_url))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, web.Response):
            return web.Response(body=answer.body, status=answer.status, headers=answer.headers)
        return await answer(request)


async def elsewhere(_: web.Request) -> web.StreamResponse:
    return page(message(1))


@pytest.fixture
async def script() -> AsyncIterator[tuple[Script, str]]:
    script = Script()
    app = web.Application()
    app.router.add_get("/feed", script.answer)
    app.router.add_get("/elsewhere", elsewhere)
    async with test_utils.TestServer(app) as server:
        yield script, str(server.make_url("/"))


def page(*events: Envelope, after: int | None = None) -> web.Response:
    last = events[-1].position if events else 0
    return raw(write_batch(events), last if after is None else after)


def raw(body: bytes, after: int = 0, **headers: str) -> web.Response:
    given = {
        "Content-Type": BATCH,
        "Stagepost-Begin": "0",
        "Stagepost-End": "1:100",
        "Link": f'</feed?after={after}&limit=256>; rel="next"',
    }
    return web.Response(body=body, headers={**given, **headers})


async def cut(request: web.Request) -> web.StreamResponse:
    """Promise more than comes."""
    whole = page(message(1), message(2))
    assert isinstance(whole.body, bytes)
    response = web.StreamResponse(headers={**whole.headers, "Content-Length": str(len(whole.body))})
    await response.prepare(request)
    await response.write(whole.body[:-10])
    assert request.transport is not None
    request.transport.close()
    return response


BAD: dict[str, Any] = {
    "cut": cut,
    "no JSON": raw(b"<html>"),
    "half of its JSON": raw(write_batch([message(1)])[:-20], 1),
    "too large": raw(b"[" + b" " * 5000 + b"]"),
    "of another source": page(replace(message(1), source="inventory")),
    "of two sources": page(message(1), replace(message(2), source="inventory")),
    "with a command": page(replace(message(1), kind="command", recipient="fulfillment")),
    "out of order": page(message(2), message(1)),
    "with a position twice": page(message(1), message(1)),
    "that goes on before its end": page(message(1), message(2), after=1),
    "that goes on nowhere": raw(b"[7]", 0),
    "without a link": raw(write_batch([message(1)]), Link=""),
    "without an end": raw(write_batch([message(1)]), 1, **{"Stagepost-End": "soon"}),
    "unavailable": web.Response(status=503),
    "a redirect": web.Response(status=302, headers={"Location": "/elsewhere"}),
    "a refusal that is none": web.Response(status=409, body=b"{}"),
    "a refusal of what it has": raw(b'{"detail": "no", "pruned": {"a": "1:1"}}'),
}
BAD["a refusal of what it has"].set_status(410)


@pytest.mark.parametrize("bad", sorted(BAD))
async def test_a_page_that_no_source_writes_is_not_taken_and_the_next_good_one_is(
    monkeypatch: pytest.MonkeyPatch, script: tuple[Script, str], reader_of: ReaderOf, bad: str
) -> None:
    monkeypatch.setattr(feed, "MAX_PAGE", 4000)
    answers, url = script
    answers.answers = [BAD[bad]]
    reader = await reader_of(url)
    await reader.read()

    await reader.until(lambda: len(answers.asked) > 3)
    assert reader.take_all() == []
    assert len(reader.said("a feed is not read")) == 1
    assert not reader.transport.connected
    assert {asked.partition("&")[0] for asked in answers.asked} == {"/feed?after=0"}

    good = [message(1), message(2)]
    answers.answers = [page(*good), page(after=2)]
    assert await reader.take(2) == good
    await reader.until(lambda: reader.transport.connected)


async def test_around_an_event_that_nobody_can_read_all_others_are_read_once(
    script: tuple[Script, str], reader_of: ReaderOf
) -> None:
    answers, url = script
    one, three = message(1), message(3)
    batch = b"[%s,7,%s]" % (write_batch([one])[1:-1], write_batch([three])[1:-1])
    answers.answers = [raw(batch, 3), raw(b'[{"id": "?"}]', 4), page(after=4)]
    reader = await reader_of(url)
    await reader.read()

    assert await reader.take(2) == [one, three]
    await reader.until(lambda: len(answers.asked) > 3)

    assert len(reader.said("not one of our messages")) == 2
    assert [asked.partition("&")[0] for asked in answers.asked[:3]] == [
        "/feed?after=0",
        "/feed?after=3",
        "/feed?after=4",
    ]


async def test_events_that_are_too_large_for_one_page_are_asked_for_in_smaller_ones(
    monkeypatch: pytest.MonkeyPatch, world: World, reader_of: ReaderOf
) -> None:
    monkeypatch.setattr(feed, "MAX_PAGE", 4000)
    async with serving(world.store) as source:
        sent = await source.tell(*[told(body=b'{"a":"%s"}' % (b"x" * 2500)) for _ in range(5)])
        reader = await reader_of(source.url)
        await reader.read()
        assert await reader.take(5) == sent
    assert "has more than 4,000 bytes" in reader.said("a feed is not read")[0]


async def test_full_pages_are_asked_for_again_when_the_large_events_are_read(
    monkeypatch: pytest.MonkeyPatch, script: tuple[Script, str], reader_of: ReaderOf
) -> None:
    monkeypatch.setattr(feed, "MAX_PAGE", 4000)
    answers, url = script
    answers.answers = [BAD["too large"], page(message(1)), page(after=1)]
    reader = await reader_of(url)
    await reader.read()
    await reader.until(lambda: len(answers.asked) > 2)
    assert [asked.split("&")[1] for asked in answers.asked[:3]] == [
        "limit=256",
        "limit=64",
        "limit=256",
    ]


async def test_a_source_that_never_waits_is_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch, script: tuple[Script, str], reader_of: ReaderOf
) -> None:
    monkeypatch.setattr(feed, "FIRST_PAUSE", 0.1)
    answers, url = script
    answers.answers = [page()]
    reader = await reader_of(url)
    await reader.read()
    await asyncio.sleep(0.55)
    assert 3 <= len(answers.asked) <= 8
    assert answers.asked[0].endswith("wait=0")
    assert answers.asked[-1].endswith(f"wait={feed.WAIT_SECONDS}")


async def test_pauses_grow_while_a_source_is_away(
    monkeypatch: pytest.MonkeyPatch, script: tuple[Script, str], reader_of: ReaderOf
) -> None:
    monkeypatch.setattr(feed, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(feed, "LAST_PAUSE", 0.4)
    answers, url = script
    times: list[float] = []

    async def away(_: web.Request) -> web.StreamResponse:
        times.append(asyncio.get_running_loop().time())
        return web.Response(status=503)

    answers.answers = [away]
    reader = await reader_of(url)
    await reader.read()
    await reader.until(lambda: len(times) >= 6)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    for pause, least in zip(pauses, (0.05, 0.1, 0.2, 0.4, 0.4), strict=False):
        assert least <= pause < least + 0.3


async def test_sources_take_turns(world: World, reader_of: ReaderOf) -> None:
    async with serving(world.store) as source:
        sent = await source.tell(*[told() for _ in range(4)])
        reader = await reader_of(source.url)
        reader.transport._urls["nobody"] = "http://127.0.0.1:1"
        subscription = await reader.transport.subscribe(
            READER, {"nobody": TYPES, SOURCE: TYPES}, [], reader.woken.set
        )
        numbers = count()
        got: list[Envelope] = []
        async with asyncio.timeout(5):
            while len(got) < 4 and next(numbers) < 1000:
                got += [received.message for received in subscription.take(1)]
                await asyncio.sleep(0.01)
        await subscription.close()
    assert got == sent


async def test_a_source_of_which_nobody_said_where_it_is_is_no_link(reader_of: ReaderOf) -> None:
    reader = await reader_of("http://127.0.0.1:1")
    with pytest.raises(BadSettings, match="where the feed of inventory, shipping is"):
        await reader.transport.subscribe(READER, {"shipping": [], "inventory": []}, [], print)
