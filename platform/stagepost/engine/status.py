"""How a running stack stands: who holds the leases, and how far behind each reader of a log is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagepost.engine.database import SQL as FOLDER
from stagepost.engine.database import Queries, open_pool
from stagepost.engine.discovery import find_services
from stagepost.engine.operate import read_stack
from stagepost.engine.service import Service


@dataclass(frozen=True, slots=True)
class Standing:
    """One service: its instance, who leads and under which epoch, and what waits, in messages.

    `relay` is what is not yet published, `consumer` what is sent to it but not yet handled, `views`
    how many events they have not folded, `dead` its dead letters.
    """

    service: str
    where: str
    pid: int
    leader: str
    relay: int
    consumer: int
    views: int
    calls: int
    timers: int
    dead: int


async def standings(data: Path) -> list[Standing]:
    """Look at every service of the stack that runs on this data.

    Raises:
        BadSettings: nothing runs there.
        StoreUnavailable
    """
    found = find_services()
    running = {name: at for name, at in read_stack(data)["services"].items() if name in found}
    async with AsyncExitStack() as exits:
        stores: dict[str, Queries] = {}
        for name, at in running.items():
            pool = await open_pool(at["database"], size=1)
            exits.push_async_callback(pool.close)
            stores[name] = Queries(pool, FOLDER / "queries.sql")
        return [await _stands(found[name], at, found, stores) for name, at in running.items()]


async def _stands(
    service: Service,
    at: Mapping[str, Any],
    services: Mapping[str, Service],
    stores: Mapping[str, Queries],
) -> Standing:
    store = stores[service.name]
    lease = await store.fetchrow("lease")
    backlog = await store.fetchrow("backlog")
    views = await store.fetchrow("view_lag", len(service.views))
    assert backlog is not None
    assert views is not None
    return Standing(
        service.name,
        f":{at['port']}",
        at["pid"],
        f"{lease['holder']} ({lease['epoch']})" if lease else "nobody",
        backlog["outbox_pending"],
        await _unread(service, services, stores),
        views["events"],
        backlog["calls_pending"],
        backlog["timers_pending"],
        backlog["dead_letters"],
    )


async def _unread(
    reader: Service, services: Mapping[str, Service], stores: Mapping[str, Queries]
) -> int:
    cursors = await stores[reader.name].fetch("cursors", "consumer")
    unread = 0
    for source in (s for s in services.values() if s.name in stores and reader.reads_from(s)):
        reached = max((c["position"] for c in cursors if c["source"] == source.name), default=0)
        types = [message.TYPE for message in reader.reads_from(source)]
        row = await stores[source.name].fetchrow("unread", reached, types)
        unread += row["messages"] if row else 0
    return unread
