"""The yardstick: orders carried by five bare processes, so that a figure means the same every day.

Eight messages an order over five services, each a process with a database of its own, JetStream on
file: no HTTP, no inbox, no journal, no views, no telemetry, no failures. What it does on a day is
about what these servers allow on that day.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import nats

from stagepost.engine.transports.nats_api import ask
from tests.bench.cpu import cpu_seconds
from tests.bench.probe_words import READS
from tests.bench.servers import Servers

ORDERS = 4000
PATIENCE = 120.0
"""Seconds after which a probe has failed."""


@dataclass(frozen=True)
class Probed:
    """What the probe did: orders a second, milliseconds of CPU an order, of all processes.

    `messages` is what each service has sent.
    """

    orders_per_second: float
    cpu_ms: float
    messages: Mapping[str, int]


async def probe(servers: Servers, orders: int = ORDERS) -> Probed:
    """Carry so many orders."""
    databases = [f"probe_{name}" for name in READS]
    await servers.fresh(*databases)
    await _streams(servers, make=True)
    try:
        async with asyncio.timeout(PATIENCE):
            return await _carry(servers, orders)
    finally:
        await _streams(servers, make=False)
        await servers.drop(*databases)


async def _carry(servers: Servers, orders: int) -> Probed:
    async with _services(servers, orders) as services:
        ordering = services[-1]
        await asyncio.sleep(1)  # until all connections have come to rest
        pids = servers.pids | {str(service.pid): service.pid for service in services[:-1]}
        before = sum(cpu_seconds(pids).values())
        assert ordering.stdin is not None
        ordering.stdin.write(b"go\n")
        seconds, own = map(float, (await _line(ordering)).split())
        used = sum(cpu_seconds(pids).values()) - before + own
    return Probed(orders / seconds, used * 1000 / orders, await _messages(servers))


@asynccontextmanager
async def _services(
    servers: Servers, orders: int
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Run all services; `ordering`, the last of them, is told when to begin."""
    started: list[asyncio.subprocess.Process] = []
    try:
        for name in READS:
            started.append(await _start(servers, name, orders))  # noqa: PERF401  # one may fail
        for service in started:
            assert await _line(service) == "ready"
        yield started
    finally:
        for service in started:
            if service.returncode is None:
                service.kill()
            await service.wait()


async def _start(servers: Servers, name: str, orders: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.probe_service",
        name,
        str(orders),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ
        | {
            "PROBE_DATABASE": servers.postgres.dsn(f"probe_{name}"),
            "PROBE_NATS": servers.nats_url,
        },
    )


async def _line(service: asyncio.subprocess.Process) -> str:
    assert service.stdout is not None
    line = await service.stdout.readline()
    assert line, "a service of the probe has failed: see above"
    return line.decode().strip()


async def _messages(servers: Servers) -> dict[str, int]:
    client = await nats.connect(servers.nats_url)
    try:
        answers = {name: await ask(client, f"STREAM.INFO.PROBE_{name}") for name in READS}
    finally:
        await client.close()
    return {name: answer["state"]["messages"] for name, answer in answers.items()}


async def _streams(servers: Servers, *, make: bool) -> None:
    client = await nats.connect(servers.nats_url)
    try:
        for name in READS:
            stream = f"PROBE_{name}"
            if make:
                config = {"name": stream, "subjects": [f"probe.{name}.>"], "storage": "file"}
                await ask(client, f"STREAM.CREATE.{stream}", config)
            else:
                await client.request(f"$JS.API.STREAM.DELETE.{stream}", json.dumps({}).encode())
    finally:
        await client.close()
