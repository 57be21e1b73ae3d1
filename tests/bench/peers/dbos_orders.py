"""Orders as DBOS workflows of five steps: one of several processes, in the peers' environment.

`python dbos_orders.py ORDERS SETTINGS` says `ready`, waits for a line, runs so many workflows, says
`done`. DBOS 3.4 records a workflow, each step's outcome and the workflow's own: seven writes. Its
documentation tunes by more processes, workflows that are coroutines or threads, the size of the
pool and the options of its engine (a ping before each use of a connection can be left out). Steps
are as small as can be, and nothing is enqueued, which would add to the writes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS


@DBOS.step()
async def take_payment(order: str) -> dict[str, str]:
    return {"order": order, "payment": "p"}


@DBOS.step()
async def reserve(order: str) -> dict[str, str]:
    return {"order": order, "stock": "reserved"}


@DBOS.step()
async def fetch(order: str) -> dict[str, str]:
    return {"order": order, "pick": "p"}


@DBOS.step()
async def ship(order: str) -> dict[str, str]:
    return {"order": order, "tracking": "t"}


@DBOS.step()
async def confirm(order: str) -> dict[str, str]:
    return {"order": order, "status": "confirmed"}


STEPS = (take_payment, reserve, fetch, ship, confirm)


@DBOS.workflow()
async def fulfill(order: str) -> str:
    for step in STEPS:
        await step(order)
    return "confirmed"


@DBOS.step()
def step_in_a_thread(order: str, name: str) -> dict[str, str]:
    return {"order": order, "step": name}


@DBOS.workflow()
def fulfill_in_a_thread(order: str) -> str:
    for step in STEPS:
        step_in_a_thread(order, step.__name__)
    return "confirmed"


async def as_coroutines(orders: int, at_once: int) -> None:
    """Run workflows on one event loop, so many at once."""
    waiting = iter(range(orders))

    async def customers() -> None:
        for number in waiting:
            assert await fulfill(f"order-{number}") == "confirmed"

    await asyncio.gather(*(customers() for _ in range(at_once)))


def in_threads(orders: int, at_once: int) -> None:
    """Run workflows in so many threads."""
    with ThreadPoolExecutor(at_once) as pool:
        names = (f"order-{number}" for number in range(orders))
        assert set(pool.map(fulfill_in_a_thread, names)) == {"confirmed"}


def main(orders: int, style: str, at_once: int, *, pre_ping: bool) -> None:
    """Be one process."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": os.environ["PEER_DATABASE"],
            "sys_db_pool_size": 20,
            "db_engine_kwargs": {"pool_pre_ping": pre_ping},
            "log_level": "ERROR",
            "run_migrations": os.environ["PEER_NUMBER"] == "0",
            "application_version": "bench",
            "executor_id": os.environ["PEER_NUMBER"],
        }
    )
    DBOS.launch()
    print("ready", flush=True)  # noqa: T201  # whoever started it listens
    sys.stdin.readline()
    if style == "coroutines":
        asyncio.run(as_coroutines(orders, at_once))
    else:
        in_threads(orders, at_once)
    print("done", flush=True)  # noqa: T201
    os._exit(0)  # its threads sleep for seconds before they see that it ends


if __name__ == "__main__":
    main(int(sys.argv[1]), **json.loads(sys.argv[2]))
