"""`append` alone, in batches of 200 commits, against pgbench inserting the same rows."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from stagepost.engine.database import read_statements
from stagepost.engine.stack.postgres import binary
from stagepost.engine.stack.server import PORT, SUPERUSER
from tests.bench.parts import BODY, batches, open_store
from tests.bench.servers import Servers

COMMITS = 40_000
SECONDS = 4
"""How long pgbench runs under one setting."""
SETTINGS = [(rows, clients) for rows in (1, 100, 200) for clients in (1, 2, 4)]
"""Commits in a transaction, clients at once: the best of all is what we are held against."""
SCRIPT = read_statements(Path(__file__).parent / "sql" / "pgbench.sql")["rows"]


async def append_ratio(servers: Servers, data: Path, say: Callable[[str], None]) -> float:
    """Return how many commits a second `append` keeps for each one of pgbench.

    Both write an inbox row, an event and a message a commit into the same tables. pgbench has the
    server make the rows; `append` is sent them, and checks versions and ids. pgbench runs under
    several settings, of which the best counts.
    """
    async with open_store(servers, data, "bench") as store:
        ready = list(batches(COMMITS))
        await store.append(ready.pop())
        started = time.perf_counter()
        for batch in ready:
            await store.append(batch)
        ours = sum(len(batch.commits) for batch in ready) / (time.perf_counter() - started)
    say(f"append: {ours:,.0f} commits/s")
    best = 0.0
    for rows, clients in SETTINGS:
        async with open_store(servers, data, "bench"):
            theirs = rows * await _pgbench(servers, data, rows, clients)
        say(f"pgbench: {theirs:,.0f} commits/s, {rows} a transaction, {clients} clients")
        best = max(best, theirs)
    return ours / best


async def _pgbench(servers: Servers, data: Path, rows: int, clients: int) -> float:
    """Return how many transactions pgbench makes in a second."""
    script = data / "pgbench.sql"
    script.write_text(SCRIPT.format(rows=rows, body=rf"\x{BODY.hex()}"))
    process = await asyncio.create_subprocess_exec(
        binary("pgbench"),
        *("--no-vacuum", "--protocol=prepared", f"--file={script}"),
        *(f"--time={SECONDS}", f"--client={clients}", f"--jobs={clients}"),
        *("-h", str(servers.postgres.sockets), "-p", str(PORT), "-U", SUPERUSER, "bench"),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PGPASSWORD": servers.postgres.password},
    )
    printed, _ = await process.communicate()
    found = re.search(rb"tps = ([0-9.]+)", printed)
    assert found is not None, printed
    return float(found[1])
