"""What tests share: one PostgreSQL server, fresh databases on it, and one whole stack."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from stagepost.engine.discovery import find_services
from stagepost.engine.stack import Stack
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.folder import Passwords, held
from stagepost.engine.stack.foreground import PARENT
from stagepost.engine.stack.postgres import Postgres, account_for
from stagepost.engine.stack.processes import Group, Supervisor

# Who started us is not who starts what we start: that would think itself left alone, and end.
os.environ.pop(PARENT, None)

# Elsewhere each run tries examples that nobody has tried; what lands must not depend on luck. How
# long an example takes says how busy the machine is.
settings.register_profile("elsewhere", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "elsewhere")


@dataclass(frozen=True)
class Database:
    """A migrated database of its own: how its owner, its service and the auditor connect."""

    name: str
    owner: str
    service: str
    auditor: str


NewDatabase = Callable[[str], Awaitable[Database]]


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder for servers, with a path that shells and configuration files would like less."""
    path = Path(tempfile.mkdtemp(prefix="stagepost tests ", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
async def supervisor(folder: Path) -> AsyncIterator[Supervisor]:
    """Who starts processes, and sees that none outlives the tests, whatever becomes of them."""
    with held(folder) as lock:
        group = Group(folder / "none", lock)
        yield Supervisor(group, print, lambda: None)
        await group.close()


@pytest.fixture(scope="session")
async def postgres(folder: Path, supervisor: Supervisor) -> AsyncIterator[Postgres]:
    """A PostgreSQL server; it need not survive a power cut."""
    account = account_for(folder, print)
    sockets = folder / "sockets"
    sockets.mkdir()
    if account:
        os.chown(sockets, *account)
    server = Postgres(
        folder / "postgres", sockets, folder / "postgres.log", "secret", account, {"fsync": "off"}
    )
    await server.start(supervisor)
    yield server
    await supervisor.stop(["postgres"], 10)


@pytest.fixture(scope="session")
def databases(postgres: Postgres, folder: Path) -> Databases:
    return Databases(postgres.server, Passwords(folder / "secrets.json"))


@pytest.fixture(scope="session")
def new_database(databases: Databases) -> NewDatabase:
    """Make one more database of a service each time it is called."""
    made: Counter[str] = Counter()

    async def make(service: str) -> Database:
        made[service] += 1
        name = f"{service}_{made[service]}"
        await databases.provide([name])
        await databases.migrate({name: find_services()[service].sql})
        return Database(
            name, databases.owner_dsn(name), databases.dsn(name), databases.audit_dsn(name)
        )

    return make


@pytest.fixture(scope="session")
async def database(new_database: NewDatabase) -> Database:
    """One database of payments, for all who put their own order into it."""
    return await new_database("payments")


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    """The whole stack, with short windows."""
    data = Path(tempfile.mkdtemp(prefix="stagepost tests ", dir="/tmp"))
    async with Stack(data, timers={"AnswersDue": 2, "GoodsDue": 2}) as stack:
        yield stack
    shutil.rmtree(data)
