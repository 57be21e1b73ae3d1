"""The broker: its disk loses what it confirmed, its connections are cut or swallowed."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path

from tests.drill.fault import BACK, Fault, NotFired, Struck
from tests.drill.parts import carriers
from tests.drill.proxy import Cut
from tests.drill.site import Site, until

HOLE = 4.0
"""Seconds for which no byte passes."""


async def wipe(site: Site) -> Struck:
    """Kill the broker, and remove all that it has stored."""
    store = _store(site)
    size = _size(store)
    pid = _end(site)
    shutil.rmtree(store)
    return Struck(f"{size:,} bytes were removed", await _back(site, pid))


async def halve(site: Site) -> Struck:
    """Kill the broker, and cut every file of messages in half."""
    blocks = list(_store(site).rglob("*.blk"))
    pid = _end(site)
    lost = 0
    for block in blocks:
        size = block.stat().st_size
        os.truncate(block, size // 2)
        lost += size - size // 2
    if not lost:
        raise NotFired(f"none of {len(blocks)} files of messages had anything in it")
    return Struck(f"{lost:,} bytes of {len(blocks)} files were cut off", await _back(site, pid))


def _store(site: Site) -> Path:
    store = site.stack.data / "nats"
    if not any(store.rglob("*.blk")):
        raise NotFired(f"there are no messages in {store}")
    return store


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _end(site: Site) -> int:
    """Kill the broker; the supervisor gives us a moment before it starts it again."""
    pid = site.stack.pid("nats")
    os.kill(pid, signal.SIGKILL)
    # It is a zombie until the supervisor has seen it; its files are nobody's from now on.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


async def _back(site: Site, pid: int) -> float:
    if not await until(lambda: site.stack.pid("nats") != pid, 10):
        raise NotFired("the broker was not started again, so it did not end")
    return await site.until_back("nats")


async def cut_all(site: Site) -> Struck:
    """Cut every connection to the broker at one moment."""
    cut = sum(proxy.cut() for proxy in site.stack.to_broker.values())
    if cut == 0:
        raise NotFired("nobody was connected")
    return Struck(f"{cut} connections were cut", time.time())


async def lose_acks(site: Site) -> Struck:
    """Cut each service's connection when it has published, before it is told so."""
    names = carriers(site.stack.flow)
    for name in names:
        try:
            await asyncio.wait_for(site.stack.to_broker[name].cut_at(Cut.AFTER_REQUEST), 10)
        except TimeoutError:
            raise NotFired(f"{name} published nothing") from None
    return Struck(f"{len(names)} publications went unconfirmed", time.time())


async def swallow(site: Site) -> Struck:
    """Let no byte pass between one service and the broker, and tell nobody."""
    name = site.dice.choice(carriers(site.stack.flow))
    proxy = site.stack.to_broker[name]
    with proxy.black_hole():
        await asyncio.sleep(HOLE)
        held = proxy.held
    if not held:
        raise NotFired(f"{name} sent nothing for {HOLE:g} s that could be swallowed")
    return Struck(f"{held} bytes of {name} were held back for {HOLE:g} s", time.time())


FAULTS = (
    Fault("broker wiped", wipe, seconds=5.0, after_back=BACK),
    Fault("broker's files cut in half", halve, seconds=5.0, after_back=BACK),
    Fault("all broker connections cut", cut_all, seconds=3.5, after_back=BACK),
    Fault("broker's confirmations lost", lose_acks, seconds=3.5, after_back=BACK),
    Fault(f"broker unreachable for {HOLE:g} s, no connection cut", swallow, 7.0, None, BACK),
)
