"""Reading feeds of sources that lie or stumble, are slow, or are away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import count, pairwise
from typing import Any

import pytest
from aiohttp import test_utils, web

from stagepost.engine.envelope import Envelope
from stagepost.engine.transports import feed
from stagepost.engine.transports.http_envelope import BATCH, write_batch
from stagepost.errors import BadSettings
from tests.engine.feeds import ReaderOf, serving
from tests.engine.stores import World, told
from tests.engine.transports import READER, SOURCE, TYPES, message


class Script:
    """A server whose answers are given, the last of them for ever."""

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
    await asyncio.sleep(0.55)  # five pauses and a half
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
