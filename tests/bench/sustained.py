"""Sustained: thousands of orders through the real stack, from the first POST to the last end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.demo.book import Book
from services.demo.drive import fill_the_shelves, open_shop
from services.demo.promises import PROMISES, Audit, connect
from services.demo.replay import SNAPSHOTS, VIEWS, check_snapshots, check_views
from services.demo.watch import Watch
from stagepost.engine.discovery import find_services
from stagepost.engine.stack import Stack
from tests.bench.cpu import cpu_seconds, rss_mib
from tests.bench.load import BenchFailed, Run, drive

WINDOWS = {"AnswersDue": 2.0, "GoodsDue": 2.0, "SlaDue": 60.0}
"""Seconds: a slow card takes three, so that its order times out, as in the demonstration."""


def outboxes(what: str) -> str:
    """Return a statement that adds something up over the messages of all services."""
    each = (f"SELECT {what} AS n FROM \"{s}\".outbox WHERE kind <> 'call'" for s in find_services())
    return f"SELECT sum(n)::bigint FROM ({' UNION ALL '.join(each)}) AS s"


MESSAGES_SENT = outboxes("count(*)")


@dataclass(frozen=True)
class Sustained:
    """What a run came to: what was sent, milliseconds of CPU an order, MiB, by process."""

    run: Run
    messages: int
    cpu_ms: dict[str, float]
    rss_mib: dict[str, float]

    @property
    def messages_per_second(self) -> float:
        return self.messages / self.run.ended


async def push(stack: Stack, book: Book, say: Callable[[str], None]) -> Sustained:
    """Push a book through a stack.

    Raises:
        BenchFailed: an order was not accepted, or did not end.
    """
    async with open_shop(stack.urls) as shop:
        await fill_the_shelves(shop, book)
    connection = await connect(stack.audit_dsn)
    try:
        sent = await connection.fetchval(MESSAGES_SENT)
        before = _used(stack)
        run = await drive(stack.url("ordering"), stack.databases.audit_dsn("ordering"), book.orders)
        used = {name: now - before.get(name, 0) for name, now in _used(stack).items()}
        messages = await connection.fetchval(MESSAGES_SENT) - sent
        say(
            f"{run.orders:,} orders in {run.ended:.1f} s, {run.orders_per_second:,.0f}/s,"
            f" {messages / run.orders:.1f} messages an order"
        )
    finally:
        await connection.close()
    cpu_ms = {name: seconds * 1000 / run.orders for name, seconds in used.items()}
    return Sustained(run, messages, cpu_ms, memory(stack))


def memory(stack: Stack) -> dict[str, float]:
    """Return the resident memory of each service, in MiB."""
    return {name: rss_mib(stack.pid(name)) for name in stack.services}


def _used(stack: Stack) -> dict[str, float]:
    """Return the CPU seconds of all that runs, this process among it: it makes the load."""
    pids = {name: stack.pid(name) for name in (*stack.names, "postgres", "nats")}
    return cpu_seconds({**pids, "load": os.getpid()})


async def check(stack: Stack, books: Sequence[Book], say: Callable[[str], None]) -> None:
    """Check the promises on all that is stored in a stack, once it has come to rest.

    `books` are all that it was given.

    Raises:
        BenchFailed: one is broken: a bench that loses an order is none.
    """
    connection = await connect(stack.audit_dsn)
    try:
        accepted = [order.order_id for book in books for order in book.orders]
        audit = Audit(connection, stack.flow, accepted)
        await Watch(audit, say, asyncio.Semaphore()).until_settled()
        findings = {promise: await audit.check(promise) for promise in PROMISES}
        findings[VIEWS] = await check_views(audit, stack.services.values())
        findings[SNAPSHOTS] = await check_snapshots(audit, stack.services.values())
    finally:
        await connection.close()
    broken = [f"{name}: {found.detail}" for name, found in findings.items() if not found.holds]
    if broken:
        raise BenchFailed(f"a promise is broken: {'; '.join(broken)}")
