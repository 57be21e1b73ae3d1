"""Clients that hang up, clients that never finish, and a restart that no client may notice."""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter
from collections.abc import Sequence
from socket import SO_LINGER, SOL_SOCKET
from urllib.parse import urlsplit

from stagepost.engine.stack.rolling import rolling_restart
from tests.drill.fault import BACK, KILLED, Fault, NotFired, Struck
from tests.drill.site import Site

CLIENTS = 1000
DRIPS = 250
DRIP_SECONDS = 4.0
_RESET = struct.pack("ii", 1, 0)

HALVES = (
    'POST /orders HTTP/1.1\r\nHost: x\r\n%sContent-Length: 4000\r\n\r\n{"order_id": "',
    "GET /orders?limit=500 HTTP/1.1\r\nHost: x\r\n%s\r\n",
    "GET /jour",
)


def _halves(site: Site) -> list[bytes]:
    said = "".join(f"{name}: {value}\r\n" for name, value in site.stack.headers.items())
    return [half.replace("%s", said).encode() for half in HALVES]


async def _connect(site: Site) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    at = urlsplit(site.stack.url("ordering"))
    assert at.hostname is not None
    return await asyncio.open_connection(at.hostname, at.port)


async def hang_up(site: Site) -> Struck:
    """Connect a thousand times, ask by half, or for much, and hang up without a word."""
    opened = 0
    halves = _halves(site)

    async def client(number: int) -> None:
        nonlocal opened
        _, writer = await _connect(site)
        opened += 1
        writer.write(halves[number % len(halves)])
        await writer.drain()
        await asyncio.sleep(site.dice.random())
        # A reset, not a farewell: what is under way for us has nobody to go to.
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        writer.transport.abort()

    done = await asyncio.gather(*map(client, range(CLIENTS)), return_exceptions=True)
    failed = [error for error in done if isinstance(error, BaseException)]
    if opened < CLIENTS * 0.9:
        raise NotFired(f"only {opened} of {CLIENTS} clients were let in: {failed[:1]}")
    return Struck(f"{opened} clients hung up in the middle", time.time())


async def drip(site: Site) -> Struck:
    """Send requests a byte at a time, and never finish one.

    Each would be cut off after ten seconds (`tests/engine/test_web.py` shows it); these go before.
    """
    writers = [(await _connect(site))[1] for _ in range(DRIPS)]
    until = time.monotonic() + DRIP_SECONDS
    sent = 0
    try:
        request = _halves(site)[0]
        while time.monotonic() < until and sent < len(request):
            for writer in writers:
                writer.write(request[sent : sent + 1])
            sent += 1
            await asyncio.sleep(0.2)
    finally:
        for writer in writers:
            writer.transport.abort()
    if sent < 5:
        raise NotFired(f"only {sent} bytes were sent in {DRIP_SECONDS:g} s")
    return Struck(f"{DRIPS} clients sent {sent} bytes each in {DRIP_SECONDS:g} s", time.time())


async def roll(site: Site) -> Struck:
    """Restart ordering and one more service."""
    other = site.dice.choice([name for name in site.stack.services if name != "ordering"])
    return await roll_services(site, ["ordering", other], late_is_fine=True)


async def roll_ordering(site: Site) -> Struck:
    """Restart both instances of ordering: it takes as long as two services of one."""
    return await roll_services(site, ["ordering"], late_is_fine=False)


async def roll_services(site: Site, services: Sequence[str], *, late_is_fine: bool) -> Struck:
    """Restart services, an instance at a time: no request may fail.

    Where there is one instance, requests wait for as long as a process takes to start: one that
    waits for longer than a customer does is told as late, and has not failed.
    """
    answers = site.load.window.answers
    before = Counter(answers)
    back = [instance async for instance in rolling_restart(site.stack.data, services)]
    after = Counter(answers) - before
    late = after.pop("late", 0) if late_is_fine else 0
    if after:
        raise NotFired(f"requests failed meanwhile: {dict(after)}")
    proof = f"{', '.join(back)} were restarted, no request failed"
    return Struck(proof, time.time(), {"late_requests": late})


FAULTS = (
    Fault(f"{CLIENTS:,} HTTP clients hang up", hang_up, after_back=BACK),
    Fault(f"{DRIPS} HTTP clients never finish", drip, seconds=6.0, after_back=BACK),
    Fault("a rolling restart of one instance", roll, seconds=9.0, standstill=KILLED),
    Fault("a rolling restart of two instances", roll_ordering, 9.0, KILLED, instances=2),
)
