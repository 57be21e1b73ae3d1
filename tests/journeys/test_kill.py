"""kill -9 of processes, one after the other, while orders flow: the promises hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from services.demo.book import generate
from services.demo.drive import DriveFailed, Shop, fill_the_shelves, open_shop, place_together
from services.demo.promises import PROMISES, Audit, Finding, connect
from services.demo.watch import Watch
from stagepost.engine.database import UNREACHABLE, Connection
from stagepost.engine.flow import Flow
from stagepost.engine.stack import Stack
from stagepost.engine.styles import SYNCHRONOUS

TIMERS = {"AnswersDue": 4, "GoodsDue": 4, "SlaDue": 60}


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
            except (*UNREACHABLE, asyncpg.PostgresError):
                await asyncio.sleep(0.1)


async def kill_each(
    stack: Stack, counting: Counting, victims: Sequence[str], between: int
) -> list[str]:
    """Kill each process once the one before it was survived, and so many orders ended since.

    So each kill hits a system that works.
    """
    killed: list[str] = []
    goal = await counting.ended()
    for victim in victims:
        goal += between
        async with asyncio.timeout(60):
            while await counting.ended() < goal:
                await asyncio.sleep(0.05)
        stack.kill(victim)
        killed.append(victim)
    return killed


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


@dataclass(frozen=True)
class Survived:
    """What was seen when all orders had ended.

    `charges` counts by reference how often the provider was asked for money that it took.
    """

    accepted: Mapping[str, float]
    killed: Sequence[str]
    confirmed: int
    broken: Mapping[str, Finding]
    charges: Counter[str]


async def survive(
    stack: Stack, flow: Flow, orders: int, victims: Sequence[str], between: int
) -> Survived:
    """Have orders flow while these are killed."""
    book = generate(orders, seed=11)
    accepted: dict[str, float] = {}
    async with open_shop(stack.urls, stack.headers) as impatient:
        await fill_the_shelves(impatient, book)
        shop = PatientShop(impatient.session, impatient.urls)
        room = asyncio.Semaphore(24)
        counting = Counting(stack)
        async with asyncio.TaskGroup() as group:
            group.create_task(place_together(shop, book.orders, accepted, room))
            group.create_task(give_room(counting, room, orders))
            killing = group.create_task(kill_each(stack, counting, victims, between))

    connection = await connect(stack.audit_dsn)
    audit = Audit(connection, flow, accepted)
    await Watch(audit, print, room).until_settled()
    found = {promise: await audit.check(promise) for promise in PROMISES}
    confirmed = (await audit.row("progress"))["confirmed"]
    rows = await connection.fetch(
        "SELECT reference FROM outside.charges WHERE kind IN ('charge', 'repeated')"
    )
    await connection.close()
    broken = {name: finding for name, finding in found.items() if not finding.holds}
    charges = Counter(row["reference"] for row in rows)
    return Survived(accepted, killing.result(), confirmed, broken, charges)


async def test_whatever_is_killed_no_order_is_lost_and_nothing_is_done_twice(
    tmp_path: Path,
) -> None:
    flow = Flow()
    async with Stack(tmp_path, flow=flow, timers=TIMERS) as stack:
        victims = [*stack.names, "postgres", "nats"]
        survived = await survive(stack, flow, 200, victims, between=8)

    assert survived.killed == victims
    assert len(survived.accepted) == 200
    assert survived.confirmed > 0
    assert survived.broken == {}


async def test_whoever_waits_for_an_answer_and_is_killed_never_has_it_charged_twice(
    tmp_path: Path,
) -> None:
    flow = Flow(SYNCHRONOUS)
    victims = ["fulfillment", "payments"] * 3
    async with Stack(tmp_path, flow=flow, timers=TIMERS) as stack:
        survived = await survive(stack, flow, 30, victims, between=3)

    assert survived.killed == victims
    assert len(survived.accepted) == 30
    assert survived.confirmed > 0
    assert survived.broken == {}
    assert len(survived.charges) >= survived.confirmed
    assert set(survived.charges.values()) == {1}
