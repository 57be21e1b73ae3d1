"""At rest: one order after a silence, from its 202 to confirmed; and nothing to do at all."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import replace

import orjson

from services.demo.book import Book, Cancel, Order
from services.demo.drive import as_json, fill_the_shelves, open_shop
from stagepost.engine.stack import Stack
from tests.bench.cpu import cpu_seconds
from tests.bench.http import Connection, request
from tests.bench.load import BenchFailed

SILENCE = 5.0
"""Seconds before each order: every poll has slowed down, every connection sleeps."""
LOOK = 0.001
"""Seconds between the answer to one look at an order and the next: what a figure may be late."""
PATIENCE = 10.0
SETTLE, IDLE = 10.0, 60.0
"""Seconds that the stack gets to come to rest, and for which it is watched then."""


async def at_rest(stack: Stack, book: Book, silence: float = SILENCE) -> list[float]:
    """Place orders one by one; return the milliseconds from each 202 to confirmed.

    What is seen is what a customer sees: `GET /orders/{id}` is asked again and again on the same
    connection, a millisecond after each answer, and each of these questions takes ordering its
    time, about another. A figure is too high by two milliseconds at most.
    """
    async with open_shop(stack.urls, stack.headers) as shop:
        await fill_the_shelves(shop, book.with_enough_stock())
    url = f"{stack.url('ordering')}/orders"
    times = []
    for order in book.orders:
        body = orjson.dumps(as_json(harmless(order)))
        look = request("GET", f"{url}/{order.order_id}", b"", stack.headers)
        await asyncio.sleep(silence)
        connection = await Connection.open(url)
        status, _ = await connection.ask(request("POST", url, body, stack.headers))
        accepted = time.perf_counter()
        if status != 202:
            raise BenchFailed(f"order {order.order_id} was answered {status}")
        await _confirmed(connection, look)
        times.append((time.perf_counter() - accepted) * 1000)
        connection.close()
    return times


def harmless(order: Order) -> Order:
    """Return an order that will be confirmed."""
    return replace(
        order, payment_token="tok_ok", ship_to="1 Station Road, Reims", cancel=Cancel.NEVER
    )


async def _confirmed(connection: Connection, look: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        while b'"confirmed"' not in (await connection.ask(look))[1]:
            await asyncio.sleep(LOOK)


async def idle(stack: Stack, say: Callable[[str], None]) -> float:
    """Return how much of one core the stack takes when nothing is to be done, in percent.

    All of it: services, the world outside, PostgreSQL, NATS, and the process that keeps them up.
    """
    await asyncio.sleep(SETTLE)
    before, started = _used(stack), time.perf_counter()
    await asyncio.sleep(IDLE)
    seconds = time.perf_counter() - started
    shares = {
        name: (used - before.get(name, 0)) / seconds * 100 for name, used in _used(stack).items()
    }
    say("idle: " + ", ".join(f"{n} {s:.2f} %" for n, s in shares.items() if s >= 0.01))
    return sum(shares.values())


def _used(stack: Stack) -> dict[str, float]:
    pids = {name: stack.pid(name) for name in (*stack.names, "postgres", "nats")}
    return cpu_seconds({**pids, "stack": os.getpid()})
