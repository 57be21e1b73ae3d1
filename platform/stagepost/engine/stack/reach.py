"""How commands reach databases: those of a stack that runs, or of data whose stack does not.

In the latter case PostgreSQL alone is started, for as long, under the folder's lock.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from stagepost.engine.discovery import find_services
from stagepost.engine.flow import Flow
from stagepost.engine.flow_kept import kept_flow
from stagepost.engine.operate import DATA, read_stack
from stagepost.engine.service import Service
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.folder import Passwords, held, make_logs
from stagepost.engine.stack.postgres import Postgres, account_for
from stagepost.engine.stack.processes import Group, Supervisor
from stagepost.engine.stack.server import SUPERUSER, Server
from stagepost.engine.stack.stack import PATIENCE, short_temporary_folder, to_stderr
from stagepost.errors import BadSettings

DEMO = DATA / "demo"


@dataclass(frozen=True)
class Reach:
    """The databases of one stack, and the services that have one, in the order of their ports.

    These are as they are in the style in which they worked last.
    """

    data: Path
    is_running: bool
    services: Mapping[str, Service]
    databases: Databases


def default_data() -> Path:
    """Return where a stack runs, else where one has left data: .stagepost, else .stagepost/demo."""
    places = [place for place in (DATA, DEMO) if runs(place) or has_data(place)]
    return next(filter(runs, places), next(iter(places), DATA))


def has_data(data: Path) -> bool:
    """Tell whether a stack has left data here."""
    return (data / "postgres").is_dir()


def runs(data: Path) -> bool:
    """Tell whether a stack runs on this data."""
    try:
        read_stack(data)
    except BadSettings:
        return False
    return True


@asynccontextmanager
async def reach(data: Path | None = None) -> AsyncIterator[Reach]:
    """Reach the databases of a stack, without a folder those of `default_data`.

    Raises:
        BadSettings: no stack has left anything there.
        StackError: PostgreSQL cannot be started.
    """
    folder = (data or default_data()).resolve()
    if runs(folder):
        databases = _of_running(folder)
        yield Reach(folder, True, await _services(databases), databases)
        return
    if not has_data(folder):
        raise BadSettings(
            f"no stack has left data in {data or default_data()}: `make demo` or `make up` first,"
            " or name the folder of another (--data, DATA)"
        )
    async with started(folder) as databases:
        yield Reach(folder, False, await _services(databases), databases)


def _of_running(data: Path) -> Databases:
    passwords = Passwords(data / "secrets.json")
    host = read_stack(data)["postgres"]["host"]
    return Databases(Server(host, passwords.of(SUPERUSER)), passwords)


async def _services(databases: Databases) -> dict[str, Service]:
    """Return the services that have worked here, as they are in the style of the last time."""
    audit = await asyncpg.connect(databases.audit_dsn())
    try:
        there = {row[0] for row in await audit.fetch("SELECT datname FROM pg_database")}
    finally:
        await audit.close()
    services = {name: service for name, service in find_services().items() if name in there}
    flow = await _flow(databases.audit_dsn(next(iter(services))))
    return services | {n: s for n, s in flow.services.items() if n in services}


async def _flow(dsn: str) -> Flow:
    connection = await asyncpg.connect(dsn)
    try:
        return await kept_flow(connection) or Flow()
    except asyncpg.UndefinedTableError:  # an older release wrote this, which had no other
        return Flow()
    finally:
        await connection.close()


@asynccontextmanager
async def started(data: Path) -> AsyncIterator[Databases]:
    """Start the PostgreSQL of a folder alone; it ends with us. A folder without one gets one."""
    async with AsyncExitStack() as exits:
        lock = exits.enter_context(held(data))
        make_logs(data)
        folder = Path(tempfile.mkdtemp(prefix="stagepost-", dir=short_temporary_folder()))
        group = Group(folder, lock)
        exits.push_async_callback(group.close)
        supervisor = Supervisor(group, to_stderr, lambda: None)
        account = account_for(data, to_stderr)
        if account:
            os.chown(folder, *account)
        passwords = Passwords(data / "secrets.json")
        log, password = data / "logs" / "postgres.log", passwords.of(SUPERUSER)
        postgres = Postgres(data / "postgres", folder, log, password, account)
        exits.push_async_callback(supervisor.stop, ["postgres"], PATIENCE)
        to_stderr(f"No stack runs in {data}: its PostgreSQL runs for as long as this takes")
        await postgres.start(supervisor)
        yield Databases(postgres.server, passwords)
