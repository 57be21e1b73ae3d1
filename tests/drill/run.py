"""The drill itself: faults one after the other, and after each all is looked at."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from random import Random

import aiohttp

from stagepost.engine.flow import Flow
from stagepost.engine.styles import CHOREOGRAPHED
from tests.drill.audit import WindowAudit
from tests.drill.fault import Fault, NotFired, Struck
from tests.drill.load import Load, Window
from tests.drill.report import Injection, told
from tests.drill.site import Site
from tests.drill.stack import DrillStack
from tests.drill.watch import Watch, first_after, standstill

TIMERS = {"AnswersDue": 1.5, "GoodsDue": 1.5, "SlaDue": 60.0}
"""Seconds that an order waits; slow cards and carriers take longer than the first two."""

ENV = {"STAGEPOST_OUTSIDE_SLOW_SECONDS": "2"}

LEAD = 1.0
"""Seconds for which orders of all kinds come before a fault falls among them."""

TAIL = 0.3
"""Seconds for which a window goes on when all is back."""

STRIKE = 120.0
"""Seconds in which a fault must have been done, and what it took away be back."""

STILL, GIVEN_UP = 20.0, 6.0
"""Seconds without any change after which nobody waits for a window to become quiet any longer; the
second where all orders that are left may wait for a person."""

LOOK = 0.1


@dataclass
class Attempt:
    """A fault that is being done, in its window; `marks` say where the logs stood when it began."""

    number: int
    fault: Fault
    window: Window
    marks: Mapping[str, int]
    at: float = 0.0
    struck: Struck | None = None
    failures: list[str] = field(default_factory=list)
    waiting: int = 0

    def owed(self, ended: Collection[str]) -> set[str]:
        """Return the orders that must end and have not.

        Where some may wait for a person these are the ones that came when all was back.
        """
        if not self.fault.waits:
            return self.window.accepted.keys() - ended
        back_at = inf if self.struck is None else self.struck.back_at
        return {name for name, at in self.window.asked.items() if at > back_at} - set(ended)


class Drill:
    """One stack, one load, and the window that is open."""

    def __init__(
        self, stack: DrillStack, load: Load, watch: Watch, audit: WindowAudit, seed: int
    ) -> None:
        self._stack = stack
        self._load = load
        self._watch = watch
        self._audit = audit
        self._seed = seed

    async def run(
        self, plan: Sequence[Fault], tell: Callable[[Injection], None], until: float
    ) -> list[Injection]:
        """Do the faults of a plan that find time until then; `tell` hears of each."""
        injections: list[Injection] = []
        window, marks = await self._open()
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=2), headers=self._stack.headers
        ) as http:
            for number, fault in enumerate(plan):
                if time.monotonic() + fault.seconds > until:
                    continue
                await self._stack.scale(fault.instances)
                await asyncio.sleep(window.opened_at + LEAD - time.monotonic())
                attempt = Attempt(number, fault, window, marks)
                dice = Random(f"{self._seed}/{number}")
                await self._strike(attempt, Site(self._stack, self._load, dice, http))
                await asyncio.sleep(TAIL)
                window, marks = await self._open()
                self._note(attempt, f"{attempt.window.name} is closed")
                await self._until_quiet(attempt)
                self._note(attempt, "all is quiet")
                injections.append(await self._judge(attempt))
                self._note(attempt, told(injections[-1]))
                tell(injections[-1])
        return injections

    def _note(self, attempt: Attempt, what: str) -> None:
        """Write down what really happened, and when."""
        line = {
            "at": time.time(),
            "number": attempt.number,
            "fault": attempt.fault.name,
            "what": what,
        }
        with (self._stack.data / "logs" / "drill.jsonl").open("a") as log:
            log.write(f"{json.dumps(line)}\n")

    async def _open(self) -> tuple[Window, Mapping[str, int]]:
        marks = await self._audit.marks()
        return await self._load.open_window(), marks

    async def _strike(self, attempt: Attempt, site: Site) -> None:
        self._load.calm = True
        attempt.at = time.time()
        self._note(attempt, "strikes")
        try:
            async with asyncio.timeout(STRIKE):
                attempt.struck = await attempt.fault.strike(site)
        except NotFired as error:
            attempt.failures.append(f"not fired: {error}")
        except TimeoutError:
            attempt.failures.append("what was hit did not come back")
        self._note(attempt, attempt.struck.proof if attempt.struck else attempt.failures[-1])

    async def _until_quiet(self, attempt: Attempt) -> None:
        """Wait for the window's orders, and for all that they caused."""
        window, fault = attempt.window, attempt.fault
        unheard = await self._load.until_accepted(window)
        if not window.accepted:
            attempt.failures.append("no order came in all this time")
        if unheard and not fault.waits:
            attempt.failures.append(f"{len(unheard)} customers were not heard: {unheard[0]}")
        await self._audit.look_at(window, attempt.marks)
        stood: tuple[int, dict[str, int]] | None = None
        moved = time.monotonic()
        while True:
            ended, under_way = await self._audit.ended(), await self._audit.under_way()
            stands = len(ended), under_way
            if stands == (len(window.accepted), {}):
                return
            owed = attempt.owed(ended)
            if stands != stood:
                stood, moved = stands, time.monotonic()
            elif time.monotonic() - moved > (STILL if owed or not fault.waits else GIVEN_UP):
                attempt.waiting = len(window.accepted) - len(ended)
                if owed or not fault.waits:
                    orders = "; ".join([*sorted(owed)[:3], *await self._audit.waiting()])
                    attempt.failures.append(f"never quiet: {under_way} under way; {orders}")
                return
            await asyncio.sleep(LOOK)

    async def _judge(self, attempt: Attempt) -> Injection:
        window, struck = attempt.window, attempt.struck
        findings = await self._audit.check()
        if wrong := window.answers["500"]:
            attempt.failures.append(f"{wrong} requests were answered 500")
        return Injection(
            fault=attempt.fault,
            at=attempt.at,
            orders=len(window.accepted),
            proof=struck.proof if struck else "",
            standstill=standstill(self._watch.seen, attempt.at, time.time()),
            after_back=first_after(self._watch.seen, struck.back_at) if struck else None,
            findings=findings,
            failures=attempt.failures,
            waiting=attempt.waiting,
            answers=dict(window.answers),
            figures=dict(struck.figures) if struck else {},
        )


async def drill(
    plan: Sequence[Fault],
    seed: int,
    data: Path,
    tell: Callable[[Injection], None],
    until: float = inf,
    *,
    flow: Flow = Flow(),  # noqa: B008  # frozen
) -> tuple[list[Injection], int]:
    """Run a stack of its own through a plan, as far as it gets until then (by the monotonic clock).

    Returns what came of each injection, and how many messages belong to no window.
    """
    async with DrillStack(data, flow, timers=TIMERS, env=ENV) as stack:
        audit = WindowAudit(stack)
        await audit.prepare()
        try:
            async with (
                Load(stack.urls, stack.headers, seed, owned=flow.style != CHOREOGRAPHED) as load,
                Watch(stack) as watch,
            ):
                work = Drill(stack, load, watch, audit, seed)
                injections = await work.run(plan, tell, until)
            return injections, await audit.strays()
        finally:
            await audit.close()
