"""One run: a plan is carried out, all comes to rest, every promise is checked."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import structlog

from tests.simulation.blows import Blows
from tests.simulation.clients import Clients
from tests.simulation.evidence import Evidence, what_is_open
from tests.simulation.faults import Drawn, Script
from tests.simulation.loop import Stuck
from tests.simulation.plan import Plan, make_plan
from tests.simulation.promises import broken_promises
from tests.simulation.world import World

REST_SECONDS = 300.0
"""Virtual seconds after the last fault within which everything must have come to rest."""

AFTER_REST = 8.0
"""Seconds that it must stay at rest: longer than a slow call, and what begins anew after it."""


@dataclass
class Result:
    """What came of one run."""

    plan: Plan
    broken: list[str]
    trace: str = ""
    fired: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    rest_at: float = 0.0


def run_seed(seed: object) -> Result:
    """Run what a seed stands for."""
    plan = make_plan(seed)
    return run_plan(plan, Drawn(plan.seed, dict(plan.rates)))


def run_plan(plan: Plan, script: Script) -> Result:
    """Carry a plan out."""
    with silent_logs():
        world = World(plan, script)
        result = Result(plan, [])
        try:
            result.broken = world.loop.run(_live(world, script, result))
        except Stuck as stuck:
            result.broken = [f"1 it never ends: {stuck}"]
        except Exception as error:  # noqa: BLE001  # whatever a bug does, its seed is to be told
            result.broken = [f"the run failed: {error!r}"]
        result.broken += world.broken + [f"the engine failed: {f}" for f in world.loop.faults]
        result.trace = world.io.trace
        result.fired += world.io.fired
        result.hit += world.io.hit
        result.calls = world.io.calls
        return result


async def _live(world: World, script: Script, result: Result) -> list[str]:
    for node in world.nodes.values():
        node.start()
    blows, clients = Blows(world), Clients(world)
    asking = asyncio.create_task(clients.all())
    await blows.all()
    script.calm()
    blows.heal()
    result.fired += blows.struck
    redriving = asyncio.create_task(clients.redrive())
    still_open = await _rest(world, asking)
    result.rest_at = world.loop.time() - AFTER_REST
    redriving.cancel()
    seen = Evidence(world, clients)
    result.ends += Counter(end for ends in seen.ends.values() for end in ends)
    world.io.note(f"{[(r.journal, r.events) for r in seen.of.values()]}")
    if seen.set_back == "inventory":  # what was put on its shelves is gone with the database
        world.broken[:] = [fault for fault in world.broken if "/stock/" not in fault]
    return still_open + broken_promises(seen)


async def _rest(world: World, asking: asyncio.Task[None]) -> list[str]:
    """Wait until nothing is under way and stays so; say what is, where it takes too long."""
    until = world.loop.time() + REST_SECONDS
    await asyncio.wait([asking], timeout=REST_SECONDS)
    while found := ["customers wait"] * (not asking.done()) + what_is_open(world):
        if world.loop.time() >= until:
            return [f"1 no rest after {REST_SECONDS:g} s: {fault}" for fault in found[:5]]
        await asyncio.sleep(1)
    asking.result()
    await asyncio.sleep(AFTER_REST)
    return [f"1 no lasting rest: {fault}" for fault in what_is_open(world)[:5]]


def workers() -> ProcessPoolExecutor:
    """Return processes to run seeds in; what is loaded by now is not garbage, and not looked at."""
    return ProcessPoolExecutor(initializer=gc.freeze)


@contextlib.contextmanager
def silent_logs() -> Iterator[None]:
    """Keep what the engine logs to itself."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
