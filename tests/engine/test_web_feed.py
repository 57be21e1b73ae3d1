"""GET /feed: the events of a service by the page, for whoever asks; on every store."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
from pydantic import TypeAdapter

from stagepost.engine.envelope import Envelope
from stagepost.engine.transports.http_envelope import read_batch
from stagepost.engine.web import feed
from stagepost.engine.web.etags import is_among
from stagepost.messages import MAX_BIGINT
from tests.engine.feeds import Source, client_of, serving
from tests.engine.shop import problem_of
from tests.engine.stores import World, begin_anew, called, told

SOON = 0.05
"""Seconds within which who waits is told what was written where it waits."""


@pytest.fixture
async def source(world: World) -> AsyncIterator[Source]:
    async with serving(world.store) as source:
        yield source


@pytest.fixture
async def client(source: Source) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(source) as client:
        yield client


def positions(messages: Sequence[Envelope]) -> list[int]:
    return [message.position for message in messages]


async def test_the_feed_tells_events_whole_and_in_order(
    source: Source, client: httpx.AsyncClient
) -> None:
    command = told(kind="command", type="shipping.ShipGoods", recipient="shipping")
    sent = await source.tell(told("a"), command, called("b"), told("b"), told("a"))

    answer = await client.get("/feed")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/cloudevents-batch+json"
    assert read_batch(answer.content) == sent
    assert len(TypeAdapter(list[feed.CloudEvent]).validate_json(answer.content)) == len(sent)
    assert [message.key for message in sent] == ["a", "b", "a"]


async def test_the_feed_is_followed_by_its_links_from_page_to_page(
    source: Source, client: httpx.AsyncClient
) -> None:
    sent = await source.tell(*[told() for _ in range(5)])
    address, read = "/feed?limit=2&wait=0", []
    for count in (2, 2, 1, 0):
        answer = await client.get(address)
        page = read_batch(answer.content)
        assert len(page) == count
        read += page
        address = answer.links["next"]["url"]
    assert read == sent
    assert address == f"/feed?limit=2&wait=0&after={sent[-1].position}"


async def test_a_full_page_is_the_same_for_ever_and_is_not_sent_twice(
    source: Source, client: httpx.AsyncClient
) -> None:
    await source.tell(told(), told(), told())
    first = await client.get("/feed?limit=3")
    assert first.headers["cache-control"] == "private, max-age=31536000, immutable"
    etag = first.headers["etag"]
    assert etag.startswith('"')

    await source.tell(told(), called(), told())

    again = await client.get("/feed?limit=3")
    assert (again.content, again.headers["etag"]) == (first.content, etag)
    for known in (etag, f'"other", W/{etag}', "*"):
        spared = await client.get("/feed?limit=3", headers={"If-None-Match": known})
        assert (spared.status_code, spared.content) == (304, b"")
        assert (spared.headers["etag"], spared.links) == (etag, first.links)
    changed = await client.get("/feed?limit=3", headers={"If-None-Match": '"other"'})
    assert (changed.status_code, changed.content) == (200, first.content)


async def test_a_page_that_is_not_full_is_not_to_be_kept(
    source: Source, client: httpx.AsyncClient
) -> None:
    await source.tell(told())
    for address in ("/feed?limit=2", "/feed?after=1000000", "/feed?limit=2"):
        answer = await client.get(address, headers={"If-None-Match": "*"})
        assert answer.headers["cache-control"] == "no-store"
        assert "etag" not in answer.headers


async def test_it_is_said_between_what_the_feed_lies(
    source: Source, client: httpx.AsyncClient
) -> None:
    empty = await client.get("/feed")
    assert (empty.headers["stagepost-begin"], empty.headers["stagepost-end"]) == ("0", "1:0")
    sent = await source.tell(told(), told(), called())
    await begin_anew(source.store, sent[-1].position)

    answer = await client.get("/feed?limit=1")

    assert answer.headers["stagepost-end"] == f"2:{sent[-1].position}"


async def test_a_cursor_from_the_future_is_told_where_the_feed_ends(
    source: Source, client: httpx.AsyncClient
) -> None:
    *_, last = await source.tell(told(), told())
    at_the_end = await client.get(f"/feed?after={last.position}")
    assert (at_the_end.status_code, at_the_end.content) == (200, b"[]")

    async with asyncio.timeout(5):  # it is not waited for
        answer = await client.get(f"/feed?after={last.position + 1}&wait=30")

    problem = problem_of(answer)
    assert problem["status"] == 409
    assert f"ends at {last.position}, {last.position + 1} is beyond" in problem["detail"]
    assert "set back" in problem["detail"]
    assert "that of another service" in problem["detail"]
    assert answer.headers["stagepost-end"] == f"1:{last.position}"


async def test_who_asks_for_what_was_pruned_is_told_where_the_feed_begins(
    world: World, source: Source, client: httpx.AsyncClient
) -> None:
    first, second, third = await source.tell(told(), told(type="payments.PaymentDeclined"), told())
    await world.prune(second.position)

    kept = await client.get(f"/feed?after={second.position}")
    assert read_batch(kept.content) == [third]
    assert kept.headers["stagepost-begin"] == str(second.position)
    for after in (0, first.position):
        async with asyncio.timeout(5):
            answer = await client.get(f"/feed?after={after}&wait=30")
        assert problem_of(answer)["status"] == 410
        assert f"events up to {second.position} are no longer kept" in answer.json()["detail"]
        assert answer.headers["stagepost-begin"] == str(second.position)
        assert answer.json()["pruned"] == {
            "payments.PaymentReceived": f"1:{first.position}",
            "payments.PaymentDeclined": f"1:{second.position}",
        }


async def test_a_feed_of_which_all_is_pruned_ends_where_it_begins(
    world: World, source: Source, client: httpx.AsyncClient
) -> None:
    *_, last = await source.tell(told(), told())
    await world.prune(last.position)

    answer = await client.get(f"/feed?after={last.position}")

    assert (answer.status_code, answer.content) == (200, b"[]")
    assert answer.headers["stagepost-begin"] == str(last.position)
    assert answer.headers["stagepost-end"] == f"1:{last.position}"
    assert problem_of(await client.get("/feed"))["status"] == 410


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=-1", "/after"),
        ("after=last", "/after"),
        ("after=1.5", "/after"),
        ("after=1e3", "/after"),
        ("after=", "/after"),
        (f"after={MAX_BIGINT + 1}", "/after"),
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("limit=all", "/limit"),
        ("wait=-1", "/wait"),
        ("wait=30.5", "/wait"),
        ("wait=nan", "/wait"),
        ("wait=inf", "/wait"),
        ("wait=long", "/wait"),
        ("after=0&after=1", "/after"),
        ("lastEventId=1", "/lastEventId"),
    ],
)
async def test_what_is_asked_in_a_bad_form_is_a_problem(
    client: httpx.AsyncClient, query: str, field: str
) -> None:
    problem = problem_of(await client.get(f"/feed?{query}"))
    assert problem["status"] == 400
    assert [(fault["in"], fault["pointer"]) for fault in problem["errors"]] == [("query", field)]


# Those who wait.


async def test_who_waits_is_told_at_once_what_is_written_here(
    source: Source, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LOOK_SECONDS", 60)
    after, took = 0, []
    for _ in range(5):  # and one of them undisturbed by whatever else runs here
        waiting = asyncio.create_task(client.get(f"/feed?wait=10&after={after}"))
        await asyncio.sleep(0.1)
        assert not waiting.done()

        began = time.perf_counter()
        (event,) = await source.tell(told())
        answer = await waiting

        took.append(time.perf_counter() - began)
        assert read_batch(answer.content) == [event]
        after = event.position
    assert min(took) < SOON


async def test_who_waits_is_not_woken_by_what_is_no_event(
    source: Source, client: httpx.AsyncClient
) -> None:
    waiting = asyncio.create_task(client.get("/feed?wait=0.3"))
    await asyncio.sleep(0.1)
    await source.tell(called(), told(kind="command", recipient="shipping"))
    assert source.signals.feed.beats == 0
    await source.tell(told())
    assert source.signals.feed.beats == 1
    await waiting


async def test_who_waits_finds_what_another_instance_wrote(
    source: Source, client: httpx.AsyncClient
) -> None:
    waiting = asyncio.create_task(client.get("/feed?wait=10"))
    await asyncio.sleep(0.1)

    began = time.perf_counter()
    (event,) = await source.tell(told(), signal=False)

    assert read_batch((await waiting).content) == [event]
    assert time.perf_counter() - began < 2 * feed.LOOK_SECONDS + SOON


async def test_after_its_wait_an_empty_page_comes(client: httpx.AsyncClient) -> None:
    began = time.perf_counter()
    answer = await client.get("/feed?wait=0.2")
    assert (answer.status_code, json.loads(answer.content)) == (200, [])
    assert 0.2 <= time.perf_counter() - began < 1


async def test_any_number_may_wait_and_all_others_are_served(source: Source) -> None:
    limits = httpx.Limits(max_connections=None)
    async with client_of(source, limits=limits) as client:
        waiting = [asyncio.create_task(client.get("/feed?wait=20")) for _ in range(200)]
        await asyncio.sleep(0.5)
        assert (await client.get("/health/live")).status_code == 200
        (event,) = await source.tell(told())
        answers = await asyncio.gather(*waiting)
    assert {answer.content for answer in answers} == {answers[0].content}
    assert read_batch(answers[0].content) == [event]


async def test_who_waits_keeps_nobody_from_ending(
    source: Source, client: httpx.AsyncClient
) -> None:
    waiting = asyncio.create_task(client.get("/feed?wait=30"))
    await asyncio.sleep(0.1)

    began = time.perf_counter()
    await source.stop()

    assert time.perf_counter() - began < 0.5
    assert (await waiting).content == b"[]"


async def test_while_nobody_waits_nobody_looks(
    source: Source, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LOOK_SECONDS", 0.02)
    assert (await client.get("/feed?wait=0.2")).content == b"[]"
    looks, ask = 0, source.store.feed

    async def counted(after: int, limit: int) -> object:
        nonlocal looks
        looks += 1
        return await ask(after, limit)

    monkeypatch.setattr(source.store, "feed", counted)
    await asyncio.sleep(0.1)
    looks = 0
    await asyncio.sleep(0.2)
    assert looks == 0
    await asyncio.gather(*[client.get("/feed?wait=0.4") for _ in range(10)])
    assert 10 + 10 < looks < 10 + 10 + 22  # each at its beginning and end, and one for all between


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"2"', True),
        ('W/"2"', True),
        ('"1", "2"', True),
        ("*", True),
        ('"1"', False),
        ("2", False),
        ("", False),
        (None, False),
    ],
)
def test_if_none_match_names_what_the_client_has(header: str | None, *, expected: bool) -> None:
    assert is_among('"2"', header) is expected
