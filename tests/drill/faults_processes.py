"""Processes: killed, stopped and woken, one or all of them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence

import psutil

from stagepost.engine.discovery import find_services
from tests.drill.fault import BACK, KILLED, Fault, NotFired, Struck
from tests.drill.parts import Needs, anything, runs
from tests.drill.site import SERVERS, Site, is_stopped, until

SERVICES = tuple(find_services())
STOPPED = 10.0
"""Seconds for which a process is stopped: longer than any lease."""


async def kill_now(
    site: Site, names: Sequence[str], how: signal.Signals = signal.SIGKILL
) -> Struck:
    """Kill these processes of the stack, and wait until they are back."""
    before = {name: site.stack.pid(name) for name in names}
    for pid in before.values():
        os.kill(pid, how)
    started = await until(
        lambda: all(site.stack.pid(name) != pid for name, pid in before.items()), 30
    )
    if not started:
        raise NotFired(f"{', '.join(names)}: not started again, so not ended")
    back = [await site.until_back(name.removesuffix("-2")) for name in names] or [time.time()]
    return Struck(f"{how.name}: process {', '.join(map(str, before.values()))} ended", max(back))


async def pause_now(site: Site, names: Sequence[str], seconds: float) -> Struck:
    """Stop these processes of the stack, with all that they started, and wake them."""
    pids = [pid for name in names for pid in _tree(site.stack.pid(name))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        if not await until(lambda: all(is_stopped(pid) for pid in pids), 2):
            raise NotFired(f"{', '.join(names)}: not stopped")
        await asyncio.sleep(seconds)
        if not all(is_stopped(pid) for pid in pids):
            raise NotFired(f"{', '.join(names)}: did not stay stopped")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    return Struck(f"{len(pids)} processes were seen stopped for {seconds:g} s", time.time())


def _tree(pid: int) -> list[int]:
    """A server works in processes of its own: they stop before it, and wake before it."""
    process = psutil.Process(pid)
    return [*(child.pid for child in process.children(recursive=True)), pid]


def kill(*names: str, how: signal.Signals = signal.SIGKILL) -> Fault:
    """Kill processes, together."""
    who = "all services" if names == SERVICES else names[0]
    word = "kill -9" if how is signal.SIGKILL else "immediate stop"

    async def strike(site: Site) -> Struck:
        return await kill_now(site, _running(site, names), how)

    server = names[0] in SERVERS
    return Fault(
        f"{word} of {who}",
        strike,
        seconds=5.0,
        standstill=None if server else KILLED,
        after_back=BACK if server else None,
        needs=_needs(names),
    )


def pause(*names: str, seconds: float = STOPPED) -> Fault:
    """Stop processes and wake them, together."""
    who = "all services" if names == SERVICES else names[0]

    async def strike(site: Site) -> Struck:
        return await pause_now(site, _running(site, names), seconds)

    return Fault(
        f"{who} stopped for {seconds:g} s",
        strike,
        seconds=seconds + 2,
        after_back=BACK,
        needs=_needs(names),
    )


def _running(site: Site, names: Sequence[str]) -> Sequence[str]:
    """Return those of all services that this style needs."""
    return site.stack.services if names == SERVICES else names


def _needs(names: Sequence[str]) -> Needs:
    return runs(*names) if names[0] in SERVICES and names != SERVICES else anything


FAULTS = (
    *(kill(name) for name in (*SERVICES, "outside", *SERVERS)),
    kill("postgres", how=signal.SIGQUIT),
    kill(*SERVICES),
    *(pause(name) for name in (*SERVICES, "outside", *SERVERS)),
    pause(*SERVICES, seconds=4),
)
