"""Two instances of every service: whoever leads may go, in order or not, while orders flow."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.demo.book import generate
from services.demo.drive import fill_the_shelves, open_shop, place_together
from services.demo.promises import PROMISES, Audit, connect
from services.demo.watch import Watch
from stagepost.engine.batch import LEASE
from stagepost.engine.operate import open_store
from stagepost.engine.stack import Stack
from stagepost.engine.stack.rolling import rolling_restart
from stagepost.engine.status import Standing, standings
from stagepost.engine.store import Leadership
from tests.journeys.requests import constant_requests
from tests.journeys.test_kill import PatientShop

ORDERS = 150
LEASE_SECONDS = 3.0
NOISE = 1.5
"""Seconds that a busy machine may add to what is measured."""

BACKLOG = 300
"""Messages that may wait for the broker."""

_numbers = count(1)


@pytest.fixture(scope="module")
async def pair() -> AsyncIterator[Stack]:
    """The whole stack, with two instances of every service."""
    with tempfile.TemporaryDirectory(prefix="stagepost tests ", dir="/tmp") as data:
        timers = {"AnswersDue": 6, "GoodsDue": 6, "SlaDue": 60}
        env = {"STAGEPOST_BACKLOG_LIMIT": str(BACKLOG)}
        async with Stack(Path(data), instances=2, timers=timers, env=env) as stack:
            yield stack


async def standing(stack: Stack, service: str) -> Standing:
    found = {standing.service: standing for standing in await standings(stack.data)}
    return found[service]


async def complete(stack: Stack) -> None:
    """Wait until of every service one instance leads and the other waits."""
    async with asyncio.timeout(60):
        while not all(
            {standing.lease.holder, *standing.lease.waiting} == standing.instances.keys()
            for standing in await standings(stack.data)
        ):
            await asyncio.sleep(0.1)


async def passes_on(stack: Stack, service: str, before: Leadership) -> tuple[Leadership, float]:
    """Wait until somebody holds a service's lease under a newer epoch; return how long it took."""
    begun = time.monotonic()
    async with asyncio.timeout(30), open_store(stack.data, service) as store:
        while True:
            lease = await store.leadership(LEASE)
            if lease.holder is not None and lease.epoch > before.epoch:
                return lease, time.monotonic() - begun
            await asyncio.sleep(0.02)


def an_order() -> dict[str, Any]:
    return {
        "order_id": f"pair-{next(_numbers)}",
        "customer_id": "ada",
        "currency": "EUR",
        "payment_token": "tok_ok",
        "ship_to": "1 Station Road, Reims",
        "lines": [{"sku": "red-chair", "quantity": 1, "unit_price": "1"}],
    }


async def test_of_two_instances_one_leads_and_the_other_waits(pair: Stack) -> None:
    await complete(pair)
    for found in await standings(pair.data):
        assert set(found.instances) == {f"{found.service}-1", f"{found.service}-2"}
        assert len(set(found.instances.values())) == 2
        assert 0 < found.lease.expires_in <= LEASE_SECONDS


async def test_holders_that_die_or_freeze_under_orders_are_replaced_and_nothing_is_lost(
    pair: Stack,
) -> None:
    book = generate(ORDERS, seed=23)
    accepted: dict[str, float] = {}
    await complete(pair)
    taken: dict[str, float] = {}

    async def leave(service: str, how: signal.Signals) -> None:
        before = await standing(pair, service)
        holder = before.lease.holder
        assert holder is not None
        pid = before.instances[holder]
        os.kill(pid, how)
        after, taken[service] = await passes_on(pair, service, before.lease)
        if how is signal.SIGSTOP:
            assert after.holder != holder
            await asyncio.sleep(1)
            os.kill(pid, signal.SIGCONT)  # and it must find that the lease has passed on

    async with open_shop(pair.urls, pair.headers) as impatient:
        await fill_the_shelves(impatient, book)
        shop = PatientShop(impatient.session, impatient.urls)
        room = asyncio.Semaphore(ORDERS)
        async with asyncio.TaskGroup() as group:
            group.create_task(place_together(shop, book.orders, accepted, room))
            group.create_task(leave("ordering", signal.SIGKILL))
            group.create_task(leave("payments", signal.SIGSTOP))
            group.create_task(leave("fulfillment", signal.SIGSTOP))
        connection = await connect(pair.audit_dsn)
        audit = Audit(connection, accepted=accepted)
        watch = Watch(audit, print, room)
        assert await watch.until_ended(ORDERS)
        await watch.until_settled()
        found = {promise: await audit.check(promise) for promise in PROMISES}
        await connection.close()

    assert len(accepted) == ORDERS
    assert {name: finding for name, finding in found.items() if not finding.holds} == {}
    assert max(taken.values()) < LEASE_SECONDS + NOISE


async def test_a_rolling_restart_under_constant_orders_fails_no_request(pair: Stack) -> None:
    await complete(pair)
    before = {s.service: s.instances for s in await standings(pair.data)}
    services = ("ordering", "fulfillment")

    async with constant_requests(
        f"{pair.url('ordering')}/orders", pair.headers, an_order
    ) as answers:
        back = [instance async for instance in rolling_restart(pair.data, services)]

    assert back == [f"{service}-{number}" for service in services for number in (1, 2)]
    after = {s.service: s.instances for s in await standings(pair.data)}
    for service in services:
        assert not set(after[service].values()) & set(before[service].values())
    assert len(answers) > 100
    assert set(answers) == {202}


async def test_a_holder_that_ends_in_order_is_replaced_at_once(pair: Stack) -> None:
    await complete(pair)
    before = await standing(pair, "inventory")
    holder = before.lease.holder
    assert holder is not None

    os.kill(before.instances[holder], signal.SIGTERM)

    after, seconds = await passes_on(pair, "inventory", before.lease)
    assert after.holder != holder
    assert seconds < NOISE


async def test_while_the_broker_stands_still_new_orders_are_refused_and_accepted_ones_kept(
    pair: Stack,
) -> None:
    await complete(pair)
    url = f"{pair.url('ordering')}/orders"
    accepted: list[dict[str, Any]] = []
    os.kill(pair.pid("nats"), signal.SIGSTOP)
    try:
        async with aiohttp.ClientSession(headers=pair.headers) as http, asyncio.timeout(60):
            while (refused := await post(http, url, order := an_order()))[0] == 202:
                accepted.append(order)
            again = await post(http, url, accepted[0])
            async with http.get(f"{url}/{order['order_id']}") as answer:
                unknown = answer.status
            async with http.get(f"{url}/{accepted[-1]['order_id']}") as answer:
                known = answer.status
    finally:
        os.kill(pair.pid("nats"), signal.SIGCONT)

    status, kind, retry_after = refused
    assert (status, kind, retry_after) == (503, "application/problem+json", "5")
    assert len(accepted) >= BACKLOG
    assert (again[0], known, unknown) == (202, 200, 404)
    async with aiohttp.ClientSession(headers=pair.headers) as http, asyncio.timeout(60):
        while (await post(http, url, an_order()))[0] != 202:  # and then there is room again
            await asyncio.sleep(0.2)
        for order in accepted:
            while await status_of(http, f"{url}/{order['order_id']}") == "placed":
                await asyncio.sleep(0.1)


async def post(
    http: aiohttp.ClientSession, url: str, order: Mapping[str, Any]
) -> tuple[int, str, str | None]:
    async with http.post(url, json=order) as answer:
        return answer.status, answer.content_type, answer.headers.get("Retry-After")


async def status_of(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url) as answer:
        return str((await answer.json())["status"])
