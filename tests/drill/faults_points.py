"""Services that stop at the worst moments: killed there, or paused for longer than their lease."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping

from stagepost.engine.flow import Flow
from tests.drill.fault import BACK, KILLED, Fault, NotFired, Struck
from tests.drill.parts import hearers, talkers, timekeepers
from tests.drill.points import Point, Stop
from tests.drill.site import Site, is_stopped, until

WHO: Mapping[Point, tuple[str, ...]] = {
    Point.RELAY_BEFORE_PUBLISH: ("ordering", "payments", "inventory", "shipping", "fulfillment"),
    Point.RELAY_BEFORE_CURSOR: ("ordering", "payments", "inventory", "shipping", "fulfillment"),
    Point.CALLER_BEFORE_APPEND: ("payments", "shipping", "notifications"),
    Point.CONSUMER_BEFORE_APPEND: (
        *("payments", "inventory", "shipping", "fulfillment", "loyalty", "notifications"),
    ),
    Point.CONSUMER_BEFORE_READ: (
        *("payments", "inventory", "shipping", "fulfillment", "loyalty", "notifications"),
    ),
    Point.TIMER_BEFORE_APPEND: ("fulfillment",),
    Point.DESK_BEFORE_ANSWER: ("ordering",),
}
"""Which services may come to a point while orders flow."""

BY_FLOW: Mapping[Point, Callable[[Flow], Collection[str]]] = {
    Point.RELAY_BEFORE_PUBLISH: talkers,
    Point.RELAY_BEFORE_CURSOR: talkers,
    Point.CONSUMER_BEFORE_APPEND: hearers,
    Point.CONSUMER_BEFORE_READ: hearers,
    Point.TIMER_BEFORE_APPEND: timekeepers,
}
"""Who of them does, where that is not the same in every flow."""


def _who(point: Point, flow: Flow) -> list[str]:
    there = BY_FLOW[point](flow) if point in BY_FLOW else flow.services
    return [name for name in WHO[point] if name in there]


REACHED = 15.0
"""Seconds in which a service must have come to its point."""

PAUSED, LONGER = 1.5, 5.0
"""Seconds for which one is paused there; the second where another takes over meanwhile."""


def stop_at(point: Point, stop: Stop, instances: int = 1) -> Fault:
    """Stop a service, which the dice choose, at a point."""
    seconds = LONGER if instances > 1 else PAUSED

    async def strike(site: Site) -> Struck:
        service = site.dice.choice(_who(point, site.stack.flow))
        orders = site.stack.orders()
        site.load.calm = False  # timers come due only where some are slow
        orders.give(service, point, stop)
        try:
            await until(lambda: orders.reached_by(service) is not None, REACHED)
        finally:
            orders.take_back(service)
            site.load.calm = True
        if (pid := orders.reached_by(service)) is None:
            raise NotFired(f"{service} never came to {point}")
        proof = f"process {pid} of {service} reached {point}"
        if stop is Stop.KILL:
            return Struck(f"{proof}, and was killed", await _back_from_death(site, service, pid))
        return Struck(f"{proof}, and was seen stopped", await _woken(service, pid, seconds))

    word = "kill -9" if stop is Stop.KILL else "paused"
    return Fault(
        f"{point}: {word}{', another takes over' if instances > 1 else ''}",
        strike,
        seconds=5.0 if stop is Stop.KILL else seconds + 2.5,
        standstill=KILLED if stop is Stop.KILL else None,
        after_back=None if stop is Stop.KILL else BACK,
        instances=instances,
        needs=lambda flow: bool(_who(point, flow)),
    )


async def _back_from_death(site: Site, service: str, pid: int) -> float:
    if not await until(lambda: site.stack.pid(service) != pid, 30):
        raise NotFired(f"{service} was not started again, so it did not end")
    return await site.until_back(service)


async def _woken(service: str, pid: int, seconds: float) -> float:
    try:
        if not await until(lambda: is_stopped(pid), 2):
            raise NotFired(f"{service} came to its point and did not stop")
        await asyncio.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)
    return time.time()


FAULTS = (
    *(stop_at(point, stop) for stop in Stop for point in Point),
    *(
        stop_at(point, Stop.PAUSE, instances=2)
        for point in (Point.RELAY_BEFORE_PUBLISH, Point.CONSUMER_BEFORE_APPEND)
    ),
)
