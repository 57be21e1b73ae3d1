"""`python -m tests.bench.verifying DSN SERVICE`: verify views as the command does.

In a process of its own: it says how many events there were, in how many seconds, and the most
memory that it had.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time

import asyncpg

from stagepost.engine.database import PLANS, READ_ONLY, open_pool
from stagepost.engine.discovery import find_services
from stagepost.engine.replay.log import Log
from stagepost.engine.replay.verify import ViewsCheck


async def main(dsn: str, service: str) -> int:
    """Verify the views of a service; return how many are not as their events make them."""
    pool = await open_pool(dsn, size=2, settings=READ_ONLY)
    connection = await asyncpg.connect(dsn, server_settings=PLANS | READ_ONLY)
    began, told = time.perf_counter(), 0

    def count(events: int) -> None:
        nonlocal told
        told += events

    checked = await ViewsCheck(connection, Log(find_services()[service], pool), count).run()
    await connection.close()
    await pool.close()
    figures = {
        "events": told,
        "seconds": time.perf_counter() - began,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    sys.stdout.write(json.dumps(figures))
    return sum(not one.is_equal for one in checked)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
