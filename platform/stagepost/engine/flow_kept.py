"""The flow that a store belongs to: kept there, so that no message waits where nobody looks."""

from __future__ import annotations

import json

import asyncpg

from stagepost.engine.database import SQL, Connection, Pool, fetch, read_statements
from stagepost.engine.flow import Flow
from stagepost.errors import BadSettings

STATEMENTS = read_statements(SQL / "flow.sql")


async def check_flow(pool: Pool, service: str, flow: Flow) -> None:
    """Make sure that a service's store belongs to this flow; an empty one does from now on.

    Raises:
        BadSettings: it belongs to another.
        StoreUnavailable
    """
    kept: list[asyncpg.Record] = []
    while not kept:  # who came second, and had to wait for the first, sees it the next time
        kept = await fetch(pool, STATEMENTS["keep"], flow.style, _text(flow))
    if not (found := Flow(kept[0][0], json.loads(kept[0][1]))).is_as(flow):
        raise BadSettings(
            f"cannot start: the store of {service} belongs to services that are {found}, and this"
            f" one is to be {flow}: start the whole stack so (it changes once all work is done)"
        )


async def kept_flow(connection: Connection) -> Flow | None:
    """Return the flow that a store belongs to, None where it is new."""
    row = await connection.fetchrow(STATEMENTS["kept"])
    return None if row is None else Flow(row[0], json.loads(row[1]))


async def change_flow(connection: Connection, flow: Flow) -> None:
    """Have a store belong to another flow, as the owner of the table."""
    await connection.execute(STATEMENTS["change"], flow.style, _text(flow))


def _text(flow: Flow) -> str:
    return json.dumps(dict(sorted(flow.transports.items())))
