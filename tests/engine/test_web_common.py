"""The routes that every service has: journal, dead letters, health, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import Counter

from stagepost.engine.batch import Batch, Commit, Handled
from stagepost.engine.web import Probe, common
from stagepost.engine.web.common import Watch
from tests.engine.shop import World, broken, problem_of
from tests.engine.stores import heard


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with world.served() as client:
        yield client


async def test_the_journal_is_read_page_by_page(world: World) -> None:
    for number in range(5):
        await world.store.append(Batch([Commit(heard("10248", f"message {number}"))]))
    await world.store.append(Batch([Commit(heard("10249", "another order"))]))
    async with world.served() as client:
        address, seen = "/journal?order_id=10248&limit=2", []
        while address:
            answer = await client.get(address)
            seen += [entry["position"] for entry in answer.json()["items"]]
            address = answer.json()["next"]
            link = f'<{address}>; rel="next"' if address else None
            assert answer.headers.get("link") == link
    assert len(seen) == 5
    assert seen == sorted(seen)


async def test_a_dead_letter_shows_the_message_as_it_came(world: World) -> None:
    poison = heard("10248", body=b"\xff no JSON")
    commit = Commit(poison, handled=Handled.PARKED, detail="unreadable", parks=True)
    await world.store.append(Batch([commit]))
    async with world.served() as client:
        [letter] = (await client.get("/dead-letters")).json()["items"]
    assert (letter["key"], letter["reason"], letter["body"]) == (
        "10248",
        "unreadable",
        "\ufffd no JSON",
    )


async def test_a_service_is_ready_when_all_it_needs_is_well(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).json()["health"] == "ok"
    assert (await client.get("/health/ready")).json()["health"] == "ok"


async def test_without_the_broker_a_service_is_degraded_but_ready(world: World) -> None:
    world.probes[1] = Probe("broker", broken, vital=False)
    async with world.served() as client:
        answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["health"]) == (200, "degraded")


async def test_without_its_database_a_service_is_not_ready(world: World) -> None:
    world.probes[0] = Probe("database", broken, vital=True)
    async with world.served() as client:
        answer = await client.get("/health/ready")
    assert problem_of(answer)["status"] == 503
    assert [check["health"] for check in answer.json()["checks"]] == ["down", "ok"]


async def test_a_check_that_does_not_end_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "PROBE_SECONDS", 0.01)
    world.probes[0] = Probe("database", asyncio.Event().wait, vital=True)
    async with world.served() as client:
        assert (await client.get("/health/ready")).status_code == 503


async def test_whoever_asks_within_a_second_is_told_what_one_look_saw(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "LOOK_SECONDS", 0.1)
    looks, is_well = 0, asyncio.Event()

    async def look() -> None:
        nonlocal looks
        looks += 1
        await is_well.wait()

    world.probes[0] = Probe("database", look, vital=True)
    async with world.served() as client:
        flood = [asyncio.create_task(client.get("/health/ready")) for _ in range(50)]
        await asyncio.sleep(0.3)
        flood.append(asyncio.create_task(client.get("/health/ready")))
        await asyncio.sleep(0.1)
        assert looks == 1  # it takes longer than it is remembered, and is still the only one
        monkeypatch.setattr(common, "LOOK_SECONDS", 60)
        is_well.set()
        assert {answer.status_code for answer in await asyncio.gather(*flood)} == {200}
        for _ in range(20):
            assert (await client.get("/health/ready")).status_code == 200
        assert looks == 2


async def test_what_was_seen_is_forgotten_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "LOOK_SECONDS", 0.1)
    is_down = False

    async def look() -> None:
        if is_down:
            await broken()

    world.probes[0] = Probe("database", look, vital=True)
    async with world.served() as client:
        assert (await client.get("/health/ready")).status_code == 200
        is_down = True
        await asyncio.sleep(0.1)
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).status_code == 200


async def test_who_hangs_up_takes_the_look_from_nobody_else() -> None:
    is_well = asyncio.Event()
    watch = Watch([Probe("database", is_well.wait, vital=True)])
    gone, waits = asyncio.create_task(watch.checks()), asyncio.create_task(watch.checks())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    is_well.set()
    assert [check.health for check in await waits] == ["ok"]


async def test_metrics_are_those_of_the_registry(world: World) -> None:
    Counter("kettles", "Kettles boiled.", registry=world.registry).inc(3)
    async with world.served() as client:
        answer = await client.get("/metrics")
    assert "kettles_total 3.0" in answer.text
    assert answer.headers["content-type"] == "text/plain; version=1.0.0; charset=utf-8"
