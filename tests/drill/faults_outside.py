"""The world outside: down, slow, or lying about what it did."""

from __future__ import annotations

import asyncio
import time

import psutil

from tests.drill.fault import BACK, Fault, NotFired, Struck
from tests.drill.liar import Lie
from tests.drill.site import Site

LIES = 3.0
"""Seconds for which the world lies."""
FLAT = 200 << 20
"""Bytes that a service may grow by meanwhile."""


def lying(lie: Lie) -> Fault:
    async def strike(site: Site) -> Struck:
        liar = site.stack.liar
        before, told = _memory(site), liar.told[lie]
        with liar.telling(lie):
            await asyncio.sleep(LIES)
            grown = _memory(site) - before
        told = liar.told[lie] - told
        if not told:
            raise NotFired("nobody asked")
        if grown > FLAT:
            raise NotFired(f"payments and shipping grew by {grown >> 20} MiB")
        return Struck(f"{told} calls were answered so", time.time(), {"grown_bytes": grown})

    return Fault(f"the world outside {lie}", strike, seconds=LIES + 3, after_back=BACK)


def _memory(site: Site) -> int:
    return sum(
        psutil.Process(site.stack.pid(name)).memory_info().rss for name in ("payments", "shipping")
    )


FAULTS = tuple(lying(lie) for lie in Lie)
