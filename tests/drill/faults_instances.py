"""Two instances of every service: the one that leads is killed, stopped or woken."""

from __future__ import annotations

from tests.drill.fault import BACK, KILLED, Fault, NotFired, Struck
from tests.drill.faults_processes import kill_now, pause_now
from tests.drill.site import Site

STOPPED = 6.0
"""Seconds for which who leads is stopped: twice the lease, so that another has taken over."""


async def _leaders(site: Site, services: tuple[str, ...] = ()) -> list[str]:
    return [await site.stack.leader(service) for service in services or site.stack.services]


async def _taken_over(site: Site, struck: Struck, before: list[str]) -> Struck:
    after = await _leaders(site)
    moved = [f"{old} to {new}" for old, new in zip(before, after, strict=True) if old != new]
    said = ", ".join(moved) or "none, who was killed was back before its lease had expired"
    return Struck(f"{struck.proof}; leases passed on: {said}", struck.back_at)


async def _all_taken_over(site: Site, struck: Struck, stopped: list[str]) -> Struck:
    services = tuple(name.removesuffix("-2") for name in stopped)
    after = await _leaders(site, services)
    if idle := set(stopped) & set(after):
        raise NotFired(f"nobody took over from {', '.join(sorted(idle))}")
    return Struck(f"{struck.proof}; now lead {', '.join(after)}", struck.back_at)


async def kill_leader(site: Site) -> Struck:
    """Kill who leads one service."""
    before = await _leaders(site)
    leader = site.dice.choice(before)
    return await _taken_over(site, await kill_now(site, [leader]), before)


async def kill_leaders(site: Site) -> Struck:
    """Kill who leads, of every service."""
    before = await _leaders(site)
    return await _taken_over(site, await kill_now(site, before), before)


async def stop_leader(site: Site) -> Struck:
    """Stop who leads one service, and wake it when another leads."""
    before = await _leaders(site)
    leader = site.dice.choice(before)
    return await _all_taken_over(site, await pause_now(site, [leader], STOPPED), [leader])


async def stop_leaders(site: Site) -> Struck:
    """Stop who leads, of every service, and wake them when others lead."""
    before = await _leaders(site)
    return await _all_taken_over(site, await pause_now(site, before, STOPPED), before)


FAULTS = (
    Fault("two instances: who leads is killed", kill_leader, 5.0, KILLED, instances=2),
    Fault("two instances: all who lead are killed", kill_leaders, 6.0, KILLED, instances=2),
    Fault(
        "two instances: who leads is stopped, and woken",
        stop_leader,
        8.0,
        KILLED,
        BACK,
        instances=2,
    ),
    Fault(
        "two instances: all who lead are stopped, and woken",
        stop_leaders,
        9.0,
        KILLED,
        BACK,
        instances=2,
    ),
)
