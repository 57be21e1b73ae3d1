"""The database: connections that are cut or swallowed, a disk that forgets."""

from __future__ import annotations

import asyncio
import time

from tests.drill.fault import BACK, Fault, NotFired, Struck
from tests.drill.proxy import Cut
from tests.drill.site import Site

CUTS = 5
"""How often a connection is cut in one injection."""
WITHIN = 10.0
"""Seconds in which a service must have written something."""
HOLE = 4.0
"""Seconds for which no byte passes: longer than the lease."""


def cut_at(where: Cut) -> Fault:
    """Cut connections of services to their databases, where an append is under way."""

    async def strike(site: Site) -> Struck:
        proxies = site.stack.to_database
        for name in site.dice.choices(_write_all_the_time(site), k=CUTS):
            try:
                await asyncio.wait_for(proxies[name].cut_at(where), WITHIN)
            except TimeoutError:
                raise NotFired(f"{name} did not write anything that could be cut") from None
        return Struck(f"{CUTS} connections were cut when {where}", time.time())

    return Fault(f"database connection cut: {where}", strike, seconds=3.5, after_back=BACK)


def _write_all_the_time(site: Site) -> list[str]:
    """Return who writes as long as orders flow: customers register before they do."""
    return [name for name in site.stack.services if name != "customers"]


async def cut_all(site: Site) -> Struck:
    """Cut every connection to every database at one moment."""
    cut = sum(proxy.cut() for proxy in site.stack.to_database.values())
    if cut == 0:
        raise NotFired("nobody was connected")
    return Struck(f"{cut} connections were cut", time.time())


async def swallow(site: Site) -> Struck:
    """Let no byte pass between one service and its database, and tell nobody."""
    name = site.dice.choice(site.stack.services)
    proxy = site.stack.to_database[name]
    if not proxy.connections:
        raise NotFired(f"{name} was not connected")
    with proxy.black_hole():
        await asyncio.sleep(HOLE)
        held = proxy.held
    if not held:
        raise NotFired(f"{name} sent nothing for {HOLE:g} s that could be swallowed")
    return Struck(f"{held} bytes of {name} were held back for {HOLE:g} s", time.time())


FAULTS = (
    *(cut_at(where) for where in Cut),
    Fault("all database connections cut", cut_all, seconds=3.5, after_back=BACK),
    Fault(f"database unreachable for {HOLE:g} s, no connection cut", swallow, 7.0, None, BACK),
)
