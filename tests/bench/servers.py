"""PostgreSQL and NATS alone, as the stack starts them: for yardsticks, peers and single parts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from stagepost.engine.links import Links
from stagepost.engine.stack.folder import Passwords, empty, held
from stagepost.engine.stack.nats import Nats
from stagepost.engine.stack.ports import free_port
from stagepost.engine.stack.postgres import Postgres, account_for
from stagepost.engine.stack.processes import Group, Supervisor
from stagepost.engine.stack.stack import PATIENCE
from stagepost.engine.transports.nats_rules import ADMIN


@dataclass(frozen=True)
class Servers:
    """Two servers with the durability that they have by default."""

    postgres: Postgres
    nats_url: str
    pids: dict[str, int]

    async def fresh(self, *databases: str) -> None:
        """Make databases anew; a checkpoint, so that no run pays for the one before."""
        connection = await asyncpg.connect(self.postgres.dsn("postgres"))
        try:
            for database in databases:
                await connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
                await connection.execute(f'CREATE DATABASE "{database}"')
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()

    async def drop(self, *databases: str) -> None:
        """Drop databases."""
        connection = await asyncpg.connect(self.postgres.dsn("postgres"))
        try:
            for database in databases:
                await connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        finally:
            await connection.close()


@asynccontextmanager
async def start_servers(data: Path, say: Callable[[str], None]) -> AsyncIterator[Servers]:
    """Start both in this absolute folder, without what an earlier run left there; then end them."""
    with held(data) as lock:
        empty(data)
        (data / "logs").mkdir()
        folder = Path(tempfile.mkdtemp(prefix="stagepost-", dir="/tmp"))
        group = Group(folder, lock)
        supervisor = Supervisor(group, say, lambda: None)
        try:
            postgres = await _start_postgres(supervisor, data, folder, say)
            nats_url = await _start_nats(supervisor, data)
            pids = {name: supervisor[name].pid for name in ("postgres", "nats")}
            yield Servers(postgres, nats_url, pids)
        finally:
            await supervisor.stop(["postgres", "nats"], PATIENCE)
            await group.close()


async def _start_postgres(
    supervisor: Supervisor, data: Path, folder: Path, say: Callable[[str], None]
) -> Postgres:
    account = account_for(data, say)
    if account:
        os.chown(folder, *account)
    password = Passwords(data / "secrets.json").of("postgres")
    log = data / "logs" / "postgres.log"
    postgres = Postgres(data / "postgres", folder, log, password, account)
    await postgres.start(supervisor)
    return postgres


async def _start_nats(supervisor: Supervisor, data: Path) -> str:
    log, passwords = data / "logs" / "nats.log", Passwords(data / "secrets.json")
    nats = Nats(data, log, free_port(), passwords, [], Links())
    await nats.start(supervisor)
    return nats.url(ADMIN)
