"""kill -9 of every process, one after the other, while 200 orders flow: the promises hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from services.demo.book import generate
from services.demo.drive import DriveFailed, Shop, fill_the_shelves, open_shop, place_together
from services.demo.promises import PROMISES, Audit, connect
from services.demo.watch import Watch
from stagepost.engine.database import Connection
from stagepost.engine.stack import Stack

ORDERS = 200
BETWEEN = 8
"""So many orders end between one kill and the next: each hits a system that works."""


class PatientShop(Shop):
    """A customer who tries again: an order has its own id, so that it is placed once."""

    async def _ask(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None = None,
        expected: tuple[int, ...] = (200, 201),
    ) -> Any:
        async with asyncio.timeout(60):
            while True:
                try:
                    return await super()._ask(method, url, body, expected)
                except DriveFailed:
                    await asyncio.sleep(0.05)


@asynccontextmanager
async def closing(connection: Connection) -> AsyncIterator[None]:
    try:
        yield
    finally:
        connection.terminate()


class Counting:
    """Counts the orders that have ended, on a connection that may be cut."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    async def ended(self) -> int:
        while True:
            try:
                connection = await connect(self._stack.audit_dsn)
                async with closing(connection):
                    audit = Audit(connection)
                    return int((await audit.row("ended"))["ended"])
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.1)


async def kill_each(stack: Stack, counting: Counting) -> list[str]:
    """Kill each process once the one before it was survived, and orders ended since."""
    victims = [*stack.names, "postgres", "nats"]
    goal = await counting.ended()
    for victim in victims:
        goal += BETWEEN
        async with asyncio.timeout(60):
            while await counting.ended() < goal:
                await asyncio.sleep(0.05)
        stack.kill(victim)
    return victims


async def give_room(counting: Counting, room: asyncio.Semaphore, orders: int) -> None:
    """Let another order in for each that has ended, until all have."""
    seen = 0
    async with asyncio.timeout(150):
        while seen < orders:
            ended = await counting.ended()
            for _ in range(ended - seen):
                room.release()
            seen = ended
            await asyncio.sleep(0.05)


async def test_whatever_is_killed_no_order_is_lost_and_nothing_is_done_twice(
    tmp_path: Path,
) -> None:
    book = generate(ORDERS, seed=11)
    accepted: dict[str, float] = {}
    async with (
        Stack(tmp_path, timers={"AnswersDue": 4, "GoodsDue": 4, "SlaDue": 60}) as stack,
        open_shop(stack.urls) as impatient,
    ):
        await fill_the_shelves(impatient, book)
        shop = PatientShop(impatient.session, impatient.urls)
        room = asyncio.Semaphore(24)
        counting = Counting(stack)
        async with asyncio.TaskGroup() as group:
            group.create_task(place_together(shop, book.orders, accepted, room))
            group.create_task(give_room(counting, room, ORDERS))
            killed = group.create_task(kill_each(stack, counting))

        connection = await connect(stack.audit_dsn)
        audit = Audit(connection, accepted=accepted)
        await Watch(audit, print, room).until_settled()
        found = {promise: await audit.check(promise) for promise in PROMISES}
        progress = await audit.row("progress")
        await connection.close()

    assert killed.result() == [*stack.names, "postgres", "nats"]
    assert len(accepted) == ORDERS
    assert progress["confirmed"] > 0
    assert {name: finding for name, finding in found.items() if not finding.holds} == {}
