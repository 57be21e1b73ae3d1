"""The drill itself: faults one after the other, and after each all is looked at."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random

import aiohttp

from tests.drill.audit import WindowAudit
from tests.drill.fault import Fault, NotFired, Struck
from tests.drill.load import Load, NotHeard, Window
from tests.drill.report import Injection, told
from tests.drill.site import Site
from tests.drill.stack import DrillStack

TIMERS = {"AnswersDue": 1.5, "GoodsDue": 1.5, "SlaDue": 60.0}
"""Seconds that an order waits; slow cards and carriers take longer than the first two."""

ENV = {"STAGEPOST_OUTSIDE_SLOW_SECONDS": "2"}

LEAD = 1.0
"""Seconds for which orders of all kinds come before a fault falls among them."""

TAIL = 0.3
"""Seconds for which a window goes on when all is back."""

STRIKE = 60.0
"""Seconds in which a fault must have been done, and what it took away be back."""

STILL, GIVEN_UP = 20.0, 6.0
"""Seconds without any change after which nobody waits for a window to become quiet any longer; the
second where orders may be left that wait for a person."""

LOOK = 0.1


class Drill:
    """One stack, one load, and the window that is open."""

    def __init__(self, stack: DrillStack, load: Load, audit: WindowAudit, seed: int) -> None:
        self._stack = stack
        self._load = load
        self._audit = audit
        self._seed = seed

    async def run(
        self, plan: Sequence[Fault], tell: Callable[[Injection], None]
    ) -> list[Injection]:
        """Do every fault of a plan; `tell` hears of each."""
        injections: list[Injection] = []
        window, marks = await self._open()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            for number, fault in enumerate(plan):
                await self._stack.scale(fault.instances)
                await asyncio.sleep(LEAD)
                site = Site(self._stack, self._load, Random(f"{self._seed}/{number}"), http)
                self._note(number, fault, "strikes")
                struck_at, struck, failures = await self._strike(fault, site)
                self._note(number, fault, struck.proof if struck else failures[0])
                await asyncio.sleep(TAIL)
                following = await self._open()
                self._note(number, fault, f"{window.name} closed")
                waiting = await self._until_quiet(window, marks, fault, failures)
                self._note(number, fault, "quiet")
                injection = await self._judge(fault, window, struck_at, struck, failures, waiting)
                self._note(number, fault, told(injection))
                injections.append(injection)
                tell(injection)
                window, marks = following
        return injections

    def _note(self, number: int, fault: Fault, what: str) -> None:
        """Write down what really happened, and when."""
        line = {"at": time.time(), "number": number, "fault": fault.name, "what": what}
        with (self._stack.data / "logs" / "drill.jsonl").open("a") as log:
            log.write(f"{json.dumps(line)}\n")

    async def _open(self) -> tuple[Window, Mapping[str, int]]:
        marks = await self._audit.marks()
        return await self._load.open_window(), marks

    async def _strike(self, fault: Fault, site: Site) -> tuple[float, Struck | None, list[str]]:
        self._load.calm = True
        struck_at = time.time()
        try:
            async with asyncio.timeout(STRIKE):
                return struck_at, await fault.strike(site), []
        except NotFired as error:
            return struck_at, None, [f"not fired: {error}"]
        except TimeoutError:
            return struck_at, None, ["what was hit did not come back"]

    async def _until_quiet(
        self, window: Window, marks: Mapping[str, int], fault: Fault, failures: list[str]
    ) -> int:
        """Wait for the window's orders and all they caused; return how many orders still wait."""
        try:
            await self._load.until_accepted(window)
        except NotHeard as error:
            if not fault.waits:
                failures.append(str(error))
        await self._audit.look_at(window, marks)
        stood: tuple[int, dict[str, int]] | None = None
        moved = time.monotonic()
        while True:
            stands = (await self._audit.ended(), await self._audit.under_way())
            if stands == (len(window.accepted), {}):
                return 0
            if stands != stood:
                stood, moved = stands, time.monotonic()
            if time.monotonic() - moved > (GIVEN_UP if fault.waits else STILL):
                if not fault.waits:
                    orders = "; ".join(await self._audit.waiting())
                    failures.append(f"never quiet: {stands[1]} under way; {orders}")
                return len(window.accepted) - stands[0]
            await asyncio.sleep(LOOK)

    async def _judge(
        self,
        fault: Fault,
        window: Window,
        struck_at: float,
        struck: Struck | None,
        failures: list[str],
        waiting: int,
    ) -> Injection:
        findings = await self._audit.check(window.accepted)
        ends = await self._audit.ends()
        if wrong := window.answers["500"]:
            failures.append(f"{wrong} requests were answered 500")
        back_at = struck.back_at if struck else None
        return Injection(
            fault=fault,
            at=struck_at,
            orders=len(window.accepted),
            proof=struck.proof if struck else "",
            standstill=standstill(ends, struck_at),
            after_back=None if back_at is None else first_after(ends, back_at),
            findings=findings,
            failures=failures,
            waiting=waiting,
            answers=dict(window.answers),
            figures=dict(struck.figures) if struck else {},
        )


def standstill(ends: Sequence[float], since: float) -> float:
    """Return the longest time between two ends of which the later lies after `since`."""
    gaps = [later - earlier for earlier, later in pairwise(ends) if later > since]
    return max(gaps, default=time.time() - since)


def first_after(ends: Sequence[float], moment: float) -> float:
    """Return how many seconds after a moment the first order ended."""
    return min((end - moment for end in ends if end > moment), default=time.time() - moment)


async def drill(
    plan: Sequence[Fault], seed: int, data: Path, tell: Callable[[Injection], None]
) -> tuple[list[Injection], int]:
    """Run a stack of its own through a plan.

    Returns what came of each injection, and how many messages belong to no window.
    """
    async with DrillStack(data, timers=TIMERS, env=ENV) as stack:
        audit = WindowAudit(stack)
        await audit.prepare()
        try:
            async with Load(stack.urls, seed) as load:
                injections = await Drill(stack, load, audit, seed).run(plan, tell)
            return injections, await audit.strays()
        finally:
            await audit.close()
