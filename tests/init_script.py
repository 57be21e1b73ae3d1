"""A PostgreSQL server as in containers: `prepare` tells it, the init script makes what is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stagepost.engine.flow import Flow
from stagepost.engine.stack.containers import INIT, POSTGRES, prepare
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.folder import Passwords, held
from stagepost.engine.stack.postgres import Postgres, account_for, binary
from stagepost.engine.stack.processes import Group, Supervisor

SCRIPT = Path(__file__).parents[1] / "platform" / "init.sh"


@dataclass(frozen=True)
class Fresh:
    """A server of its own, on which nothing is but what `prepare` had put there."""

    told: Path
    postgres: Postgres
    databases: Databases

    def run_script(self, change: Callable[[str], str] = str) -> subprocess.CompletedProcess[str]:
        """Run the init script as the image does; what is to be made may be changed before."""
        init_sql = self.told.with_name(INIT)
        init_sql.write_text(change((self.told / INIT).read_text()))
        env = {
            "PATH": f"{binary('psql').parent}:{os.environ['PATH']}",
            "PGHOST": str(self.postgres.sockets),
            "POSTGRES_USER": "postgres",
            "POSTGRES_PASSWORD": (self.told / "password").read_text(),
            "INIT_SQL": str(init_sql),
        }
        return subprocess.run([SCRIPT], env=env, capture_output=True, text=True, check=False)


@asynccontextmanager
async def fresh_server() -> AsyncIterator[Fresh]:
    """Make a server and prepare it; its script was not run yet."""
    data = Path(tempfile.mkdtemp(prefix="stagepost tests ", dir="/tmp"))
    account = account_for(data, print)
    sockets = data / "sockets"
    sockets.mkdir()
    if account:
        os.chown(sockets, *account)
    prepare(data, Flow())
    passwords = Passwords(data / "secrets.json")
    log, password = data / "postgres.log", passwords.of("postgres")
    server = Postgres(data / "postgres", sockets, log, password, account, {"fsync": "off"})
    with held(data) as lock:
        group = Group(data / "none", lock)
        supervisor = Supervisor(group, print, lambda: None)
        await server.start(supervisor)
        yield Fresh(data / "secrets" / POSTGRES, server, Databases(server.server, passwords))
        await supervisor.stop(["postgres"], 10)
        await group.close()
    shutil.rmtree(data)
