"""Dual write: ordering without the outbox, killed in the middle, beside ordering with it.

Each way has a database and a stream of its own. One process after the other takes orders there
and is killed at a moment drawn from a seed. Then what is stored is held against what was told.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from random import Random

from services.ordering.app import service as ordering
from stagepost.engine.links import Links, relay_name
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.folder import Passwords
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.telemetry import configure_logging
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.nats_provision import provision
from stagepost.errors import StagepostError
from tests.bench.servers import Servers, start_servers
from tests.experiments.dual_write_books import (
    Books,
    forget_told,
    read_stored,
    read_told,
    result,
)
from tests.experiments.dual_write_victim import (
    ASKED,
    LIFE,
    Life,
    Place,
    Way,
    live,
    opened,
)
from tests.experiments.result import Result

DATA = Path(".stagepost/experiments/dual-write").absolute()
KILLS = 200
SEED = 7
AT_WORK = 0.1
"""Seconds from its first answer in which a process is killed."""
DRAINED = 30.0
"""Seconds that the relay gets for what is left."""


class VictimFailed(StagepostError):
    """A process ended before it was killed, or did nothing."""


async def run(say: Callable[[str], None]) -> Result:
    """Kill ordering in each way; count what became of its orders."""
    configure_logging("ERROR", service=ordering.name)
    context = forking()
    found: dict[Way, Books] = {}
    async with start_servers(DATA, say) as servers:
        for way in Way:
            started = time.monotonic()
            place = await _provided(way, servers)
            found[way] = await killed(way, place, context)
            await forget_told(servers.nats_url)
            say(f"{way}: {KILLS} kills in {time.monotonic() - started:.0f} s")
    return result(found)


def forking() -> ForkServerContext:
    """Return what forks processes of one that has imported all that they need, and no more."""
    context = get_context("forkserver")
    context.set_forkserver_preload([live.__module__])
    return context


async def _provided(way: Way, servers: Servers) -> Place:
    """Make a database and the stream for a way."""
    database = way.name.lower()
    databases = Databases(servers.postgres.server, Passwords(DATA / "secrets.json"))
    await databases.provide([database])
    await databases.migrate({database: ordering.sql})
    await provision(servers.nats_url, [ordering], Links())
    return Place(databases.dsn(database), servers.nats_url, DATA / "logs" / f"{database}.log")


async def killed(way: Way, place: Place, context: ForkServerContext) -> Books:
    """Kill one process after the other. Of clients without an answer every second asks again."""
    chance = Random(SEED)
    accepted: set[str] = set()
    again: tuple[str, ...] = ()
    for number in range(KILLS):
        life = Life(way, place, again, number)
        left = await asyncio.to_thread(_kill, life, chance.uniform(0, AT_WORK), context)
        accepted |= left.answered
        again = tuple(sorted(left.asked - left.answered))[::2]
    if way is Way.OUTBOX:
        await _drain(place)
    stored, told = await read_stored(place.dsn), await read_told(place.nats_url)
    return Books(KILLS, stored, told, frozenset(accepted))


@dataclass(frozen=True)
class Left:
    """What clients have noted of orders by the time of a kill."""

    asked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)

    def read(self, notes: Connection) -> None:
        """Read the next note.

        Raises:
            EOFError: whoever wrote them is dead, and there are no more.
        """
        note = notes.recv_bytes()
        (self.asked if note[:1] == ASKED else self.answered).add(note[1:].decode())


def _kill(life: Life, after: float, context: ForkServerContext) -> Left:
    """Have a process work, and kill it so many seconds after its first answer.

    Raises:
        VictimFailed
    """
    notes, theirs = context.Pipe(duplex=False)
    victim = context.Process(target=live, args=(life, theirs))
    victim.start()
    theirs.close()
    left = Left()
    try:
        with suppress(EOFError):
            while not left.answered and notes.poll(LIFE):
                left.read(notes)
            time.sleep(after)
    finally:
        victim.kill()
        victim.join()
    if victim.exitcode != -signal.SIGKILL or not left.answered:
        raise VictimFailed(f"a process took no orders, or ended by itself: see {life.place.log}")
    with notes, suppress(EOFError):
        while True:
            left.read(notes)
    return left


async def _drain(place: Place) -> None:
    """Let the relay run until nothing is left for it."""
    store = await PostgresStore.connect(place.dsn, ordering.name)
    async with opened(Way.OUTBOX, place) as instance:
        working = asyncio.create_task(instance.run())
        try:
            async with asyncio.timeout(DRAINED):
                while await store.unpublished([relay_name(NATS)], 1):
                    await asyncio.sleep(0.1)
        finally:
            working.cancel()
            await asyncio.wait([working])
            await store.close()
