"""What the commands do about views: on a stack that runs, or on what one has left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from stagepost.engine.database import PLANS, READ_ONLY, UNREACHABLE, Connection, read_statements
from stagepost.engine.replay.given import one_of
from stagepost.engine.replay.opened import Logs
from stagepost.engine.replay.rebuild import Rebuild, Rebuilt
from stagepost.engine.replay.rerun import React, Rerun, only_process, rerun
from stagepost.engine.replay.standing import Standing, standings
from stagepost.engine.replay.told import Progress
from stagepost.engine.replay.verify import Checked, ViewsCheck, check_snapshots
from stagepost.engine.stack.reach import reach
from stagepost.engine.stack.stack import to_stderr
from stagepost.errors import StoreUnavailable

_UTC = {"TimeZone": "UTC"}


async def all_standings(data: Path | None) -> list[Standing]:
    """Look at every view of every service.

    Raises:
        BadSettings, StackError, StoreError
    """
    async with reach(data) as reached, Logs(reached) as logs:
        return [one for name in logs.names for one in await standings(await logs.of(name))]


async def rebuild_view(data: Path | None, service: str, name: str) -> Rebuilt:
    """Rebuild a view, as the owner of its table.

    Raises:
        BadSettings: there is no such service or view.
        Busy, StackError, StoreError
    """
    async with reach(data) as reached, Logs(reached) as logs:
        log = await logs.of(service)
        views = {view.name: view for view in log.service.views}
        one_of(f"view of {service}", name, views)
        statements = read_statements(log.service.sql / "queries.sql")
        owner = reached.databases.owner_dsn(service)
        with Progress(f"rebuild {service} {name}", await log.count()) as progress:
            async with _connected(owner, PLANS | _UTC) as connection:
                return await Rebuild(
                    connection,
                    views[name],
                    statements,
                    log=log,
                    told=progress.add,
                    say=to_stderr,
                ).run()


async def verify_all(data: Path | None) -> AsyncIterator[Checked]:
    """Compare what every service keeps with a replay of its events, as the auditor.

    Raises:
        BadSettings, StackError, StoreError
    """
    async with reach(data) as reached, Logs(reached) as logs:
        for name in logs.names:
            log = await logs.of(name)
            auditor = reached.databases.audit_dsn(name)
            with Progress(f"verify {name}", await log.count()) as progress:
                async with _connected(auditor, PLANS | READ_ONLY | _UTC) as connection:
                    for one in await ViewsCheck(connection, log, progress.add).run():
                        yield one
                yield await check_snapshots(log, progress.add)


async def rerun_all(data: Path | None, service: str, react: React) -> Rerun:
    """Put what the process of a service heard through other code.

    Raises:
        BadSettings: there is no such service, or it has no process.
        StackError, StoreError
    """
    async with reach(data) as reached, Logs(reached) as logs:
        log = await logs.of(service)
        process = only_process(log, [n for n, one in reached.services.items() if one.processes])
        with Progress(f"replay {service}", await log.count()) as progress:
            return await rerun(log, process, react, progress.add)


@asynccontextmanager
async def _connected(dsn: str, settings: dict[str, str]) -> AsyncIterator[Connection]:
    try:
        connection: Connection = await asyncpg.connect(dsn, server_settings=settings)
    except (*UNREACHABLE, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise StoreUnavailable(f"cannot connect to the database: {error}") from error
    try:
        yield connection
    except UNREACHABLE as error:
        raise StoreUnavailable(f"the database cannot be reached: {error}") from error
    finally:
        await connection.close()
