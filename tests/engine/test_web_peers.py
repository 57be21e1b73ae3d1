"""What other services get of one over HTTP: what they have declared, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product

import httpx
import pytest
from litestar.exceptions import PermissionDeniedException

from contracts import payments
from stagepost.engine.batch import Outgoing
from stagepost.engine.clock import ManualClock
from stagepost.engine.discovery import find_services
from stagepost.engine.links import Links
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.styles import STYLES
from stagepost.engine.transports import feed
from stagepost.engine.transports.http_envelope import read_batch
from stagepost.engine.web.peers import Peers
from stagepost.messages import Command, Event
from tests.callers import the_reader
from tests.engine.feeds import ReaderOf, Source, client_of, serving
from tests.engine.shop import problem_of
from tests.engine.stores import told
from tests.engine.transports import READER, SOURCE, TYPES

RECEIVED, DECLINED = TYPES
REFUNDED = payments.PaymentRefunded.TYPE
OF_BOTH = f"/feed?types={RECEIVED},{DECLINED}"


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    peers = Peers(reads={READER: frozenset(TYPES)})
    async with serving(MemoryStore(SOURCE, ManualClock()), the_reader, peers) as source:
        yield source


@pytest.fixture
async def client(source: Source) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(source) as client:
        yield client


def of_type(name: str) -> Outgoing:
    return told(type=name)


# What is declared.


def may(peers: Peers, name: str, *, reads: str | None = None, sends: str | None = None) -> bool:
    try:
        if reads is not None:
            peers.check_reader(name, [reads])
        if sends is not None:
            peers.check_sender(name, sends)
    except PermissionDeniedException:
        return False
    return True


@pytest.mark.parametrize("style", STYLES)
def test_a_service_may_do_over_http_what_its_links_are_and_nothing_else(style: str) -> None:
    services = find_services(style)
    links = Links().between(services)
    linked = {(link.sender, link.reader, link.message.TYPE) for link in links}
    types = {m for each in services.values() for m in each.sends}
    tried = 0
    for ours, theirs, message in product(services, services, types):
        peers = Peers.of(services[ours], services)
        reads = issubclass(message, Event) and (ours, theirs, message.TYPE) in linked
        sends = issubclass(message, Command) and (theirs, ours, message.TYPE) in linked
        assert may(peers, theirs, reads=message.TYPE) == reads, (ours, theirs, message)
        assert may(peers, theirs, sends=message.TYPE) == sends, (ours, theirs, message)
        tried += reads + sends
    assert tried == len(links)


def test_who_is_no_service_may_do_nothing() -> None:
    services = find_services()
    peers = Peers.of(services["payments"], services)
    assert not may(peers, "mallory", reads=payments.PaymentReceived.TYPE)
    assert not may(peers, "mallory", sends=payments.RetrievePayment.TYPE)


# What of it a feed tells.


async def test_a_service_reads_the_types_that_it_names_and_goes_on_behind_all_others(
    source: Source, client: httpx.AsyncClient
) -> None:
    first, _, third, _ = await source.tell(*map(of_type, (RECEIVED, REFUNDED, DECLINED, REFUNDED)))

    both = await client.get(OF_BOTH)
    assert read_batch(both.content) == [first, third]
    one = await client.get(f"/feed?types={DECLINED}")
    assert read_batch(one.content) == [third]

    address, pages = f"{OF_BOTH}&limit=1", []
    for _ in range(4):
        answer = await client.get(address)
        assert "etag" in answer.headers  # a full page, and the same for ever
        pages.append(read_batch(answer.content))
        address = answer.links["next"]["url"]
    assert pages == [[first], [], [third], []]
    assert read_batch((await client.get(address)).content) == []


@pytest.mark.parametrize("address", ["/feed", f"/feed?types={REFUNDED}", f"{OF_BOTH},{REFUNDED}"])
async def test_a_service_that_asks_for_more_than_it_declares_is_told_what_that_is(
    source: Source, client: httpx.AsyncClient, address: str
) -> None:
    await source.tell(told())
    refused = problem_of(await client.get(address))
    assert refused["status"] == 403
    assert f"fulfillment declares of this feed {DECLINED}, {RECEIVED}:" in refused["detail"]


async def test_a_service_that_declares_nothing_of_a_feed_reads_nothing_of_it() -> None:
    peers = Peers(reads={"loyalty": frozenset(TYPES), READER: frozenset()})
    async with serving(MemoryStore(SOURCE, ManualClock()), the_reader, peers) as source:
        await source.tell(told())
        async with client_of(source) as client:
            for address in ("/feed", OF_BOTH):
                refused = problem_of(await client.get(address))
                assert refused["status"] == 403
                assert refused["detail"] == "fulfillment declares no event of this feed"


async def test_an_operator_reads_every_type_or_those_that_they_name() -> None:
    async with serving(MemoryStore(SOURCE, ManualClock())) as source:
        sent = await source.tell(of_type(RECEIVED), of_type(REFUNDED))
        async with client_of(source) as client:
            assert read_batch((await client.get("/feed")).content) == sent
            named = await client.get(f"/feed?types={REFUNDED}")
            assert read_batch(named.content) == sent[1:]


@pytest.mark.parametrize("types", ["", ",", "a,", "a,,b", "a b", "a," * 5_001 + "a"])
async def test_types_in_a_bad_form_are_a_problem(client: httpx.AsyncClient, types: str) -> None:
    problem = problem_of(await client.get("/feed", params={"types": types}))
    assert (problem["status"], problem["errors"][0]["pointer"]) == (400, "/types")


# Who reads it.


async def test_a_reader_names_the_types_that_it_reads(source: Source, reader_of: ReaderOf) -> None:
    first, _, third = await source.tell(*map(of_type, (RECEIVED, REFUNDED, DECLINED)))
    reader = await reader_of(source.url)
    await reader.read()
    assert await reader.take(2) == [first, third]
    assert reader.transport.connected


async def test_a_reader_passes_what_it_does_not_read_without_a_pause(
    source: Source, reader_of: ReaderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LIMIT", 2)
    reader = await reader_of(source.url)
    (first,) = await source.tell(told())
    await reader.read()
    assert await reader.take(1) == [first]
    await reader.until_not_behind()
    monkeypatch.setattr(feed, "FIRST_PAUSE", 30.0)

    *_, last = await source.tell(*map(of_type, [*[REFUNDED] * 10, RECEIVED]))

    assert await reader.take(1) == [last]


async def test_a_reader_that_its_source_does_not_know_says_so_and_waits_until_it_does(
    source: Source, reader_of: ReaderOf
) -> None:
    """It runs already with what it declares now, and the source not yet: nothing is passed by."""
    (refund,) = await source.tell(of_type(REFUNDED))
    reader = await reader_of(source.url)
    await reader.read(types=(*TYPES, REFUNDED))
    await reader.until(lambda: reader.said("a feed is not read"))
    (reason,) = reader.said("a feed is not read")
    assert "the feed of payments answers with status 403" in reason
    assert "fulfillment declares of this feed" in reason
    assert not reader.transport.connected

    await source.stop()
    source.peers = Peers(reads={READER: frozenset({*TYPES, REFUNDED})})
    await source.start()

    assert await reader.take(1) == [refund]
