"""A PostgreSQL server of these tests' own, with the outside world's database in it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from services.outside.app import SQL
from stagepost.engine.migrations import migrate
from stagepost.engine.stack.postgres import binary

_ROLES = (
    "CREATE ROLE stagepost_service",
    "CREATE ROLE stagepost_auditor",
    "CREATE ROLE outside_owner LOGIN",
    "CREATE ROLE outside LOGIN IN ROLE stagepost_service",
    "CREATE ROLE auditor LOGIN IN ROLE stagepost_auditor",
    "CREATE DATABASE outside OWNER outside_owner",
)


@dataclass(frozen=True)
class Database:
    """How to connect to the outside world's database, as whom."""

    owner: str
    service: str
    auditor: str


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server; yield how to connect to it, with a `user` and a `database` to be filled in."""
    folder = Path(tempfile.mkdtemp(prefix="outside-"))
    account = _account(folder)
    ctl = [binary("pg_ctl"), "-s", "-w", "-D", folder / "data"]
    options = f"-c listen_addresses= -c unix_socket_directories={folder}"

    def run(*command: Any) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **account)

    run(binary("initdb"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-D", folder / "data")
    run(*ctl, "-l", folder / "log", "-o", options, "start")
    try:
        yield f"postgresql://{{user}}@/{{database}}?host={folder}"
    finally:
        run(*ctl, "-m", "immediate", "stop")
        shutil.rmtree(folder)


async def make_database(server: str) -> Database:
    """Make the outside world's roles and database, and migrate it."""
    superuser = await asyncpg.connect(server.format(user="postgres", database="postgres"))
    for statement in _ROLES:
        await superuser.execute(statement)
    await superuser.close()
    roles = ("outside_owner", "outside", "auditor")
    database = Database(*(server.format(user=role, database="outside") for role in roles))
    await migrate(database.owner, [SQL])
    return database


def _account(folder: Path) -> dict[str, Any]:
    """Return who runs the server: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
