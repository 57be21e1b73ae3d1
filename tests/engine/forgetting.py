"""What tests of forgetting share: letting time pass, forgetting, and looking at what is left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from stagepost.engine.batch import Commit
from stagepost.engine.discovery import find_services
from stagepost.engine.prune import Forgotten, prune
from tests.conftest import Database
from tests.engine.stores import SERVICE, PostgresWorld, append, heard, told

DAY = 24 * 3600.0
PAYMENTS = find_services()[SERVICE]


async def forget(database: Database, days: float = 1.5) -> Forgotten:
    """Forget what is older than so many days."""
    return await prune(database.owner, PAYMENTS, datetime.now(UTC) - timedelta(days=days))


async def relayed(world: PostgresWorld, position: int | None = None, relay: str = "relay") -> None:
    """Note that all was published, or all up to a position."""
    end = position or (await world.store.outbox(0, 1000))[-1].position
    await world.owner.execute(
        "INSERT INTO cursors VALUES ($1, $2, 0, 0, $3, 0)"
        " ON CONFLICT (reader, source, incarnation, partition) DO UPDATE SET position = $3",
        relay,
        SERVICE,
        end,
    )


async def sent(world: PostgresWorld) -> list[UUID]:
    return [row[0] for row in await world.owner.fetch("SELECT message_id FROM outbox ORDER BY 1")]


async def known(world: PostgresWorld) -> set[UUID]:
    return {row[0] for row in await world.owner.fetch("SELECT message_id FROM inbox")}


async def something_new(world: PostgresWorld) -> None:
    """Let two days pass, and then let something happen."""
    await world.later(2 * DAY)
    await append(world.store, Commit(heard("new", "new"), sends=[told()]))
    await relayed(world)
