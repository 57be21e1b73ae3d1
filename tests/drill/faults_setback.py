"""A service's database set back by 1,000 commits, as by a restore or a failover to a late replica.

What the service had told the world since cannot be recalled. Named below are the promises that
nobody could keep then; all others must hold: by reading again what was sent to it, under the same
ids, the service comes to the same place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from stagepost.engine.database import read_statements
from tests.drill.fault import KILLED, Fault, NotFired, Struck
from tests.drill.faults_processes import kill_now
from tests.drill.parts import runs
from tests.drill.site import Site, until_it_holds

_SQL = read_statements(Path(__file__).with_name("setback.sql"))

COMMITS = 1000
SECONDS = {"ordering": 25, "payments": 20, "inventory": 20, "shipping": 25, "fulfillment": 12}
"""About how long a service takes for so many commits, and to come to rest."""
NOTICED = 10.0
"""Seconds in which it must have seen what was done to it."""

HEARD = {"7 every command is answered": "others have heard what it no longer knows that it sent"}
AGAIN = "a time-out that it has forgotten comes after the answer now: it decides otherwise"
BROKEN: Mapping[str, Mapping[str, str]] = dict.fromkeys(SECONDS, HEARD) | {
    "fulfillment": HEARD | {"5 money agrees to the cent": AGAIN, "6 stock adds up": AGAIN},
    "ordering": HEARD
    | {
        "1 no order is lost": "orders that were accepted since stood nowhere else",
        "5 money agrees to the cent": "others went on with orders that ordering has forgotten",
        "11 points are what was bought": "loyalty has counted orders that ordering has forgotten",
        "12 one mail for each end and each customer": "customers were told of such orders",
    },
}
"""The promises that nobody can keep, and why."""


def set_back(service: str, *, restarted: bool) -> Fault:
    """Put the database of a service back to what it was 1,000 commits ago."""

    async def strike(site: Site) -> Struck:
        await _copy(site, service)
        commits, life = await _state(site, service)
        if not await until_it_holds(lambda: _has_grown(site, service, commits + COMMITS), 60):
            raise NotFired(f"{service} did not commit {COMMITS} times")
        reached, _ = await _state(site, service)
        await _exchange(site, service, kill=restarted)
        back_at = time.time()
        if not await until_it_holds(lambda: _noticed(site, service, life), NOTICED):
            raise NotFired(f"{service} did not notice that its database was set back")
        return Struck(
            f"set back from {reached:,} commits to {commits:,}; it noticed, and raised its"
            f" incarnation to {life + 1}",
            back_at,
        )

    how = "restored" if restarted else "failed over to a late replica"
    return Fault(
        f"database of {service} {how}, {COMMITS:,} commits lost",
        strike,
        seconds=SECONDS[service],
        after_back=KILLED,
        broken=BROKEN.get(service, {}),
        waits="what was lost with the database cannot be decided again",
        needs=runs(service),
    )


async def _copy(site: Site, service: str) -> None:
    connection = await asyncpg.connect(site.stack.superuser_dsn)
    try:
        await _run(connection, "shut", service)
        await _run(connection, "copy", service)
        await _run(connection, "open", service)
    finally:
        await connection.close()


async def _exchange(site: Site, service: str, *, kill: bool) -> None:
    connection = await asyncpg.connect(site.stack.superuser_dsn)
    try:
        await _run(connection, "shut", service)
        # Who restores a database ends its service first; a replica takes over behind its back.
        ending = asyncio.create_task(kill_now(site, [service] if kill else []))
        await _run(connection, "exchange", service)
    finally:
        await connection.close()
    await site.stack.databases.provide([service])
    await ending


async def _run(connection: asyncpg.Connection[asyncpg.Record], name: str, database: str) -> None:
    # One at a time: what makes and renames databases must not stand in a transaction.
    for statement in _SQL[name].format(database=database).split(";\n"):
        await connection.execute(statement)


async def _state(site: Site, service: str) -> tuple[int, int]:
    connection = await asyncpg.connect(site.stack.databases.owner_dsn(service))
    try:
        row = await connection.fetchrow(_SQL["state"])
    finally:
        await connection.close()
    assert row is not None
    return row["commits"], row["incarnation"]


async def _has_grown(site: Site, service: str, goal: int) -> bool:
    return (await _state(site, service))[0] >= goal


async def _noticed(site: Site, service: str, life: int) -> bool:
    try:
        return (await _state(site, service))[1] > life
    except (OSError, asyncpg.PostgresError):
        return False


FAULTS = tuple(
    set_back(service, restarted=restarted) for restarted in (True, False) for service in SECONDS
)
