"""How a running stack stands: who holds the leases, and how far behind each reader of a log is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagepost.engine.batch import LEASE
from stagepost.engine.database import SQL as FOLDER
from stagepost.engine.database import Queries, open_pool
from stagepost.engine.flow import Flow
from stagepost.engine.links import CONSUMER, Routes, relay_name, routes_of
from stagepost.engine.operate import read_stack
from stagepost.engine.service import Service
from stagepost.engine.store import Leadership
from stagepost.engine.store_postgres import PostgresStore

LAGS = ("relay", "consumer", "views", "calls", "timers", "dead")
HEADS = ("service", "where", "instance", "pid", "lease", "epoch", "expires", *LAGS)


@dataclass(frozen=True, slots=True)
class Standing:
    """One service: its instances with their process ids, who leads, and what waits, in messages.

    `relay` is what is not yet published, `consumer` what is sent to it but not yet handled, `views`
    how many events they have not folded, `dead` its dead letters.
    """

    service: str
    where: str
    instances: dict[str, int]
    lease: Leadership
    relay: int
    consumer: int
    views: int
    calls: int
    timers: int
    dead: int


def rows_of(standing: Standing) -> list[list[str]]:
    """Return rows of a table: one for each instance, the first with all that is the service's."""
    lease = standing.lease
    names = sorted({*standing.instances, *lease.waiting, *filter(None, [lease.holder])})
    lags = [str(getattr(standing, lag)) for lag in LAGS]
    return [
        [
            "" if number else standing.service,
            "" if number else standing.where,
            name,
            str(standing.instances.get(name, "")),
            *_held(name, lease),
            *([""] * len(LAGS) if number else lags),
        ]
        for number, name in enumerate(names)
    ]


def _held(name: str, lease: Leadership) -> tuple[str, str, str]:
    if name == lease.holder:
        return "leads", str(lease.epoch), f"in {lease.expires_in:.1f} s"
    return ("waits" if name in lease.waiting else "starts"), "", ""


async def standings(data: Path) -> list[Standing]:
    """Look at every service of the stack that runs on this data.

    Raises:
        BadSettings: nothing runs there.
        StoreUnavailable
    """
    stack = read_stack(data)
    flow = Flow(**stack["flow"], only=frozenset(stack["services"]))
    found, links = flow.services, flow.links
    running = {name: at for name, at in stack["services"].items() if name in found}
    async with AsyncExitStack() as exits:
        stores: dict[str, Queries] = {}
        leases: dict[str, Leadership] = {}
        for name, at in running.items():
            pool = await open_pool(at["database"], size=1)
            exits.push_async_callback(pool.close)
            stores[name] = Queries(pool, FOLDER / "queries.sql")
            leases[name] = await PostgresStore(pool, name).leadership(LEASE)
        return [
            await _stands(
                found[name], at, leases[name], routes_of(found[name], found, links), stores
            )
            for name, at in running.items()
        ]


async def _stands(
    service: Service,
    at: Mapping[str, Any],
    lease: Leadership,
    routes: Routes,
    stores: Mapping[str, Queries],
) -> Standing:
    store = stores[service.name]
    backlog = await store.fetchrow("backlog", [relay_name(broker) for broker in routes.publishes])
    views = await store.fetchrow("view_lag", len(service.views))
    assert backlog is not None
    assert views is not None
    return Standing(
        service.name,
        f":{at['port']}",
        {name: instance["pid"] for name, instance in at["instances"].items()},
        lease,
        backlog["outbox_pending"],
        await _unread(service.name, routes, stores),
        views["events"],
        backlog["calls_pending"],
        backlog["timers_pending"],
        backlog["dead_letters"],
    )


async def _unread(reader: str, routes: Routes, stores: Mapping[str, Queries]) -> int:
    cursors = await stores[reader].fetch("cursors", CONSUMER)
    unread = 0
    for sources in routes.reads.values():
        for source in sources.keys() & stores.keys():
            reached = max((c["position"] for c in cursors if c["source"] == source), default=0)
            row = await stores[source].fetchrow("unread", reached, sources[source])
            unread += row["messages"] if row else 0
    return unread
