"""The peers: what others do with an order of five steps, at the best of several settings."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stagepost.engine.stack.server import PORT, SUPERUSER
from tests.bench.load import BenchFailed
from tests.bench.servers import Servers

PEERS = Path(__file__).parent / "peers"
DATABASE = "peers"
PATIENCE = 120.0


@dataclass(frozen=True)
class Peer:
    """A program, in so many processes, with so many orders in all, and the settings to be tried."""

    program: str
    processes: int
    orders: int
    settings: Sequence[Mapping[str, object]]


DBOS = Peer(
    "dbos_orders.py",
    processes=3,
    orders=900,
    settings=[
        {"style": "coroutines", "at_once": 1, "pre_ping": True},
        {"style": "coroutines", "at_once": 16, "pre_ping": True},
        {"style": "coroutines", "at_once": 16, "pre_ping": False},
        {"style": "threads", "at_once": 8, "pre_ping": True},
        {"style": "threads", "at_once": 8, "pre_ping": False},
        {"style": "threads", "at_once": 16, "pre_ping": False},
    ],
)
EVENTSOURCING = Peer(
    "eventsourcing_orders.py",
    processes=1,
    orders=240,
    settings=[
        {"runner": "SingleThreadedRunner", "cache": 1000},
        {"runner": "MultiThreadedRunner", "cache": 0},
        {"runner": "MultiThreadedRunner", "cache": 1000},
    ],
)


async def best(peer: Peer, servers: Servers, data: Path, say: Callable[[str], None]) -> float:
    """Return a peer's orders per second at the best of its settings.

    Raises:
        BenchFailed: it ended without having done its work, or could not be installed.
    """
    python = await _installed(data / "peers", say)
    rates = []
    for settings in peer.settings:
        await servers.fresh(DATABASE)
        rates.append(peer.orders / await _run(peer, settings, servers, python))
        say(f"{peer.program}: {rates[-1]:,.0f} orders/s with {json.dumps(settings)}")
    return max(rates)


async def _run(peer: Peer, settings: Mapping[str, object], servers: Servers, python: Path) -> float:
    """Run all processes; return the seconds from the word to begin to the end of the last."""
    running: list[asyncio.subprocess.Process] = []
    share = str(peer.orders // peer.processes)
    try:
        async with asyncio.timeout(PATIENCE):
            for number in range(peer.processes):
                process = await asyncio.create_subprocess_exec(
                    python,
                    PEERS / peer.program,
                    share,
                    json.dumps(settings),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    env=os.environ | _environment(servers, number),
                )
                running.append(process)
                await _hear(process, "ready")
            started = time.perf_counter()
            for process in running:
                assert process.stdin is not None
                process.stdin.write(b"go\n")
            for process in running:
                await _hear(process, "done")
            return time.perf_counter() - started
    finally:
        for process in running:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _hear(process: asyncio.subprocess.Process, word: str) -> None:
    assert process.stdout is not None
    while (line := await process.stdout.readline()).strip() != word.encode():
        if not line:
            raise BenchFailed("a peer has failed: see above")


def _environment(servers: Servers, number: int) -> dict[str, str]:
    """Say where the database is, in the words of each peer."""
    postgres = servers.postgres
    login = f"{SUPERUSER}:{postgres.password}"
    return {
        "PEER_NUMBER": str(number),
        "PEER_DATABASE": f"postgresql://{login}@/{DATABASE}?host={postgres.sockets}&port={PORT}",
        "POSTGRES_DBNAME": DATABASE,
        "POSTGRES_HOST": str(postgres.sockets),
        "POSTGRES_PORT": str(PORT),
        "POSTGRES_USER": SUPERUSER,
        "POSTGRES_PASSWORD": postgres.password,
    }


async def _installed(folder: Path, say: Callable[[str], None]) -> Path:
    """Return the Python of an environment with the peers in it; it is made where it is missing."""
    wanted = PEERS / "requirements.txt"
    stamp, python = folder / "installed", folder / "bin" / "python"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return python
    say(f"Installing the peers into {folder}")
    await _do(sys.executable, "-m", "venv", "--clear", str(folder))
    await _do(str(python), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(wanted))
    stamp.write_text(digest)
    return python


async def _do(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdout=sys.stderr)
    if await process.wait() != 0:
        raise BenchFailed(f"{' '.join(command)} has failed: see above")
